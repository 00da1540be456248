import RecallKernels

/// How a norm's rows lie in the kernels' registers (Layout in normalisation.cu), by the shape alone.
struct NormLayout {
    /// Numbers of a row that the instance holds.
    let held: Int
    /// Whether a lane has four numbers that lie behind each other.
    let isInQuads: Bool

    /// Row widths that instances hold, narrowest first.
    static let instances = [32, 64, 128, 256, 512, 1024]

    /// nil where a row is wider than any instance holds.
    init?(width: Int, isInQuads: Bool) {
        guard let held = Self.instances.first(where: { width <= $0 }) else { return nil }
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
    fileprivate static let mostBlocks = 264

    func forwardGrid(_ shape: NormShape) -> LaunchGrid {
        let rows = rows * Self.forwardWarps
        return LaunchGrid(blocks: (shape.rows + rows - 1) / rows, threads: 32 * Self.forwardWarps)
    }

    /// Where there are no rows, one block, which writes gradients of zero.
    func backwardGrid(_ shape: NormShape) -> LaunchGrid {
        let (rows, threads) = (rows * backwardWarps, 32 * backwardWarps)
        return LaunchGrid(
            blocks: max(1, min(Self.mostBlocks, (shape.rows + rows - 1) / rows)),
            threads: threads,
            sharedBytes: 2 * threads / lanes * shape.width * MemoryLayout<Float>.stride
        )
    }
}

/// The kernels of a norm by its shape: an instance of `NormLayout` or, for rows that none holds, a block for each row.
private struct NormPass {
    let suffix: String
    let forward, backward: LaunchGrid

    /// - Parameter isInQuads: whether all rows can be read four numbers at a time.
    init(_ shape: NormShape, isInQuads: Bool) {
        if let layout = NormLayout(width: shape.width, isInQuads: isInQuads) {
            suffix = layout.suffix
            (forward, backward) = (layout.forwardGrid(shape), layout.backwardGrid(shape))
        } else {
            suffix = "Wide"
            forward = LaunchGrid(blocks: shape.rows, threads: 256)
            backward = LaunchGrid(blocks: max(1, min(NormLayout.mostBlocks, shape.rows)), threads: 256)
        }
    }
}

extension CUDABackend: NormalisationKernels {
    private static let module = "normalisation"

    public func addNormForward(
        _ shape: NormShape,
        residual: Floats,
        branch: Floats?,
        gain: Floats,
        bias: Floats?,
        sum: MutableFloats?,
        y: MutableFloats,
        statistics: MutableFloats
    ) {
        let pass = NormPass(shape, isInQuads: areInQuads(residual, branch, gain, bias, sum, y))
        launch(
            Self.module,
            "addNormForward\(pass.suffix)",
            pass.forward,
            shape.kind == .layer,
            shape.rows,
            shape.width,
            shape.epsilon,
            residual,
            branch,
            gain,
            bias,
            sum,
            y,
            statistics
        )
    }

    public func addNormBackward(
        _ shape: NormShape,
        sum: Floats,
        gain: Floats,
        statistics: Floats,
        dy: Floats,
        dSum: Floats?,
        dInput: MutableFloats,
        dGain: MutableFloats,
        dBias: MutableFloats?
    ) {
        let width = shape.width
        let pass = NormPass(shape, isInQuads: areInQuads(sum, gain, dy, dSum, dInput))
        addPartials(parts: pass.backward.blocks.x, to: [(width, dGain), (width, dBias)]) { partials in
            launch(
                Self.module,
                "addNormBackward\(pass.suffix)",
                pass.backward,
                shape.kind == .layer,
                shape.rows,
                width,
                sum,
                gain,
                statistics,
                dy,
                dSum,
                dInput,
                partials
            )
        }
    }
}
