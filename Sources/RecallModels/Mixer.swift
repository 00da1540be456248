import RecallKernels
import RecallTensor

/// A sequence mixer: the part of a layer in which tokens meet. Three faces that a test holds together: the parallel
/// forward for training, the recurrent step for decoding, and the state that the step carries.
public protocol Mixer: AnyObject {
    /// In a fixed order.
    var parameters: [Parameter] { get }

    /// The part in which tokens meet, causal: (B, L, D) to (B, L, E), E the mixer's own.
    func mix(_ x: Tensor, _ tape: Tape) -> Tensor

    /// The rest, which works on each token by itself: (…, E) to (…, D). It may be given some tokens only.
    func project(_ mixed: Tensor, _ tape: Tape) -> Tensor

    /// The arrays that the state consists of.
    ///
    /// - Parameter capacity: the most tokens that will be stepped through.
    func stateLayouts(capacity: Int) -> [StateLayout]

    /// Whole prompts at once, as `mix`: (b, L, D) to (b, L, E). Leaves what steps through them would have left in
    /// their part of a state that has seen no token, but for the count of tokens: `advance` is the caller's, when all
    /// sequences have been through.
    ///
    /// - Parameters:
    ///   - sequences: which of the state's batch x holds, b of them.
    ///   - tape: not in training, as for `step`.
    func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor

    /// One token of decoding: (B, 1, D) to (B, 1, D), moving the state on.
    func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor

    /// The numbers of state per sequence that the published harness's formula gives at a length; nil where it
    /// has none. Kept beside the measured size, never instead of it (docs/math/state.md, section 2).
    func zoologyStateSize(length: Int) -> Int?
}

extension Mixer {
    /// The state before the first token.
    ///
    /// - Parameters:
    ///   - batch: sequences decoded side by side.
    ///   - capacity: the most tokens that will be stepped through.
    public func makeState(batch: Int, capacity: Int) -> MixerState {
        MixerState(batch: batch, layouts: stateLayouts(capacity: capacity))
    }

    /// The whole mixer over whole sequences: (B, L, D) to (B, L, D), causal.
    public func forward(_ x: Tensor, _ tape: Tape) -> Tensor { project(mix(x, tape), tape) }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { mixed }
}

/// What a mixer is made with.
public struct MixerContext: Sendable {
    /// D.
    public let dModel: Int
    /// The model's number of layers: output projections start smaller in deeper models.
    public let layers: Int
    /// The longest sequence that the model will meet.
    public let maximumLength: Int
    public let block: BlockKind
    public let initialisation: InitialisationKind
    /// The parameters' path: "layers.1.mixer".
    public let path: String
    /// The first of the numbers that this mixer may give to its dropouts; it has `dropoutSitesPerLayer`.
    public let firstDropoutSite: Int
}

/// How the parameters of a kind start, for mixers and blocks alike (docs/math/backbone.md, section 7).
extension MixerContext {
    /// N(0, 0.02²), or PyTorch's U(±1/√inputs) in a Mamba block, which keeps that default.
    func linearInitialiser(inputs: Int) -> Initialiser {
        block == .mamba ? .uniform(bound: 1 / Double(inputs).squareRoot()) : .normal(deviation: 0.02)
    }

    /// What writes into the residual stream starts smaller by 1/√(2·layers) (GPT-2), or by 1/√layers in a Mamba block.
    func outputInitialiser(inputs: Int) -> Initialiser {
        block == .mamba
            ? .uniform(bound: 1 / Double(inputs * layers).squareRoot())
            : .normal(deviation: 0.02 / Double(2 * layers).squareRoot())
    }

    /// A linear layer called `name` under the mixer's path; its bias, if any, starts at zero.
    ///
    /// - Parameters:
    ///   - isOutput: whether it writes into the residual stream.
    ///   - isRescaledInZoology: whether the published harness's rule, which goes by parameter names, scales it too.
    func linear(
        _ name: String,
        inputs: Int,
        outputs: Int,
        bias: Bool,
        isOutput: Bool = false,
        isRescaledInZoology: Bool = false
    ) -> Linear {
        let isScaled = initialisation == .zoology && block == .transformer ? isRescaledInZoology : isOutput
        return linear(
            name,
            inputs: inputs,
            outputs: outputs,
            bias: bias ? .constant(0) : nil,
            weight: isScaled ? outputInitialiser(inputs: inputs) : linearInitialiser(inputs: inputs)
        )
    }

    /// A linear layer with a start of its own.
    func linear(_ name: String, inputs: Int, outputs: Int, bias: Initialiser?, weight: Initialiser) -> Linear {
        Linear(
            weight: Parameter(
                "\(path).\(name).weight",
                shape: [outputs, inputs],
                initialiser: weight,
                isExemptFromDecay: false
            ),
            bias: bias.map {
                Parameter("\(path).\(name).bias", shape: [outputs], initialiser: $0, isExemptFromDecay: true)
            }
        )
    }

    /// A parameter that is not a linear layer's.
    func parameter(_ name: String, shape: [Int], _ initialiser: Initialiser, isExemptFromDecay: Bool)
        -> Parameter
    {
        Parameter(
            "\(path).\(name)",
            shape: shape,
            initialiser: initialiser,
            isExemptFromDecay: isExemptFromDecay
        )
    }

    /// A depthwise convolution's weight (channels, taps) and bias (channels), started as PyTorch's Conv1d.
    func convolution(_ name: String, channels: Int, taps: Int) -> (weight: Parameter, bias: Parameter) {
        let start = Initialiser.uniform(bound: 1 / Double(taps).squareRoot())
        return (
            parameter("\(name).weight", shape: [channels, taps], start, isExemptFromDecay: false),
            parameter("\(name).bias", shape: [channels], start, isExemptFromDecay: true)
        )
    }

    /// A norm of the block over the model's width.
    func norm(_ name: String, kind: NormKind, epsilon: Double) -> Norm {
        Norm(
            kind: kind,
            gain: parameter("\(name).weight", shape: [dModel], .constant(1), isExemptFromDecay: true),
            bias: kind == .layer
                ? parameter("\(name).bias", shape: [dModel], .constant(0), isExemptFromDecay: true) : nil,
            epsilon: epsilon
        )
    }
}

extension LayerConfig {
    /// Knobs of a resolved layer: complete and of the kinds that the registry checked.
    func integer(_ name: String) -> Int {
        guard case .integer(let value)? = knobs[name] else {
            preconditionFailure("\(mixer) has no integer \(name)")
        }
        return value
    }

    func number(_ name: String) -> Double {
        guard case .number(let value)? = knobs[name] else {
            preconditionFailure("\(mixer) has no number \(name)")
        }
        return value
    }

    func text(_ name: String) -> String {
        guard case .text(let value)? = knobs[name] else { preconditionFailure("\(mixer) has no word \(name)") }
        return value
    }

    /// Refuses heads that do not divide the width.
    func requireHeadsDivide(_ dModel: Int) throws(ConfigurationError) {
        let heads = integer("heads")
        guard dModel % heads == 0 else {
            throw ConfigurationError(
                key: "heads",
                message: "heads must divide d_model: \(dModel) is not a multiple of \(heads)"
            )
        }
    }
}
