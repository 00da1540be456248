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
            needed: try #require(Int(match.1)),
            available: try #require(Int(match.2)),
            advice: String(match.3)
        )
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
                more: run + [jobs, "--fresh"],
                environment: ["RECALL_BENCH_MEMORY": "\(limit)"]
            )
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
            to: "two.yaml"
        )
        let outcome = try workspace.run(
            more: ["run", "--suite", "two.yaml", "--quiet", "--jobs", "1"],
            environment: ["RECALL_BENCH_MEMORY": "\(2 * need)"]
        )
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
                .replacingOccurrences(of: "d_model: 16", with: "d_model: 256")
        )
        let need = try failure(workspace, "64GiB", run + ["1"])
        #expect(need.needed >= 1 << 37 && need.available == 64 << 30)
        // Where a device has the memory for it, it still fails alone.
        let outcome = try workspace.run(
            more: run + ["1", "--fresh"],
            environment: ["RECALL_BENCH_MEMORY": "1024TiB"]
        )
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
            workspace,
            "64KiB",
            ["sweep", "state-size", "--task", "tiny.yaml", "--models", "based", "--sizes", "4KiB", "--quiet"]
        )
        #expect(Set(try workspace.table("runs").column("status")) == ["failed"])
    }

    /// 2^24 tokens 8192 wide are two terabytes with their gradients and moments: found without making the model, and no
    /// reason not to train the other.
    @Test func aModelThatCannotBeMadeFailsAlone() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("d_model: 16", "d_model: [16, 8192]").replacingOccurrences(
                of: "vocab_size: 64",
                with: "vocab_size: 16384"
            )
        )
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--only",
            "model=attention",
            environment: ["RECALL_BENCH_MEMORY": "1GiB"]
        )
        #expect(outcome.status == 1, "\(outcome.errors)")
        let table = try workspace.table("runs")
        let (widths, statuses) = (table.column("d_model"), table.column("status"))
        let errors = table.column("error")
        let attention = table.column("model").indices.filter { table.column("model")[$0] == "attention" }
        #expect(attention.count == 4)
        for row in attention {
            #expect(statuses[row] == (widths[row] == "16" ? "finished" : "failed"))
            if statuses[row] == "failed" { #expect(try figures(errors[row]).needed > 16384 * 8192 * 16) }
        }
        // Its state is on record all the same.
        #expect(table.column("state_bytes").allSatisfy { (Int($0) ?? 0) > 0 })
    }

    /// Sizes at which 32 bits, 63 bits or a step's arithmetic would not do: every run fails for itself, with a figure.
    @Test func sizesBeyondAllBoundsFailAlone() throws {
        let text = tiny(
            "train: [{sequence_length: 16, kv_pairs: 2, examples: 400}]",
            "train: [{sequence_length: 2048, kv_pairs: 500, examples: 2147483647}]"
        ).replacingOccurrences(of: "vocab_size: 64", with: "vocab_size: 65536")
            .replacingOccurrences(of: "batch_size: 32", with: "batch_size: 1048576")
            .replacingOccurrences(of: "epochs: 2", with: "data: fixed, epochs: 1000000")
            .replacingOccurrences(
                of: "- {name: attention, d_model: 16, layers: [base-conv, attention]}",
                with: """
                    - {name: attention, d_model: 16384, positions: learned, layers: [{mixer: base-conv, kernel_size: long}, attention]}
                      - {name: mamba, d_model: 16384, layers: [{mixer: mamba, expand: 16, state_size: 1024}]}
                      - {name: taylor, d_model: 16384, layers: [{mixer: taylor-linear-attention, feature_dim: 1024, heads: 1024}]}
                    """
            )
        let workspace = try Workspace.withTinySuite(text)
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--quiet")
        #expect(outcome.status == 1 && !outcome.isSignalled, "\(outcome.errors)")
        let table = try workspace.table("runs")
        #expect(Set(table.column("status")) == ["failed"])
        for error in table.column("error") { _ = try figures(error) }
    }

    /// What `models` would have to make is known before: its state is in the refusal, and shown where there is room.
    @Test func aModelToShowIsRefusedWithItsFigures() throws {
        let workspace = try Workspace()
        let cases = [
            (
                ["taylor-linear-attention", "--d-model", "16384", "--config", "feature_dim=1024"],
                34_462_570_500
            ),
            (["mamba", "--d-model", "16384"], 16384 * 2 * (16 + 3) * 4),
            (["attention", "--d-model", "16384", "--length", "16384"], 2 * 16384 * 16384 * 4),
        ]
        for (arguments, bytes) in cases {
            let refused = try workspace.run(
                "models",
                more: arguments,
                environment: ["RECALL_BENCH_MEMORY": "4GiB"]
            )
            #expect(refused.status == 69 && refused.output == "", "\(refused.errors)")
            #expect(refused.errorLines.count == 1, "\(refused.errors)")
            #expect(
                refused.errors.contains("(\(bytes) bytes) a sequence, needs at least "),
                "\(refused.errors)"
            )
            let shown = try workspace.run(
                "models",
                more: arguments,
                environment: ["RECALL_BENCH_MEMORY": "1TiB"]
            )
            #expect(shown.status == 0 && shown.errors == "", "\(shown.errors)")
            let count = bytes.formatted(.number.grouping(.automatic).locale(Locale(identifier: "en_US")))
            #expect(shown.output.contains("\(count) B ("), "\(shown.output)")
        }
    }

    /// Each command says so before it makes anything.
    @Test(
        arguments: [
            ["bench", "train", "--widths", "16384", "--models", "mamba"],
            ["bench", "train", "--models", "attention", "--shapes", "1048576:4", "--batch", "1048576"],
            ["bench", "train", "--models", "attention", "--operations", "--widths", "16384"],
            ["bench", "generate", "--models", "mamba", "--width", "16384"],
            ["bench", "generate", "--models", "attention", "--vocab", "16777216"],
            ["bench", "kernels", "--kernels", "attention", "--lengths", "1048576"],
            ["bench", "data", "--shapes", "1048576:4", "--vocab", "64"],
        ])
    func aBenchmarkIsRefusedWithItsFigures(_ arguments: [String]) throws {
        let workspace = try Workspace()
        let refusal = try refusal(workspace, "64MiB", arguments)
        #expect(refusal.needed > refusal.available && refusal.available == 64 << 20)
        #expect(workspace.content.isEmpty, "\(workspace.content)")
    }

    /// Numbers of the command line that no machine has, or that no array can be as long as.
    @Test(
        arguments: [
            ["run", "--suite", "quick", "--threads", "9223372036854775807"],
            ["run", "--suite", "quick", "--jobs", "1000000"],
            ["eval", "--checkpoint", "x", "--threads", "100000"],
            ["bench", "data", "--threads", "9223372036854775807"], ["bench", "train", "--jobs", "100000"],
            ["bench", "train", "--widths", "9223372036854775807"],
            ["bench", "generate", "--vocab", "9223372036854775807"],
            ["bench", "generate", "--width", "4611686018427387904"],
            ["verify", "--threads", "9223372036854775807"],
            ["sweep", "state-size", "--seeds", "9223372036854775807"],
            ["sweep", "state-size", "--seeds", "100000", "--data-seeds", "100000"],
        ])
    func numbersBeyondAllMeansAreWrongUsage(_ arguments: [String]) throws {
        let outcome = try Workspace().run(more: arguments)
        #expect(outcome.status == 64 && !outcome.isSignalled, "\(outcome.errors)")
        #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    }

    @Test(arguments: ["a lot", "-1", "1.5"]) func aLimitThatIsNoneIsRefused(_ text: String) throws {
        let outcome = try Workspace().run("status", environment: ["RECALL_BENCH_MEMORY": text])
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("recall-bench: RECALL_BENCH_MEMORY: '\(text)' is "))
        #expect(outcome.errorLines.count == 1)
    }
}
