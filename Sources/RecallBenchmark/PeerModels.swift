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

    private static func layers(_ name: String) throws(ConfigurationError) -> [LayerConfig] {
        let convolution = LayerConfig(mixer: "base-conv")
        switch name {
        case "attention": return [convolution, LayerConfig(mixer: "attention", knobs: ["dropout": .number(0)])]
        case "sliding-window":
            return [convolution, LayerConfig(mixer: "sliding-window", knobs: ["window": .integer(64)])]
        case "based":
            let knobs: [String: KnobValue] = ["feature_map": .text("taylor-2"), "feature_dim": .integer(16)]
            return [convolution, LayerConfig(mixer: "linear-attention", knobs: knobs)]
        case "base-conv":
            return [convolution, LayerConfig(mixer: "base-conv", knobs: ["kernel_size": .text("long")])]
        case "mamba":
            let scan = LayerConfig(mixer: "mamba", knobs: ["state_size": .integer(16)])
            return [scan, scan]
        default:
            guard MixerRegistry.description(of: name) != nil else {
                throw ConfigurationError(
                    key: "models",
                    message: "there is no model '\(name)'; there are "
                        + Set(names + MixerRegistry.names).sorted().joined(separator: ", "))
            }
            return [convolution, LayerConfig(mixer: name)]
        }
    }
}
