import RecallModels

extension ModelConfig {
    /// The names of all settings that a model can have besides its width: its own, then those of the registry's mixers.
    static let settingNames: [String] = {
        var names = ModelConfig(dModel: 1, layers: []).ownSettings.map(\.name)
        for knob in MixerRegistry.mixers.flatMap(\.knobs) where !names.contains(knob.name) {
            names.append(knob.name)
        }
        return names
    }()

    /// The values of a setting: the model's own, or that of every layer whose mixer has it, defaults among them.
    func values(of setting: String) -> [KnobValue] {
        ownSettings.filter { $0.name == setting }.map(\.value)
            + layers.compactMap { layer in
                layer.knobs[setting]
                    ?? MixerRegistry.description(of: layer.mixer)?.knobs.first { $0.name == setting }?
                    .defaultValue
            }
    }

    private var ownSettings: [(name: String, value: KnobValue)] {
        [
            ("block", .text(block.rawValue)), ("state_mixer", .text(stateMixer.rawValue)),
            ("positions", .text(positions.rawValue)), ("embed_dropout", .number(embedDropout)),
            ("residual_dropout", .number(residualDropout)), ("norm", .text(norm.rawValue)),
            ("norm_epsilon", .number(normEpsilon)), ("init", .text(initialisation.rawValue)),
        ]
    }
}
