import RecallKernels
import RecallRandom

extension CUDABackend: EmbeddingLossKernels {
    private static let module = "embedding_loss"
    /// Rows of the table that a block of `tableGradient` owns, and its threads.
    private static let (tableRows, tableThreads) = (32, 256)

    public func embeddingForward(
        _ shape: EmbeddingShape, tokens: Integers, table: Floats, positions: Floats?, firstPosition: Int,
        dropout: Dropout?, y: MutableFloats
    ) {
        let count = shape.batch * shape.length * shape.width
        launch(
            Self.module, "embeddingForward", .covering((count + 7) / 8), shape.batch, shape.length, shape.width,
            tokens, table, positions.map { $0 + firstPosition * shape.width }, mask(dropout), y)
    }

    public func embeddingBackward(
        _ shape: EmbeddingShape, tokens: Integers, dropout: Dropout?, dy: Floats, dTable: MutableFloats,
        dPositions: MutableFloats?
    ) {
        let blocks = (shape.vocabulary + Self.tableRows - 1) / Self.tableRows
        launch(
            Self.module, "tableGradient",
            LaunchGrid(
                blocks: blocks, threads: Self.tableThreads,
                sharedBytes: Self.tableRows * shape.width * MemoryLayout<Float>.stride),
            shape.batch * shape.length, shape.width, shape.vocabulary, tokens, mask(dropout), dy, dTable)
        if let dPositions {
            launch(
                Self.module, "positionGradient", LaunchGrid(blocks: shape.length, threads: 32, 8), shape.batch,
                shape.length, shape.width, mask(dropout), dy, dPositions)
        }
    }

    public func gatherRows(count: Int, width: Int, x: Floats, rows: Integers, y: MutableFloats) {
        launch(Self.module, "gatherRows", .covering((count * width + 3) / 4), count, width, x, rows, y)
    }

    public func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats) {
        // A warp writes eight rows.
        launch(
            Self.module, "scatterRows", LaunchGrid(blocks: (total + 63) / 64, threads: 256), total, count,
            width, dy,
            rows, dx)
    }
}
