/// All that the examples of a segment of multi-query associative recall depend on, besides their own index: what a
/// device needs to make them.
public struct ExampleRecipe: Sendable {
    /// The data's seed.
    public let seed: UInt64
    /// The second index of the examples' streams, whose first is the example: split << 16 | segment.
    public let streamIndex: UInt32
    /// V: token 0 is a filler only, 1 ..< V/2 are the keys, V/2 ..< V the values.
    public let vocabulary: Int
    /// L, tokens of an example; even.
    public let length: Int
    /// n, key-value pairs of an example; at most L/4 and V/2 - 1.
    public let pairs: Int
    /// Whether positions that are neither context nor query hold random tokens; otherwise they hold 0.
    public let hasRandomFillers: Bool
    /// Whether a filler is never a key of its example.
    public let hasDisjointFillers: Bool
    /// Of the L/2 - n slots after the context.
    public let slotLaw: SlotLaw

    public init(
        seed: UInt64,
        streamIndex: UInt32,
        vocabulary: Int,
        length: Int,
        pairs: Int,
        hasRandomFillers: Bool,
        hasDisjointFillers: Bool,
        slotLaw: SlotLaw
    ) {
        precondition(slotLaw.weights.count == length / 2 - pairs, "the law of another segment's slots")
        (self.seed, self.streamIndex) = (seed, streamIndex)
        (self.vocabulary, self.length, self.pairs) = (vocabulary, length, pairs)
        (self.hasRandomFillers, self.hasDisjointFillers) = (hasRandomFillers, hasDisjointFillers)
        self.slotLaw = slotLaw
    }

    /// Writes examples `first ..< first + count`, one after another on the calling thread.
    ///
    /// - Parameters:
    ///   - first: 0 or more, and `first + count` at most 2^32.
    ///   - tokens: (count, L).
    ///   - labelPositions: (count, n): where in its sequence each label stands, ascending. The label stands at the
    ///     query itself.
    ///   - labels: (count, n): the value expected there.
    public func make(
        first: Int,
        count: Int,
        tokens: UnsafeMutablePointer<Int32>,
        labelPositions: UnsafeMutablePointer<Int32>,
        labels: UnsafeMutablePointer<Int32>
    ) {
        precondition(
            first >= 0 && count >= 0 && first + count <= 1 << 32,
            "examples beyond the generator's range"
        )
        let maker = ExampleMaker(self)
        for index in 0..<count {
            maker.make(
                example: UInt32(first + index),
                tokens: tokens + index * length,
                labelPositions: labelPositions + index * pairs,
                labels: labels + index * pairs
            )
        }
    }
}
