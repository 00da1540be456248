import RecallStore
import RecallTraining
import Testing

/// What outcomes are told from comes with the runs.
@Suite struct LearningFactsTests {
    @Test func finishedRunsHaveTheirCurvesAndSlices() throws {
        let folder = try TemporaryFolder()
        let store = try Store(path: folder.file(), mode: .readWrite)
        let (finished, under) = (plannedRun(seed: 0), plannedRun(seed: 1))
        try store.plan([finished, under], suite: suiteRecord) { _ in modelFacts }
        for run in [finished, under] {
            _ = try store.claim(run.runID, on: execution)
            for (epoch, accuracy) in [(1, 0.25), (2, Double.nan), (3, 0.5)] {
                try store.recordEpoch(run.runID, epochRecord(epoch, accuracy: accuracy))
            }
        }
        try store.finish(finished.runID, runResult())
        for suite in [nil, "quick"] {
            let runs = try store.runs(suite: suite)
            let done = try #require(runs.first { $0.runID == finished.runID })
            #expect(done.validationCurve == [1: 0.25, 3: 0.5])
            #expect(try done.slices == store.slices(finished.runID) && done.slices.count == 3)
            let other = try #require(runs.first { $0.runID == under.runID })
            #expect(other.validationCurve.isEmpty && other.slices.isEmpty)
        }
        #expect(try store.runs(suite: "another").isEmpty)
    }
}
