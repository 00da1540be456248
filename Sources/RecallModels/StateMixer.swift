import RecallTensor

/// What follows the mixer in a transformer block, over one token at a time (docs/math/backbone.md, section 5).
enum StateMixer {
    /// The published harness's identity: the normalised residual itself becomes the branch.
    case identity
    /// fc2(gelu(fc1 x)).
    case mlp(Linear, Linear)
    /// W₂(value ⊙ silu(gate)), (value ‖ gate) = W₁ x; no biases (Based).
    case swiglu(Linear, Linear)

    /// nil for `none`.
    init?(_ kind: StateMixerKind, _ context: MixerContext) {
        let width = context.dModel
        switch kind {
        case .none: return nil
        case .identity: self = .identity
        case .mlp:
            self = .mlp(
                context.linear("fc1", inputs: width, outputs: 4 * width, bias: true),
                context.linear(
                    "fc2",
                    inputs: 4 * width,
                    outputs: width,
                    bias: true,
                    isOutput: true,
                    isRescaledInZoology: true
                )
            )
        case .swiglu:
            let hidden = (8 * width / 3 + 255) / 256 * 256
            self = .swiglu(
                context.linear("fc1", inputs: width, outputs: 2 * hidden, bias: false),
                context.linear(
                    "fc2",
                    inputs: hidden,
                    outputs: width,
                    bias: false,
                    isOutput: true,
                    isRescaledInZoology: true
                )
            )
        }
    }

    var parameters: [Parameter] {
        switch self {
        case .identity: []
        case .mlp(let first, let second), .swiglu(let first, let second): first.parameters + second.parameters
        }
    }

    func forward(_ x: Tensor, _ tape: Tape) -> Tensor {
        switch self {
        case .identity: x
        case .mlp(let first, let second): tape.linear(tape.gelu(tape.linear(x, first)), second)
        case .swiglu(let first, let second): tape.linear(tape.swiglu(tape.linear(x, first)), second)
        }
    }
}
