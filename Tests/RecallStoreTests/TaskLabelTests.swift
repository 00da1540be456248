import RecallStore
import RecallSuite
import Testing

/// Rows follow their tasks when a suite calls these otherwise.
@Suite struct TaskLabelTests {
    let folder = try! TemporaryFolder()

    private func labelled(_ run: PlannedRun, _ task: String) -> PlannedRun {
        var run = run
        run.task = task
        return run
    }

    @Test(arguments: [Store.Membership.complete, .extending, .additional], [false, true])
    func theyStayMembersUnderTheNewID(membership: Store.Membership, isSearched: Bool) throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        var suite = suiteRecord
        if isSearched { suite.search = LearningRateSearch(from: 0.001, to: 0.1) }
        func plan(_ runs: [PlannedRun], _ membership: Store.Membership) throws {
            try store.plan(runs, suite: suite, membership: membership) { _ in modelFacts }
        }
        let small = plannedRun(vocabSize: 64)
        let large = plannedRun(vocabSize: 512)
        // Another seed of each kind, of which the list below knows nothing.
        let others = [
            plannedRun(seed: 1, vocabSize: 64), plannedRun(dataSeed: 1, vocabSize: 64),
            plannedRun(seed: 1, vocabSize: 512),
        ]
        try plan([small, large] + others, .complete)
        for run in [small, large] + others {
            _ = try store.claim(run.runID, on: execution)
            try store.finish(run.runID, runResult())
        }
        for (first, second) in [("short", "long"), ("long", "short"), ("mqar", "mqar")] {
            try plan([labelled(small, first), labelled(large, second)], membership)
            let runs = try store.runs(suite: suite.name)
            #expect(Set(runs.map(\.runID)) == Set(([small, large] + others).map(\.runID)))
            #expect(runs.count == 5 && runs.allSatisfy { $0.status == .finished })
            #expect(runs.allSatisfy { $0.task == ($0.spec.task.vocabSize == 64 ? first : second) })
        }
    }

    /// Tasks that differ in their seed of the data or their batch size alone keep their rows apart.
    @Test func tasksThatDifferInLittleAreToldApart() throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        func plan(_ runs: [PlannedRun]) throws {
            try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        }
        var large = plannedRun()
        large.spec.training.batchSize = 20
        large = PlannedRun(
            suite: large.suite,
            task: "mqar",
            model: large.model,
            spec: large.spec,
            taskHash: large.taskHash
        )
        let runs = [plannedRun(), plannedRun(dataSeed: 7), large]
        try plan(runs)
        try plan(zip(runs, ["a", "b", "c"]).map(labelled))
        let found = try store.runs(suite: suiteRecord.name)
        #expect(found.map(\.runID) == runs.map(\.runID) && found.map(\.task) == ["a", "b", "c"])
    }
}
