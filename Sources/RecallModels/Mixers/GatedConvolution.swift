import RecallKernels
import RecallTensor

/// The gated convolution of Based's language models (docs/math/convolutions.md, section 7):
/// y = W_o( silu(conv(u₁)) ⊙ u₂ ) + b_o, u₁ and u₂ projections of x to 2 D, the convolution causal, depthwise
/// and without a bias, no skip inside.
///
/// Arora et al., "Simple linear attention language models balance the recall-throughput tradeoff", 2024. The published
/// harness keeps u₁ and u₂ in one projection with a bias; they are two here, the same function and start, so that the
/// product of the branches finds both where it can read them in one run.
public final class GatedConvolution: Mixer {
    static let description = MixerDescription(
        name: "gated-conv",
        summary: "gated short convolution between projections, as in Based's language models",
        paper:
            "Arora et al., Simple linear attention language models balance the recall-throughput tradeoff, 2024",
        knobs: [Knob("kernel_size", .integer(1...256), default: .integer(3), "K, taps of the convolution")],
        stateKnob: nil,
        validate: { _, _ throws(ConfigurationError) in },
        make: { GatedConvolution($0, $1) }
    )

    /// Channels of the convolution over d_model.
    private static let expand = 2

    private let channels: Int  // 2 D
    private let input: Linear  // u₁
    private let gate: Linear  // u₂
    private let convolution: Parameter
    private let output: Linear

    init(_ layer: LayerConfig, _ context: MixerContext) {
        channels = Self.expand * context.dModel
        input = context.linear("in", inputs: context.dModel, outputs: channels, bias: true)
        gate = context.linear("gate", inputs: context.dModel, outputs: channels, bias: true)
        convolution =
            context.convolution("conv", channels: channels, taps: layer.integer("kernel_size")).weight
        output = context.linear(
            "out",
            inputs: channels,
            outputs: context.dModel,
            bias: true,
            isOutput: true,
            isRescaledInZoology: true
        )
    }

    public var parameters: [Parameter] {
        input.parameters + gate.parameters + [convolution] + output.parameters
    }

    public func mix(_ x: Tensor, _ tape: Tape) -> Tensor {
        mix(tape.linear(x, [input, gate]), tape)
    }

    /// - Parameter projected: u₁ and u₂.
    private func mix(_ projected: [Tensor], _ tape: Tape) -> Tensor {
        let convolved = tape.shortConvolution(
            projected[0],
            weight: convolution,
            bias: nil,
            gate: nil,
            epilogue: .silu
        )
        return tape.multiply(convolved, projected[1])
    }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { tape.linear(mixed, output) }

    /// The K - 1 past u₁.
    public func stateLayouts(capacity: Int) -> [StateLayout] {
        [StateLayout(.convolution, "past", capacity: convolution.shape[1] - 1, width: channels)]
    }

    public func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        let projected = tape.linear(x, [input, gate])
        tape.withHostRows(projected[0], columns: 0..<channels) { source, stride in
            state.parts[0].writePrompts(source, stride: stride, length: x.shape[1], sequences: sequences)
        }
        return mix(projected, tape)
    }

    public func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        let convolved = tape.shortConvolutionStep(
            tape.linear(x, input),
            weight: convolution,
            bias: nil,
            gate: nil,
            epilogue: .silu,
            past: &state.parts[0].values
        )
        state.advance()
        return project(tape.multiply(convolved, tape.linear(x, gate)), tape)
    }

    /// The published decoding allocates K columns, the current token's among them.
    public func zoologyStateSize(length: Int) -> Int? { channels * convolution.shape[1] }
}
