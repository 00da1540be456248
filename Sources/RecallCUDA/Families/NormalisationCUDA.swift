import RecallKernels

/// How a norm's rows lie in the kernels' registers (Layout in normalisation.cu), by the shape alone.
struct NormLayout {
    /// Numbers of a row that the instance holds.
    let held: Int
    /// Whether a lane has four numbers that lie behind each other.
    let isInQuads: Bool

    /// nil where a row is wider than any instance holds.
    init?(width: Int, isInQuads: Bool) {
        guard let held = [32, 64, 128, 256, 512, 1024].first(where: { width <= $0 }) else { return nil }
        (self.held, self.isInQuads) = (held, isInQuads && width % 4 == 0)
    }

    /// Ends the names of its kernels.
    var suffix: String { (isInQuads ? "Quads" : "") + "\(held)" }
    private var lanes: Int { isInQuads ? min(32, held / 4) : 32 }
    /// Of a warp at once.
    private var rows: Int { 32 / lanes * (held <= 128 ? 2 : 1) }
    private var backwardWarps: Int { held <= 128 ? 16 : 8 }

    private static let forwardWarps = 8
    /// Blocks of backward, each with partial sums of its own: two for each multiprocessor of the largest chips.
    private static let mostBlocks = 264

    func forwardGrid(_ shape: NormShape) -> LaunchGrid {
        let rows = rows * Self.forwardWarps
        return LaunchGrid(blocks: (shape.rows + rows - 1) / rows, threads: 32 * Self.forwardWarps)
    }

    /// Where there are no rows, one block, which writes gradients of zero.
    func backwardGrid(_ shape: NormShape) -> LaunchGrid {
        let (rows, threads) = (rows * backwardWarps, 32 * backwardWarps)
        return LaunchGrid(
            blocks: max(1, min(Self.mostBlocks, (shape.rows + rows - 1) / rows)), threads: threads,
            sharedBytes: 2 * threads / lanes * shape.width * MemoryLayout<Float>.stride)
    }
}

extension CUDABackend: NormalisationKernels {
    private static let module = "normalisation"

    /// - Parameter isInQuads: of all that the kernel reads or writes in rows.
    private func layout(_ shape: NormShape, isInQuads: Bool) -> NormLayout {
        guard let layout = NormLayout(width: shape.width, isInQuads: isInQuads) else {
            fatalError("CUDA: a norm over \(shape.width) numbers; 1024 is the most")
        }
        return layout
    }

    public func addNormForward(
        _ shape: NormShape, residual: Floats, branch: Floats?, gain: Floats, bias: Floats?, sum: MutableFloats?,
        y: MutableFloats, statistics: MutableFloats
    ) {
        let layout = layout(shape, isInQuads: areInQuads(residual, branch, gain, bias, sum, y))
        launch(
            Self.module, "addNormForward\(layout.suffix)", layout.forwardGrid(shape), shape.kind == .layer,
            shape.rows, shape.width, shape.epsilon, residual, branch, gain, bias, sum, y, statistics)
    }

    public func addNormBackward(
        _ shape: NormShape, sum: Floats, gain: Floats, statistics: Floats, dy: Floats, dSum: Floats?,
        dInput: MutableFloats, dGain: MutableFloats, dBias: MutableFloats?
    ) {
        let width = shape.width
        let layout = layout(shape, isInQuads: areInQuads(sum, gain, dy, dSum, dInput))
        let grid = layout.backwardGrid(shape)
        addPartials(parts: grid.blocks.x, to: [(width, dGain), (width, dBias)]) { partials in
            launch(
                Self.module, "addNormBackward\(layout.suffix)", grid, shape.kind == .layer, shape.rows, width,
                sum, gain, statistics, dy, dSum, dInput, partials)
        }
    }
}
