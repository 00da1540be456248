extension ModelConfig {
    /// The canonical form: every layer resolved, and what its block does not have at its neutral value.
    ///
    /// - Throws: `ConfigurationError` naming the key.
    public func resolved() throws(ConfigurationError) -> ModelConfig {
        guard dModel >= 1 else {
            throw ConfigurationError(key: "d_model", message: "d_model must be at least 1, not \(dModel)")
        }
        guard !layers.isEmpty else {
            throw ConfigurationError(key: "layers", message: "layers must name at least one mixer")
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
                    key: "state_mixer", message: "block: mamba has no state mixer; leave it out or say none")
            }
            guard residualDropout == 0 else {
                throw ConfigurationError(
                    key: "residual_dropout",
                    message: "block: mamba has no residual dropout; leave it out or say 0")
            }
        }
        return result
    }
}
