import RecallData
import Synchronization
import Testing

/// Data that are given up while they are made.
@Suite struct SegmentDataTests {
    /// Three times as many tokens as are made between two looks.
    private let generator = MQARGenerator(
        MQARTask(
            vocabSize: 64, train: [Segment(sequenceLength: 16, kvPairs: 2, examples: 3 * 65_536)],
            validation: [Segment(sequenceLength: 16, kvPairs: 2, examples: 1)],
            test: [Segment(sequenceLength: 16, kvPairs: 2, examples: 1)]))

    @Test(arguments: [1, 3]) func askingChangesNoToken(threads: Int) throws {
        let asked = Atomic(0)
        let made = SegmentData.make(
            generator, .train, 0, threads: threads,
            isCancelled: {
                asked.add(1, ordering: .relaxed)
                return false
            })
        let data = try #require(made)
        #expect(asked.load(ordering: .relaxed) >= 3)
        let plain = SegmentData.make(generator, .train, 0)
        #expect(data.count == plain.count && data.tokens == plain.tokens)
        #expect(data.labelPositions == plain.labelPositions && data.labels == plain.labels)
        // What follows is the same whether it is made with what comes before or alone.
        let end = SegmentData.make(generator, .train, 0, firstExample: 3 * 65_536 - 10, examples: 10)
        #expect(Array(plain.tokens.suffix(160)) == end.tokens)
    }

    @Test(arguments: [1, 2, 3]) func dataThatAreNotWantedAreGivenUp(atLook look: Int) {
        let asked = Atomic(0)
        let data = SegmentData.make(
            generator, .train, 0, isCancelled: { asked.add(1, ordering: .relaxed).newValue >= look })
        #expect(data == nil)
        // And at once: nothing is made after a yes.
        #expect(asked.load(ordering: .relaxed) == look)
    }
}
