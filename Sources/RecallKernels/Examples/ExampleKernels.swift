import RecallExamples

/// Training and test data, made where they are used.
public protocol ExampleKernels {
    /// Makes examples `first ..< first + count` of a segment: the same bits on every device.
    ///
    /// - Parameters:
    ///   - first: 0 or more, and `first + count` at most 2^32.
    ///   - tokens: (count, L), written.
    ///   - positions: (count, n), written: where in its sequence each label stands, ascending.
    ///   - labels: (count, n), written: the value expected there.
    func makeExamples(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int,
        tokens: MutableIntegers,
        positions: MutableIntegers,
        labels: MutableIntegers
    )
}
