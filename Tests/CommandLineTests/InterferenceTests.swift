import Foundation
import GRDB
import Testing

private let longSuite = tiny("epochs: 2", "epochs: 60")

/// What other processes, and people at the keyboard, do to a sitting.
@Suite struct InterferenceTests {
    /// A connection that keeps everybody else from writing, until it is closed.
    private final class Lock: Sendable {
        private let queue: DatabaseQueue

        init(_ workspace: Workspace) throws {
            var configuration = Configuration()
            configuration.busyMode = .timeout(10)
            configuration.allowsUnsafeTransactions = true
            queue = try DatabaseQueue(
                path: workspace.path("results/recall.sqlite"),
                configuration: configuration
            )
            try queue.inDatabase { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        }

        /// - Parameter change: committed first.
        func release(after change: String = "") throws {
            try queue.inDatabase { try $0.execute(sql: change.isEmpty ? "COMMIT" : change + "; COMMIT") }
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

    /// A database that stays locked before anything is trained is given up with one line.
    @Test func aLockedDatabaseIsGivenUpAtTheStart() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let first = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--only", "model=attention")
        #expect(first.status == 0)
        let before = try workspace.results(of: "tiny")
        let lock = try Lock(workspace)
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--json",
            "--jobs",
            "2",
            environment: Self.shortBusyTime
        )
        #expect(outcome.status == 74, "\(outcome.errors)")
        #expect(
            outcome.errorLines == [
                "recall-bench: results/recall.sqlite: another process has kept the database locked for 0.2 seconds; end it, "
                    + "or try again later"
            ]
        )
        try lock.release()
        #expect(try workspace.results(of: "tiny") == before)
    }

    private static let shortBusyTime = ["RECALL_BENCH_BUSY_SECONDS": "0.2"]

    /// Trains with the database locked from an epoch on.
    ///
    /// - Parameters:
    ///   - epochs: of all runs, before it is locked.
    ///   - onNote: called with the lock and the process when it first says so.
    private func runLocked(
        _ workspace: Workspace,
        afterEpochs epochs: Int,
        jobs: Int,
        onNote: @escaping @Sendable (Lock, Int32) -> Void
    ) throws -> Outcome {
        let (lock, count, isNoted) = (Locked<Lock?>(nil), Counter(), Once())
        return try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--json",
            "--jobs",
            "\(jobs)",
            environment: Self.shortBusyTime
        ) { line, pid in
            if line.contains("\"epoch_finished\""), count.next() == epochs { lock.value = try? Lock(workspace) }
            if line.contains("has kept the database locked"), isNoted.first(), let lock = lock.value {
                onNote(lock, pid)
            }
        }
    }

    private func uninterrupted() throws -> [String: [[String]]] {
        let workspace = try Workspace.withTinySuite(longSuite)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        return try workspace.results()
    }

    /// Another program's lock ends nothing: every epoch is recorded when it is free.
    @Test(arguments: [1, 3]) func aLockedDatabaseIsWaitedFor(_ epochs: Int) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try runLocked(workspace, afterEpochs: epochs, jobs: 2) { lock, _ in try? lock.release() }
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("training goes on"))
        #expect(try workspace.results() == uninterrupted())
        // The lines of a run's epochs are in order, each once.
        let events = try outcome.errorLines.map(object).filter { $0["event"] as? String == "epoch_finished" }
        let byRun = Dictionary(grouping: events) { $0["run_id"] as? String }
        #expect(byRun.count == 4)
        for events in byRun.values {
            #expect(events.compactMap { $0["epoch"] as? Int } == Array(1...60))
        }
    }

    /// One that is ended meanwhile, well or not, goes on from its checkpoint, and no epoch of its history is missing.
    @Test(arguments: [SIGINT, SIGKILL]) func whatALockHeldUpIsInTheCheckpoint(_ signal: Int32) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let held = Locked<Lock?>(nil)
        let outcome = try runLocked(workspace, afterEpochs: 2, jobs: 1) { lock, pid in
            held.value = lock
            kill(pid, signal)
        }
        #expect(outcome.isSignalled == (signal == SIGKILL), "\(outcome.errors)")
        #expect(outcome.status == (signal == SIGKILL ? SIGKILL : 130), "\(outcome.errors)")
        try #require(held.value).release()
        let next = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(next.status == 0 && !next.errors.contains("starts anew"), "\(next.errors)")
        let starts = try next.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(starts.compactMap { $0["step"] as? Int }.contains { $0 >= 26 }, "\(starts)")
        #expect(try workspace.results() == uninterrupted())
    }

    /// What another host took over meanwhile is its own; the other runs go on.
    @Test func aRunThatWasTakenOverIsLetGo() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try runLocked(workspace, afterEpochs: 1, jobs: 1) { lock, _ in
            try? lock.release(
                after: """
                    UPDATE runs SET lease_host = 'elsewhere', lease_machine = 'another', lease_pid = 1,
                        lease_process_start = 1, lease_heartbeat = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                    WHERE status = 'running'
                    """
            )
        }
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errorLines.count { $0.contains("\"run_interrupted\"") } == 1)
        #expect(outcome.errorLines.count { $0.contains("\"run_finished\"") } == 3)
        #expect(
            try workspace.table("runs").column("status").sorted()
                == Array(repeating: "finished", count: 3) + ["running"]
        )
    }

    @Test(arguments: ["soon", "-1", "1e9", "nan"]) func aTimeThatIsNoneIsRefused(_ text: String) throws {
        let outcome = try Workspace().run("status", environment: ["RECALL_BENCH_BUSY_SECONDS": text])
        #expect(outcome.status == 64)
        #expect(
            outcome.errors
                == "recall-bench: RECALL_BENCH_BUSY_SECONDS: '\(text)' is no number of seconds from 0 to 86400, such as "
                + "30\n"
        )
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
