import RecallModels

extension LayerConfig {
    /// "sliding-window" with its knobs in the registry's order.
    var settings: [(name: String, text: String)] {
        let order = MixerRegistry.description(of: mixer)?.knobs.map(\.name) ?? knobs.keys.sorted()
        return order.compactMap { name in knobs[name].map { (name, $0.description) } }
    }
}

extension ModelConfig {
    /// Every setting by the name that a suite gives it; a layer's as layers.I.NAME.
    var settings: [(name: String, text: String)] {
        let layers = layers.enumerated().flatMap { index, layer in
            [(name: "layers.\(index)", text: layer.mixer)]
                + layer.settings.map { (name: "layers.\(index).\($0.name)", text: $0.text) }
        }
        return [("d_model", "\(dModel)")] + layers + [
            ("norm", norm.rawValue), ("block", block.rawValue), ("state_mixer", stateMixer.rawValue),
            ("positions", positions.rawValue),
            ("embed_dropout", "\(embedDropout)"), ("residual_dropout", "\(residualDropout)"),
            ("norm_epsilon", "\(normEpsilon)"), ("init", initialisation.rawValue),
        ]
    }
}
