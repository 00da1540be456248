/// A sum over tokens of features times values, in a worker's memory: (M, e), and the column (M) that belongs to
/// the normaliser. Over earlier keys φ̂(k) [v ‖ 1]ᵀ; in backward also over later queries ψ(q) [g ‖ gz]ᵀ.
struct LinearAttentionState {
    let matrix: MutableFloats
    let column: MutableFloats
}

/// The part of linear attention between chunks (docs/math/linear-attention.md, section 6), on feature tiles
/// (M, lanes) of one chunk.
extension LinearAttentionPlan {
    /// Which features a tile holds: φ̂(k), or ψ(q) which carries Taylor's coefficients.
    enum Side { case key, query }

    func state(_ offset: Int, _ memory: MutableFloats) -> LinearAttentionState {
        let matrix = memory + offset
        return LinearAttentionState(matrix: matrix, column: matrix + stateRows * valueWidth)
    }

    /// The features of a chunk, tokens in the lanes.
    ///
    /// - Parameter inputs: (f, lanes), a chunk of q or k transposed, through φ already except for Taylor.
    /// - Returns: (M, lanes). Lanes after the chunk's tokens hold nothing of use.
    func features(_ side: Side, of inputs: Floats, memory: MutableFloats) -> Floats {
        guard map == .taylor2 else { return inputs }
        let (linear, square, diagonal) = coefficients(side)
        for lane in stride(from: 0, to: lanes, by: 16) {
            let x = inputs + lane
            var feature = memory + tile + lane
            Vector(repeating: 1).store(feature)
            feature += lanes
            for i in 0..<featureWidth {
                (Vector.load(x + i * lanes) * linear).store(feature)
                feature += lanes
            }
            for i in 0..<featureWidth {
                let xi = Vector.load(x + i * lanes)
                (xi * xi * diagonal).store(feature)
                feature += lanes
                let scaled = xi * square
                for j in i + 1..<featureWidth {
                    (scaled * Vector.load(x + j * lanes)).store(feature)
                    feature += lanes
                }
            }
        }
        return Floats(memory + tile)
    }

    /// state += Σ_t features_t [values_t ‖ column_t]ᵀ, or = where `first`.
    ///
    /// - Parameter column: (lanes), 0 from `tokens` on.
    func add(
        to state: LinearAttentionState,
        features: Floats,
        values: MatrixRows,
        column: Floats,
        tokens: Int,
        first: Bool
    ) {
        matrixProduct(
            m: stateRows,
            n: valueWidth,
            k: tokens,
            features,
            stride: lanes,
            values.start,
            stride: values.stride,
            beta: first ? 0 : 1,
            state.matrix,
            stride: valueWidth
        )
        for m in 0..<stateRows {
            var sum = Vector(repeating: 0)
            for lane in stride(from: 0, to: lanes, by: 16) {
                sum = sum.addingProduct(Vector.load(features + m * lanes + lane), Vector.load(column + lane))
            }
            state.column[m] = first ? sum.sum() : state.column[m] + sum.sum()
        }
    }

    /// The state as decoding keeps it: (M, e + 1), the column last.
    func copy(_ state: LinearAttentionState, to kept: MutableFloats) {
        for m in 0..<stateRows {
            let row = kept + m * (valueWidth + 1)
            row.update(from: state.matrix + m * valueWidth, count: valueWidth)
            row[valueWidth] = state.column[m]
        }
    }

    /// output_t += featuresᵀ · state (without its column).
    ///
    /// - Parameter output: (tokens, e), `valueStride` apart.
    func read(_ state: LinearAttentionState, features: Floats, tokens: Int, output: MutableFloats) {
        matrixProduct(
            m: tokens,
            n: valueWidth,
            k: stateRows,
            features,
            stride: lanes,
            transposed: true,
            state.matrix,
            stride: valueWidth,
            beta: 1,
            output,
            stride: valueStride
        )
    }

    /// output_t += featuresᵀ · the state's column.
    func readColumn(_ state: LinearAttentionState, features: Floats, tokens: Int, output: MutableFloats) {
        for lane in stride(from: 0, to: tokens, by: 16) {
            var sum = Vector(repeating: 0)
            for m in 0..<stateRows {
                sum = sum.addingProduct(
                    Vector.load(features + m * lanes + lane),
                    Vector(repeating: state.column[m])
                )
            }
            for token in lane..<min(lane + 16, tokens) { output[token] += sum[token - lane] }
        }
    }

    /// dx += the gradient by x through its features, whose own gradient is state [values ‖ column]ᵀ.
    ///
    /// - Parameters:
    ///   - inputs: (f, lanes), x transposed.
    ///   - dx: (tokens, f), `inputStride` apart.
    func featuresBackward(
        _ side: Side,
        of inputs: Floats,
        state: LinearAttentionState,
        values: MatrixRows,
        column: Floats,
        tokens: Int,
        dx: MutableFloats,
        memory: MutableFloats
    ) {
        let (gradient, sums) = (memory + tile, memory + transposedGradient)
        matrixProduct(
            m: stateRows,
            n: tokens,
            k: valueWidth,
            state.matrix,
            stride: valueWidth,
            transposed: false,
            values.start,
            stride: values.stride,
            transposed: true,
            gradient,
            stride: lanes
        )
        for lane in stride(from: 0, to: lanes, by: 16) {
            let weight = Vector.load(column + lane)
            if map == .taylor2 {
                taylorBackward(
                    side,
                    gradient: gradient + lane,
                    weight: weight,
                    column: state.column,
                    x: inputs + lane,
                    dx: sums + lane
                )
            } else {
                for i in 0..<featureWidth {
                    Vector.load(gradient + i * lanes + lane)
                        .addingProduct(weight, Vector(repeating: state.column[i])).store(
                            sums + i * lanes + lane
                        )
                }
            }
        }
        for token in 0..<tokens {
            let row = dx + token * inputStride
            for i in 0..<featureWidth { row[i] += sums[i * lanes + token] }
        }
    }

    /// `featuresBackward` of Taylor for 16 tokens: with g the gradient of a feature times its coefficient,
    /// dx_i = g_i + 2 g_ii x_i + Σ_{j≠i} g_ij x_j.
    @inline(__always)
    private func taylorBackward(
        _ side: Side,
        gradient: Floats,
        weight: Vector,
        column: Floats,
        x: Floats,
        dx: MutableFloats
    ) {
        let (linear, square, diagonal) = coefficients(side)
        var m = 1
        for i in 0..<featureWidth {
            let g = Vector.load(gradient + m * lanes).addingProduct(weight, Vector(repeating: column[m]))
            (g * linear).store(dx + i * lanes)
            m += 1
        }
        for i in 0..<featureWidth {
            let xi = Vector.load(x + i * lanes)
            let scaled = xi * square
            let g = Vector.load(gradient + m * lanes).addingProduct(weight, Vector(repeating: column[m]))
            var sum = Vector(repeating: 0)
            m += 1
            for j in i + 1..<featureWidth {
                let g = Vector.load(gradient + m * lanes).addingProduct(weight, Vector(repeating: column[m]))
                sum = sum.addingProduct(g, Vector.load(x + j * lanes))
                Vector.load(dx + j * lanes).addingProduct(g, scaled).store(dx + j * lanes)
                m += 1
            }
            Vector.load(dx + i * lanes).addingProduct(g, xi * (2 * diagonal))
                .addingProduct(sum, Vector(repeating: square)).store(dx + i * lanes)
        }
    }

    /// Taylor's coefficients of x_i, x_i x_j and x_i².
    private func coefficients(_ side: Side) -> (linear: Float, square: Float, diagonal: Float) {
        switch side {
        case .key: (1, 1, 1)
        case .query: (scale, scale * scale, scale * scale / 2)
        }
    }
}
