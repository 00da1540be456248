#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension CPUBackend: OptimiserKernels {
    public func adamW(
        _ count: Int,
        _ step: AdamWStep,
        gradient: Floats,
        parameter: MutableFloats,
        firstMoment: MutableFloats,
        secondMoment: MutableFloats
    ) {
        let factors = AdamWFactors(step)
        let blocks = RowRanges(total: count, size: 1 << 15)
        workers.forEachBlock(blocks.count) { block, _ in
            let range = blocks[block]
            var i = range.lowerBound
            while i + 16 <= range.upperBound {
                let (p, m, v) = factors.updated(
                    .load(parameter + i),
                    .load(firstMoment + i),
                    .load(secondMoment + i),
                    .load(gradient + i)
                )
                p.store(parameter + i)
                m.store(firstMoment + i)
                v.store(secondMoment + i)
                i += 16
            }
            let lanes = range.upperBound - i
            if lanes > 0 {
                let (p, m, v) = factors.updated(
                    .load(parameter + i, count: lanes),
                    .load(firstMoment + i, count: lanes),
                    .load(secondMoment + i, count: lanes),
                    .load(gradient + i, count: lanes)
                )
                p.store(parameter + i, count: lanes)
                m.store(firstMoment + i, count: lanes)
                v.store(secondMoment + i, count: lanes)
            }
        }
    }
}

/// A step's scalars, made in Float64 once a call, as PyTorch makes them.
private struct AdamWFactors {
    let (newFirst, newSecond): (Vector, Vector)
    let (decay, stepSize, rootCorrection, epsilon): (Vector, Vector, Vector, Vector)

    init(_ step: AdamWStep) {
        let correction1 = 1 - pow(step.beta1, Double(step.step))
        let correction2 = 1 - pow(step.beta2, Double(step.step))
        let learningRate = Double(step.learningRate)
        newFirst = Vector(repeating: Float(1 - step.beta1))
        newSecond = Vector(repeating: Float(1 - step.beta2))
        decay = Vector(repeating: Float(1 - learningRate * Double(step.weightDecay)))
        stepSize = Vector(repeating: Float(-learningRate / correction1))
        rootCorrection = Vector(repeating: Float(1 / correction2.squareRoot()))
        epsilon = Vector(repeating: step.epsilon)
    }

    /// p(1 - lr·wd) - lr/(1 - β₁ᵗ) · m / (√v/√(1 - β₂ᵗ) + ε), the new m and the new v.
    @inline(always)
    func updated(_ parameter: Vector, _ first: Vector, _ second: Vector, _ gradient: Vector) -> (
        Vector, Vector, Vector
    ) {
        let m = first.addingProduct(gradient - first, newFirst)
        // v - v(1 - β₂) in one rounding: a product with β₂ in Float32 would add 1.3e-5 to a steady v.
        let v = second.addingProduct(second, -newSecond).addingProduct(gradient * newSecond, gradient)
        let denominator = epsilon.addingProduct(v.squareRoot(), rootCorrection)
        return ((parameter * decay).addingProduct(stepSize, m / denominator), m, v)
    }
}
