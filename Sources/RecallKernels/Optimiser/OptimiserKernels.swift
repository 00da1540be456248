/// The numbers of one AdamW step (Loshchilov, Hutter 2019), as PyTorch defines it.
public struct AdamWStep: Equatable, Sendable {
    public var learningRate: Float
    public var beta1: Float
    public var beta2: Float
    public var epsilon: Float
    public var weightDecay: Float
    /// 1 for the first step: the bias corrections are 1 - βᵗ.
    public var step: Int

    public init(
        learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8,
        weightDecay: Float,
        step: Int
    ) {
        (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
        (self.epsilon, self.weightDecay, self.step) = (epsilon, weightDecay, step)
    }
}

/// The optimiser as one pass over each parameter.
public protocol OptimiserKernels {
    /// p ← p(1 - lr·wd) - lr·m̂/(√v̂ + ε), with m and v updated first.
    ///
    /// - Parameters:
    ///   - gradient: (count). parameter, firstMoment, secondMoment: (count), read and written.
    func adamW(
        _ count: Int, _ step: AdamWStep, gradient: Floats, parameter: MutableFloats, firstMoment: MutableFloats,
        secondMoment: MutableFloats)
}
