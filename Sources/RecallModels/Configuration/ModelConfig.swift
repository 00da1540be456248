/// One layer of a model: a mixer of the registry and all its knobs, defaults filled in.
public struct LayerConfig: Hashable, Codable, Sendable {
    /// The registry's name, kebab-case.
    public var mixer: String
    /// The knobs of the mixer by name. `MixerRegistry.resolve` makes this complete.
    public var knobs: [String: KnobValue]

    public init(mixer: String, knobs: [String: KnobValue] = [:]) {
        (self.mixer, self.knobs) = (mixer, knobs)
    }

    // Encoded flat, as a suite writes it: {"mixer": "attention", "heads": 1, …}.
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        mixer = try container.decode(String.self, forKey: Key(stringValue: "mixer"))
        knobs = [:]
        // JSON writes 0.0 as 0: what kind of value that is, the registry knows.
        let known = MixerRegistry.description(of: mixer)?.knobs ?? []
        for key in container.allKeys where key.stringValue != "mixer" {
            let value = try container.decode(KnobValue.self, forKey: key)
            let knob = known.first { $0.name == key.stringValue }
            knobs[key.stringValue] = knob?.accepts(value) ?? value
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(mixer, forKey: Key(stringValue: "mixer"))
        for (name, value) in knobs { try container.encode(value, forKey: Key(stringValue: name)) }
    }
}

/// How mixers are stacked (docs/math/backbone.md, section 2).
public enum BlockKind: String, Codable, CaseIterable, Sendable {
    /// Pre-norm: norm, mixer, norm, state mixer.
    case transformer
    /// RMSNorm and mixer alone: Mamba's own block. The norm at the end of the model is the one that `norm` names.
    case mamba

    /// The embedding dropout of a model that does not state its own: Mamba's published models have none.
    public var defaultEmbedDropout: Double {
        switch self {
        case .transformer: 0.1
        case .mamba: 0
        }
    }
}

/// What follows the mixer in a transformer block.
public enum StateMixerKind: String, Codable, CaseIterable, Sendable {
    /// Nothing, and no second norm.
    case none
    /// The published harness's `nn.Identity`, which is not nothing: it adds norm₂(r) to the residual.
    case identity
    /// fc2(gelu(fc1 x)), hidden width 4 D.
    case mlp
    /// Based's SwiGLU: one Linear to (value ‖ gate), hidden ⌊8 D/3⌋ rounded up to a multiple of 256.
    case swiglu
}

/// What tells a token where it is, besides the mixers.
public enum PositionKind: String, Codable, CaseIterable, Sendable {
    case none
    /// A learned vector a position, added to the embedding.
    case learned
}

/// Which normalisation transformer blocks and the end of a model have.
public enum NormChoice: String, Codable, CaseIterable, Sendable {
    /// LayerNorm, with gain and bias.
    case layer
    /// RMSNorm, with a gain only (Zhang, Sennrich 2019): as in Based's language models.
    case rms
}

/// How parameters start (docs/math/backbone.md, section 7).
public enum InitialisationKind: String, Codable, CaseIterable, Sendable {
    /// N(0, 0.02²) for Linears and embeddings, every output projection scaled by 1/√(2·layers), and the
    /// initialisation of its paper for whatever a mixer has of its own.
    case paper
    /// The published harness's: N(0, 0.02²) over every Linear, biases zero, and only parameters that are called
    /// `out_proj` or `fc2` there scaled.
    case zoology
}

/// A model: everything that fixes its function and its parameters' shapes but the vocabulary and the lengths, which
/// the task brings.
public struct ModelConfig: Hashable, Codable, Sendable {
    /// D, the width of the residual stream.
    public var dModel: Int
    public var layers: [LayerConfig]
    public var block: BlockKind
    public var stateMixer: StateMixerKind
    public var positions: PositionKind
    public var embedDropout: Double
    public var residualDropout: Double
    /// Encoded where it is not `layer` only: runs that were stored before there was the key keep their identity.
    private var normIfNotLayer: NormChoice?
    public var normEpsilon: Double
    public var initialisation: InitialisationKind

    /// - Parameter embedDropout: nil for the block's default.
    public init(
        dModel: Int,
        layers: [LayerConfig],
        block: BlockKind = .transformer,
        stateMixer: StateMixerKind = .none,
        positions: PositionKind = .none,
        embedDropout: Double? = nil,
        residualDropout: Double = 0,
        norm: NormChoice = .layer,
        normEpsilon: Double = 1e-5,
        initialisation: InitialisationKind = .paper
    ) {
        (self.dModel, self.layers, self.block, self.stateMixer) = (dModel, layers, block, stateMixer)
        (self.positions, self.residualDropout) = (positions, residualDropout)
        self.embedDropout = embedDropout ?? block.defaultEmbedDropout
        (self.normEpsilon, self.initialisation) = (normEpsilon, initialisation)
        self.norm = norm
    }

    /// The norms of transformer blocks and the one at the end. A Mamba block's own is RMSNorm whatever this is: the published
    /// harness ends such a model with LayerNorm, state-spaces' own language model with RMSNorm.
    public var norm: NormChoice {
        get { normIfNotLayer ?? .layer }
        set { normIfNotLayer = newValue == .layer ? nil : newValue }
    }

    /// Whether the model, resolved, takes no sequence longer than the longest that it was made for: where it has learned
    /// positions, or a filter as long as the sequence.
    public var hasLongestLength: Bool {
        positions == .learned || layers.contains { $0.knobs["kernel_size"] == .text("long") }
    }

    enum CodingKeys: String, CodingKey {
        case dModel = "d_model"
        case layers, block
        case stateMixer = "state_mixer"
        case positions
        case embedDropout = "embed_dropout"
        case residualDropout = "residual_dropout"
        case normIfNotLayer = "norm"
        case normEpsilon = "norm_epsilon"
        case initialisation = "init"
    }
}
