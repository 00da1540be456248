import RecallKernels
import RecallRandom

/// How the gradients of token embeddings are cut into blocks (embedding_gradient.cu), by the shape alone.
struct EmbeddingGradientTiling {
    /// PART and SUM_THREADS in embedding_gradient.cu.
    private static let (partPositions, sumThreads) = (64, 256)
    /// SORT_WARPS · WARP there, and MOST_OWNED.
    private static let (sortThreads, mostOwned) = (1024, 256)
    /// Blocks that sort, where no more are needed: about one for each multiprocessor of the largest chips.
    private static let sortBlocks = 128

    let count: Int
    let length: Int
    let width: Int
    let vocabulary: Int
    /// Numbers that a thread adds at once; ends the names of the kernels.
    let numbers: Int

    /// - Parameter isInQuads: whether the numbers lie where four can be read at once.
    init(_ shape: EmbeddingShape, isInQuads: Bool) {
        (count, length) = (shape.batch * shape.length, shape.length)
        (width, vocabulary) = (shape.width, shape.vocabulary)
        numbers = isInQuads && shape.width % 8 == 0 ? 8 : 1
    }

    /// Rows of the table of which a block sorts the positions.
    var owned: Int {
        min(Self.mostOwned, max(1, (vocabulary + Self.sortBlocks - 1) / Self.sortBlocks))
    }
    /// Of the sorted positions.
    var parts: Int { (count + Self.partPositions - 1) / Self.partPositions }

    var sortGrid: LaunchGrid {
        LaunchGrid(blocks: (vocabulary + owned - 1) / owned, threads: Self.sortThreads)
    }

    /// Threads of a row, or of a strip of it, and how many times those a block has.
    private var threads: (across: Int, slices: Int) {
        let across = max(1, min(32, (width + numbers - 1) / numbers))
        return (across, Self.sumThreads / across)
    }

    /// Parts, then rows of the table.
    var rowGrid: LaunchGrid {
        let (across, rows) = threads
        return LaunchGrid(blocks: (parts + vocabulary + rows - 1) / rows, threads: across, rows)
    }

    /// Sums that a block adds in slices, a strip of each at a time.
    private func stripGrid(_ sums: Int) -> LaunchGrid {
        let (across, slices) = threads
        let strip = across * numbers
        return LaunchGrid(blocks: sums, (width + strip - 1) / strip, threads: across, slices)
    }

    var longRowGrid: LaunchGrid { stripGrid(parts) }
    var positionGrid: LaunchGrid { stripGrid(length) }

    /// Whole numbers of the workspace before the partial sums, which begin on a boundary of 64 bytes.
    var integers: Int { (count + vocabulary + 1 + 15) / 16 * 16 }
    /// Of the workspace: a part has two rows.
    var floats: Int { integers + 2 * parts * width }
}

extension CUDABackend {
    private static let module = "embedding_gradient"

    public func embeddingBackward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        dropout: Dropout?,
        dy: Floats,
        dTable: MutableFloats,
        dPositions: MutableFloats?
    ) {
        let tiling = EmbeddingGradientTiling(shape, isInQuads: areInQuads(dy, dTable, dPositions))
        tableGradient(tiling, tokens: tokens, mask(dropout), dy: dy, dTable: dTable)
        if let dPositions {
            launch(
                Self.module,
                "positionGradient\(tiling.numbers)",
                tiling.positionGrid,
                shape.batch,
                shape.length,
                shape.width,
                mask(dropout),
                dy,
                dPositions
            )
        }
    }

    private func tableGradient(
        _ tiling: EmbeddingGradientTiling,
        tokens: Integers,
        _ mask: KernelMask,
        dy: Floats,
        dTable: MutableFloats
    ) {
        let (count, width, vocabulary) = (tiling.count, tiling.width, tiling.vocabulary)
        let memory = workspace(floats: tiling.floats)
        let sorted = UnsafeMutablePointer<Int32>(OpaquePointer(memory))
        let starts = sorted + count
        let partial = memory + tiling.integers
        launch(
            Self.module,
            "sortPositions",
            tiling.sortGrid,
            count,
            vocabulary,
            tiling.owned,
            tokens,
            starts,
            sorted
        )
        launch(
            Self.module,
            "sumTableRows\(tiling.numbers)",
            tiling.rowGrid,
            count,
            width,
            vocabulary,
            tokens,
            starts,
            sorted,
            mask,
            dy,
            dTable,
            partial
        )
        launch(
            Self.module,
            "sumLongTableRows\(tiling.numbers)",
            tiling.longRowGrid,
            count,
            width,
            tokens,
            starts,
            sorted,
            partial,
            dTable
        )
    }
}
