/// φ where it works on single numbers (all maps but Taylor).
extension LinearAttentionPlan {
    /// x through φ: x itself where there is nothing to do, else (tokens, f) written at `buffer`.
    ///
    /// - Parameter x: (tokens, f), `inputStride` apart.
    func mapped(_ x: Floats, tokens: Int, buffer: MutableFloats) -> MatrixRows {
        switch map {
        case .taylor2, .identity:
            return MatrixRows(start: x, stride: inputStride)
        case .eluPlusOne, .relu:
            for token in 0..<tokens {
                mapRow(x + token * inputStride, into: buffer + token * featureWidth)
            }
            return MatrixRows(start: buffer, stride: featureWidth)
        }
    }

    private func mapRow(_ x: Floats, into output: MutableFloats) {
        let elu = map == .eluPlusOne
        var c = 0
        while c + 16 <= featureWidth {
            let value = Vector.load(x + c)
            (elu ? eluPlusOne(value) : clampedRelu(value)).store(output + c)
            c += 16
        }
        if c < featureWidth {
            let count = featureWidth - c
            let value = Vector.load(x + c, count: count)
            (elu ? eluPlusOne(value) : clampedRelu(value)).store(output + c, count: count)
        }
    }

    /// dx ← dx φ'(x), with φ(x) given.
    ///
    /// - Parameters:
    ///   - dx: (tokens, f), `inputStride` apart.
    ///   - output: φ(x) as `mapped` returned it.
    func mappedBackward(dx: MutableFloats, output: MatrixRows, tokens: Int) {
        guard map == .eluPlusOne || map == .relu else { return }
        for token in 0..<tokens {
            let (row, gradient) = (output.from(token), dx + token * inputStride)
            var c = 0
            while c + 16 <= featureWidth {
                (Vector.load(gradient + c) * slope(Vector.load(row + c))).store(gradient + c)
                c += 16
            }
            if c < featureWidth {
                let count = featureWidth - c
                let value = Vector.load(gradient + c, count: count)
                (value * slope(Vector.load(row + c, count: count))).store(gradient + c, count: count)
            }
        }
    }

    /// φ'(x), told from φ(x): eˣ below 0, where that is less than 1; 0 where clamped.
    @inline(__always)
    private func slope(_ output: Vector) -> Vector {
        let one = Vector(repeating: 1)
        if map == .eluPlusOne { return output.replacing(with: one, where: output .> 1) }
        return one.replacing(with: 0, where: output .<= smallestRelu)
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
