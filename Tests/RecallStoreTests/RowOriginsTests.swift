import Foundation
import GRDB
import RecallStore
import RecallSuite
import Testing

@Suite struct RowOriginsTests {
    let folder = try! TemporaryFolder()
    let runs = (0..<4).map { plannedRun(seed: $0) }

    /// Of four runs one is finished, one has begun, one has failed.
    private func store() throws -> Store {
        let store = try Store(path: folder.file(), mode: .readWrite)
        try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        for run in runs.prefix(3) { _ = try store.claim(run.runID, on: execution) }
        try store.finish(runs[0].runID, runResult())
        try store.interrupt(runs[1].runID)
        try store.fail(runs[2].runID, error: "x")
        return store
    }

    @Test func rowsOfThisProgramAreNothingToTell() throws {
        let store = try store()
        for suite in ["quick", "unheard of"] {
            #expect(try store.origins(suite: suite, besides: execution) == RowOrigins())
        }
    }

    @Test(arguments: [
        Execution(device: "cpu test", version: "1.0", commit: "def456"),
        Execution(device: "cpu test", version: "1.0"),
        Execution(device: "cpu test", version: "1.1", commit: "abc123"),
        Execution(device: "another cpu", version: "1.0", commit: "abc123"),
    ])
    func anotherBuildOrDeviceIsTold(_ other: Execution) throws {
        let origins = try store().origins(suite: "quick", besides: other)
        #expect(origins.finishedElsewhere == 1 && origins.unfinishedElsewhere == 2)
        #expect(origins.elsewhere == [execution] && origins.byOtherVersion.isEmpty)
    }

    /// A program of a later version: before it has planned the suite the rows are still in it, afterwards in none.
    @Test func anOlderResultsVersionIsTold() throws {
        let store = try store()
        let next = ResultsVersion.current + 1
        let changes = ResultsVersion.changes + [.init(next, "a change", reason: "a reason")]
        func origins() throws -> RowOrigins {
            try store.origins(suite: "quick", besides: execution, changes: changes)
        }
        #expect(try origins().byOtherVersion == [ResultsVersion.current: 3])
        #expect(try origins().finishedElsewhere == 0)
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { db in
            try db.execute(sql: "DELETE FROM suite_runs")
            // What planning the suite by the new version leaves in it.
            for (position, run) in runs.enumerated() {
                let id = run.spec.runID(taskHash: run.taskHash, resultsVersion: next)
                let columns = try db.columns(in: "runs").map(\.name).filter { $0 != "run_id" && $0 != "status" }
                let list = columns.map { "\"\($0)\"" }.joined(separator: ", ")
                try db.execute(
                    sql: """
                        INSERT INTO runs (run_id, status, \(list)) SELECT ?, 'pending', \(list) FROM runs WHERE run_id = ?
                        """,
                    arguments: [id, run.runID]
                )
                try db.execute(
                    sql: "INSERT INTO suite_runs VALUES ('quick', ?, 'based', 'mqar', ?)",
                    arguments: [id, position]
                )
            }
        }
        #expect(try origins().byOtherVersion == [ResultsVersion.current: 3])
        // To the program as it is the new rows are of a version it does not know, and hold nothing yet.
        #expect(try store.origins(suite: "quick", besides: execution) == RowOrigins())
        try queue.write { try $0.execute(sql: "UPDATE runs SET status = 'finished'") }
        #expect(try store.origins(suite: "quick", besides: execution).byOtherVersion == [nil: 3])
    }
}
