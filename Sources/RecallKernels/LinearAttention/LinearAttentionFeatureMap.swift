/// φ where it works on single numbers (all maps but Taylor).
extension LinearAttentionPlan {
    /// x through φ: x itself where there is nothing to do, else (tokens, f) written at `buffer`.
    ///
    /// - Parameter x: (tokens, f), `inputStride` apart.
    func mapped(_ x: Floats, tokens: Int, buffer: MutableFloats) -> MatrixRows {
        let elu: Bool
        switch map {
        case .taylor2, .identity: return MatrixRows(start: x, stride: inputStride)
        case .eluPlusOne: elu = true
        case .relu: elu = false
        }
        forEachVector(tokens: tokens) { token, column, count in
            let source = x + token * inputStride + column
            let target = buffer + token * featureWidth + column
            let value = count == 16 ? Vector.load(source) : Vector.load(source, count: count)
            let result = elu ? eluPlusOne(value) : clampedRelu(value)
            if count == 16 { result.store(target) } else { result.store(target, count: count) }
        }
        return MatrixRows(start: buffer, stride: featureWidth)
    }

    /// dx ← dx φ'(x), with φ(x) given.
    ///
    /// - Parameters:
    ///   - dx: (tokens, f), `inputStride` apart.
    ///   - output: φ(x) as `mapped` returned it.
    func mappedBackward(dx: MutableFloats, output: MatrixRows, tokens: Int) {
        guard map == .eluPlusOne || map == .relu else { return }
        let elu = map == .eluPlusOne
        forEachVector(tokens: tokens) { token, column, count in
            let source = output.from(token) + column
            let target = dx + token * inputStride + column
            let value = count == 16 ? Vector.load(source) : Vector.load(source, count: count)
            let gradient = count == 16 ? Vector.load(target) : Vector.load(target, count: count)
            // Both slopes can be told from φ(x): eˣ below 0, where it is less than 1; 0 where clamped.
            let result =
                elu
                ? gradient * value.replacing(with: 1, where: value .> 1)
                : gradient.replacing(with: 0, where: value .<= smallestRelu)
            if count == 16 { result.store(target) } else { result.store(target, count: count) }
        }
    }

    @inline(__always)
    private func forEachVector(tokens: Int, _ body: (_ token: Int, _ column: Int, _ count: Int) -> Void) {
        for token in 0..<tokens {
            for column in stride(from: 0, to: featureWidth, by: 16) {
                body(token, column, min(16, featureWidth - column))
            }
        }
    }
}

private let smallestRelu: Float = 1e-12

@inline(__always)
private func eluPlusOne(_ x: Vector) -> Vector {
    exponential(x).replacing(with: x + 1, where: x .> 0)
}

@inline(__always)
private func clampedRelu(_ x: Vector) -> Vector {
    x.replacing(with: smallestRelu, where: x .< smallestRelu)
}
