import Foundation
import GRDB
import Testing

private let longSuite = tiny("epochs: 2", "epochs: 60")

/// What other processes, and people at the keyboard, do to a sitting.
@Suite struct InterferenceTests {
    /// A connection that keeps everybody else from writing, until it is closed.
    private final class Lock {
        private let queue: DatabaseQueue

        init(_ workspace: Workspace) throws {
            var configuration = Configuration()
            configuration.busyMode = .timeout(10)
            configuration.allowsUnsafeTransactions = true
            queue = try DatabaseQueue(
                path: workspace.path("results/recall.sqlite"), configuration: configuration)
            try queue.inDatabase { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        }

        func release() throws {
            try queue.inDatabase { try $0.execute(sql: "ROLLBACK") }
            try queue.close()
        }
    }

    /// The first signal asks for an end, which the locked database holds up; the second ends the process where it is.
    @Test func aSecondSignalEndsAtOnce() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let first = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--only", "model=attention")
        #expect(first.status == 0)
        let before = try workspace.results(of: "tiny")
        let (lock, isSent) = (Locked<Lock?>(nil), Once())
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            guard line.contains("\"epoch_finished\""), isSent.first() else { return }
            lock.value = try? Lock(workspace)
            // Signals of one number do not queue: send until the second has come through.
            Thread.detachNewThread { while kill(pid, SIGINT) == 0 { usleep(20_000) } }
        }
        #expect(outcome.status == 130 && !outcome.isSignalled, "\(outcome.errors)")
        try #require(lock.value).release()
        #expect(try finished(workspace.results(of: "tiny")) == finished(before))
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        #expect(try workspace.table("runs").column("status") == Array(repeating: "finished", count: 4))
    }

    /// The rows of `runs` that say finished.
    private func finished(_ results: [String: [[String]]]) -> [[String]] {
        (results["runs"] ?? []).filter { $0.contains("finished") }
    }

    /// A database that stays locked is given up with one line; what was finished is there, and the rest can go on.
    @Test(arguments: [0, 1, 3]) func aLockedDatabaseIsGivenUp(_ epochs: Int) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let first = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--only", "model=attention")
        #expect(first.status == 0)
        let before = try finished(workspace.results(of: "tiny"))
        let (lock, count) = (Locked<Lock?>(epochs == 0 ? try Lock(workspace) : nil), Counter())
        let outcome = try workspace.run(
            "run", "--suite", "tiny.yaml", "--json", "--jobs", "2",
            environment: ["RECALL_BENCH_BUSY_SECONDS": "0.2"]
        ) { line, _ in
            if line.contains("\"epoch_finished\""), count.next() == epochs { lock.value = try? Lock(workspace) }
        }
        #expect(outcome.status == 74, "\(outcome.errors)")
        let said = outcome.errorLines.filter { !$0.hasPrefix("{") }
        #expect(
            said == [
                "recall-bench: results/recall.sqlite: another process has kept the database locked for 0.2 seconds; end it, "
                    + "or try again later"
            ])
        try #require(lock.value).release()
        #expect(try finished(workspace.results(of: "tiny")) == before)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        #expect(try workspace.table("runs").column("status") == Array(repeating: "finished", count: 4))
    }

    @Test(arguments: ["soon", "-1", "1e9", "nan"]) func aTimeThatIsNoneIsRefused(_ text: String) throws {
        let outcome = try Workspace().run("status", environment: ["RECALL_BENCH_BUSY_SECONDS": text])
        #expect(outcome.status == 64)
        #expect(
            outcome.errors
                == "recall-bench: RECALL_BENCH_BUSY_SECONDS: '\(text)' is no number of seconds from 0 to 86400, such as "
                + "30\n")
    }

    /// Two processes on one database do each run once, and both end well.
    @Test func twoProcessesShareTheWork() throws {
        let suite = tiny("[0.003, 0.01]", "[0.003, 0.01], seeds: 4")
        let workspace = try Workspace.withTinySuite(suite)
        let events = try workspace.runTinyTwiceAtOnce(timeout: 60)
        func runs(_ event: String, _ process: [[String: Any]]) -> [String] {
            process.filter { $0["event"] as? String == event }.compactMap { $0["run_id"] as? String }
        }
        let ids = try workspace.table("runs").column("run_id").sorted()
        #expect(ids.count == 16)
        for event in ["run_started", "run_finished"] {
            #expect(events.flatMap { runs(event, $0) }.sorted() == ids, "\(event)")
        }
        // Every epoch was trained once too.
        #expect(events.flatMap { runs("epoch_finished", $0) }.count == 32)
        let alone = try Workspace.withTinySuite(suite)
        #expect(try alone.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        #expect(try workspace.results() == alone.results())
    }
}
