import RecallKernels

/// The head with its loss: part of a block of rows, several, vocabularies of all sizes; with gradients, with one of them, and
/// for evaluation.
enum HeadLossCases {
    static let all: [KernelCase] =
        (shapes + tiledShapes).map { headLoss($0, .both) }
        + [
            headLoss(HeadShape(rows: 63, width: 17, vocabulary: 513), []),
            headLoss(HeadShape(rows: 257, width: 64, vocabulary: 64), []),
            headLoss(HeadShape(rows: 130, width: 100, vocabulary: 257), []),
            headLoss(HeadShape(rows: 130, width: 64, vocabulary: 257), .hidden),
            headLoss(HeadShape(rows: 130, width: 64, vocabulary: 257), .table),
            headLoss(HeadShape(rows: 65, width: 130, vocabulary: 129), .hidden),
            headLoss(HeadShape(rows: 65, width: 130, vocabulary: 129), .table),
            ties(HeadShape(rows: 10, width: 2, vocabulary: 40), equal: [20, 33], sole: [0, 1, 39]),
            ties(
                HeadShape(rows: 150, width: 40, vocabulary: 300),
                equal: [31, 64, 70, 299],
                sole: [0, 69, 298]
            ),
            sureRows(width: 24, logit: 18), sureRows(width: 24, logit: 60), sureRows(width: 72, logit: 60),
            growingLogits,
        ]

    /// Which gradients are asked for.
    struct Gradients: OptionSet {
        let rawValue: Int
        static let hidden = Gradients(rawValue: 1)
        static let table = Gradients(rawValue: 2)
        static let both: Gradients = [.hidden, .table]

        var words: String {
            switch self {
            case .both: ""
            case .hidden: "no gradient of the table"
            case .table: "no gradient of hidden rows"
            default: "no gradients"
            }
        }
    }

    private static let shapes =
        [1, 63, 257].flatMap { rows in
            [7, 64, 513].map { HeadShape(rows: rows, width: 17, vocabulary: $0) }
        } + [
            HeadShape(rows: 0, width: 2, vocabulary: 3), HeadShape(rows: 1, width: 1, vocabulary: 1),
            HeadShape(rows: 1700, width: 16, vocabulary: 33),
            HeadShape(rows: 230, width: 3, vocabulary: 20_000),
            HeadShape(rows: 64, width: 64, vocabulary: 8192),
        ]

    /// About the edges of tiles in each direction; the last five are large enough that several tiles pass a block, of the last
    /// two more than are there at once.
    private static let tiledShapes =
        [32, 33, 64, 100, 128, 130, 256].map { HeadShape(rows: 65, width: $0, vocabulary: 129) }
        + [1, 31, 64, 128, 129].map { HeadShape(rows: $0, width: 64, vocabulary: 96 + $0) } + [
            HeadShape(rows: 1025, width: 8, vocabulary: 2049),
            HeadShape(rows: 2049, width: 36, vocabulary: 1025),
            HeadShape(rows: 1030, width: 70, vocabulary: 1026),
            HeadShape(rows: 1030, width: 66, vocabulary: 4200),
            HeadShape(rows: 1030, width: 34, vocabulary: 8400),
        ]

    private static func sizes(_ shape: HeadShape) -> [CaseSize] {
        [.rows(shape.rows), .width(shape.width), .vocabulary(shape.vocabulary)]
    }

    private static func headLoss(_ shape: HeadShape, _ gradients: Gradients) -> KernelCase {
        KernelCase("headLoss", sizes(shape), gradients.words) { p in
            fill(
                &p,
                shape,
                hidden: numbers(shape.rows * shape.width, 1, in: -2...2),
                table: numbers(shape.vocabulary * shape.width, 2),
                labels: ids(shape.rows, below: shape.vocabulary, 3),
                gradients
            )
        }
    }

    /// All logits are equal, or those of `equal` tokens share the largest: the first of equals is the answer.
    private static func ties(_ shape: HeadShape, equal: [Int], sole: [Int]) -> KernelCase {
        KernelCase("headLoss", sizes(shape), "equal logits") { p in
            var table = [Float](repeating: 0, count: shape.vocabulary * shape.width)
            for token in equal { table[token * shape.width] = 1 }
            var hidden = [Float](repeating: 0, count: shape.rows * shape.width)
            for row in stride(from: 1, to: shape.rows, by: 2) { hidden[row * shape.width] = 1 }
            let answers = sole + equal
            fill(
                &p,
                shape,
                hidden: hidden,
                table: table,
                labels: (0..<shape.rows).map { Int32(answers[$0 / 2 % answers.count]) },
                .both
            )
        }
    }

    /// Where a model is sure and right, a loss is tiny and still has all its digits. Small integers, which every arithmetic
    /// multiplies exactly.
    private static func sureRows(width: Int, logit: Float) -> KernelCase {
        let labels: [Int32] = [0, 5, 20]
        let shape = HeadShape(rows: labels.count, width: width, vocabulary: width)
        return KernelCase("headLoss", sizes(shape), "sure and right by \(Int(logit))") { p in
            var table = [Float](repeating: 0, count: width * width)
            for token in 0..<width { table[token * width + token] = 1 }
            var hidden = [Float](repeating: 0, count: shape.rows * width)
            // About the same loss in each row, so that none hides behind a larger one.
            for row in 0..<shape.rows { hidden[row * width + Int(labels[row])] = logit }
            fill(&p, shape, hidden: hidden, table: table, labels: labels, .both)
        }
    }

    /// The further a token is down the vocabulary, the larger are its logits: what was summed before counts for little.
    private static var growingLogits: KernelCase {
        let shape = HeadShape(rows: 140, width: 48, vocabulary: 700)
        return KernelCase("headLoss", sizes(shape), "growing logits") { p in
            var table = numbers(shape.vocabulary * shape.width, 2)
            for i in table.indices { table[i] *= 0.1 + 8 * Float(i / shape.width) / Float(shape.vocabulary) }
            fill(
                &p,
                shape,
                hidden: numbers(shape.rows * shape.width, 1, in: -1...1),
                table: table,
                labels: ids(shape.rows, below: shape.vocabulary, 3),
                .both
            )
        }
    }

    private static func fill(
        _ p: inout Problem,
        _ shape: HeadShape,
        hidden: [Float],
        table: [Float],
        labels: [Int32],
        _ gradients: Gradients
    ) {
        let scale = 1 / Float(max(shape.rows, 1))
        let (hiddenCount, tableCount) = (hidden.count, table.count)
        let hidden = p.input("hidden", hidden, isFactor: true)
        let table = p.input("table", table, isFactor: true)
        let answers = p.integers("labels", labels)
        let losses = p.output("losses", shape.rows, bound: 1e-5)
        let correct = p.output("correct", shape.rows, bound: 0)
        let dHidden = gradients.contains(.hidden) ? p.output("dHidden", hiddenCount, bound: 1e-4) : nil
        let dTable = gradients.contains(.table) ? p.output("dTable", tableCount, bound: 1e-4) : nil
        p.call = {
            $0.headLoss(
                shape,
                hidden: $1[hidden],
                table: $1[table],
                labels: $1.integers(answers),
                gradientScale: scale,
                losses: $1[losses],
                correct: $1[correct],
                dHidden: $1[ifAny: dHidden],
                dTable: $1[ifAny: dTable]
            )
        }
        p.reference = { value in
            let forward = EmbeddingLossReference.headLoss(
                shape,
                hidden: value[hidden],
                table: value[table],
                labels: labels
            )
            var expectations = [Expectation(losses, forward.losses), Expectation(correct, forward.correct)]
            guard !gradients.isEmpty else { return expectations }
            let backward = EmbeddingLossReference.headLossBackward(
                shape,
                hidden: value[hidden],
                table: value[table],
                labels: labels,
                gradientScale: Double(scale)
            )
            if let dHidden { expectations.append(Expectation(dHidden, backward.dHidden)) }
            if let dTable { expectations.append(Expectation(dTable, backward.dTable)) }
            return expectations
        }
    }
}
