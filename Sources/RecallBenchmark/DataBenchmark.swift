import RecallData

/// How fast the generator makes a segment's examples.
public struct DataBenchmark: Hashable, Sendable {
    public let segment: Segment
    public let threads: Int
    /// Seconds an example takes, of each repeat, ascending.
    public let secondsPerExample: [Double]

    public var medianSecondsPerExample: Double { median(secondsPerExample) }
    public var minimumSecondsPerExample: Double { secondsPerExample[0] }
    /// Of the median repeat.
    public var examplesPerSecond: Double { 1 / medianSecondsPerExample }
    /// Of the median repeat.
    public var tokensPerSecond: Double { examplesPerSecond * Double(segment.sequenceLength) }

    /// Times the generation of new examples of a segment, 4096 at a time.
    ///
    /// - Parameters:
    ///   - segment: the segment's index in its split.
    ///   - repeats: at least 1.
    ///   - minimumSeconds: what each repeat lasts at least.
    public static func run(
        _ generator: MQARGenerator,
        split: Split = .train,
        segment index: Int = 0,
        repeats: Int = 5,
        minimumSeconds: Double = 0.2,
        threads: Int = 1
    ) -> DataBenchmark {
        precondition(repeats >= 1)
        let batch = 4096
        // Examples whose index has reached this start again from 0.
        let last = (1 << 32) - batch
        var first = 0
        func batchOfExamples() {
            let data = SegmentData.make(
                generator,
                split,
                index,
                firstExample: first,
                examples: batch,
                threads: threads
            )
            precondition(data.count == batch)
            first = first + batch <= last ? first + batch : 0
        }
        batchOfExamples()
        let clock = ContinuousClock()
        let seconds = (0..<repeats).map { _ in
            let start = clock.now
            var done = 0
            var elapsed = 0.0
            repeat {
                batchOfExamples()
                done += batch
                elapsed = (clock.now - start) / .seconds(1)
            } while elapsed < minimumSeconds
            return elapsed / Double(done)
        }
        return DataBenchmark(
            segment: generator.task.segments(split)[index],
            threads: threads,
            secondsPerExample: seconds.sorted()
        )
    }
}
