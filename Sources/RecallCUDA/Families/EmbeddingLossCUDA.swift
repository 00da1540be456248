import RecallKernels
import RecallRandom

// Without the head and the embedding's gradients, which are in HeadLossCUDA.swift and EmbeddingGradientCUDA.swift.
extension CUDABackend: EmbeddingLossKernels {
    private static let module = "embedding_loss"

    public func embeddingForward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        table: Floats,
        positions: Floats?,
        firstPosition: Int,
        dropout: Dropout?,
        y: MutableFloats
    ) {
        let count = shape.batch * shape.length * shape.width
        launch(
            Self.module,
            "embeddingForward",
            .covering((count + 7) / 8),
            shape.batch,
            shape.length,
            shape.width,
            tokens,
            table,
            positions.map { $0 + firstPosition * shape.width },
            mask(dropout),
            y
        )
    }

    public func gatherRows(count: Int, width: Int, x: Floats, rows: Integers, y: MutableFloats) {
        launch(Self.module, "gatherRows", .covering((count * width + 3) / 4), count, width, x, rows, y)
    }

    public func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats) {
        // A warp writes eight rows.
        launch(
            Self.module,
            "scatterRows",
            LaunchGrid(blocks: (total + 63) / 64, threads: 256),
            total,
            count,
            width,
            dy,
            rows,
            dx
        )
    }
}
