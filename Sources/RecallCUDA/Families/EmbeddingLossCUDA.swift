import RecallKernels
import RecallRandom

extension CUDABackend: EmbeddingLossKernels {
    private static let module = "embedding_loss"
    /// Rows of the table that a block of `tableGradient` owns, and its threads.
    private static let (tableRows, tableThreads) = (32, 256)
    /// Bytes of logits that are there at once. On an H100 a step of 16,384 labels at width 128 takes 4.2 ms with 8 MiB, 3.4
    /// with 32 and 3.2 with 128: fewer, larger products make up for what the L2 cache no longer holds.
    private static let logitBytes = 128 << 20

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
        launch(Self.module, "gatherRows", .covering(count * width), count, width, x, rows, y)
    }

    public func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats) {
        launch(
            Self.module, "scatterRows", LaunchGrid(blocks: (total + 7) / 8, threads: 256), total, count, width,
            dy,
            rows, dx)
    }

    public func headLoss(
        _ shape: HeadShape, hidden: Floats, table: Floats, labels: Integers, gradientScale: Float,
        losses: MutableFloats, correct: MutableFloats, dHidden: MutableFloats?, dTable: MutableFloats?
    ) {
        let (width, vocabulary) = (shape.width, shape.vocabulary)
        // Rows start on a multiple of 16 bytes, which the fast products ask for.
        let stride = (vocabulary + 3) / 4 * 4
        let most = max(64, Self.logitBytes / MemoryLayout<Float>.stride / stride / 64 * 64)
        let logits = workspace(floats: min(most, shape.rows) * stride)
        let hasGradient = dHidden != nil || dTable != nil
        let transposedTable = DeviceMatrix(table, stride: width, transposed: true)
        for first in Swift.stride(from: 0, to: shape.rows, by: most) {
            let rows = min(most, shape.rows - first)
            let block = DeviceMatrix(hidden + first * width, stride: width)
            product(m: vocabulary, n: rows, k: width, transposedTable, block, logits, stride: stride)
            launch(
                Self.module, "softmaxLoss", LaunchGrid(blocks: rows, threads: 512), vocabulary, stride,
                labels + first, logits, gradientScale, hasGradient, losses + first, correct + first)
            if let dHidden {
                product(
                    m: width, n: rows, k: vocabulary, DeviceMatrix(table, stride: width),
                    DeviceMatrix(logits, stride: stride), dHidden + first * width, stride: width)
            }
            if let dTable {
                product(
                    m: width, n: vocabulary, k: rows, block,
                    DeviceMatrix(logits, stride: stride, transposed: true), beta: first == 0 ? 0 : 1, dTable,
                    stride: width)
            }
        }
        if let dTable, shape.rows == 0 { fillZero(vocabulary * width, y: dTable) }
    }
}
