import Foundation
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining
import TestSupport
import Testing

/// Every command that the program prints runs as it is printed.
@Suite struct PrintedCommandTests {
    /// What a shell could make something else of.
    private static let suiteFile = "-it's \"tiny\".yaml"
    private static let database = "my $r.sqlite"

    private func oddWorkspace(_ text: String = tinySuite) throws -> Workspace {
        let workspace = try Workspace()
        try workspace.write(text, to: Self.suiteFile)
        return workspace
    }

    // MARK: - Messages

    @Test func theEndOfASessionNamesItsDatabase() throws {
        let workspace = try oddWorkspace()
        let outcome = try workspace.run(
            "run",
            "--suite=\(Self.suiteFile)",
            "--db",
            Self.database,
            "--only",
            "model=based"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let commands = commandsBetweenBackquotes(outcome.errors)
        #expect(
            commands == ["recall-bench export csv --table tradeoff --suite tiny --db 'my $r.sqlite'"]
        )
        for command in commands {
            let export = try workspace.shell(command)
            #expect(export.status == 0 && CSVText(export.output).rows.count == 1, "\(export.errors)")
        }
    }

    /// After Ctrl-C the hint has every option that was given, but for those that would begin again.
    @Test func theHintAfterAnInterruptContinuesWhatWasBegun() throws {
        let workspace = try oddWorkspace(tiny("epochs: 2", "epochs: 60"))
        let isSent = Once()
        let outcome = try workspace.run(
            "run",
            "--suite=\(Self.suiteFile)",
            "--db",
            Self.database,
            "--jobs",
            "1",
            "--threads",
            "2",
            "--only",
            "model=based,learning_rate=0.01",
            "--checkpoints",
            "kept here",
            "--json",
            "--fresh",
            "--keep-checkpoints"
        ) { line, pid in if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGINT) } }
        #expect(outcome.status == 130)
        let message = try #require(outcome.errorLines.last)
        let command = try #require(message.components(separatedBy: "goes on: ").last)
        #expect(!command.contains("--fresh"))
        for part in [
            #"'--suite=-it'\''s "tiny".yaml'"#, "--db 'my $r.sqlite'", "--jobs 1", "--threads 2",
            "--only model=based,learning_rate=0.01", "--checkpoints 'kept here'", "--json",
            "--keep-checkpoints",
        ] { #expect(command.contains(part), "\(part) in \(command)") }
        let rest = try workspace.shell(command)
        #expect(rest.status == 0, "\(rest.errors)")
        let starts = try rest.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(starts.count == 1 && (starts[0]["step"] as? Int ?? 0) > 0, "it continues")
        #expect(try workspace.table("runs", "--db", Self.database).column("status").sorted().last == "pending")
        #expect(workspace.content.contains { $0.hasPrefix("kept here/") && $0.hasSuffix(".safetensors") })
        #expect(!workspace.exists("results"))
    }

    /// Where runs failed, each message names a command that tells why.
    @Test func whereRunsFailedTheCommandsTellWhy() throws {
        let rates = (0..<12).map { "\($0 + 1).0e+30" }.joined(separator: ", ")
        let workspace = try oddWorkspace(tiny("[0.003, 0.01]", "[\(rates)]"))
        let outcome = try workspace.run("run", "--suite=\(Self.suiteFile)", "--db", Self.database, "--quiet")
        #expect(outcome.status == 1)
        let watch = try workspace.run("status", "--watch", "--db", Self.database)
        #expect(watch.status == 1)
        let status = try workspace.run("status", "--db", Self.database)
        for (text, part) in [
            (outcome.errors, "status --suite tiny"), (watch.errors, "status --db"),
            (status.output, "export csv --table runs --suite tiny"),
        ] {
            let commands = commandsBetweenBackquotes(text)
            #expect(commands.count == 1 && commands.first?.contains(part) == true, "\(text)")
            for command in commands {
                let told = try workspace.shell(command)
                #expect(told.status == 0 && told.output.contains("not finite at step"), "\(command)")
            }
        }
    }

    @Test func aMissingDatabaseIsMadeByTheCommandOfTheMessage() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run("status", "--db", Self.database)
        #expect(outcome.status == 66)
        let command = try #require(commandsBetweenBackquotes(outcome.errors).first)
        #expect(command == "recall-bench run --suite quick --db 'my $r.sqlite'")
        // The whole suite takes minutes.
        let made = try workspace.shell(command, more: ["--only", "seed=0,model=attention", "--dry-run"])
        #expect(made.status == 0, "\(made.errors)")
    }

    @Test func whatIsNotMeasuredIsMeasuredByTheCommandOfTheMessage() throws {
        let workspace = try oddWorkspace()
        #expect(
            try workspace.run("bench", "data", "--shapes", "16:2", "--vocab", "128", "--db", Self.database)
                .status == 0
        )
        let outcome = try workspace.run("plot", "throughput", "--db", Self.database, "--output", "t.svg")
        #expect(outcome.status == 66)
        let command = try #require(commandsBetweenBackquotes(outcome.errors).first)
        let measured = try workspace.shell(command, more: Self.small["bench generate"] ?? [])
        #expect(measured.status == 0, "\(measured.errors)")
        let plotted = try workspace.run(
            "plot",
            "throughput",
            "--db",
            Self.database,
            "--batch",
            "1",
            "--script",
            "t.gp"
        )
        #expect(plotted.status == 0, "\(plotted.errors)")
    }

    // MARK: - The report

    /// What keeps commands that measure from taking minutes.
    private static let small = [
        "bench train": ["--models", "attention", "--widths", "16", "--shapes", "16:2", "--steps", "1"],
        "bench generate": ["--models", "attention", "--contexts", "16", "--batches", "1", "--width", "16"],
    ]

    private static func commands(_ workspace: Workspace, _ page: String) throws -> [String] {
        let (root, complaint) = parseMarkup(String(decoding: try workspace.data(page), as: UTF8.self))
        return try #require(root, "\(complaint)").elements("code").map(\.text).filter {
            $0.hasPrefix("recall-bench ")
        }
    }

    /// Of a suite with failed and missing runs, whose warnings have commands too.
    @Test func everyCommandOfAReportRuns() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(
            try workspace.run("run", "--suite", "tiny.yaml", "--db", Self.database, "--quiet").status == 0
        )
        try workspace.execute(
            """
            UPDATE runs SET status = 'failed', error = 'for a test' WHERE run_id =
                (SELECT run_id FROM suite_runs WHERE position = 3);
            UPDATE runs SET status = 'pending' WHERE run_id = (SELECT run_id FROM suite_runs WHERE position = 2)
            """,
            on: Self.database
        )
        try Self.holdReport(workspace, database: Self.database)
        // The commands of the warnings have trained what was missing, where it was missing.
        #expect(
            try Set(workspace.table("runs", "--db", Self.database).column("status")) == ["finished"]
        )
    }

    @Test func everyCommandOfASweepsReportRuns() throws {
        let workspace = try Workspace.withTinySuite()
        for rates in [[], ["--learning-rates", "0.003,0.01", "--seeds", "2", "--data-seeds", "2"]] {
            let database = "sweep\(rates.count).sqlite"
            let outcome = try workspace.run(
                "sweep",
                "state-size",
                "--task",
                "tiny.yaml",
                "--models",
                "based",
                "--sizes",
                "4KiB,1KiB",
                "--quiet",
                "--db",
                database,
                more: rates
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
            try Self.holdReport(workspace, database: database)
            try FileManager.default.removeItem(atPath: workspace.path("again.sqlite"))
        }
    }

    /// The suite is known by its name, and does not have these rates and seeds by itself.
    @Test func everyCommandOfRunsBeyondASuitesGridRuns() throws {
        let workspace = try Workspace()
        try workspace.makeFolder("Suites")
        try workspace.write(tinySuite, to: "Suites/tiny.yaml")
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny",
            "--learning-rates",
            "0.005",
            "--seeds",
            "2",
            "--quiet",
            "--db",
            "r.sqlite"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        try Self.holdReport(workspace, database: "r.sqlite")
        let commands = try Self.commands(workspace, "page.html").filter { $0.hasPrefix("recall-bench run ") }
        #expect(!commands.isEmpty)
        #expect(
            commands.allSatisfy { $0.contains(" --learning-rates 0.005") && $0.contains(" --seeds 2") },
            "\(commands)"
        )
    }

    private static func holdReport(_ workspace: Workspace, database: String) throws {
        #expect(try workspace.run("report", "--db", database, "--output", "page.html").status == 0)
        let commands = try commands(workspace, "page.html")
        #expect(commands.contains { $0.hasPrefix("recall-bench report ") })
        #expect(commands.contains { $0.contains("--db again.sqlite") })
        for command in commands {
            #expect(command.contains(" --db "), "\(command)")
            let more = small.first { command.contains($0.key) }?.value ?? []
            let outcome = try workspace.shell(command, more: more)
            #expect(outcome.status == 0, "\(command): \(outcome.errors)")
        }
        // Nothing went into the database that commands use without --db.
        #expect(!workspace.exists("results"))
    }

    /// The built-in suites are known again by their stored runs, and the commands of their points select those runs.
    /// They take minutes to days to train; here every run counts as finished, and --dry-run finds nothing left.
    @Test(arguments: SuiteLibrary.embedded.keys.sorted())
    func commandsOfABuiltInSuiteFindItsRuns(_ name: String) throws {
        let workspace = try Workspace()
        let suite = try SuiteLibrary(directory: workspace.path("none")).load(name)
        let planned = suite.expand()
        let store = try Store(path: workspace.path("r.sqlite"), mode: .readWrite)
        try store.plan(planned, suite: SuiteRecord(name: suite.name, description: suite.description ?? "")) {
            _ in
            ModelFacts(parameters: 1, stateBytes: 1, stateBytesZoology: nil)
        }
        try store.close()
        try workspace.execute(
            """
            UPDATE runs SET status = 'finished', epochs = 1, steps = 1, train_loss = 1, validation_loss = 1,
                validation_accuracy = 1 - learning_rate, test_loss = 1, test_accuracy = 0.5, train_seconds = 1,
                tokens_per_second = 1, device = 'cpu: test', version = '0.1.0'
            """,
            on: "r.sqlite"
        )
        try workspace.data("r.sqlite").write(to: workspace.folder.appendingPathComponent("again.sqlite"))
        let report = try workspace.run(
            "report",
            "--db",
            "r.sqlite",
            "--output",
            "page.html",
            environment: ["PATH": workspace.folder.path]
        )
        #expect(report.status == 0, "\(report.errors)")
        let page = String(decoding: try workspace.data("page.html"), as: UTF8.self)
        #expect(!page.contains("somebody") && !page.contains("\(name).yaml"))
        let commands = try Self.commands(workspace, "page.html").filter { $0.contains("--db again.sqlite") }
        // One of all runs, and one per point.
        let points = Set(planned.map(\.pointID)).count
        #expect(commands.count == 1 + points)
        for command in commands {
            #expect(command.contains(" --suite \(name) "), "\(command)")
            let outcome = try workspace.shell(command, more: ["--dry-run"])
            #expect(
                outcome.status == 0 && outcome.output.hasSuffix(" finished, nothing is left to train\n"),
                "\(command): \(outcome.output.suffix(200)) \(outcome.errors)"
            )
        }
    }
}
