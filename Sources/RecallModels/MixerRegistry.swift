/// What the registry knows of one mixer: its name, its paper, its knobs, and how it is made.
public struct MixerDescription: Sendable {
    /// kebab-case, as suites name it.
    public let name: String
    /// One line.
    public let summary: String
    /// Authors, title, year.
    public let paper: String
    /// What a reader of the description should know besides; nil for nothing.
    public var note: String? = nil
    public let knobs: [Knob]
    /// The knob that sets the size of the recurrent state, if there is one: what `sweep state-size` solves for.
    public let stateKnob: String?
    /// Refuses knobs that do not fit each other or the width.
    let validate: @Sendable (_ layer: LayerConfig, _ dModel: Int) throws(ConfigurationError) -> Void
    /// Makes the mixer with its parameters.
    let make: @Sendable (_ layer: LayerConfig, _ context: MixerContext) -> any Mixer
}

/// Every mixer there is. A new one is a file in Mixers/ and a line here.
public enum MixerRegistry {
    public static let mixers: [MixerDescription] = [
        SoftmaxAttention.description, SlidingWindowAttention.description, LinearAttention.description,
        BaseConv.description, GatedConvolution.description, Mamba.description,
    ]

    /// Other names of a mixer with some knobs fixed; they resolve to the canonical form, so that the same model has
    /// one hash.
    public static let aliases: [String: LayerConfig] = [
        "taylor-linear-attention": LayerConfig(
            mixer: "linear-attention",
            knobs: ["feature_map": .text("taylor-2")]
        )
    ]

    /// All names that a layer of a suite may have, aliases last.
    public static var names: [String] { mixers.map(\.name) + aliases.keys.sorted() }

    /// The mixer of a canonical name, or what an alias stands for.
    public static func description(of name: String) -> MixerDescription? {
        let canonical = aliases[name]?.mixer ?? name
        return mixers.first { $0.name == canonical }
    }

    /// The canonical form of a layer: its alias resolved, every knob there but those that are left out at their default.
    ///
    /// - Throws: `ConfigurationError` for an unknown mixer or knob, a value that the knob does not take, or one that does
    ///   not fit `dModel`.
    public static func resolve(_ layer: LayerConfig, dModel: Int) throws(ConfigurationError) -> LayerConfig {
        guard let description = description(of: layer.mixer) else {
            throw ConfigurationError(
                key: "mixer",
                message: "there is no mixer '\(layer.mixer)'; there are \(names.joined(separator: ", "))"
            )
        }
        let fixed = aliases[layer.mixer]?.knobs ?? [:]
        var resolved = LayerConfig(mixer: description.name, knobs: fixed)
        for (name, value) in layer.knobs {
            guard let knob = description.knobs.first(where: { $0.name == name }), fixed[name] == nil else {
                throw ConfigurationError(
                    key: name,
                    message: "\(layer.mixer) has no knob '\(name)'; it has "
                        + description.knobs.map(\.name).filter { fixed[$0] == nil }.joined(separator: ", ")
                )
            }
            guard let accepted = knob.accepts(value) else {
                throw ConfigurationError(
                    key: name,
                    message: "\(name) of \(layer.mixer) must be \(knob.expectation), not \(value)"
                )
            }
            resolved.knobs[name] = accepted
        }
        for knob in description.knobs {
            if resolved.knobs[knob.name] == nil { resolved.knobs[knob.name] = knob.defaultValue }
            if knob.isLeftOutAtDefault, resolved.knobs[knob.name] == knob.defaultValue {
                resolved.knobs[knob.name] = nil
            }
        }
        try description.validate(resolved, dModel)
        return resolved
    }
}
