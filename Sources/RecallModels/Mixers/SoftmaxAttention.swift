import RecallKernels
import RecallTensor

/// Softmax multi-head attention: out_proj(softmax(q kᵀ/√d) v) over all keys up to the query's own.
///
/// Vaswani et al., "Attention is all you need", 2017; rotary positions: Su et al., "RoFormer", 2021.
public final class SoftmaxAttention: Mixer {
    static let description = MixerDescription(
        name: "attention",
        summary: "softmax multi-head attention over all earlier tokens",
        paper: "Vaswani et al., Attention is all you need, 2017",
        knobs: [
            Knob("heads", .integer(1...1024), default: .integer(1), "H, attention heads; divides d_model"),
            Knob(
                "dropout",
                .number(0...0.99),
                default: .number(0),
                "on the attention probabilities, in training"
            ),
            Knob("rope", .flag, default: .flag(false), "rotary positions on queries and keys, base 10000"),
        ],
        stateKnob: nil,
        validate: { layer, dModel throws(ConfigurationError) in
            try layer.requireHeadsDivide(dModel)
            try layer.requirePairsForRope(dModel)
        },
        make: { SoftmaxAttention($0, $1) }
    )

    private let core: AttentionCore

    init(_ layer: LayerConfig, _ context: MixerContext) {
        core = AttentionCore(
            context,
            heads: layer.integer("heads"),
            window: nil,
            dropout: layer.number("dropout"),
            ropeBase: layer.ropeBase
        )
    }

    public var parameters: [Parameter] { core.parameters }

    public func mix(_ x: Tensor, _ tape: Tape) -> Tensor { core.mix(x, tape) }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { core.project(mixed, tape) }

    public func stateLayouts(capacity: Int) -> [StateLayout] {
        core.stateLayouts(capacity: capacity)
    }

    public func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        core.prefill(x, sequences, &state, tape)
    }

    public func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        core.step(x, &state, tape)
    }

    public func zoologyStateSize(length: Int) -> Int? { 2 * core.width * length }
}

/// The projections that full and sliding-window attention share: a packed (q ‖ k ‖ v) and the output's.
final class AttentionCore {
    let width: Int
    private let heads: Int
    private let window: Int?
    private let dropout: Double
    private let dropoutSite: Int
    private let ropeBase: Double?
    private let projection: Linear
    private let output: Linear

    init(_ context: MixerContext, heads: Int, window: Int?, dropout: Double, ropeBase: Double?) {
        width = context.dModel
        (self.heads, self.window, self.dropout, self.ropeBase) = (heads, window, dropout, ropeBase)
        dropoutSite = context.firstDropoutSite
        projection = context.linear("qkv", inputs: width, outputs: 3 * width, bias: true)
        output = context.linear(
            "out",
            inputs: width,
            outputs: width,
            bias: true,
            isOutput: true,
            isRescaledInZoology: true
        )
    }

    var parameters: [Parameter] { projection.parameters + output.parameters }

    /// Keys, as rotated for their positions, and values of as many tokens as there is room for.
    func stateLayouts(capacity: Int) -> [StateLayout] {
        ["keys", "values"].map {
            StateLayout(.keyValueCache, $0, capacity: capacity, width: width, grows: true)
        }
    }

    func mix(_ x: Tensor, _ tape: Tape) -> Tensor { attend(tape.linear(x, projection), tape) }

    /// - Parameter qkv: (B, L, 3D).
    private func attend(_ qkv: Tensor, _ tape: Tape) -> Tensor {
        tape.attention(
            qkv,
            heads: heads,
            window: window,
            ropeBase: ropeBase,
            dropoutProbability: dropout,
            dropoutSite: dropoutSite
        )
    }

    func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { tape.linear(mixed, output) }

    /// Keys, as rotated, and values go into the cache as they come; of a ring, the last ones.
    func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        let qkv = tape.linear(x, projection)  // (b, L, 3D)
        let mixed = attend(qkv, tape)
        for part in 0..<2 {
            tape.withHostRows(qkv, columns: (part + 1) * width..<(part + 2) * width) { source, stride in
                state.parts[part].writePrompts(
                    source,
                    stride: stride,
                    length: x.shape[1],
                    sequences: sequences
                )
            }
        }
        return mixed
    }

    /// The query meets the cached keys and its own; then its own key and value take their place in the cache, the
    /// oldest's where the cache is a full ring.
    func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        let qkv = tape.linear(x, projection)  // (B, 1, 3D)
        let mixed = tape.attentionStep(
            qkv,
            heads: heads,
            ropeBase: ropeBase,
            position: state.position,
            cachedKeys: state.parts[0].values,
            cachedValues: state.parts[1].values,
            cached: state.parts[0].rows,
            capacity: state.parts[0].capacity
        )
        let (batch, position) = (state.batch, state.position)
        for part in 0..<2 {
            tape.withHostRows(qkv, columns: (part + 1) * width..<(part + 2) * width) { source, stride in
                state.parts[part].write(source, stride: stride, batch: batch, position: position)
            }
        }
        state.advance()
        return project(mixed, tape)
    }
}

/// The knob `rope`, which full and sliding-window attention share.
extension LayerConfig {
    /// The base of the rotary frequencies, or nil without them. Sliding windows leave the knob out where it is false.
    var ropeBase: Double? { knobs["rope"] == .flag(true) ? 10_000 : nil }

    /// Refuses rotary positions on heads of an odd width.
    func requirePairsForRope(_ dModel: Int) throws(ConfigurationError) {
        let headWidth = dModel / integer("heads")
        guard ropeBase == nil || headWidth % 2 == 0 else {
            throw ConfigurationError(
                key: "rope",
                message: "rope turns pairs of numbers, so d_model / heads must be even; it is \(headWidth)"
            )
        }
    }
}
