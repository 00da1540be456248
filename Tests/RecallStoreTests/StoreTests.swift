import Foundation
import GRDB
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining
import Testing

@Suite struct StoreTests {
    let folder = try! TemporaryFolder()

    private func open(_ clock: TestClock = TestClock()) throws -> Store {
        try Store(
            path: folder.file("new/folders/recall.sqlite"),
            mode: .readWrite,
            identity: .current,
            now: clock.now
        )
    }

    @Test func migratesFromNothingAndOpensAgain() throws {
        let path = folder.file("new/folders/recall.sqlite")
        let store = try open()
        try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts }
        #expect(try store.suites() == [suiteRecord])
        try store.close()
        // All of it is in the one file.
        #expect(try folder.contents() == ["new", "new/folders", "new/folders/recall.sqlite"])
        try Store.check(path: path)
        #expect(try Store(path: path, mode: .readWrite).runs().count == 1)
        let reader = try Store(path: path, mode: .readOnly)
        #expect(try reader.runs(suite: "quick").map(\.spec) == [plannedRun().spec])
        let queue = try DatabaseQueue(path: path)
        #expect(try queue.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
        try queue.write { db in
            // Foreign keys bind, statuses are checked.
            #expect(throws: DatabaseError.self) {
                try db.execute(
                    sql: "INSERT INTO history (run_id, epoch, step, learning_rate) VALUES ('none', 1, 1, 1)"
                )
            }
            #expect(throws: DatabaseError.self) { try db.execute(sql: "UPDATE runs SET status = 'done'") }
        }
    }

    /// A file of the first version gets the columns that came later; what is in it stays.
    @Test func anOlderFileIsBroughtUpToDate() throws {
        let path = folder.file("new/folders/recall.sqlite")
        try open().close()
        let queue = try DatabaseQueue(path: path)
        try queue.write { db in
            let later = try String.fetchAll(
                db,
                sql: "SELECT identifier FROM grdb_migrations WHERE identifier LIKE 'benchmarks.%'"
            )
            #expect(later == ["benchmarks.peak_bytes", "benchmarks.state_bytes"])
            for name in later {
                let column = name.dropFirst("benchmarks.".count)
                try db.execute(sql: "ALTER TABLE benchmarks DROP COLUMN \(column)")
                try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = ?", arguments: [name])
            }
            // What came after them goes as well.
            try db.execute(sql: "DROP TABLE state_items")
            try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = 'state_items'")
            try db.execute(
                sql: """
                    PRAGMA user_version = 1;
                    INSERT INTO benchmarks (kind, name, device, precision, threads, shape, median_ms, min_ms, measured_at)
                    VALUES ('kernel', 'old', 'cpu', 'fp32', 1, '{}', 2, 1, '2023-11-14T22:13:20.000Z')
                    """
            )
        }
        try queue.close()
        #expect(throws: StoreError.self) { try Store(path: path, mode: .readOnly) }
        let store = try open()
        try store.recordBenchmark(
            BenchmarkRecord(
                kind: "generate",
                name: "new",
                device: "cpu",
                precision: "fp32",
                threads: 1,
                shape: "{}",
                medianMilliseconds: 2,
                minimumMilliseconds: 1,
                peakBytes: 1 << 40,
                stateBytes: 512
            )
        )
        try store.close()
        let rows = try DatabaseQueue(path: path).read {
            try Row.fetchAll($0, sql: "SELECT name, peak_bytes, state_bytes FROM benchmarks ORDER BY id")
        }
        #expect(rows.map { $0["name"] as String } == ["old", "new"])
        #expect(rows.map { $0["peak_bytes"] as Int? } == [nil, 1 << 40])
        #expect(rows.map { $0["state_bytes"] as Int? } == [nil, 512])
    }

    @Test func planAddsWhatIsMissingAndKeepsWhatIsThere() throws {
        let store = try open()
        let (first, second) = (plannedRun(), plannedRun(learningRate: 0.003))
        var asked: [String] = []
        let facts = { (run: RecallSuite.PlannedRun) in
            asked.append(run.runID)
            return modelFacts
        }
        try store.plan([first], suite: suiteRecord, facts: facts)
        #expect(try store.claim(first.runID, on: execution) == .claimed(resumeFromEpoch: 0))
        try store.recordEpoch(first.runID, epochRecord(1))
        try store.finish(first.runID, runResult())
        try store.plan([second, first, second], suite: suiteRecord, facts: facts)
        #expect(asked == [first.runID, second.runID])
        let runs = try store.runs(suite: "quick")
        #expect(runs.map(\.runID) == [second.runID, first.runID])
        #expect(runs.map(\.status) == [.pending, .finished])
        #expect(runs[1].testAccuracy == 0.75)
        #expect(try store.remaining(suite: "quick").map(\.runID) == [second.runID])
        #expect(try store.claim(first.runID, on: execution) == .finished)

        try store.plan([first], suite: suiteRecord, fresh: true, facts: facts)
        let again = try #require(try store.runs(suite: "quick").first)
        #expect(again.status == .pending)
        #expect(again.testAccuracy == nil && again.startedAt == nil && again.epochs == nil)
        #expect(try store.history(first.runID).isEmpty && store.slices(first.runID).isEmpty)
    }

    @Test func aChangedSuiteLosesItsOldRunsButTheStoreKeepsThem() throws {
        let store = try open()
        let (old, new) = (plannedRun(epochs: 3), plannedRun(epochs: 4))
        try store.plan([old], suite: suiteRecord) { _ in modelFacts }
        try store.plan([new], suite: suiteRecord) { _ in modelFacts }
        #expect(try store.runs(suite: "quick").map(\.runID) == [new.runID])
        #expect(Set(try store.runs().map(\.runID)) == [old.runID, new.runID])
        try store.plan([old], suite: suiteRecord, membership: .additional) { _ in modelFacts }
        #expect(try store.runs(suite: "quick").map(\.runID) == [new.runID, old.runID])
    }

    /// The runs of the suite, by model and seed.
    private func members(_ store: Store) throws -> [String] {
        try store.runs(suite: "quick").map { "\($0.model)/\($0.spec.seed)" }
    }

    @Test func otherSeedsStayUntilTheirModelLeaves() throws {
        let store = try open()
        func plan(_ models: [String], seeds: [UInt64]) throws {
            let runs = models.flatMap { model in
                seeds.map { plannedRun(model: model, dModel: model == "a" ? 16 : 32, seed: $0) }
            }
            try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        }
        try plan(["a", "b"], seeds: [0])
        try plan(["a", "b"], seeds: [2, 1])
        // Model by model, whoever came first.
        #expect(try members(store) == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"])
        try plan(["a", "b"], seeds: [0])
        #expect(try members(store) == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"])
        try plan(["b", "a"], seeds: [1])
        #expect(try members(store) == ["b/0", "b/1", "b/2", "a/0", "a/1", "a/2"])
        try plan(["b"], seeds: [3])
        #expect(try members(store) == ["b/0", "b/1", "b/2", "b/3"])
        #expect(try store.counts().total == 7)
        try plan(["a"], seeds: [0])
        #expect(try members(store) == ["a/0"])
    }

    /// A suite that lists fewer seeds than before is not left waiting for those that nobody trains any more.
    @Test func aChangedSuiteDropsSeedsThatNobodyBegan() throws {
        let store = try open()
        let runs = (0..<4).map { plannedRun(seed: $0) }
        try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        for run in runs[1...2] { _ = try store.claim(run.runID, on: execution) }
        try store.finish(runs[1].runID, runResult())
        try store.interrupt(runs[2].runID)
        try store.plan([runs[0]], suite: suiteRecord) { _ in modelFacts }
        #expect(try members(store) == ["based/0", "based/1", "based/2", "based/3"])
        var unknown = suiteRecord
        unknown.contentHash = nil
        try store.plan([runs[0]], suite: unknown) { _ in modelFacts }
        #expect(try members(store).count == 4)
        try store.plan([runs[0]], suite: suiteRecord) { _ in modelFacts }
        var changed = suiteRecord
        changed.contentHash = "def"
        try store.plan([runs[0]], suite: changed) { _ in modelFacts }
        #expect(try members(store) == ["based/0", "based/1", "based/2"])
    }

    /// Processes that search with different first seeds leave each other what they wait for.
    @Test func aSearchDropsWhatItsOwnSeedNoLongerNeeds() throws {
        let store = try open()
        var suite = suiteRecord
        suite.search = LearningRateSearch(from: 1e-3, to: 1e-2)
        func plan(_ rates: [Double], seed: UInt64) throws {
            try store.plan(rates.map { plannedRun(learningRate: $0, seed: seed) }, suite: suite) { _ in
                modelFacts
            }
        }
        func rates() throws -> [String] {
            try store.runs(suite: "quick").map { "\($0.spec.training.learningRate)/\($0.spec.seed)" }
        }
        try plan([0.001, 0.002, 0.01], seed: 0)
        try plan([0.001, 0.01], seed: 7)
        #expect(try rates() == ["0.001/0", "0.001/7", "0.002/0", "0.01/0", "0.01/7"])
        // A run that is tried again has come to something else.
        try plan([0.001, 0.01], seed: 0)
        #expect(try rates() == ["0.001/0", "0.001/7", "0.01/0", "0.01/7"])
        suite.contentHash = "changed"
        try plan([0.001, 0.01], seed: 0)
        #expect(try rates() == ["0.001/0", "0.01/0"])
    }

    @Test func aSweepKeepsWhatComparesWithIt() throws {
        let store = try open()
        func plan(_ run: PlannedRun, _ membership: Store.Membership) throws {
            try store.plan([run], suite: suiteRecord, membership: membership) { _ in modelFacts }
        }
        try plan(plannedRun(model: "a", dModel: 16), .extending)
        try plan(plannedRun(model: "b", learningRate: 0.003, seed: 1), .extending)
        try plan(plannedRun(model: "a", dModel: 16), .extending)
        #expect(try members(store) == ["a/0", "b/1"])
        // Another task, and another number of epochs.
        try plan(plannedRun(model: "c", vocabSize: 256), .extending)
        #expect(try members(store) == ["c/0"])
        try plan(plannedRun(model: "d", vocabSize: 256, epochs: 4), .additional)
        try plan(plannedRun(model: "e", vocabSize: 256, epochs: 4), .extending)
        #expect(try members(store) == ["d/0", "e/0"])
    }

    /// A suite or a sweep that asks for fewer sets of data than before keeps what the others came to, as it keeps seeds of
    /// initialisation; another number of epochs still does not compare, on whatever data.
    @Test(arguments: [Store.Membership.complete, .extending], [false, true])
    func otherDataSeedsStay(membership: Store.Membership, isSearched: Bool) throws {
        let store = try open()
        var suite = suiteRecord
        if isSearched { suite.search = LearningRateSearch(from: 1e-3, to: 1e-2) }
        func plan(_ runs: [PlannedRun]) throws {
            try store.plan(runs, suite: suite, membership: membership) { _ in modelFacts }
        }
        func dataSeeds() throws -> [String] {
            try store.runs(suite: "quick").map { "\($0.spec.task.dataSeed)/\($0.spec.seed)" }
        }
        let all = [
            plannedRun(seed: 0), plannedRun(seed: 1), plannedRun(dataSeed: 1), plannedRun(dataSeed: 2),
        ]
        try plan(all)
        for run in all[2...] {
            _ = try store.claim(run.runID, on: execution)
            try store.finish(run.runID, runResult())
        }
        try plan(Array(all[..<2]))
        #expect(try dataSeeds() == ["0/0", "0/1", "1/0", "2/0"])
        // Another set of data than any before.
        try plan([plannedRun(dataSeed: 3)])
        #expect(try dataSeeds().suffix(3) == ["1/0", "2/0", "3/0"])
        try plan([plannedRun(dataSeed: 3, epochs: 4)])
        #expect(try dataSeeds() == ["3/0"])
    }

    /// The same settings may stand for other data in another version of the program: such runs have other ids, and must
    /// not be averaged with these.
    @Test(arguments: [Store.Membership.complete, .extending])
    func runsOnOtherDataLeave(membership: Store.Membership) throws {
        let store = try open()
        let former = [plannedRun(seed: 0, taskHash: "former"), plannedRun(seed: 1, taskHash: "former")]
        try store.plan(former, suite: suiteRecord, membership: membership) { _ in modelFacts }
        #expect(try members(store) == ["based/0", "based/1"])
        let now = plannedRun(seed: 0)
        #expect(now.spec == former[0].spec && now.runID != former[0].runID)
        try store.plan([now], suite: suiteRecord, membership: membership) { _ in modelFacts }
        #expect(try store.runs(suite: "quick").map(\.runID) == [now.runID])
        // So do those on a set of data that nobody has planned.
        let others = [plannedRun(dataSeed: 1, taskHash: "former"), plannedRun(dataSeed: 2)]
        try store.plan(others, suite: suiteRecord, membership: .additional) { _ in modelFacts }
        try store.plan([now], suite: suiteRecord, membership: membership) { _ in modelFacts }
        #expect(try store.runs(suite: "quick").map(\.runID) == [now.runID, others[1].runID])
    }

    /// A sweep whose base suite builds a model otherwise starts that model's rows again.
    @Test func extendingDropsAPlannedModelsOtherRecipe() throws {
        let store = try open()
        func plan(_ model: String, dModel: Int, _ stateMixer: StateMixerKind) throws {
            let run = plannedRun(model: model, dModel: dModel, stateMixer: stateMixer)
            try store.plan([run], suite: suiteRecord, membership: .extending) { _ in modelFacts }
        }
        try plan("a", dModel: 16, .identity)
        try plan("a", dModel: 32, .identity)
        try plan("b", dModel: 8, .identity)
        #expect(try members(store) == ["a/0", "a/0", "b/0"])
        try plan("a", dModel: 64, .mlp)
        #expect(try members(store) == ["b/0", "a/0"])
    }

    /// A run's end and what it makes necessary are one: nobody sees the suite with nothing left in between.
    @Test func aSearchGoesOnInTheTransactionThatEndsARun() throws {
        let store = try open()
        let (first, second, other) = (
            plannedRun(), plannedRun(learningRate: 0.003), plannedRun(suite: "other", epochs: 9)
        )
        try store.plan([first], suite: suiteRecord) { _ in modelFacts }
        try store.plan([other], suite: SuiteRecord(name: "other", description: "")) { _ in modelFacts }
        for run in [first, other] { _ = try store.claim(run.runID, on: execution) }
        try store.fail(other.runID, error: "NaN")
        let reader = try Store(path: store.path, mode: .readOnly)
        struct Refused: Error {}
        var told: [[String: LearningRateTrial]] = []
        func step(isRefused: Bool) -> SearchStep {
            SearchStep(suite: "quick") { trials in
                told.append(trials)
                // Another connection sees what was before.
                #expect(try reader.counts(suite: "quick").running == 1)
                if isRefused { throw Refused() }
                return [(second, modelFacts), (first, modelFacts)]
            }
        }
        #expect(throws: StoreError.self) {
            try store.finish(first.runID, runResult(), then: step(isRefused: true))
        }
        #expect(try store.runs(suite: "quick").map(\.status) == [.running])
        try store.finish(first.runID, runResult(), then: step(isRefused: false))
        #expect(try reader.runs(suite: "quick").map(\.runID) == [first.runID, second.runID])
        #expect(try reader.runs(suite: "quick").map(\.status) == [.finished, .pending])
        #expect(try reader.runs(suite: "quick")[1].facts == modelFacts)
        // The suite's own results, the new one among them.
        #expect(told.map { Set($0.keys) } == [[first.runID], [first.runID]])
        #expect(told[1][first.runID]?.accuracy == 0.8)
        _ = try store.claim(second.runID, on: execution)
        try store.fail(
            second.runID,
            error: "NaN",
            then: SearchStep(suite: "quick") { trials in
                #expect(trials[second.runID] == .failed)
                return [(plannedRun(learningRate: 0.1), modelFacts)]
            }
        )
        #expect(try store.counts(suite: "quick").pending == 1)
        #expect(try Set(store.trials().keys) == [first.runID, second.runID, other.runID])
    }

    @Test func aRunMayBelongToSeveralSuites() throws {
        let store = try open()
        let here = plannedRun()
        var there = plannedRun(suite: "other", model: "taylor")
        there.suite = "other"
        try store.plan([here], suite: suiteRecord) { _ in modelFacts }
        try store.plan([there], suite: SuiteRecord(name: "other", description: "")) { _ in modelFacts }
        #expect(here.runID == there.runID)
        #expect(try store.runs().map { "\($0.suite)/\($0.model)" } == ["other/taylor", "quick/based"])
        #expect(try store.counts().total == 1)
        #expect(try store.counts(suite: "other").pending == 1)
        #expect(try store.suite(named: "other")?.controlModel == nil)
    }

    @Test func factsThatThrowLeaveNothingBehind() throws {
        struct Refused: Error {}
        let store = try open()
        #expect(throws: Refused.self) {
            try store.plan([plannedRun(), plannedRun(seed: 1)], suite: suiteRecord) { run in
                if run.spec.seed == 1 { throw Refused() }
                return modelFacts
            }
        }
        #expect(try store.runs().isEmpty && store.suites().isEmpty)
    }

    @Test func aRepeatedEpochReplacesItAndThoseAfter() throws {
        let store = try open()
        let run = plannedRun()
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        for epoch in 1...3 { try store.recordEpoch(run.runID, epochRecord(epoch)) }
        try store.interrupt(run.runID)
        #expect(try store.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 3))
        try store.recordEpoch(run.runID, epochRecord(2, trainLoss: 0.25))
        try store.recordEpoch(run.runID, epochRecord(2, trainLoss: 0.25))
        #expect(try store.history(run.runID) == [epochRecord(1), epochRecord(2, trainLoss: 0.25)])
        let stored = try #require(try store.runs().first)
        #expect(stored.epochs == 2 && stored.steps == 20 && stored.trainLoss == 0.25)
        #expect(stored.lowestTrainLoss == 0.25 && stored.seconds == 2)
    }

    @Test func aRunOnAnotherDeviceStartsAnew() throws {
        let clock = TestClock()
        let store = try open(clock)
        let run = plannedRun()
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        try store.recordEpoch(run.runID, epochRecord(1))
        try store.interrupt(run.runID)
        let began = try #require(try store.runs().first?.startedAt)
        clock.advance(5)
        #expect(try store.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 1))
        #expect(try store.runs().first?.startedAt == began, "it goes on")
        try store.interrupt(run.runID)
        let other = Execution(device: "cuda", version: "1.0")
        #expect(try store.claim(run.runID, on: other) == .claimed(resumeFromEpoch: 0))
        #expect(try store.history(run.runID).isEmpty)
        #expect(try store.runs().first?.device == "cuda")
        #expect(try store.runs().first?.startedAt == began.addingTimeInterval(5))
    }

    @Test func resultsComeBackAsTheyWent() throws {
        let clock = TestClock()
        let store = try open(clock)
        let run = plannedRun(seed: .max, dataSeed: .max - 1)
        try store.plan([run], suite: suiteRecord) { _ in
            ModelFacts(parameters: 7, stateBytes: 8, stateBytesZoology: 9)
        }
        _ = try store.claim(run.runID, on: execution)
        try store.recordEpoch(run.runID, epochRecord(1, trainLoss: .nan))
        #expect(try store.history(run.runID)[0].trainLoss.isNaN)
        clock.advance(2.5)
        try store.finish(run.runID, runResult())
        let stored = try #require(try store.runs().first)
        #expect(stored.spec == run.spec)
        #expect(stored.facts == ModelFacts(parameters: 7, stateBytes: 8, stateBytesZoology: 9))
        #expect(stored.status == .finished && stored.lease == nil)
        #expect(stored.testLoss == 0.7 && stored.trainSeconds == 12.5 && stored.tokensPerSecond == 1e5)
        let (started, finished) = (try #require(stored.startedAt), try #require(stored.finishedAt))
        #expect(abs(finished.timeIntervalSince(started) - 2.5) < 1e-3)
        #expect(try store.slices(run.runID).map(\.split) == [.validation, .test, .test])
        #expect(try store.slices(run.runID).map(\.accuracy) == [0.8, 0.75, 0.1])
    }

    @Test func aFailedRunKeepsItsErrorUntilItIsTakenUp() throws {
        let store = try open()
        let run = plannedRun()
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        try store.fail(run.runID, error: "NaN in layers.1.mixer.q.weight at step 7")
        #expect(try store.runs().first?.error == "NaN in layers.1.mixer.q.weight at step 7")
        #expect(try store.counts(suite: "quick").failed == 1)
        #expect(try store.remaining(suite: "quick", failedToo: false).isEmpty)
        #expect(try store.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 0))
        #expect(try store.runs().first?.error == nil)
    }

    @Test func manyThreadsWriteAtOnce() async throws {
        let store = try open()
        let runs = (0..<8).map { plannedRun(seed: $0) }
        try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for run in runs {
                group.addTask {
                    _ = try store.claim(run.runID, on: execution)
                    for epoch in 1...5 { try store.recordEpoch(run.runID, epochRecord(epoch)) }
                    try store.finish(run.runID, runResult())
                }
            }
            try await group.waitForAll()
        }
        #expect(try store.counts().finished == 8)
        for run in runs { #expect(try store.history(run.runID).count == 5) }
    }
}
