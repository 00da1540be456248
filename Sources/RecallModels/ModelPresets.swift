/// A paper's own stack of layers under one name, with the knobs that its experiments turn.
public struct ModelPreset: Sendable {
    /// kebab-case; in a suite `layers: NAME` or `layers: {preset: NAME, …}`.
    public let name: String
    public let summary: String
    public let paper: String
    public let knobs: [Knob]
    /// The knob that sets the size of the recurrent state; nil where only the width does.
    public let stateKnob: String?
    public let block: BlockKind
    /// What follows the mixers where a suite does not say; nil for the default of every model.
    public var stateMixer: StateMixerKind? = nil
    /// The norms where a suite does not say; nil for the default of every model.
    public var norm: NormChoice? = nil
    /// Whether a sweep over state sizes takes it where none is named: so it is for the stacks of one mixer each.
    public var isSweptByDefault = true
    let stack: @Sendable (_ knobs: [String: KnobValue]) -> [LayerConfig]

    /// The layers for some of the knobs, defaults for the rest.
    ///
    /// - Throws: `ConfigurationError` for a knob that there is not, or a value that it does not take.
    public func layers(_ given: [String: KnobValue] = [:]) throws(ConfigurationError) -> [LayerConfig] {
        var values: [String: KnobValue] = [:]
        for knob in knobs { values[knob.name] = knob.defaultValue }
        for (name, value) in given {
            guard let knob = knobs.first(where: { $0.name == name }) else {
                throw ConfigurationError(
                    key: name,
                    message: "\(self.name) has no knob '\(name)'; it has "
                        + (knobs.isEmpty ? "none" : knobs.map(\.name).joined(separator: ", "))
                )
            }
            guard let accepted = knob.accepts(value) else {
                throw ConfigurationError(
                    key: name,
                    message: "\(name) of \(self.name) must be \(knob.expectation), not \(value)"
                )
            }
            values[name] = accepted
        }
        return stack(values)
    }

    /// A model of these layers with all that the preset sets, not resolved.
    ///
    /// - Throws: as `layers`.
    public func config(dModel: Int, _ given: [String: KnobValue] = [:]) throws(ConfigurationError)
        -> ModelConfig
    {
        ModelConfig(
            dModel: dModel,
            layers: try layers(given),
            block: block,
            stateMixer: stateMixer ?? .none,
            norm: norm ?? .layer
        )
    }
}

/// The stacks of the papers: two layers, a short gated convolution and then the mixer, but where a paper has its own.
public enum ModelPresets {
    public static let presets: [ModelPreset] = [
        ModelPreset(
            name: "attention",
            summary: "short gated convolution, then softmax attention",
            paper: SoftmaxAttention.description.paper,
            knobs: SoftmaxAttention.description.knobs,
            stateKnob: nil,
            block: .transformer
        ) { [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "attention", knobs: $0)] },
        ModelPreset(
            name: "sliding-window",
            summary: "short gated convolution, then attention in a window",
            paper: SlidingWindowAttention.description.paper,
            knobs: SlidingWindowAttention.description.knobs,
            stateKnob: "window",
            block: .transformer
        ) { [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "sliding-window", knobs: $0)] },
        ModelPreset(
            name: "linear-attention",
            summary: "short gated convolution, then linear attention",
            paper: LinearAttention.description.paper,
            knobs: LinearAttention.description.knobs,
            stateKnob: "feature_dim",
            block: .transformer
        ) { [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "linear-attention", knobs: $0)] },
        ModelPreset(
            name: "mamba",
            summary: "two Mamba blocks",
            paper: Mamba.description.paper,
            knobs: Mamba.description.knobs,
            stateKnob: "state_size",
            block: .mamba
        ) { [LayerConfig(mixer: "mamba", knobs: $0), LayerConfig(mixer: "mamba", knobs: $0)] },
        ModelPreset(
            name: "base-conv",
            summary: "a short gated convolution, then one as long as the sequence",
            paper: BaseConv.description.paper,
            knobs: [],
            stateKnob: nil,
            block: .transformer
        ) { _ in
            [
                LayerConfig(mixer: "base-conv"),
                LayerConfig(mixer: "base-conv", knobs: ["kernel_size": .text("long")]),
            ]
        },
        ModelPreset(
            name: "based",
            summary: "short gated convolution, then Taylor linear attention",
            paper:
                "Arora et al., Simple linear attention language models balance the recall-throughput tradeoff, 2024",
            knobs: [
                Knob(
                    "feature_dim",
                    .integer(1...256),
                    default: .integer(16),
                    "f, the width of a head's query and key"
                ),
                Knob("heads", .integer(1...1024), default: .integer(1), "H"),
                Knob(
                    "arrangement",
                    .choice(["mqar", "sliding-last", "sliding-first"]),
                    default: .text("mqar"),
                    "mqar: [conv, Taylor]; sliding-last: [conv, Taylor, window]; sliding-first: [conv, window, Taylor]"
                ),
                Knob(
                    "window",
                    .integer(1...1_048_576),
                    default: .integer(64),
                    "W of the sliding-window layer, where the arrangement has one"
                ),
            ],
            stateKnob: "feature_dim",
            block: .transformer
        ) { knobs in
            let taylor = LayerConfig(
                mixer: "taylor-linear-attention",
                knobs: knobs.filter { $0.key == "feature_dim" || $0.key == "heads" }
            )
            let window = LayerConfig(
                mixer: "sliding-window",
                knobs: knobs.filter { $0.key == "window" || $0.key == "heads" }
            )
            let conv = LayerConfig(mixer: "base-conv")
            return switch knobs["arrangement"] {
            case .text("sliding-last"): [conv, taylor, window]
            case .text("sliding-first"): [conv, window, taylor]
            default: [conv, taylor]
            }
        },
        basedLanguageModel,
    ]

    public static func preset(_ name: String) -> ModelPreset? { presets.first { $0.name == name } }

    /// Convolutions, with linear attention at layers 1, 6, 11, … and a window after each
    /// (docs/math/backbone.md, section 11). It differs from the published models where the parts do: the
    /// windows' projections have biases, and SwiGLU is ⌊8 D/3⌋ wide, rounded up to a multiple of 256, where
    /// they have 2 D.
    private static let basedLanguageModel = ModelPreset(
        name: "based-lm",
        summary: "gated convolutions, of every five layers one Taylor linear attention and one window",
        paper:
            "Arora et al., Simple linear attention language models balance the recall-throughput tradeoff, 2024",
        knobs: [
            Knob(
                "depth",
                .integer(3...256),
                default: .integer(5),
                "layers; 27 is the arrangement of the paper's model of 360M parameters"
            ),
            Knob(
                "feature_dim",
                .integer(1...256),
                default: .integer(16),
                "f, the width of a head's query and key"
            ),
            Knob("heads", .integer(1...1024), default: .integer(1), "H of both attentions; divides d_model"),
            Knob(
                "window",
                .integer(1...1_048_576),
                default: .integer(64),
                "W of the windows, which have rotary positions; 129 in the published models"
            ),
            Knob("kernel_size", .integer(1...256), default: .integer(3), "K, taps of the convolutions"),
        ],
        stateKnob: "feature_dim",
        block: .transformer,
        stateMixer: .swiglu,
        norm: .rms,
        isSweptByDefault: false
    ) { knobs in
        guard case .integer(let depth)? = knobs["depth"] else {
            preconditionFailure("the preset let a depth through that is no integer")
        }
        let conv = LayerConfig(mixer: "gated-conv", knobs: knobs.filter { $0.key == "kernel_size" })
        let taylor = LayerConfig(
            mixer: "taylor-linear-attention",
            knobs: knobs.filter { $0.key == "feature_dim" || $0.key == "heads" }
        )
        var window = LayerConfig(
            mixer: "sliding-window",
            knobs: knobs.filter { $0.key == "window" || $0.key == "heads" }
        )
        window.knobs["rope"] = .flag(true)
        return (0..<depth).map { layer in
            // Linear attention never comes without its window: layer 26 of 27 is a convolution again.
            switch layer % 5 {
            case 1 where layer + 1 < depth: taylor
            case 2: window
            default: conv
            }
        }
    }
}
