import RecallKernels

extension CUDABackend: ConvolutionKernels {
    private static let module = "long_convolution"

    public func longConvolutionForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        convolve("longForward", shape, filter, u, gate, y)
    }

    public func longConvolutionBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        convolve("longGateGradient", shape, filter, u, dy, dGate)
        convolve("longInputGradient", shape, filter, gate, dy, du)
        let tiles = shape.tiles(of: 64)
        // Enough blocks to fill the device, each with a slice of the groups of sequences.
        let slices = min(max(1, (511 + shape.groups * tiles) / (shape.groups * tiles)), shape.rows)
        let count = shape.length * shape.channels
        let partials = workspace(floats: 2 * slices * count)
        let grid = LaunchGrid(
            blocks: shape.groups, tiles, slices, threads: 256, sharedBytes: 2 * LongConvolutionTile.bytes(64))
        launch(Self.module, "longFilterGradient\(exactness)", grid, shape.arguments + [u, gate, dy, partials])
        addPartials(parts: 2 * slices, partials, (count, dFilter))
    }

    private func convolve(
        _ name: String, _ shape: LongConvolutionShape, _ filter: Floats, _ first: Floats, _ second: Floats,
        _ out: MutableFloats
    ) {
        let tile = shape.length <= 64 ? 64 : 128
        let grid = LaunchGrid(
            blocks: shape.groups, shape.tiles(of: tile), shape.rows, threads: 256,
            sharedBytes: 2 * LongConvolutionTile.bytes(tile) + LongConvolutionTile.filterBytes(tile))
        launch(
            Self.module, "\(name)\(tile)\(exactness)", grid, shape.arguments + [filter, first, second, out])
    }

    private var exactness: String { arithmetic == .fp32 ? "Exact" : "Fast" }

    public func longConvolutionStep(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, past: Floats, position: Int,
        capacity: Int, y: MutableFloats
    ) {
        let grid = LaunchGrid(blocks: (shape.channels + 31) / 32, min(shape.batch, 65535), threads: 32, 8)
        launch(
            Self.module, "longConvolutionStep", grid, shape.batch, shape.channels, position, capacity, u,
            filter,
            gate, past, y)
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

/// Shared memory of 8 channels and 8 sequences: struct Layout in long_convolution.cu.
private enum LongConvolutionTile {
    static func bytes(_ tokens: Int) -> Int { 4 * 8 * (8 * (tokens + 8) + 4) }
    static func filterBytes(_ tokens: Int) -> Int { 4 * 8 * (2 * tokens + 4) }
}
