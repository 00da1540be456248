import RecallRandom

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Softmax attention as the equations have it, in Float64. Everything is contiguous: q, k, v, out and their
/// gradients are (batch, length, heads · headWidth); the shape's `rowStride` is not looked at.
package enum SoftmaxAttentionReference {
    package static func forward(
        _ shape: AttentionShape,
        q: [Double],
        k: [Double],
        v: [Double],
        dropout: Dropout? = nil
    ) -> (out: [Double], logSumExp: [Double]) {
        var out = [Double](repeating: 0, count: q.count)
        var logSumExp = [Double](repeating: 0, count: shape.batch * shape.heads * shape.length)
        forEachQuery(shape) { b, h, i in
            let row = Row(shape, b, h, i, q, k, dropout)
            logSumExp[(b * shape.heads + h) * shape.length + i] = row.logSumExp
            for (j, p) in zip(row.keys, zip(row.probabilities, row.multipliers).map({ $0 * $1 })) {
                for c in 0..<shape.headWidth {
                    out[index(shape, b, h, i) + c] += p * v[index(shape, b, h, j) + c]
                }
            }
        }
        return (out, logSumExp)
    }

    package static func backward(
        _ shape: AttentionShape,
        q: [Double],
        k: [Double],
        v: [Double],
        dropout: Dropout? = nil,
        dOut: [Double]
    ) -> (dq: [Double], dk: [Double], dv: [Double]) {
        let zero = [Double](repeating: 0, count: q.count)
        var (dq, dk, dv) = (zero, zero, zero)
        let scale = 1 / Double(shape.headWidth).squareRoot()
        forEachQuery(shape) { b, h, i in
            let row = Row(shape, b, h, i, q, k, dropout)
            let query = index(shape, b, h, i)
            let dProbabilities = row.keys.enumerated().map { n, j in
                row.multipliers[n] * dot(shape, dOut, query, v, index(shape, b, h, j))
            }
            let delta = zip(row.probabilities, dProbabilities).reduce(0) { $0 + $1.0 * $1.1 }
            for (n, j) in row.keys.enumerated() {
                let key = index(shape, b, h, j)
                let dScore = row.probabilities[n] * (dProbabilities[n] - delta) * scale
                for c in 0..<shape.headWidth {
                    dv[key + c] += row.probabilities[n] * row.multipliers[n] * dOut[query + c]
                    dk[key + c] += dScore * q[query + c]
                    dq[query + c] += dScore * k[key + c]
                }
            }
        }
        return (dq, dk, dv)
    }

    /// Rotary positions of (batch, length, heads · headWidth); a negative direction rotates back.
    package static func rotary(
        _ shape: AttentionShape,
        x: [Double],
        base: Double,
        firstPosition: Int,
        direction: Double
    ) -> [Double] {
        var result = x
        let half = shape.headWidth / 2
        forEachQuery(shape) { b, h, t in
            for i in 0..<half {
                let angle = Double(firstPosition + t) * pow(base, -2 * Double(i) / Double(shape.headWidth))
                let (cosine, sine) = (cos(angle), direction < 0 ? -sin(angle) : sin(angle))
                let first = index(shape, b, h, t) + i
                result[first] = x[first] * cosine - x[first + half] * sine
                result[first + half] = x[first + half] * cosine + x[first] * sine
            }
        }
        return result
    }

    /// What one query sees.
    private struct Row {
        let keys: ClosedRange<Int>
        var probabilities: [Double]
        let multipliers: [Double]
        let logSumExp: Double

        init(
            _ shape: AttentionShape,
            _ b: Int,
            _ h: Int,
            _ i: Int,
            _ q: [Double],
            _ k: [Double],
            _ dropout: Dropout?
        ) {
            keys = max(0, i - (shape.window ?? shape.length) + 1)...i
            let scores = keys.map { j in
                dot(shape, q, index(shape, b, h, i), k, index(shape, b, h, j))
                    / Double(shape.headWidth).squareRoot()
            }
            let maximum = scores.max() ?? 0
            let normaliser = maximum + log(scores.reduce(0) { $0 + exp($1 - maximum) })
            logSumExp = normaliser
            probabilities = scores.map { exp($0 - normaliser) }
            guard let dropout else {
                multipliers = scores.map { _ in 1 }
                return
            }
            let padded = (shape.length + 7) / 8 * 8
            var mask = [Float](repeating: 0, count: padded)
            dropout.multipliers(
                first: ((b * shape.heads + h) * shape.length + i) * padded,
                count: padded,
                into: &mask
            )
            multipliers = mask[keys].map(Double.init)
        }
    }

    private static func forEachQuery(_ shape: AttentionShape, _ body: (Int, Int, Int) -> Void) {
        for b in 0..<shape.batch {
            for h in 0..<shape.heads {
                for i in 0..<shape.length { body(b, h, i) }
            }
        }
    }

    /// Where token t of a head begins.
    private static func index(_ shape: AttentionShape, _ b: Int, _ h: Int, _ t: Int) -> Int {
        ((b * shape.length + t) * shape.heads + h) * shape.headWidth
    }

    private static func dot(_ shape: AttentionShape, _ a: [Double], _ aStart: Int, _ b: [Double], _ bStart: Int)
        -> Double
    {
        (0..<shape.headWidth).reduce(0) { $0 + a[aStart + $1] * b[bStart + $1] }
    }
}
