import Foundation
import GRDB
import Testing

/// Rows that another build, another device or another results version wrote are told of, with what becomes of them.
@Suite struct RowOriginTests {
    private let two = ["run", "--suite", "tiny.yaml", "--only", "model=based"]

    /// Two of four runs are finished; then their rows are changed.
    private func workspace(_ sql: String) throws -> Workspace {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run(more: two + ["--quiet"]).status == 0)
        let queue = try DatabaseQueue(path: workspace.path("results/recall.sqlite"))
        try queue.write { try $0.execute(sql: "PRAGMA defer_foreign_keys = ON; " + sql) }
        try queue.close()
        return workspace
    }

    private func words(_ text: String) -> String { text.split { $0.isWhitespace }.joined(separator: " ") }

    @Test func finishedRowsOfAnotherBuildStay() throws {
        let workspace = try workspace(#"UPDATE runs SET "commit" = 'abc1234' WHERE status = 'finished'"#)
        let line =
            #/tiny: 2 finished rows are by another build \([0-9.]+ \(abc1234\) on cpu: .*\): taken as they are, though .*; --fresh trains them anew/#
        let status = try workspace.run("status")
        #expect(status.status == 0 && words(status.output).contains(line), "\(status.output)")
        #expect(status.outputLines.allSatisfy { $0.count <= 80 })
        let again = try workspace.run(more: two)
        #expect(again.errorLines.count { $0.wholeMatch(of: line) != nil } == 1, "\(again.errors)")
        #expect(try workspace.table("runs").column("commit").count { $0 == "abc1234" } == 2)
        // Beside runs to train it is an event, and what it says is done.
        let rest = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        let notes = try rest.errorLines.map(object).filter { $0["event"] as? String == "note" }
        #expect(notes.count == 1 && (notes[0]["message"] as? String)?.wholeMatch(of: line) != nil)
        #expect(rest.errorLines.count { $0.contains("\"run_finished\"") } == 2)
        let fresh = try workspace.run(more: two + ["--fresh"])
        #expect(fresh.status == 0 && !fresh.errors.contains("another build"), "\(fresh.errors)")
        #expect(try workspace.table("runs").column("commit").count { $0 == "abc1234" } == 0)
    }

    @Test func unfinishedRowsOfAnotherDeviceBeginAnew() throws {
        let workspace = try workspace(
            """
            UPDATE runs SET device = 'cpu: another', status = 'interrupted', finished_at = NULL WHERE status = 'finished'
            """
        )
        let expected =
            "tiny: 2 unfinished rows are by another device (cpu: another): begun anew, because a run's bits belong to one "
            + "build and device"
        #expect(try words(workspace.run("status").output).contains(expected))
        let again = try workspace.run(more: two + ["--json"])
        let events = try again.errorLines.map(object)
        #expect(events.contains { $0["message"] as? String == expected }, "\(again.errors)")
        #expect(
            events.filter { $0["event"] as? String == "run_started" }.map { $0["step"] as? Int } == [0, 0]
        )
        #expect(try !workspace.run("status").output.contains("another"))
    }

    @Test func rowsOfAnotherResultsVersionLeaveTheSuite() throws {
        let workspace = try workspace(
            """
            UPDATE suite_runs SET run_id = 'v-' || run_id; UPDATE history SET run_id = 'v-' || run_id;
            UPDATE slices SET run_id = 'v-' || run_id; UPDATE state_items SET run_id = 'v-' || run_id; UPDATE runs SET run_id = 'v-' || run_id
            """
        )
        let expected = "tiny: 2 rows are by a results version that is not known here"
        #expect(try words(workspace.run("status").output).contains(expected))
        let again = try workspace.run(more: two + ["--quiet"])
        #expect(again.status == 0 && again.errors == "")
        // They are there, with their results, in no suite; the suite has its own.
        let runs = try workspace.table("runs")
        let old = zip(runs.column("run_id"), zip(runs.column("suite"), runs.column("status"))).filter {
            $0.0.hasPrefix("v-") && $0.1.1 == "finished"
        }
        #expect(old.count == 2 && old.allSatisfy { $0.1.0 == "" })
        #expect(try workspace.table("runs", "--suite", "tiny").column("status").count { $0 == "finished" } == 2)
        #expect(try !workspace.run("status").output.contains(expected))
    }
}
