import Foundation
import Testing

@Suite struct UsageTests {
    /// The program, every command that its help lists, and theirs.
    @Test func everyHelpHasExamples() throws {
        let workspace = try Workspace()
        var left = [[String]()]
        var seen: Set<String> = []
        while let command = left.popLast() {
            let name = command.joined(separator: " ")
            seen.insert(name)
            let outcome = try workspace.run(more: command + ["--help"])
            #expect(outcome.status == 0, "\(name)")
            #expect(outcome.errors == "", "\(name)")
            let lines = outcome.outputLines
            if let title = lines.firstIndex(of: "SUBCOMMANDS:") {
                // A name at two spaces, its abstract behind it or deeper below.
                for line in lines[(title + 1)...].prefix(while: { $0.hasPrefix("  ") && !$0.hasPrefix("  See") }
                ) {
                    let word = line.dropFirst(2).prefix { $0 != " " }
                    if !word.isEmpty { left.append(command + [String(word)]) }
                }
            }
            let examples = lines.firstIndex { $0.trimmingCharacters(in: .whitespaces) == "EXAMPLES" }
            guard let examples, examples + 1 < lines.count else {
                Issue.record("`\(name) --help` has no EXAMPLES")
                continue
            }
            // Each begins a line of its own: the layout did not run them together.
            let first = lines[examples + 1].trimmingCharacters(in: .whitespaces)
            #expect(
                (first + " ").hasPrefix((["recall-bench"] + command).joined(separator: " ") + " "),
                "\(first)"
            )
        }
        #expect(
            seen.isSuperset(of: [
                "", "run", "sweep", "sweep state-size", "export csv", "plot tradeoff", "status", "suites",
                "serve", "models", "tasks",
                "data sample", "data write", "eval", "bench data", "doctor",
            ]),
            "\(seen)"
        )
    }

    @Test func aloneItPrintsHelp() throws {
        let outcome = try Workspace().run()
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("SUBCOMMANDS"))
    }

    @Test func versionIsANumber() throws {
        let outcome = try Workspace().run("--version")
        #expect(outcome.status == 0)
        #expect(
            outcome.output.range(of: #"^\d+\.\d+\.\d+( \([0-9a-f]+\+?\))?\n$"#, options: .regularExpression)
                != nil
        )
    }

    /// What is refused as wrong usage, with a part of its one line.
    @Test(arguments: [
        (["frobnicate"], "there is no command 'frobnicate'; there are run, sweep, "), (["run"], "--suite"),
        (["rum"], "there is no command 'rum'; did you mean 'run'?"),
        (["expotr", "csv"], "there is no command 'expotr'; did you mean 'export'?"),
        (["export", "cvs"], "there is no command 'export cvs'; did you mean 'export csv'?"),
        (["plot", "tradeof"], "there is no command 'plot tradeof'; did you mean 'plot tradeoff'?"),
        (["bench", "trian"], "did you mean 'bench train'?"), (["sweep", "state-sise"], "'sweep state-size'"),
        (["run", "--suit", "tiny.yaml"], "unknown option '--suit'; did you mean '--suite'?"),
        (["export", "csv", "--tabel=runs"], "unknown option '--tabel'; did you mean '--table'?"),
        (["run", "--no-plot", "--seed", "x"], "--seed"),
        (["run", "--suite", "tiny.yaml", "--job", "2"], "--job"),
        (["run", "--suite", "tiny.yaml", "--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["run", "--suite", "tiny.yaml", "--only", "modle=x"], "did you mean 'model'?"),
        (["run", "--suite", "tiny.yaml", "--only", "model=x"], "no run has model 'x'"),
        (["run", "--suite", "tiny.yaml", "--shard", "2/2"], "2 is not below 2"),
        (
            ["run", "--suite", "tiny.yaml", "--device", "tpu"],
            "--device must be cpu, cuda or cuda:I, not 'tpu'"
        ),
        (
            ["run", "--suite", "tiny.yaml", "--precision", "fp8"],
            "--precision must be one of fp32, tf32, bf16, not 'fp8'"
        ),
        (
            ["run", "--suite", "tiny.yaml", "--precision", "tf32"],
            "--precision tf32 needs --device cuda: a CPU multiplies in fp32"
        ),
        (
            ["bench", "train", "--precision", "bf16"],
            "--precision bf16 needs --device cuda: a CPU multiplies in fp32"
        ),
        (["sweep", "state-size", "--sizes", "4KB"], "write 4KiB"),
        (["sweep", "state-size", "--models", "basd"], "did you mean 'based'?"),
        (["sweep", "state-size", "--learning-rates", "0"], "'0' is not a number above 0"),
        (["export", "csv"], "--table"), (["export", "csv", "--table", "run"], "history"),
        (["models", "basd"], "did you mean 'based'?"),
        (["models", "mamba", "--config", "stat_size=3"], "did you mean 'state_size'?"),
        (["models", "mamba", "--config", "state_size"], "is not KNOB=VALUE"),
        (["models", "attention", "--config", "heads=3"], "3"), (["tasks", "mqr"], "there is mqar"),
        (["data", "sample", "--suite", "tiny.yaml", "--segment", "1"], "segments 0 to 0"),
        (["data", "sample", "--suite", "tiny.yaml", "--first", "399", "--count", "2"], "400 examples"),
        (["data", "sample", "--suite", "tiny.yaml", "--split", "dev"], "'validation'"),
        (["data", "sample", "--suite", "tiny.yaml", "--task-index", "1"], "--task-index 1"),
        (["bench", "data", "--shapes", "64"], "'64' is not LENGTH:PAIRS"),
        (["bench", "data", "--shapes", "64:17"], "4 × 17 = 68 > 64"), (["status", "--wach"], "--wach"),
    ])
    func wrongUsageIsOneLine(_ arguments: [String], _ part: String) throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(more: arguments)
        #expect(outcome.status == 64)
        #expect(outcome.output == "")
        #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
        #expect(outcome.errors.hasPrefix("recall-bench: "))
        #expect(outcome.errors.contains(part), "\(outcome.errors)")
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test func aDeviceThatIsNotThereIsUnavailable() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--device", "cuda:99")
        #expect(outcome.status == 69)
        #expect(outcome.errorLines.count == 1)
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test func aReaderThatGoesAwayEndsItQuietly() throws {
        let workspace = try Workspace.withTinySuite()
        for command in [
            ["suites", "quick"], ["data", "sample", "--suite", "tiny.yaml", "--count", "400"], ["models"],
        ] {
            let outcome = try workspace.run(more: command, closing: .output)
            #expect(outcome.status == 0 && !outcome.isSignalled)
            #expect(outcome.errors == "")
        }
    }

    @Test func trainingGoesOnWithoutAReaderOfItsProgress() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", closing: .errors)
        #expect(outcome.status == 0 && !outcome.isSignalled)
        #expect(try workspace.table("runs").column("status") == Array(repeating: "finished", count: 4))
    }
}
