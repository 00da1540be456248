import Foundation
import Testing

/// What `run` takes besides a suite: seeds, learning rates, several suites, conditions, a control that it requires.
@Suite struct RunOptionTests {
    @Test func seedsAndRatesTakeThePlaceOfTheSuites() throws {
        let workspace = try Workspace.withTinySuite()
        let first = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--only",
            "model=based",
            "--seeds",
            "3",
            "--learning-rates",
            "0.005"
        )
        #expect(first.status == 0, "\(first.errors)")
        let runs = try workspace.table("runs")
        let trained = runs.rows.indices.filter { runs.column("status")[$0] == "finished" }
        #expect(trained.map { runs.column("seed")[$0] } == ["0", "1", "2"])
        #expect(Set(trained.map { runs.column("learning_rate")[$0] }) == ["0.005"])
        #expect(Set(trained.map { runs.column("model")[$0] }) == ["based"])
        // Other rates join them, as in a sweep.
        let second = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--only",
            "model=based",
            "--learning-rates",
            "0.02"
        )
        #expect(second.status == 0, "\(second.errors)")
        #expect(
            try Set(workspace.table("runs", "--suite", "tiny").column("learning_rate")) == ["0.005", "0.02"]
        )
    }

    @Test(arguments: [
        (["--seeds", "0"], "--seeds must be from 1 to 100000, not 0"),
        (["--data-seeds", "0"], "--data-seeds must be from 1 to 100000, not 0"),
        (["--learning-rates", "0.1,fast"], "'fast' is not a number above 0"),
        (["--learning-rates", "0.1,1e-1"], "has a rate twice"),
        (["--learning-rates", "0.1,"], "has an empty item"),
        (["--seeds", "100000"], "a suite may have at most 100000"),
        (["--only", "feature_dim=5"], "no run has feature_dim '5'; there are 4"),
        (["--only", "model=z*"], "no run has model 'z*'; there are attention, based"),
        (["--suite", "tiny.yaml"], "there are two suites named 'tiny'; give each once"),
    ])
    func whatIsRefused(_ arguments: [String], _ words: String) throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(more: ["run", "--suite", "tiny.yaml"] + arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errorLines.count == 1 && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test func settingsAndPatternsSelect() throws {
        let workspace = try Workspace.withTinySuite()
        func rows(_ condition: String) throws -> Int {
            let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", "--only", condition)
            #expect(outcome.status == 0, "\(outcome.errors)")
            return outcome.outputLines.count { $0.hasSuffix(" pending") }
        }
        #expect(try rows("feature_dim=4") == 2)
        #expect(try rows("model=b*") == 2)
        #expect(try rows("model=*,learning_rate=0.01") == 2)
        #expect(try rows("task=mq*") == 4)
        #expect(try rows("kernel_size=3") == 4)
    }

    @Test func severalSuitesAreTrainedInOneSession() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(tiny("name: tiny", "name: other"), to: "other.yaml")
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--suite",
            "other.yaml",
            "--only",
            "learning_rate=0.01"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let titles = outcome.outputLines.filter { $0.hasPrefix("suite ") }
        #expect(titles == ["suite tiny", "suite other"])
        #expect(outcome.outputLines.count { $0.hasPrefix("model ") } == 2)
        #expect(try workspace.table("runs").column("suite").count { $0 == "other" } == 4)
    }

    @Test func everySuiteIsReadBeforeOneIsTrained() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(tiny("name: tiny", "nam: other"), to: "other.yaml")
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--suite", "other.yaml")
        #expect(outcome.status == 65)
        #expect(!workspace.exists("results"))
    }

    /// A condition on a model that one suite has leaves the other out, which is said.
    @Test func aSuiteWithoutWhatIsAskedForIsLeftOut() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(
            tiny("name: tiny", "name: other").replacingOccurrences(of: "name: based", with: "name: second"),
            to: "other.yaml"
        )
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--suite",
            "other.yaml",
            "--only",
            "model=second"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(
            outcome.errorLines.first?.hasPrefix("tiny is left out: --only: no run has model 'second'") == true
        )
        #expect(outcome.outputLines.filter { $0.hasPrefix("suite ") } == ["suite other"])
    }

    @Test func anInterruptionEndsTheSessionAndTheSameCommandContinues() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("epochs: 2", "epochs: 400").replacingOccurrences(of: "examples: 400", with: "examples: 4000")
        )
        try workspace.write(tiny("name: tiny", "name: other"), to: "other.yaml")
        let once = Once()
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--suite",
            "other.yaml",
            "--json",
            "--jobs",
            "1",
            onErrorLine: { line, pid in
                if line.contains("\"epoch_finished\""), once.first() { kill(pid, SIGINT) }
            }
        )
        #expect(outcome.status == 130, "\(outcome.errors)")
        #expect(
            outcome.errorLines.last?.contains("run --suite tiny.yaml --suite other.yaml --json") == true,
            "\(outcome.errors)"
        )
        #expect(try workspace.table("runs").column("suite").allSatisfy { $0 == "tiny" })
    }

    // MARK: The control

    private static let unreachable = tiny("minimum_accuracy: 0.0", "minimum_accuracy: 1.0")

    @Test func anInvalidControlIsSaidLastAndEndsWithTwoWhereRequired() throws {
        let workspace = try Workspace.withTinySuite(Self.unreachable)
        let plain = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(plain.status == 0)
        #expect(
            plain.errorLines.last?.hasPrefix("INVALID CONTROL: attention reached") == true,
            "\(plain.errors)"
        )
        let required = try workspace.run("run", "--suite", "tiny.yaml", "--require-control", "--quiet")
        #expect(required.status == 2)
        #expect(
            required.errors.hasPrefix("recall-bench: INVALID CONTROL: attention reached"),
            "\(required.errors)"
        )
        #expect(required.errorLines.count == 1)
        let json = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(json.status == 0 && json.errorLines.allSatisfy { $0.hasPrefix("{") })
        // In a session of several suites too, whichever of them it is.
        try workspace.write(tiny("name: tiny", "name: other"), to: "other.yaml")
        let several = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--suite",
            "other.yaml",
            "--require-control",
            "--quiet"
        )
        #expect(several.status == 2 && several.outputLines.contains("suite other"), "\(several.errors)")
    }

    @Test func aControlThatIsLeftOutOrNotFinishedIsNotInvalid() throws {
        let workspace = try Workspace.withTinySuite(Self.unreachable)
        for condition in ["model=based", "model=attention,learning_rate=0.01"] {
            let outcome = try workspace.run(
                "run",
                "--suite",
                "tiny.yaml",
                "--require-control",
                "--only",
                condition
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
        let whole = try workspace.run("run", "--suite", "tiny.yaml", "--require-control")
        #expect(whole.status == 2)
        // Its runs have ended, and this call asks about others.
        let others = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--require-control",
            "--only",
            "model=based"
        )
        #expect(others.status == 0)
    }

    @Test func aControlThatPassesEndsWell() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--require-control")
        #expect(outcome.status == 0 && !outcome.errors.contains("INVALID"), "\(outcome.errors)")
    }

    /// A guard that could never warn is an error of whoever asks for it. Nothing is trained.
    @Test func aControlThatTheSuiteDoesNotHaveCannotBeRequired() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(
            tiny("name: tiny", "name: other").split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("control:") }.joined(separator: "\n"),
            to: "other.yaml"
        )
        for suites in [["other.yaml"], ["tiny.yaml", "other.yaml"]] {
            let outcome = try workspace.run(
                "run",
                "--require-control",
                more: suites.flatMap { ["--suite", $0] }
            )
            #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome.output)")
            #expect(
                outcome.errorLines == [
                    "recall-bench: --require-control: the suite other names no control; add "
                        + "`control: {model: NAME, minimum_accuracy: 0.99}` to it, or leave the option out"
                ],
                "\(outcome.errors)"
            )
        }
    }

    /// Status 1 tells more: what failed may be the control itself.
    @Test func failedRunsComeFirst() throws {
        let workspace = try Workspace.withTinySuite(
            Self.unreachable.replacingOccurrences(of: "[0.003, 0.01]", with: "[0.003, 1e30]")
        )
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--require-control")
        #expect(outcome.status == 1, "\(outcome.errors)")
        #expect(outcome.output.contains("INVALID CONTROL"), "\(outcome.output)")
    }

    // MARK: What is said of a suite

    @Test func severalErrorsAreLinesOfOneRefusal() throws {
        let workspace = try Workspace()
        let text = tiny("epochs: 2", "epochs: two").replacingOccurrences(of: "feature_dim", with: "feature_dm")
        try workspace.write(text, to: "bad.yaml")
        let outcome = try workspace.run("run", "--suite", "bad.yaml")
        #expect(outcome.status == 65 && outcome.output == "")
        #expect(
            outcome.errorLines.map { $0.prefix(27) } == [
                "recall-bench: bad.yaml:9:20", "recall-bench: bad.yaml:13:5",
            ],
            "\(outcome.errors)"
        )
        #expect(workspace.content == ["bad.yaml"])
    }

    @Test func aPresetsNameInBracketsIsSaidOnce() throws {
        let workspace = try Workspace.withTinySuite(tiny("[base-conv, attention]", "[attention]"))
        let note = "tiny.yaml:12:45: models[0].layers[0]: layers: [attention] is one layer of the mixer: "
        let dry = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run")
        #expect(dry.errorLines.count { $0.hasPrefix(note) } == 1, "\(dry.errors)")
        let run = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(run.errorLines.count { $0.hasPrefix(note) } == 1, "\(run.errors)")
        let shown = try workspace.run("suites", "./tiny.yaml")
        #expect(shown.errorLines.count { $0.hasPrefix("./" + note) } == 1, "\(shown.errors)")
        for more in [["--dry-run"], []] {
            let quiet = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", more: more)
            #expect(quiet.status == 0 && quiet.errors == "")
        }
    }

    @Test func aDryRunShowsTheStacks() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run")
        let lines = outcome.outputLines.map { $0.split(separator: " ").joined(separator: " ") }
        let title = try #require(
            lines.firstIndex(of: "model block layers state_mixer embed_dropout residual_dropout")
        )
        #expect(
            lines[title + 2] == "attention transformer base-conv, attention none 0.1 0.0",
            "\(lines)"
        )
        #expect(lines[title + 3] == "based transformer base-conv, linear-attention none 0.1 0.0", "\(lines)")
    }
}
