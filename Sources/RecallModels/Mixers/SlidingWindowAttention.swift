import RecallKernels
import RecallTensor

/// Softmax attention over the last W tokens, the query's own among them.
///
/// Beltagy, Peters, Cohan, "Longformer", 2020; as a mixer beside linear attention: Arora et al., "Simple linear
/// attention language models balance the recall-throughput tradeoff", 2024. `window` counts visible keys: the
/// published harness's block_size of w shows w + 1 keys and is `window: w+1` here
/// (docs/math/attention.md, section 2). Based's language models turn queries and keys by rotary positions.
/// Their projections have no biases, these have.
public final class SlidingWindowAttention: Mixer {
    static let description = MixerDescription(
        name: "sliding-window",
        summary: "softmax attention over the last W tokens",
        paper: "Beltagy, Peters, Cohan, Longformer: the long-document transformer, 2020",
        knobs: [
            Knob(
                "window",
                .integer(1...1_048_576),
                default: .integer(64),
                "W, the keys that a query sees, its own included"
            ),
            Knob("heads", .integer(1...1024), default: .integer(1), "H, attention heads; divides d_model"),
            Knob(
                "rope",
                .flag,
                default: .flag(false),
                isLeftOutAtDefault: true,
                "rotary positions on queries and keys, base 10000"
            ),
        ],
        stateKnob: "window",
        validate: { layer, dModel throws(ConfigurationError) in
            try layer.requireHeadsDivide(dModel)
            try layer.requirePairsForRope(dModel)
        },
        make: { SlidingWindowAttention($0, $1) }
    )

    private let core: AttentionCore
    private let window: Int

    init(_ layer: LayerConfig, _ context: MixerContext) {
        window = layer.integer("window")
        core = AttentionCore(
            context,
            heads: layer.integer("heads"),
            window: window,
            dropout: 0,
            ropeBase: layer.ropeBase
        )
    }

    public var parameters: [Parameter] { core.parameters }

    public func mix(_ x: Tensor, _ tape: Tape) -> Tensor { core.mix(x, tape) }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { core.project(mixed, tape) }

    /// A ring of the W - 1 keys, as rotated for their positions, and values before the current token's.
    public func stateLayouts(capacity: Int) -> [StateLayout] {
        core.stateLayouts(capacity: min(window - 1, capacity))
    }

    public func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        core.prefill(x, sequences, &state, tape)
    }

    public func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        core.step(x, &state, tape)
    }

    public func zoologyStateSize(length: Int) -> Int? { 2 * core.width * (window - 1) }
}
