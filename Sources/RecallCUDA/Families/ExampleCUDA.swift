import RecallExamples
import RecallKernels

extension CUDABackend: ExampleKernels {
    public func makeExamples(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int,
        tokens: MutableIntegers,
        positions: MutableIntegers,
        labels: MutableIntegers
    ) {
        guard count > 0 else { return }
        let cumulative = recipe.slotLaw.cumulative
        let sharedBytes = Self.sharedBytes(recipe)
        guard sharedBytes <= device.sharedMemoryPerBlock else {
            return makeExamplesOnHost(
                recipe,
                first: first,
                count: count,
                tokens: tokens,
                positions: positions,
                labels: labels
            )
        }
        let table = UnsafeMutableRawPointer(workspace(floats: 2 * cumulative.count))
        cumulative.withUnsafeBytes { copyFromHost($0.baseAddress.unsafelyUnwrapped, table, bytes: $0.count) }
        launch(
            "examples",
            "makeExamples",
            LaunchGrid(blocks: count, threads: Self.exampleThreads, sharedBytes: sharedBytes),
            recipe.seed,
            recipe.streamIndex,
            recipe.vocabulary,
            recipe.length,
            recipe.pairs,
            recipe.hasRandomFillers,
            recipe.hasDisjointFillers,
            table,
            first,
            tokens,
            positions,
            labels
        )
    }

    private static let exampleThreads = 32

    /// What a block's example takes: random words, four lists of pairs, the slots.
    static func sharedBytes(_ recipe: ExampleRecipe) -> Int {
        (4 * exampleThreads + 4 * recipe.pairs + recipe.slotLaw.cumulative.count) * MemoryLayout<Int32>.stride
    }

    /// Examples too long for a block's memory: by the host, some at a time.
    private func makeExamplesOnHost(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int,
        tokens: MutableIntegers,
        positions: MutableIntegers,
        labels: MutableIntegers
    ) {
        let (length, pairs) = (recipe.length, recipe.pairs)
        let most = max(1, (1 << 20) / length)
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: most * (length + 2 * pairs)) { host in
            let tokensOnHost = host.baseAddress.unsafelyUnwrapped
            let positionsOnHost = tokensOnHost + most * length
            let labelsOnHost = positionsOnHost + most * pairs
            for start in stride(from: 0, to: count, by: most) where !isCancelled {
                let rows = min(most, count - start)
                recipe.make(
                    first: first + start,
                    count: rows,
                    tokens: tokensOnHost,
                    labelPositions: positionsOnHost,
                    labels: labelsOnHost
                )
                copyFromHost(tokensOnHost, tokens + start * length, bytes: 4 * rows * length)
                copyFromHost(positionsOnHost, positions + start * pairs, bytes: 4 * rows * pairs)
                copyFromHost(labelsOnHost, labels + start * pairs, bytes: 4 * rows * pairs)
            }
        }
    }
}
