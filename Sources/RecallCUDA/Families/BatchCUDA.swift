import RecallKernels

extension CUDABackend: BatchKernels {
    private static let module = "batch"

    public func gatherBatch(
        _ shape: BatchShape,
        tokens: MutableIntegers,
        rows: MutableIntegers,
        labels: MutableIntegers
    ) {
        launch(
            Self.module,
            "gatherBatch",
            LaunchGrid(blocks: shape.batch, threads: 64),
            stepCell,
            shape.length,
            shape.pairs,
            tokens,
            rows,
            labels
        )
    }

    public func recordCorrect(_ count: Int, correct: Floats) { recordSum(count, correct, isLoss: false) }

    public func recordLoss(_ count: Int, losses: Floats) -> Bool {
        recordSum(count, losses, isLoss: true)
        // Known later; the device itself leaves out what follows.
        return true
    }

    private func recordSum(_ count: Int, _ x: Floats, isLoss: Bool) {
        launch(
            Self.module,
            "recordSum",
            LaunchGrid(blocks: 1, threads: 1024),
            stepCell,
            count,
            x,
            isLoss
        )
    }
}
