import Foundation
import RecallKernels
import RecallTensor

/// Mamba's mixer (S6): in-projection to (x ‖ z), causal depthwise convolution with SiLU, selective scan, gate,
/// out-projection (docs/math/selective-scan.md, section 1).
///
/// Gu, Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023.
public final class Mamba: Mixer {
    static let description = MixerDescription(
        name: "mamba",
        summary: "selective state space (S6) with its short convolution and gate",
        paper: "Gu, Dao, Mamba: linear-time sequence modeling with selective state spaces, 2023",
        note:
            "the published arrangement is block: mamba, or layers: mamba, the preset, which sets it; without it the mixer "
            + "stands in a transformer block, with that block's norms, state mixer and dropout",
        knobs: [
            Knob("state_size", .integer(1...1024), default: .integer(16), "N, state numbers a channel"),
            Knob("expand", .integer(1...16), default: .integer(2), "inner channels over d_model"),
            Knob("kernel_size", .integer(1...64), default: .integer(4), "K, taps of the convolution"),
        ],
        stateKnob: "state_size",
        validate: { _, _ throws(ConfigurationError) in },
        make: { Mamba($0, $1) }
    )

    private let dModel: Int  // D
    private let channels: Int  // I
    private let states: Int  // N
    private let rank: Int  // R
    private let inProjection: Linear  // (x ‖ z)
    private let convolution: (weight: Parameter, bias: Parameter)
    private let selection: Linear  // (δ ‖ B ‖ C)
    private let deltaProjection: Linear  // its bias is the scan's
    private let scan: ScanParameters
    private let outProjection: Linear

    init(_ layer: LayerConfig, _ context: MixerContext) {
        let (channels, states) = (layer.integer("expand") * context.dModel, layer.integer("state_size"))
        let rank = (context.dModel + 15) / 16
        dModel = context.dModel
        (self.channels, self.states, self.rank) = (channels, states, rank)
        inProjection = context.linear("in", inputs: context.dModel, outputs: 2 * channels, bias: false)
        convolution = context.convolution("conv", channels: channels, taps: layer.integer("kernel_size"))
        selection = context.linear("selection", inputs: channels, outputs: rank + 2 * states, bias: false)
        // Inside a transformer block the published harness overwrites Mamba's own start of its step sizes
        // (docs/math/selective-scan.md, section 5).
        let keepsOwnStart = context.block == .mamba || context.initialisation == .paper
        deltaProjection = Linear(
            weight: context.parameter(
                "delta.weight",
                shape: [channels, rank],
                keepsOwnStart ? .uniform(bound: 1 / Double(rank).squareRoot()) : .normal(deviation: 0.02),
                isExemptFromDecay: false
            ),
            bias: nil
        )
        scan = ScanParameters(
            aLog: context.parameter(
                "a_log",
                shape: [channels, states],
                .custom { index, _ in log(Double(index % states + 1)) },
                isExemptFromDecay: true
            ),
            deltaBias: context.parameter(
                "delta.bias",
                shape: [channels],
                keepsOwnStart ? Self.stepSizeInitialiser : .constant(0),
                isExemptFromDecay: true
            ),
            skip: context.parameter("skip", shape: [channels], .constant(1), isExemptFromDecay: true)
        )
        outProjection = context.linear(
            "out",
            inputs: channels,
            outputs: context.dModel,
            bias: false,
            isOutput: true,
            isRescaledInZoology: true
        )
    }

    /// softplus⁻¹(dt) with dt = max(exp U(ln 0.001, ln 0.1), 1e-4).
    private static let stepSizeInitialiser = Initialiser.custom { _, stream in
        let step = max(exp(log(0.001) + stream.uniform() * (log(0.1) - log(0.001))), 1e-4)
        return step + log(-expm1(-step))
    }

    public var parameters: [Parameter] {
        inProjection.parameters + [convolution.weight, convolution.bias] + selection.parameters
            + deltaProjection.parameters + [scan.deltaBias, scan.aLog, scan.skip] + outProjection.parameters
    }

    public func mix(_ u: Tensor, _ tape: Tape) -> Tensor {
        let xz = tape.linear(u, inProjection)  // (B, L, 2I)
        let x = tape.shortConvolution(
            xz.columns(0..<channels),
            weight: convolution.weight,
            bias: convolution.bias,
            gate: nil,
            epilogue: .silu
        )
        let selected = tape.linear(x, selection)  // (B, L, R + 2N)
        let delta = tape.linear(selected.columns(0..<rank), deltaProjection)  // (B, L, I)
        return tape.selectiveScan(
            x: x,
            delta: delta,
            b: selected.columns(rank..<rank + states),
            c: selected.columns(rank + states..<rank + 2 * states),
            z: xz.columns(channels..<2 * channels),
            scan
        )
    }

    public func project(_ mixed: Tensor, _ tape: Tape) -> Tensor { tape.linear(mixed, outProjection) }

    public func stateLayouts(capacity: Int) -> [StateLayout] {
        [
            StateLayout(.convolution, "past", capacity: convolution.weight.shape[1] - 1, width: channels),
            StateLayout(.recurrent, "state", capacity: states, width: channels),
        ]
    }

    public func prefill(_ u: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        let xz = tape.linear(u, inProjection)
        tape.withHostRows(xz, columns: 0..<channels) { source, stride in
            state.parts[0].writePrompts(source, stride: stride, length: u.shape[1], sequences: sequences)
        }
        let x = tape.shortConvolution(
            xz.columns(0..<channels),
            weight: convolution.weight,
            bias: convolution.bias,
            gate: nil,
            epilogue: .silu
        )
        return scanStep(x, xz, &state, first: sequences.lowerBound, tape)
    }

    public func step(_ u: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        let xz = tape.linear(u, inProjection)
        let x = tape.shortConvolutionStep(
            xz.columns(0..<channels),
            weight: convolution.weight,
            bias: convolution.bias,
            gate: nil,
            epilogue: .silu,
            past: &state.parts[0].values
        )
        defer { state.advance() }
        return project(scanStep(x, xz, &state, first: 0, tape), tape)
    }

    /// What follows the convolution, from the state on: of one token or of prompts, from sequence `first` on.
    private func scanStep(_ x: Tensor, _ xz: Tensor, _ state: inout MixerState, first: Int, _ tape: Tape)
        -> Tensor
    {
        let selected = tape.linear(x, selection)
        let delta = tape.linear(selected.columns(0..<rank), deltaProjection)
        return tape.selectiveScanStep(
            x: x,
            delta: delta,
            b: selected.columns(rank..<rank + states),
            c: selected.columns(rank + states..<rank + 2 * states),
            z: xz.columns(channels..<2 * channels),
            scan,
            state: &state.parts[1].values,
            first: first
        )
    }

    /// 2 D N, where the published method has a literal 2 for every expansion (zoology/mixers/mamba.py, `state_size`).
    public func zoologyStateSize(length: Int) -> Int? { 2 * dModel * states }
}
