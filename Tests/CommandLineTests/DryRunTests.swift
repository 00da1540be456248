import Foundation
import Testing

/// `--dry-run` says how each run stands in the database, and estimates what is left.
@Suite struct DryRunTests {
    private func dryRun(_ workspace: Workspace, _ arguments: String...) throws -> Outcome {
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", more: arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        return outcome
    }

    /// The last column of the table's rows.
    private func statuses(_ outcome: Outcome) -> [String] {
        outcome.outputLines.filter { $0.contains(" lr=") || $0.contains("…") }.compactMap {
            $0.split(separator: " ").last.map(String.init)
        }
    }

    private func summary(_ outcome: Outcome) throws -> String {
        try #require(outcome.outputLines.first { $0.contains(" runs") })
    }

    @Test func nothingIsLeftWhereAllIsFinished() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let before = try workspace.data("results/recall.sqlite")
        let outcome = try dryRun(workspace)
        #expect(try summary(outcome) == "4 runs: 4 finished, nothing is left to train")
        #expect(statuses(outcome) == Array(repeating: "finished", count: 4))
        #expect(outcome.errors == "")
        #expect(try workspace.data("results/recall.sqlite") == before)
        // Another database has none of them; all are trained again where that is asked for.
        for arguments in [["--db", "other.sqlite"], ["--fresh"]] {
            let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", more: arguments)
            #expect(try summary(outcome).hasPrefix("4 runs, at most about "))
            #expect(statuses(outcome) == Array(repeating: "pending", count: 4))
        }
        #expect(!workspace.exists("other.sqlite"))
    }

    /// Runs that the suite shares with another one are finished, too.
    @Test func runsOfAnotherSuiteCount() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(tiny("name: tiny", "name: same"), to: "same.yaml")
        #expect(
            try workspace.run("run", "--suite", "same.yaml", "--only", "model=based", "--quiet").status == 0
        )
        let outcome = try dryRun(workspace)
        #expect(statuses(outcome) == ["pending", "pending", "finished", "finished"])
        #expect(try summary(outcome).hasPrefix("4 runs: 2 finished, 2 left, at most about "))
        #expect(
            try summary(dryRun(workspace, "--only", "model=based")).hasPrefix("2 runs: 2 finished, nothing")
        )
    }

    @Test func eachStatusIsSaid() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        func change(_ position: Int, _ assignments: String) throws {
            try workspace.execute(
                """
                UPDATE runs SET \(assignments)
                WHERE run_id = (SELECT run_id FROM suite_runs WHERE position = \(position))
                """
            )
        }
        try change(0, "status = 'failed', error = 'for a test'")
        try change(1, "status = 'interrupted'")
        // By a process elsewhere that gave a sign of life just now.
        try change(
            2,
            """
            status = 'running', lease_host = 'elsewhere', lease_machine = 'another', lease_pid = 1,
            lease_process_start = 1, lease_heartbeat = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            """
        )
        let outcome = try dryRun(workspace)
        #expect(statuses(outcome) == ["failed", "interrupted", "running", "finished"])
        #expect(
            try summary(outcome).hasPrefix(
                "4 runs: 1 finished, 1 running elsewhere, 2 left (1 failed before, 1 interrupted), at most about "
            )
        )
        // What another process has is not trained here, whatever is forgotten.
        let fresh = try dryRun(workspace, "--fresh")
        #expect(statuses(fresh) == ["pending", "pending", "running", "pending"])
        #expect(try summary(fresh).hasPrefix("4 runs: 1 running elsewhere, 3 left, at most about "))
    }

    /// Only the epochs that are left count: a run that is nearly done takes no time.
    @Test func theTimeIsThatOfWhatIsLeft() throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 1000000"))
        let only = ["--only", "model=based,learning_rate=0.01"]
        let isSent = Once()
        let begun = try workspace.run("run", "--suite", "tiny.yaml", "--json", more: only) { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGINT) }
        }
        #expect(begun.status == 130)
        func time() throws -> String {
            let outcome = try workspace.run(
                "run",
                "--suite",
                "tiny.yaml",
                "--dry-run",
                "--jobs",
                "1",
                more: only
            )
            let text = try summary(outcome)
            return String(try #require(text.firstMatch(of: /at most about (.*) with 1 at once/)?.1, "\(text)"))
        }
        #expect(try time() != "0 s")
        try workspace.execute(
            "UPDATE history SET epoch = 999999 WHERE epoch = (SELECT MAX(epoch) FROM history)"
        )
        #expect(try time() == "0 s")
        // Another build begins again.
        try workspace.execute("UPDATE runs SET \"commit\" = 'abc1234'")
        #expect(try time() != "0 s")
    }

    @Test func aSearchSaysWhatItHasComeTo() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--only", "seed=0", "--quiet").status == 0)
        let runs = try workspace.table("runs")
        let (finished, left) = (
            runs.column("status").count { $0 == "finished" }, runs.column("status").count { $0 == "pending" }
        )
        // The other seed of each model's best rate and of its neighbors.
        #expect(finished > 6 && (4...6).contains(left))
        let outcome = try dryRun(workspace)
        #expect(
            try summary(outcome).hasPrefix(
                "\(finished + left) runs so far: \(finished) finished, \(left) left, about "
            )
        )
        #expect(outcome.output.contains("runs in all at most."))
        #expect(statuses(outcome).count { $0 == "finished" } == finished)

        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let over = try dryRun(workspace)
        let all = finished + left
        #expect(over.output.hasSuffix("\n\(all) runs so far: \(all) finished, nothing is left to train\n"))
        let fresh = try dryRun(workspace, "--fresh")
        #expect(fresh.output.contains("\n6 runs to begin with, about "))
    }

    /// A file that is no database of ours is refused as by a run, and left alone.
    @Test func anotherFileIsRefused() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", "--db", "tiny.yaml")
        #expect(outcome.status == 65 && outcome.output == "" && outcome.errorLines.count == 1)
    }

    /// Totals beyond 63 bits are totals all the same, and what is as large is not trained, not even for a while.
    @Test func suitesOfAnySizeAreListed() throws {
        let segments = Array(
            repeating: "{sequence_length: 1024, kv_pairs: 2, examples: 2147483647}",
            count: 5000
        ).joined(separator: ", ")
        let workspace = try Workspace.withTinySuite(
            tiny("train: [{sequence_length: 16, kv_pairs: 2, examples: 400}]", "train: [\(segments)]")
                .replacingOccurrences(
                    of: "test: [{sequence_length: 16, kv_pairs: 2, examples: 64}]",
                    with: "test: [{sequence_length: 16, kv_pairs: 2, examples: 2147483647}]"
                ).replacingOccurrences(of: "epochs: 2", with: "data: fixed, epochs: 1000000")
        )
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--dry-run",
            "--quiet",
            timeout: 300
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let refused = outcome.outputLines.filter {
            $0.contains("will fail for want of memory: one needs at least")
        }
        #expect(refused.count == 1, "\(outcome.output)")
    }

    /// A step of a long sequence is estimated from a shorter one: nobody waits for it.
    @Test func longSequencesAreEstimatedFromShortOnes() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("train: [{sequence_length: 16", "train: [{sequence_length: 131072")
        )
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--dry-run",
            "--only",
            "model=attention",
            "--quiet",
            timeout: 120
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        // A step's scores alone are 10^12 operations: days, not seconds.
        let line = try summary(outcome)
        #expect(
            line.contains(/at most about \d+ d \d+ h/) || line.contains(/at most about \d+:\d+:\d+/),
            "\(line)"
        )
    }
}
