import RecallKernels

extension ParameterStore {
    /// Forgets the last step's gradients; the next backward writes them anew.
    public func beginStep() {
        for parameter in parameters { parameter.hasGradient = false }
        if let address = gradients.baseAddress { backend.expectGradients(at: address, count: gradients.count) }
    }

    /// One AdamW step over every parameter that has a gradient.
    ///
    /// - Parameter weightDecay: for each parameter, in order.
    public func update(_ step: AdamWStep, weightDecay: (Parameter) -> Float) {
        backend.adamW(
            parameters.filter(\.hasGradient).map {
                AdamWParameter(
                    count: $0.count,
                    weightDecay: weightDecay($0),
                    gradient: $0.gradient,
                    parameter: $0.value,
                    firstMoment: $0.firstMoment,
                    secondMoment: $0.secondMoment
                )
            },
            step
        )
    }

    /// The name of the first parameter whose value is not finite.
    public func firstNotFinite() -> String? {
        parameters.first { !backend.allFinite($0.count, x: $0.value) }?.name
    }
}
