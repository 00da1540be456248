import RecallKernels

extension ParameterStore {
    /// Forgets the last step's gradients; the next backward writes them anew.
    public func beginStep() {
        for parameter in parameters { parameter.hasGradient = false }
    }

    /// One AdamW step over every parameter that has a gradient.
    ///
    /// - Parameter weightDecay: for each parameter, in order.
    public func update(_ step: AdamWStep, weightDecay: (Parameter) -> Float) {
        for parameter in parameters where parameter.hasGradient {
            var step = step
            step.weightDecay = weightDecay(parameter)
            backend.adamW(
                parameter.count, step, gradient: parameter.gradient, parameter: parameter.value,
                firstMoment: parameter.firstMoment, secondMoment: parameter.secondMoment)
        }
    }

    /// The name of the first parameter whose value is not finite.
    public func firstNotFinite() -> String? {
        parameters.first { !backend.allFinite($0.count, x: $0.value) }?.name
    }
}
