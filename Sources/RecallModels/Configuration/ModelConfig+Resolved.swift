extension ModelConfig {
    /// Far above any use; with it no product of a model's sizes leaves Int.
    public static let largestWidth = 1 << 20
    /// What dropout may be.
    public static let dropouts = 0.0..<1.0
    /// What the epsilon of norms may be, but for 0.
    public static let normEpsilons = 0.0...1.0

    /// The canonical form: every layer resolved, and what its block does not have at its neutral value.
    ///
    /// - Throws: `ConfigurationError` naming the key.
    public func resolved() throws(ConfigurationError) -> ModelConfig {
        guard dModel >= 1 else {
            throw ConfigurationError(key: "d_model", message: "d_model must be at least 1, not \(dModel)")
        }
        guard dModel <= Self.largestWidth else {
            throw ConfigurationError(
                key: "d_model",
                message: "d_model must be at most \(Self.largestWidth), not \(dModel)"
            )
        }
        guard !layers.isEmpty else {
            throw ConfigurationError(key: "layers", message: "layers must name at least one mixer")
        }
        for (key, rate) in [("embed_dropout", embedDropout), ("residual_dropout", residualDropout)]
        where !Self.dropouts.contains(rate) {
            throw ConfigurationError(
                key: key,
                message: "\(key) must be a number from 0 to below 1, not \(rate)"
            )
        }
        guard Self.normEpsilons.contains(normEpsilon), normEpsilon > 0 else {
            throw ConfigurationError(
                key: "norm_epsilon",
                message: "norm_epsilon must be a number above 0 and at most 1, not \(normEpsilon)"
            )
        }
        var result = self
        result.layers = []
        for layer in layers {
            // Not map: its closure would lose the error's type.
            result.layers.append(try MixerRegistry.resolve(layer, dModel: dModel))
        }
        if block == .mamba {
            guard stateMixer == .none else {
                throw ConfigurationError(
                    key: "state_mixer",
                    message: "block: mamba has no state mixer; leave it out or say none"
                )
            }
            guard residualDropout == 0 else {
                throw ConfigurationError(
                    key: "residual_dropout",
                    message: "block: mamba has no residual dropout; leave it out or say 0"
                )
            }
        }
        return result
    }
}
