import RecallKernels

extension CUDABackend: NormalisationKernels {
    private static let module = "normalisation"
    /// Warps of a block, a row each.
    private static let warps = 8
    /// Blocks of backward, each with partial sums of its own: two for each multiprocessor of the largest chips.
    private static let mostBlocks = 264

    /// The instance whose registers hold a row.
    private func pieces(_ width: Int) -> Int {
        let pieces = [1, 2, 4, 8, 16, 32].first { 32 * $0 >= width }
        guard let pieces else { fatalError("CUDA: a norm over \(width) numbers; 1024 is the most") }
        return pieces
    }

    public func addNormForward(
        _ shape: NormShape, residual: Floats, branch: Floats?, gain: Floats, bias: Floats?, sum: MutableFloats?,
        y: MutableFloats, statistics: MutableFloats
    ) {
        launch(
            Self.module, "addNormForward\(pieces(shape.width))",
            LaunchGrid(blocks: (shape.rows + Self.warps - 1) / Self.warps, threads: 32 * Self.warps),
            shape.kind == .layer, shape.rows, shape.width, shape.epsilon, residual, branch, gain, bias, sum, y,
            statistics)
    }

    public func addNormBackward(
        _ shape: NormShape, sum: Floats, gain: Floats, statistics: Floats, dy: Floats, dSum: Floats?,
        dInput: MutableFloats, dGain: MutableFloats, dBias: MutableFloats?
    ) {
        let width = shape.width
        let blocks = max(1, min(Self.mostBlocks, (shape.rows + Self.warps - 1) / Self.warps))
        let partial = workspace(floats: (blocks + 1) * 2 * width)
        // Behind the parts there is room for a gradient that nobody asked for.
        let spare = partial + blocks * 2 * width
        launch(
            Self.module, "addNormBackward\(pieces(width))",
            LaunchGrid(
                blocks: blocks, threads: 32 * Self.warps,
                sharedBytes: Self.warps * width * MemoryLayout<Float>.stride),
            shape.kind == .layer, shape.rows, width, sum, gain, statistics, dy, dSum, dInput, partial)
        addPartials(parts: blocks, partial, (width, dGain), (width, dBias ?? spare))
    }
}
