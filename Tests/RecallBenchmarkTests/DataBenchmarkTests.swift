import RecallBenchmark
import RecallData
import Testing

@Suite struct DataBenchmarkTests {
    @Test func reportsWhatItTimed() {
        let generator = MQARGenerator(StepShape(batch: 100, length: 64, pairs: 4, vocabulary: 8192).task)
        let result = DataBenchmark.run(generator, repeats: 4, minimumSeconds: 0.02)
        #expect(result.secondsPerExample.count == 4)
        #expect(result.secondsPerExample == result.secondsPerExample.sorted())
        #expect(result.minimumSecondsPerExample > 0)
        #expect(result.minimumSecondsPerExample <= result.medianSecondsPerExample)
        #expect(
            result.medianSecondsPerExample == (result.secondsPerExample[1] + result.secondsPerExample[2]) / 2
        )
        #expect(abs(result.tokensPerSecond / result.examplesPerSecond - 64) < 1e-9)
    }
}
