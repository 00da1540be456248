import RecallExamples

extension CPUBackend: ExampleKernels {
    /// Tokens of a block: some milliseconds of work, beside which a maker's tables are little.
    static let exampleBlockTokens = 1 << 20

    public func makeExamples(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int,
        tokens: MutableIntegers,
        positions: MutableIntegers,
        labels: MutableIntegers
    ) {
        let (length, pairs) = (recipe.length, recipe.pairs)
        let most = max(1, Self.exampleBlockTokens / length)
        workers.forEachBlock((count + most - 1) / most) { block, _ in
            let start = block * most
            recipe.make(
                first: first + start,
                count: min(most, count - start),
                tokens: tokens + start * length,
                labelPositions: positions + start * pairs,
                labels: labels + start * pairs
            )
        }
    }
}
