import Foundation

/// Embedding, row gathering and the head with its loss written out in Float64. All arrays are contiguous, shaped as in
/// `EmbeddingLossKernels`; a dropout is its multipliers, one for each number of y.
package enum EmbeddingLossReference {
    /// y = mask ⊙ (table[token] + positions[t]).
    package static func embedding(
        _ shape: EmbeddingShape,
        tokens: [Int32],
        table: [Double],
        positions: [Double]?,
        firstPosition: Int = 0,
        mask: [Double]?
    ) -> [Double] {
        let width = shape.width
        return (0..<shape.batch * shape.length * width).map { i in
            let (row, column) = (i / width, i % width)
            let position = firstPosition + row % shape.length
            let sum = table[Int(tokens[row]) * width + column] + (positions?[position * width + column] ?? 0)
            return sum * (mask?[i] ?? 1)
        }
    }

    /// The gradients of the table and of the first `length` positions.
    package static func embeddingBackward(
        _ shape: EmbeddingShape,
        tokens: [Int32],
        mask: [Double]?,
        dy: [Double]
    ) -> (dTable: [Double], dPositions: [Double]) {
        let width = shape.width
        var dTable = [Double](repeating: 0, count: shape.vocabulary * width)
        var dPositions = [Double](repeating: 0, count: shape.length * width)
        for i in dy.indices {
            let (row, column) = (i / width, i % width)
            let d = dy[i] * (mask?[i] ?? 1)
            dTable[Int(tokens[row]) * width + column] += d
            dPositions[row % shape.length * width + column] += d
        }
        return (dTable, dPositions)
    }

    /// y[i] = x[rows[i]].
    package static func gather(width: Int, x: [Double], rows: [Int32]) -> [Double] {
        rows.flatMap { x[Int($0) * width..<(Int($0) + 1) * width] }
    }

    /// dx[rows[i]] = dy[i], zero elsewhere.
    package static func scatter(total: Int, width: Int, dy: [Double], rows: [Int32]) -> [Double] {
        var dx = [Double](repeating: 0, count: total * width)
        for (i, row) in rows.enumerated() {
            for column in 0..<width { dx[Int(row) * width + column] = dy[i * width + column] }
        }
        return dx
    }

    /// Each row's softmax cross-entropy, and whether its label is the (first) largest logit.
    package static func headLoss(
        _ shape: HeadShape,
        hidden: [Double],
        table: [Double],
        labels: [Int32]
    ) -> (losses: [Double], correct: [Double]) {
        var (losses, correct): ([Double], [Double]) = ([], [])
        for row in 0..<shape.rows {
            let logits = logits(shape, hidden: hidden, table: table, row: row)
            let largest = logits.max() ?? 0
            let label = Int(labels[row])
            let best = logits.firstIndex(of: largest)
            // Without the largest's 1 no digit of a tiny loss is lost.
            let rest = logits.indices.reduce(0) { $0 + ($1 == best ? 0 : exp(logits[$1] - largest)) }
            losses.append(log1p(rest) + (largest - logits[label]))
            correct.append(best == label ? 1 : 0)
        }
        return (losses, correct)
    }

    /// The gradients of gradientScale · Σ losses: dlogits = (softmax - onehot) · gradientScale.
    package static func headLossBackward(
        _ shape: HeadShape,
        hidden: [Double],
        table: [Double],
        labels: [Int32],
        gradientScale: Double
    ) -> (dHidden: [Double], dTable: [Double]) {
        let width = shape.width
        var dHidden = [Double](repeating: 0, count: shape.rows * width)
        var dTable = [Double](repeating: 0, count: shape.vocabulary * width)
        for row in 0..<shape.rows {
            let logits = logits(shape, hidden: hidden, table: table, row: row)
            let largest = logits.max() ?? 0
            let exponentials = logits.map { exp($0 - largest) }
            let sum = exponentials.reduce(0, +)
            let label = Int(labels[row])
            // softmax - 1 at the label, as what the others have.
            let others = exponentials.indices.reduce(0) { $0 + ($1 == label ? 0 : exponentials[$1]) }
            for token in 0..<shape.vocabulary {
                let d = (token == label ? -others : exponentials[token]) / sum * gradientScale
                for column in 0..<width {
                    dHidden[row * width + column] += d * table[token * width + column]
                    dTable[token * width + column] += d * hidden[row * width + column]
                }
            }
        }
        return (dHidden, dTable)
    }

    private static func logits(_ shape: HeadShape, hidden: [Double], table: [Double], row: Int) -> [Double] {
        (0..<shape.vocabulary).map { token in
            (0..<shape.width).reduce(0) {
                $0 + hidden[row * shape.width + $1] * table[token * shape.width + $1]
            }
        }
    }
}
