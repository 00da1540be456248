import RecallKernels

extension CUDABackend: ConvolutionKernels {
    private static let module = "long_convolution"

    public func longConvolutionForward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        y: MutableFloats
    ) {
        convolve("longForward", shape, filter, u, gate, y)
    }

    public func longConvolutionBackward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        dy: Floats,
        du: MutableFloats,
        dFilter: MutableFloats,
        dGate: MutableFloats
    ) {
        let count = shape.length * shape.channels
        if let tokens = [64, 128, 256].first(where: { shape.length <= $0 }) {
            // As many blocks as are at work at once; each leaves one row of partial sums.
            let blocks = tokens == 256 || (tokens == 128 && arithmetic == .fp32) ? 132 : 264
            let slices = min(max(1, blocks / shape.groups), shape.rows)
            let grid = LaunchGrid(
                blocks: shape.groups,
                slices,
                threads: 256,
                sharedBytes: 2 * LongConvolutionTile.bytes(tokens)
                    + LongConvolutionTile.filterBytes(64 + tokens)
            )
            addPartials(parts: slices, to: [(count, dFilter)]) { partials in
                launch(
                    "long_backward",
                    "longBackward\(tokens)\(exactness)",
                    grid,
                    shape.arguments + [u, filter, gate, dy, du, dGate, partials]
                )
            }
        } else {
            convolve("longGateGradient", shape, filter, u, dy, dGate)
            convolve("longInputGradient", shape, filter, gate, dy, du)
            filterGradient(shape, u: u, gate: gate, dy: dy, dFilter: dFilter)
        }
    }

    private func filterGradient(
        _ shape: LongConvolutionShape,
        u: Floats,
        gate: Floats,
        dy: Floats,
        dFilter: MutableFloats
    ) {
        let (tiles, count) = (shape.tiles(of: 64), shape.length * shape.channels)
        // Enough blocks to fill the device, each with a slice of the groups of sequences.
        let slices = min(max(1, (511 + shape.groups * tiles) / (shape.groups * tiles)), shape.rows)
        let grid = LaunchGrid(
            blocks: shape.groups,
            tiles,
            slices,
            threads: 256,
            sharedBytes: 2 * LongConvolutionTile.bytes(64)
        )
        addPartials(parts: 2 * slices, to: [(count, dFilter)]) { partials in
            launch(
                Self.module,
                "longFilterGradient\(exactness)",
                grid,
                shape.arguments + [u, gate, dy, partials]
            )
        }
    }

    private func convolve(
        _ name: String,
        _ shape: LongConvolutionShape,
        _ filter: Floats,
        _ first: Floats,
        _ second: Floats,
        _ out: MutableFloats
    ) {
        // An exact product's operands, of two numbers each, fill the registers with 64 tokens.
        let tile = shape.length <= 64 || arithmetic == .fp32 ? 64 : 128
        let grid = LaunchGrid(
            blocks: shape.groups,
            shape.tiles(of: tile),
            shape.rows,
            threads: 256,
            sharedBytes: 2 * LongConvolutionTile.bytes(tile) + LongConvolutionTile.filterBytes(2 * tile)
        )
        launch(
            Self.module,
            "\(name)\(tile)\(exactness)",
            grid,
            shape.arguments + [filter, first, second, out]
        )
    }

    private var exactness: String { arithmetic == .fp32 ? "Exact" : "Fast" }

    public func longConvolutionStep(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        past: Floats,
        position: Int,
        capacity: Int,
        y: MutableFloats
    ) {
        let grid = LaunchGrid(blocks: (shape.channels + 31) / 32, min(shape.batch, 65535), threads: 32, 8)
        launch(
            Self.module,
            "longConvolutionStep",
            grid,
            shape.batch,
            shape.channels,
            position,
            capacity,
            u,
            filter,
            gate,
            past,
            y
        )
    }
}

extension LongConvolutionShape {
    fileprivate var arguments: [any KernelArgument] { [batch, length, channels] }
    /// Of 8 channels.
    fileprivate var groups: Int { (channels + 7) / 8 }
    /// Groups of 8 sequences.
    fileprivate var rows: Int { (batch + 7) / 8 }
    fileprivate func tiles(of tokens: Int) -> Int { (length + tokens - 1) / tokens }
}

/// Shared memory of 8 channels: see long_convolution.cuh.
private enum LongConvolutionTile {
    /// Of 8 sequences.
    static func bytes(_ tokens: Int) -> Int { 4 * 8 * (8 * (tokens + 8) + 4) }
    static func filterBytes(_ lags: Int) -> Int { 4 * 8 * (lags + 4) }
}
