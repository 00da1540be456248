import RecallKernels

/// The head with its loss: part of a block of rows, several, vocabularies of all sizes; with gradients and for evaluation.
enum HeadLossCases {
    static let all: [KernelCase] =
        shapes.map { headLoss($0, differentiates: true) }
        + [
            headLoss(HeadShape(rows: 63, width: 17, vocabulary: 513), differentiates: false),
            headLoss(HeadShape(rows: 257, width: 64, vocabulary: 64), differentiates: false), ties, sureRows,
        ]

    private static let shapes =
        [1, 63, 257].flatMap { rows in
            [7, 64, 513].map { HeadShape(rows: rows, width: 17, vocabulary: $0) }
        } + [
            HeadShape(rows: 0, width: 2, vocabulary: 3), HeadShape(rows: 1, width: 1, vocabulary: 1),
            HeadShape(rows: 1700, width: 16, vocabulary: 33),
            HeadShape(rows: 230, width: 3, vocabulary: 20_000),
            HeadShape(rows: 64, width: 64, vocabulary: 8192),
        ]

    private static func sizes(_ shape: HeadShape) -> [CaseSize] {
        [.rows(shape.rows), .width(shape.width), .vocabulary(shape.vocabulary)]
    }

    private static func headLoss(_ shape: HeadShape, differentiates: Bool) -> KernelCase {
        KernelCase("headLoss", sizes(shape), differentiates ? "" : "no gradients") { p in
            fill(
                &p, shape, hidden: numbers(shape.rows * shape.width, 1, in: -2...2),
                table: numbers(shape.vocabulary * shape.width, 2),
                labels: ids(shape.rows, below: shape.vocabulary, 3), differentiates: differentiates)
        }
    }

    /// All logits are equal, or two share the largest: the first of equals is the answer.
    private static var ties: KernelCase {
        let shape = HeadShape(rows: 6, width: 2, vocabulary: 40)
        return KernelCase("headLoss", sizes(shape), "equal logits") { p in
            var table = [Float](repeating: 0, count: 80)
            (table[40], table[66]) = (1, 1)
            fill(
                &p, shape, hidden: [0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0], table: table,
                labels: [0, 1, 39, 20, 33, 0], differentiates: true)
        }
    }

    /// Where a model is sure and right, a loss is tiny and still has all its digits. Small integers, which every arithmetic
    /// multiplies exactly.
    private static var sureRows: KernelCase {
        let (rows, width) = (3, 24)
        let shape = HeadShape(rows: rows, width: width, vocabulary: width)
        return KernelCase("headLoss", sizes(shape), "sure and right") { p in
            var table = [Float](repeating: 0, count: width * width)
            for token in 0..<width { table[token * width + token] = 1 }
            var hidden = [Float](repeating: 0, count: rows * width)
            let labels: [Int32] = [0, 5, 20]
            // About the same loss in each row, so that none hides behind a larger one.
            for row in 0..<rows { hidden[row * width + Int(labels[row])] = 18 }
            fill(&p, shape, hidden: hidden, table: table, labels: labels, differentiates: true)
        }
    }

    private static func fill(
        _ p: inout Problem, _ shape: HeadShape, hidden: [Float], table: [Float], labels: [Int32],
        differentiates: Bool
    ) {
        let scale = 1 / Float(max(shape.rows, 1))
        let (hiddenCount, tableCount) = (hidden.count, table.count)
        let hidden = p.input("hidden", hidden, isFactor: true)
        let table = p.input("table", table, isFactor: true)
        let answers = p.integers("labels", labels)
        let losses = p.output("losses", shape.rows, bound: 1e-5)
        let correct = p.output("correct", shape.rows, bound: 0)
        let dHidden = differentiates ? p.output("dHidden", hiddenCount, bound: 1e-4) : nil
        let dTable = differentiates ? p.output("dTable", tableCount, bound: 1e-4) : nil
        p.call = {
            $0.headLoss(
                shape, hidden: $1[hidden], table: $1[table], labels: $1.integers(answers), gradientScale: scale,
                losses: $1[losses], correct: $1[correct], dHidden: $1[ifAny: dHidden], dTable: $1[ifAny: dTable]
            )
        }
        p.reference = { value in
            let forward = EmbeddingLossReference.headLoss(
                shape, hidden: value[hidden], table: value[table], labels: labels)
            var expectations = [Expectation(losses, forward.losses), Expectation(correct, forward.correct)]
            if let dHidden, let dTable {
                let backward = EmbeddingLossReference.headLossBackward(
                    shape, hidden: value[hidden], table: value[table], labels: labels,
                    gradientScale: Double(scale))
                expectations += [Expectation(dHidden, backward.dHidden), Expectation(dTable, backward.dTable)]
            }
            return expectations
        }
    }
}
