import RecallKernels

// The short half of ConvolutionKernels; the long one and the conformance are in ConvolutionCUDA.swift.
extension CUDABackend {
    private static let module = "short_convolution"

    public func shortConvolutionForward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        y: MutableFloats
    ) {
        let arguments = shape.arguments + [u, weight, bias, gate, y]
        guard let grid = shape.runGrid(atMost: 4096), let suffix = shape.suffix else {
            return launch(Self.module, "shortForwardWide", .covering(shape.count), arguments)
        }
        launch(Self.module, "shortForward\(suffix)", grid, arguments)
    }

    public func shortConvolutionBackward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        dWeight: MutableFloats,
        dBias: MutableFloats,
        dGate: MutableFloats?
    ) {
        // As many blocks as are at work at once: each leaves one row of partial sums.
        guard let grid = shape.runGrid(atMost: 528), let suffix = shape.suffix else {
            return wideBackward(
                shape,
                u: u,
                weight: weight,
                bias: bias,
                gate: gate,
                dy: dy,
                du: du,
                dWeight: dWeight,
                dBias: dBias,
                dGate: dGate
            )
        }
        let outputs = [(shape.channels * shape.taps, dWeight), (shape.channels, dBias)] as [SumOutput]
        addPartials(parts: grid.blocks.y, to: outputs) { partials in
            launch(
                Self.module,
                "shortBackward\(suffix)",
                grid,
                shape.arguments + [u, weight, bias, gate, dy, du, dGate, partials]
            )
        }
    }

    /// With more taps than a thread's registers hold: dc first, then what follows from it.
    private func wideBackward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        dWeight: MutableFloats,
        dBias: MutableFloats,
        dGate: MutableFloats?
    ) {
        let weights = shape.channels * shape.taps
        let slices = max(1, min(64, (shape.batch * shape.length + 255) / 256))
        let dc = workspace(floats: shape.count + slices * (weights + shape.channels))
        let partials = dc + shape.count
        let elements = LaunchGrid.covering(shape.count)
        launch(
            Self.module,
            "shortBackwardWideCore",
            elements,
            shape.arguments + [u, weight, bias, gate, dy, dc, dGate]
        )
        let skipped = shape.epilogue == .gatedWithSkip ? dy : nil
        launch(Self.module, "shortBackwardWideInput", elements, shape.arguments + [weight, dc, skipped, du])
        let sums = LaunchGrid(blocks: shape.groups, shape.taps + 1, slices, threads: 32, 8)
        launch(Self.module, "shortBackwardWideFilter", sums, shape.arguments + [u, dc, partials])
        addPartials(parts: slices, partials, [(weights, dWeight), (shape.channels, dBias)])
    }

    public func shortConvolutionStep(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        past: MutableFloats,
        y: MutableFloats
    ) {
        launch(
            Self.module,
            "shortConvolutionStep",
            .covering(shape.batch * shape.channels),
            shape.batch,
            shape.channels,
            shape.taps,
            shape.inputStride,
            u,
            weight,
            bias,
            gate,
            past,
            y
        )
    }
}

extension ShortConvolutionShape {
    fileprivate var arguments: [any KernelArgument] { [batch, length, channels, taps, inputStride] }
    fileprivate var count: Int { batch * length * channels }
    /// Of 32 channels.
    fileprivate var groups: Int { (channels + 31) / 32 }

    /// Ends the names of the kernels that hold the taps in registers; nil where they are too many.
    fileprivate var suffix: String? {
        guard let held = [4, 8, 16].first(where: { taps <= $0 }) else { return nil }
        return "\(held)" + (epilogue == .silu ? "Silu" : "Gated")
    }

    /// Blocks of 32 channels by 8 runs of 16 tokens; nil for an empty shape.
    fileprivate func runGrid(atMost blocks: Int) -> LaunchGrid? {
        let runs = batch * ((length + 15) / 16)
        guard runs > 0, channels > 0 else { return nil }
        return LaunchGrid(blocks: groups, min((runs + 7) / 8, max(1, blocks / groups)), threads: 32, 8)
    }
}
