import Foundation
import RecallSuite
import Testing

/// A run that does not fit in memory fails alone, with the figures; runs that do not fit together are refused before anything
/// is trained.
@Suite struct MemoryRefusalTests {
    private struct Refusal {
        let needed: Int
        let available: Int
        let advice: String
    }

    private func refusal(_ workspace: Workspace, _ limit: String, _ arguments: [String]) throws -> Refusal {
        let outcome = try workspace.run(more: arguments, environment: ["RECALL_BENCH_MEMORY": limit])
        #expect(outcome.status == 69)
        #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
        return try figures(outcome.errors)
    }

    /// What the runs that failed say, the first of them.
    private func failure(_ workspace: Workspace, _ limit: String, _ arguments: [String]) throws -> Refusal {
        let outcome = try workspace.run(more: arguments, environment: ["RECALL_BENCH_MEMORY": limit])
        #expect(outcome.status == 1, "\(outcome.errors)")
        let errors = try workspace.table("runs").column("error").filter { !$0.isEmpty }
        return try figures(try #require(errors.first))
    }

    private func figures(_ text: String) throws -> Refusal {
        let pattern =
            #/(?:recall-bench: .* )?needs? at least .* \(([0-9]+) bytes\) of memory, and .* \(([0-9]+) bytes\) are available; (.*) \(RECALL_BENCH_MEMORY sets another limit\)\n?/#
        let match = try #require(text.wholeMatch(of: pattern), "\(text)")
        return Refusal(
            needed: try #require(Int(match.1)), available: try #require(Int(match.2)), advice: String(match.3))
    }

    private let run = ["run", "--suite", "tiny.yaml", "--quiet", "--jobs"]

    @Test func theNeedIsThatOfTheJobsTogether() throws {
        let workspace = try Workspace.withTinySuite()
        let one = try failure(workspace, "64KiB", run + ["1"])
        #expect(one.available == 65536)
        #expect(one.advice == "use a smaller batch_size or model, or leave it out with --only")
        #expect(try workspace.table("runs").column("status") == Array(repeating: "failed", count: 4))
        // The largest twice, of the two learning rates.
        let enough = try refusal(workspace, "\(2 * one.needed - 1)", run + ["2"])
        #expect(enough.needed == 2 * one.needed && enough.advice == "use --jobs 1, or a smaller batch_size")
        for (limit, jobs) in [(one.needed, "1"), (2 * one.needed, "2")] {
            let outcome = try workspace.run(
                more: run + [jobs, "--fresh"], environment: ["RECALL_BENCH_MEMORY": "\(limit)"])
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
        // Where nothing is left to train, nothing is needed.
        let again = try workspace.run(more: run + ["2"], environment: ["RECALL_BENCH_MEMORY": "1KiB"])
        #expect(again.status == 0 && again.errors == "")
    }

    @Test func aRunThatDoesNotFitLeavesTheOthers() throws {
        let workspace = try Workspace.withTinySuite()
        let need = try failure(workspace, "64KiB", run + ["1"]).needed
        try workspace.write(
            tiny("d_model: 16", "d_model: [16, 64]").replacingOccurrences(of: "name: tiny", with: "name: two"),
            to: "two.yaml")
        let outcome = try workspace.run(
            more: ["run", "--suite", "two.yaml", "--quiet", "--jobs", "1"],
            environment: ["RECALL_BENCH_MEMORY": "\(2 * need)"])
        #expect(outcome.status == 1, "\(outcome.errors)")
        let table = try workspace.table("runs")
        for (width, status) in zip(try table.column("d_model"), try table.column("status")) {
            #expect(status == (width == "16" ? "finished" : "failed"))
        }
    }

    /// A step beyond the address space of tensors is a run's own failure as well.
    @Test func aBatchBeyondAddressSpaceFailsAlone() throws {
        let workspace = try Workspace.withTinySuite(
            tiny(
                "train: [{sequence_length: 16, kv_pairs: 2, examples: 400}]",
                "train: [{sequence_length: 512, kv_pairs: 2, examples: 1048576}]"
            ).replacingOccurrences(of: "batch_size: 32", with: "batch_size: 1048576")
                .replacingOccurrences(of: "d_model: 16", with: "d_model: 256"))
        let need = try failure(workspace, "64GiB", run + ["1"])
        #expect(need.needed >= 1 << 37 && need.available == 64 << 30)
        // Where a device has the memory for it, it still fails alone.
        let outcome = try workspace.run(
            more: run + ["1", "--fresh"], environment: ["RECALL_BENCH_MEMORY": "1024TiB"])
        #expect(outcome.status == 1, "\(outcome.errors)")
        let errors = try workspace.table("runs").column("error")
        #expect(errors.allSatisfy { $0.hasPrefix("a step has a tensor of ") }, "\(errors)")
    }

    @Test func aSmallerBatchNeedsLess() throws {
        let needs = try ["32", "16"].map { batch in
            try failure(.withTinySuite(tiny("batch_size: 32", "batch_size: \(batch)")), "64KiB", run + ["1"])
                .needed
        }
        #expect(needs[1] < needs[0])
    }

    @Test func aSweepIsRefusedToo() throws {
        let workspace = try Workspace.withTinySuite()
        _ = try failure(
            workspace, "64KiB",
            ["sweep", "state-size", "--task", "tiny.yaml", "--models", "based", "--sizes", "4KiB", "--quiet"])
        #expect(Set(try workspace.table("runs").column("status")) == ["failed"])
    }

    /// 2^24 tokens 8192 wide are two terabytes with their gradients and moments: found without making the model.
    @Test func aModelThatCannotBeMadeIsRefused() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("vocab_size: 64", "vocab_size: 16777216").replacingOccurrences(
                of: "d_model: 16", with: "d_model: 8192"))
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--quiet")
        #expect(outcome.status == 69)
        #expect(outcome.errorLines.count == 1)
        #expect(
            outcome.errors.contains("needs at least 2.0 TiB (2199023255552 bytes) of memory"),
            "\(outcome.errors)"
        )
    }

    @Test(arguments: ["a lot", "-1", "1.5"]) func aLimitThatIsNoneIsRefused(_ text: String) throws {
        let outcome = try Workspace().run("status", environment: ["RECALL_BENCH_MEMORY": text])
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("recall-bench: RECALL_BENCH_MEMORY: '\(text)' is "))
        #expect(outcome.errorLines.count == 1)
    }
}
