/// The numbers of one AdamW step (Loshchilov, Hutter 2019), as PyTorch defines it.
public struct AdamWStep: Equatable, Sendable {
    public var learningRate: Float
    /// The moments' decay per step, in Float64: 1 - β₂ of a β₂ rounded to Float32 is 1.3e-5 off.
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Float
    public var weightDecay: Float
    /// 1 for the first step: the bias corrections are 1 - βᵗ.
    public var step: Int

    public init(
        learningRate: Float,
        beta1: Double = 0.9,
        beta2: Double = 0.999,
        epsilon: Float = 1e-8,
        weightDecay: Float,
        step: Int
    ) {
        (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
        (self.epsilon, self.weightDecay, self.step) = (epsilon, weightDecay, step)
    }
}

/// One parameter of many that a step updates.
public struct AdamWParameter: Equatable {
    public let count: Int
    /// Its own, in place of the step's.
    public let weightDecay: Float
    public let gradient: Floats
    public let parameter: MutableFloats
    public let firstMoment: MutableFloats
    public let secondMoment: MutableFloats

    public init(
        count: Int,
        weightDecay: Float,
        gradient: Floats,
        parameter: MutableFloats,
        firstMoment: MutableFloats,
        secondMoment: MutableFloats
    ) {
        (self.count, self.weightDecay) = (count, weightDecay)
        (self.gradient, self.parameter) = (gradient, parameter)
        (self.firstMoment, self.secondMoment) = (firstMoment, secondMoment)
    }
}

/// The optimiser as one pass over each parameter.
public protocol OptimiserKernels {
    /// p ← p(1 - lr·wd) - lr·m̂/(√v̂ + ε), with m and v updated first.
    ///
    /// - Parameters:
    ///   - gradient: (count). parameter, firstMoment, secondMoment: (count), read and written.
    func adamW(
        _ count: Int,
        _ step: AdamWStep,
        gradient: Floats,
        parameter: MutableFloats,
        firstMoment: MutableFloats,
        secondMoment: MutableFloats
    )

    /// One step over all parameters of a model.
    func adamW(_ parameters: [AdamWParameter], _ step: AdamWStep)
}

extension OptimiserKernels {
    public func adamW(_ parameters: [AdamWParameter], _ step: AdamWStep) {
        for parameter in parameters {
            var step = step
            step.weightDecay = parameter.weightDecay
            adamW(
                parameter.count,
                step,
                gradient: parameter.gradient,
                parameter: parameter.parameter,
                firstMoment: parameter.firstMoment,
                secondMoment: parameter.secondMoment
            )
        }
    }
}
