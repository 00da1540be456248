/// The part of linear attention inside a chunk: weights of pairs of tokens, tile by tile, no features expanded.
/// (k and v are transposed once, since OpenBLAS has no fast path for small products A Bᵀ and would pack B for
/// every tile.)
extension LinearAttentionPlan {
    /// Numerator and normaliser over the keys of the same chunk.
    ///
    /// - Parameters:
    ///   - q: (tokens, f), through φ already except for Taylor, as is k, which lies at `keyTransposed`.
    ///   - v: (tokens, e).
    ///   - numerator: (tokens, e), `valueStride` apart, written: Σ_{j≤i} a_ij v_j.
    ///   - normaliser: (tokens), written: Σ_{j≤i} a_ij.
    func scoresForward(
        tokens: Int,
        q: MatrixRows,
        v: MatrixRows,
        numerator: MutableFloats,
        normaliser: MutableFloats,
        memory: MutableFloats
    ) {
        let weights = memory + scores
        forEachTile(tokens: tokens) { row, rows, column, columns in
            matrixProduct(
                m: rows,
                n: columns,
                k: featureWidth,
                alpha: scale,
                q.from(row),
                stride: q.stride,
                memory + keyTransposed + column,
                stride: lanes,
                weights,
                stride: scoreStride
            )
            for i in 0..<rows {
                let sum = causalWeights(
                    weights + i * scoreStride,
                    visible: min(columns, row + i - column + 1),
                    columns: columns
                )
                normaliser[row + i] = column == 0 ? sum : normaliser[row + i] + sum
            }
            matrixProduct(
                m: rows,
                n: valueWidth,
                k: columns,
                weights,
                stride: scoreStride,
                v.from(column),
                stride: v.stride,
                beta: column == 0 ? 0 : 1,
                numerator + row * valueStride,
                stride: valueStride
            )
        }
    }

    /// Gradients of `scoresForward`. v must lie at `valueTransposed`, and k at `keyTransposed`.
    ///
    /// - Parameters:
    ///   - g: (tokens, e), the gradient of the numerator.
    ///   - gz: (tokens), the gradient of the normaliser.
    ///   - dq, dk: (tokens, f), `inputStride` apart, written: by q and k as given, after φ.
    ///   - dv: (tokens, e), `valueStride` apart, written.
    func scoresBackward(
        tokens: Int,
        q: MatrixRows,
        k: MatrixRows,
        g: MatrixRows,
        gz: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats,
        memory: MutableFloats
    ) {
        let (weights, gradient) = (memory + scores, memory + scoreGradient)
        clear(dk, rows: tokens, columns: featureWidth, stride: inputStride)
        clear(dv, rows: tokens, columns: valueWidth, stride: valueStride)
        forEachTile(tokens: tokens) { row, rows, column, columns in
            matrixProduct(
                m: rows,
                n: columns,
                k: featureWidth,
                alpha: scale,
                q.from(row),
                stride: q.stride,
                memory + keyTransposed + column,
                stride: lanes,
                weights,
                stride: scoreStride
            )
            matrixProduct(
                m: rows,
                n: columns,
                k: valueWidth,
                g.from(row),
                stride: g.stride,
                memory + valueTransposed + column,
                stride: lanes,
                gradient,
                stride: scoreStride
            )
            for i in 0..<rows {
                causalGradient(
                    weights + i * scoreStride,
                    gradient + i * scoreStride,
                    gz: gz[row + i],
                    visible: min(columns, row + i - column + 1),
                    columns: columns
                )
            }
            matrixProduct(
                m: rows,
                n: featureWidth,
                k: columns,
                alpha: scale,
                gradient,
                stride: scoreStride,
                k.from(column),
                stride: k.stride,
                beta: column == 0 ? 0 : 1,
                dq + row * inputStride,
                stride: inputStride
            )
            matrixProduct(
                m: columns,
                n: featureWidth,
                k: rows,
                alpha: scale,
                gradient,
                stride: scoreStride,
                transposed: true,
                q.from(row),
                stride: q.stride,
                beta: 1,
                dk + column * inputStride,
                stride: inputStride
            )
            matrixProduct(
                m: columns,
                n: valueWidth,
                k: rows,
                weights,
                stride: scoreStride,
                transposed: true,
                g.from(row),
                stride: g.stride,
                beta: 1,
                dv + column * valueStride,
                stride: valueStride
            )
        }
    }

    private func clear(_ matrix: MutableFloats, rows: Int, columns: Int, stride: Int) {
        guard columns < stride else { return matrix.update(repeating: 0, count: rows * columns) }
        for row in 0..<rows { (matrix + row * stride).update(repeating: 0, count: columns) }
    }

    /// Calls `body(row, rows, column, columns)` for the tiles on and below the diagonal, a query's keys in
    /// order.
    @inline(__always)
    private func forEachTile(tokens: Int, _ body: (Int, Int, Int, Int) -> Void) {
        for row in stride(from: 0, to: tokens, by: Self.tileRows) where !workers.isCancelled {
            let end = min(row + Self.tileRows, tokens)
            for column in stride(from: 0, to: end, by: Self.tileColumns) {
                body(row, end - row, column, min(Self.tileColumns, end - column))
            }
        }
    }

    /// Scores of one query to weights in place, 0 from key `visible` on. Returns their sum.
    @inline(__always)
    private func causalWeights(_ row: MutableFloats, visible: Int, columns: Int) -> Float {
        let taylor = map == .taylor2
        var sum = Vector(repeating: 0)
        var j = 0
        while j + 16 <= visible {
            var a = Vector.load(row + j)
            if taylor {
                a = taylorWeight(a)
                a.store(row + j)
            }
            sum += a
            j += 16
        }
        // Rows are padded to whole vectors, so the rest is done in whole vectors too.
        while j < columns {
            var a = Vector.load(row + j)
            if taylor { a = taylorWeight(a) }
            a.replace(with: 0, where: lanesFrom(visible - j))
            a.store(row + j)
            sum += a
            j += 16
        }
        return sum.sum()
    }

    /// Scores to weights as in `causalWeights`, and g·v of each key to the gradient of its score.
    @inline(__always)
    private func causalGradient(
        _ row: MutableFloats,
        _ gradient: MutableFloats,
        gz: Float,
        visible: Int,
        columns: Int
    ) {
        let taylor = map == .taylor2
        var j = 0
        while j < columns {
            let s = Vector.load(row + j)
            var ds = Vector.load(gradient + j) + gz
            var a = s
            if taylor {
                ds *= s + 1
                a = taylorWeight(s)
            }
            if j + 16 > visible {
                let hidden = lanesFrom(visible - j)
                a.replace(with: 0, where: hidden)
                ds.replace(with: 0, where: hidden)
            }
            a.store(row + j)
            ds.store(gradient + j)
            j += 16
        }
    }
}

/// 1 + s + s²/2.
@inline(__always)
private func taylorWeight(_ s: Vector) -> Vector {
    Vector(repeating: 1).addingProduct(s, Vector(repeating: 1).addingProduct(s, Vector(repeating: 0.5)))
}

/// Which lanes are number `first` (any integer) or later.
@inline(__always)
private func lanesFrom(_ first: Int) -> SIMDMask<SIMD16<Int32>> {
    SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        .>= SIMD16(repeating: Int32(truncatingIfNeeded: first))
}
