import Foundation
import TestSupport
import Testing

/// Longer than a signal takes to arrive: four runs of sixty epochs.
private let longSuite = tiny("epochs: 2", "epochs: 60")

@Suite struct ContinuationTests {
    /// Sends a signal when the first epoch of any run is done.
    private func run(_ workspace: Workspace, until signal: Int32) throws -> Outcome {
        let isSent = Once()
        return try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, signal) }
        }
    }

    private func uninterrupted() throws -> [String: [[String]]] {
        let workspace = try Workspace.withTinySuite(longSuite)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        return try workspace.results()
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalStopsAndTheSameCommandGoesOn(_ signal: Int32) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try run(workspace, until: signal)
        #expect(outcome.status == 130 && !outcome.isSignalled)
        #expect(outcome.errorLines.last?.contains("recall-bench run --suite tiny.yaml") == true)
        #expect(try workspace.table("runs").column("status").count { $0 == "interrupted" } == 1)
        let status = try workspace.run("status")
        #expect(status.output.contains("≤ "), "the time left is estimated")

        try goesOn(workspace)
    }

    @Test func aKilledProcessLosesAtMostTheEpochInProgress() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try run(workspace, until: SIGKILL)
        #expect(outcome.isSignalled && outcome.status == SIGKILL)
        // Nobody cleaned up, and yet it is not said to be running.
        let line = try #require(try workspace.run("status").outputLines.first { $0.hasPrefix("tiny ") })
        #expect(line.split(separator: " ").dropFirst(3).prefix(1) == ["0"], "\(line)")

        try goesOn(workspace)
    }

    /// The second sitting continues from an epoch on record, and all ends as it would have.
    private func goesOn(_ workspace: Workspace) throws {
        let epochs = try workspace.table("history").rows.count
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "2")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let starts = try outcome.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        // Thirteen steps an epoch.
        #expect(starts.compactMap { $0["step"] as? Int }.filter { $0 > 0 } == [13 * epochs])
        #expect(try workspace.results() == uninterrupted())
    }

    @Test func aRunThatMeetsInfinityFailsAndTheOthersGoOn() throws {
        let workspace = try Workspace.withTinySuite(tiny("[0.003, 0.01]", "[0.003, 1.0e+30]"))
        let outcome = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(outcome.status == 1)
        #expect(outcome.errorLines.last?.hasPrefix("recall-bench: 2 of 4 runs failed") == true)
        let runs = try workspace.table("runs")
        for (rate, (status, error)) in zip(
            runs.column("learning_rate"),
            zip(runs.column("status"), runs.column("error"))
        ) {
            #expect(status == (rate == "0.003" ? "finished" : "failed"))
            let isNamed =
                error.range(of: #"^not finite at step [0-9]+: .*[a-z]"#, options: .regularExpression) != nil
            #expect(isNamed == (rate != "0.003"), "\(error)")
        }
        let status = try workspace.run("status", "--suite", "tiny")
        #expect(status.output.contains("tiny: failed"))
        #expect(status.output.contains("not finite at step"))
        #expect(status.outputLines.allSatisfy { $0.count <= 80 })
        // It fails again when asked again, and nothing else is trained.
        let again = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(again.status == 1)
        #expect(again.errorLines.count { $0.contains("\"run_started\"") } == 2)
        #expect(again.errorLines.count { $0.contains("\"run_failed\"") } == 2)
    }

    /// A process that is stopped holds its run until it goes on; another one says so, waits, and says who finished it.
    @Test func runsOfAnotherProcessAreWaitedFor() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let arguments = ["run", "--suite", "tiny.yaml", "--json", "--only", "model=based,learning_rate=0.01"]
        let (isHeld, hasEnded) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let isSent = Once()
        let holder = Holder()
        Thread.detachNewThread {
            let outcome = try? workspace.run(more: arguments) { line, pid in
                guard line.contains("\"run_started\""), isSent.first() else { return }
                kill(pid, SIGSTOP)
                holder.pid = pid
                isHeld.signal()
            }
            #expect(outcome?.status == 0)
            hasEnded.signal()
        }
        #expect(isHeld.wait(timeout: .now() + 60) == .success)
        let outcome = try workspace.run(more: arguments) { line, _ in
            if line.contains("1 run is being trained by another process") { kill(holder.pid, SIGCONT) }
        }
        hasEnded.wait()
        #expect(outcome.status == 0, "\(outcome.errors)")
        let events = try outcome.errorLines.map(object)
        #expect(
            events.compactMap { $0["event"] as? String } == [
                "suite_started", "run_held_elsewhere", "note", "run_finished_elsewhere", "control_verdict",
                "suite_finished",
            ]
        )
        let schema = try JSONSchema(JSONValue(RepositoryDocument.text("docs/events.schema.json")))
        for line in outcome.errorLines { #expect(try schema.violations(of: JSONValue(line)) == []) }
        #expect(events[1]["holder_pid"] as? Int == Int(holder.pid))
        let note = try #require(events[2]["message"] as? String)
        #expect(note.contains("process \(holder.pid)") && note.hasSuffix("; waiting for it"), "\(note)")
        #expect(events[5]["finished"] as? Int == 0 && events[5]["finished_elsewhere"] as? Int == 1)
    }
}
