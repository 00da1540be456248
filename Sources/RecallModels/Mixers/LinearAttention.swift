import RecallKernels
import RecallTensor

/// Normalised causal linear attention: y_i = Σ_{j≤i} φ(q_i)·φ(k_j) v_j / Σ_{j≤i} φ(q_i)·φ(k_j), then an output
/// projection (docs/math/linear-attention.md, section 1).
///
/// Katharopoulos et al., "Transformers are RNNs", 2020; the Taylor map: Arora et al., "Simple linear attention
/// language models balance the recall-throughput tradeoff", 2024 (Based).
public final class LinearAttention: Mixer {
    static let description = MixerDescription(
        name: "linear-attention",
        summary: "linear attention with a feature map in place of softmax",
        paper: "Katharopoulos et al., Transformers are RNNs, 2020; Arora et al. (Based), 2024",
        knobs: [
            Knob(
                "feature_map",
                .choice(FeatureMap.allCases.map(\.rawValue)),
                default: .text("elu+1"),
                "φ: taylor-2 expands to 1 + s + s²/2"
            ),
            Knob(
                "feature_dim",
                .integer(1...1024),
                default: .integer(16),
                "f, the width of a head's query and key before the map"
            ),
            Knob("heads", .integer(1...1024), default: .integer(1), "H; divides d_model"),
        ],
        stateKnob: "feature_dim",
        validate: { layer, dModel throws(ConfigurationError) in try layer.requireHeadsDivide(dModel) },
        make: { LinearAttention($0, $1) }
    )

    private let heads: Int
    private let width: Int
    private let featureWidth: Int
    private let map: FeatureMap
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear

    init(_ layer: LayerConfig, _ context: MixerContext) {
        heads = layer.integer("heads")
        width = context.dModel
        featureWidth = layer.integer("feature_dim")
        guard let map = FeatureMap(rawValue: layer.text("feature_map")) else {
            preconditionFailure("the registry let an unknown feature map through")
        }
        self.map = map
        query = context.linear("q", inputs: width, outputs: heads * featureWidth, bias: false)
        key = context.linear("k", inputs: width, outputs: heads * featureWidth, bias: false)
        value = context.linear("v", inputs: width, outputs: width, bias: false)
        // The published harness calls it proj_o, which its scaling by name passes over
        // (docs/math/backbone.md, section 7).
        output = context.linear("out", inputs: width, outputs: width, bias: false, isOutput: true)
    }

    public var parameters: [Parameter] { [query, key, value, output].flatMap(\.parameters) }

    public func mix(_ x: Tensor, _ tape: Tape) -> Tensor {
        let qkv = tape.linear(x, [query, key, value])
        return tape.linearAttention(qkv[0], qkv[1], qkv[2], heads: heads, map: map)
    }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { tape.linear(mixed, output) }

    public func stateLayouts(capacity: Int) -> [StateLayout] {
        let rows = heads * map.stateRows(featureWidth: featureWidth)
        return [StateLayout(.recurrent, "state", capacity: rows, width: width / heads + 1)]
    }

    public func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        let qkv = tape.linear(x, [query, key, value])
        return tape.linearAttentionPrefill(
            qkv[0],
            qkv[1],
            qkv[2],
            heads: heads,
            map: map,
            state: &state.parts[0].values,
            first: sequences.lowerBound
        )
    }

    public func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        let qkv = tape.linear(x, [query, key, value])
        let mixed = tape.linearAttentionStep(
            qkv[0],
            qkv[1],
            qkv[2],
            heads: heads,
            map: map,
            state: &state.parts[0].values
        )
        state.advance()
        return project(mixed, tape)
    }

    public func zoologyStateSize(length: Int) -> Int? {
        heads * (width / heads + 1) * map.stateRows(featureWidth: featureWidth)
    }
}
