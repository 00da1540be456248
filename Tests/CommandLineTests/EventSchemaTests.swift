import Foundation
import TestSupport
import Testing

/// Every line that `--json` writes is as docs/events.schema.json says.
@Suite struct EventSchemaTests {
    /// The events among the lines, each checked.
    private func events(_ outcome: Outcome) throws -> [JSONValue] {
        let schema = try JSONSchema(JSONValue(RepositoryDocument.text("docs/events.schema.json")))
        return try outcome.errorLines.filter { $0.hasPrefix("{") }.map { line in
            let event = try JSONValue(line)
            #expect(schema.violations(of: event) == [], "\(line)")
            return event
        }
    }

    private func names(_ events: [JSONValue]) -> [String] {
        events.compactMap { $0["event"]?.string }.filter { $0 != "progress" }
    }

    private func first(_ name: String, _ events: [JSONValue]) throws -> JSONValue {
        try #require(events.first { $0["event"]?.string == name }, "no \(name)")
    }

    @Test func aSearchAddsRuns() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1")
        #expect(outcome.status == 0)
        let events = try events(outcome)
        let added = events.filter { $0["event"]?.string == "runs_added" }
        #expect(added.count >= 4)
        let start = try first("suite_started", events)
        #expect(start["runs"] == .integer(6))
        let runs = try workspace.table("runs").rows.count
        #expect(added.last?["runs"] == .integer(Int64(runs)))
        #expect(events.count { $0["event"]?.string == "run_started" && $0["model"] != nil } == runs)
    }

    @Test func aSittingThatGoesWell() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1")
        #expect(outcome.status == 0)
        #expect(outcome.errorLines.allSatisfy { $0.hasPrefix("{") })
        let events = try events(outcome)
        let run = ["run_started", "epoch_finished", "epoch_finished", "run_finished"]
        #expect(
            names(events) == ["suite_started"] + run + run + run + run + ["control_verdict", "suite_finished"]
        )
        let start = try first("suite_started", events)
        #expect(start["runs"] == .integer(4) && start["selected_runs"] == .integer(4))
        #expect(start["total_steps"] == .integer(4 * 26) && start["jobs"] == .integer(1))

        // What a run's events say is what the tables say.
        let runs = try workspace.table("runs")
        let slices = try workspace.table("slices")
        for index in runs.rows.indices {
            func cell(_ name: String) -> String { runs.column(name)[index] }
            let ofRun = events.filter { $0["run_id"]?.string == cell("run_id") }
            let started = try first("run_started", ofRun)
            #expect(started["config"] == (try JSONValue(cell("config"))))
            for key in ["parameters", "state_bytes", "state_bytes_zoology", "seed", "d_model"] {
                #expect(started[key] == Int64(cell(key)).map(JSONValue.integer), "\(key)")
            }
            #expect(started["model"]?.string == cell("model"))
            #expect(started["learning_rate"] == Double(cell("learning_rate")).map(JSONValue.number))
            let finished = try first("run_finished", ofRun)
            #expect(finished["test_accuracy"].map(Self.number) == Double(cell("test_accuracy")))
            let accuracies = zip(slices.column("run_id"), slices.column("accuracy")).filter {
                $0.0 == cell("run_id")
            }.map { Double($0.1) }
            #expect(finished["slices"]?.array?.map { $0["accuracy"].flatMap(Self.number) } == accuracies)
        }
        #expect(try first("control_verdict", events)["verdict"]?.string == "passes")
        #expect(try first("suite_finished", events)["finished"] == .integer(4))

        // With nothing left there is still a beginning and an end.
        let again = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(again.status == 0)
        let rest = try self.events(again)
        #expect(names(rest) == ["suite_started", "control_verdict", "suite_finished"])
        #expect(rest[0]["runs"] == .integer(0) && rest[0]["already_finished"] == .integer(4))
    }

    private static func number(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }

    @Test func aSittingInWhichRunsFail() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("[0.003, 0.01]", "[0.003, 1.0e+30]").replacingOccurrences(
                of: "minimum_accuracy: 0.0",
                with: "minimum_accuracy: 1.0"
            )
        )
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(outcome.status == 1)
        let events = try events(outcome)
        #expect(names(events).count { $0 == "run_failed" } == 2)
        let failed = try first("run_failed", events)
        #expect(failed["error"]?.string?.hasPrefix("not finite at step") == true)
        #expect(failed["label"]?.string?.contains("lr=1e+30") == true)
        let verdict = try first("control_verdict", events)
        #expect(verdict["verdict"]?.string == "fails" && verdict["minimum_accuracy"] != nil)
        let end = try first("suite_finished", events)
        #expect(end["failed"] == .integer(2) && end["finished"] == .integer(2))
        // The one line that is for people.
        #expect(outcome.errorLines.filter { !$0.hasPrefix("{") }.count == 1)
        #expect(outcome.errorLines.last?.hasPrefix("recall-bench: 2 of 4 runs failed") == true)
    }

    @Test func aSittingThatIsInterrupted() throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 60"))
        let isSent = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGINT) }
        }
        #expect(outcome.status == 130)
        let events = try events(outcome)
        let stopped = try first("run_interrupted", events)
        #expect(stopped["run_id"] == (try first("run_started", events))["run_id"])
        #expect(try first("suite_finished", events)["interrupted"] == .integer(1))
        #expect(try first("control_verdict", events)["verdict"]?.string == "unfinished")
        // All of one process, in order of time.
        #expect(Set(events.compactMap { $0["pid"].flatMap(Self.number) }).count == 1)
        let times = events.compactMap { $0["time"]?.string }
        #expect(times.count == events.count && times == times.sorted())
        #expect(times.allSatisfy { $0.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil })
    }
}
