import RecallModels

/// The models that step times are compared over: two layers, a short gated convolution and then the mixer (window 64,
/// feature dimension 16, SSM state 16), identity state mixers, embedding dropout 0.1, a tied head. The PyTorch baseline
/// of the same names is made the same way, its two Mamba layers in transformer blocks too.
public enum PeerModels {
    public static let names = ["attention", "sliding-window", "based", "base-conv", "mamba"]

    /// One of `names`, or a registered mixer at its own defaults.
    ///
    /// - Throws: `ConfigurationError` for a name of neither, or a width that the mixer refuses.
    public static func model(_ name: String, width: Int) throws(ConfigurationError) -> ModelConfig {
        var config = ModelConfig(dModel: width, layers: try layers(name))
        config.stateMixer = .identity
        config.embedDropout = 0.1
        config.initialisation = .zoology
        return try config.resolved()
    }

    /// Every registered mixer once: an alias goes by the preset that ends in it, where there is one.
    public static var everyMixer: [String] {
        MixerRegistry.mixers.map(\.name)
            + MixerRegistry.aliases.keys.sorted().map { alias in
                names.first { (try? layers($0))?.last?.mixer == alias } ?? alias
            }
    }

    private static func layers(_ name: String) throws(ConfigurationError) -> [LayerConfig] {
        if let knobs = peerKnobs[name], let preset = ModelPresets.preset(name) {
            return try preset.layers(knobs)
        }
        guard MixerRegistry.description(of: name) != nil else {
            throw ConfigurationError(
                key: "models",
                message: "there is no model '\(name)'; there are "
                    + Set(names + MixerRegistry.names).sorted().joined(separator: ", ")
            )
        }
        return [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: name)]
    }

    /// What the baseline's models set of the presets of their names.
    private static let peerKnobs: [String: [String: KnobValue]] = [
        "attention": ["dropout": .number(0)], "sliding-window": ["window": .integer(64)],
        "based": ["feature_dim": .integer(16)], "base-conv": [:], "mamba": ["state_size": .integer(16)],
    ]
}
