import RecallData
import Testing

@Suite struct SegmentDataTests {
    private let generator = MQARGenerator(
        MQARTask(
            vocabSize: 64,
            train: [Segment(sequenceLength: 16, kvPairs: 2, examples: 1000)],
            validation: [Segment(sequenceLength: 16, kvPairs: 2, examples: 1)],
            test: [Segment(sequenceLength: 16, kvPairs: 2, examples: 1)]
        )
    )

    /// What follows is the same whether it is made with what comes before or alone.
    @Test(arguments: [1, 3]) func thePartIsTheWholes(threads: Int) {
        let whole = SegmentData.make(generator, .train, 0, threads: threads)
        let end = SegmentData.make(generator, .train, 0, firstExample: 990, examples: 10)
        #expect(whole.count == 1000 && whole.tokens.suffix(160) == end.tokens[...])
        #expect(whole.labelPositions.suffix(20) == end.labelPositions[...])
        #expect(whole.labels.suffix(20) == end.labels[...])
    }
}
