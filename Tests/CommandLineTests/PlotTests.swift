import Foundation
import RecallReport
import RecallStore
import Testing

@Suite struct PlotTests {
    private static let kinds = ["tradeoff", "learning-curves", "learning-rates"]

    private static func trained() throws -> Workspace {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--quiet")
        #expect(outcome.status == 0, "\(outcome.errors)")
        return workspace
    }

    @Test func scriptsAreTheSameTwiceAndNeedNoGnuplot() throws {
        let workspace = try Self.trained()
        for kind in Self.kinds {
            for name in ["a.gp", "b.gp"] {
                let outcome = try workspace.run(
                    "plot",
                    kind,
                    "--script",
                    name,
                    environment: ["PATH": workspace.folder.path]
                )
                #expect(outcome.status == 0 && outcome.output == "" && outcome.errors == "", "\(outcome)")
            }
            #expect(try workspace.data("a.gp") == workspace.data("b.gp"))
            let text = String(decoding: try workspace.data("a.gp"), as: UTF8.self)
            #expect(
                text.contains("set terminal svg") && text.contains("'based'") && text.contains("'attention'")
            )
        }
    }

    /// A model without state is in every figure, from the database and from its table, and on the page.
    @Test func aModelWithoutStateIsDrawn() throws {
        let models = try #require(tinySuite.range(of: "  - {name: attention"))
        let stateless = """
              - {name: none, d_model: 16, state_mixer: identity, layers: [{mixer: sliding-window, window: 1}]}
              - {name: conv, d_model: 16, state_mixer: identity, layers: [{mixer: base-conv, kernel_size: 1}]}

            """
        let workspace = try Workspace.withTinySuite(
            tinySuite.replacingCharacters(in: models.lowerBound..<models.lowerBound, with: stateless)
        )
        let run = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--plot")
        #expect(run.status == 0 && run.output.contains("left of it: no state, 0 B"), "\(run)")
        for kind in Self.kinds {
            let outcome = try workspace.run("plot", kind, "--script", "\(kind).gp")
            #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        }
        #expect(String(decoding: try workspace.data("tradeoff.gp"), as: UTF8.self).contains("'0 B'"))
        #expect(try workspace.run("export", "csv", "--table", "tradeoff", "--output", "t.csv").status == 0)
        #expect(
            try workspace.run("plot", "tradeoff", "--csv", "t.csv", "--script", "csv.gp").status == 0
        )
        #expect(try workspace.data("csv.gp") == workspace.data("tradeoff.gp"))
        #expect(try workspace.run("report", "--output", "page.html").status == 0)
    }

    /// A figure from an exported table is the figure from the database.
    @Test func theExportedTableIsEnough() throws {
        let workspace = try Self.trained()
        #expect(
            try workspace.run("export", "csv", "--table", "tradeoff", "--output", "t.csv").status == 0
        )
        for (source, script) in [([], "db.gp"), (["--csv", "t.csv"], "csv.gp")] {
            let outcome = try workspace.run("plot", "tradeoff", more: source + ["--script", script])
            #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        }
        #expect(try workspace.data("db.gp") == workspace.data("csv.gp"))
    }

    @Test func withoutGnuplotTheScriptIsStillWritten() throws {
        let workspace = try Self.trained()
        let outcome = try workspace.run(
            "plot",
            "tradeoff",
            "--output",
            "t.png",
            "--script",
            "t.gp",
            environment: ["PATH": workspace.folder.path]
        )
        #expect(outcome.status == 69 && outcome.errorLines.count == 1, "\(outcome.errors)")
        #expect(outcome.errors.contains("install gnuplot-nox") && outcome.errors.contains("--script"))
        #expect(workspace.exists("t.gp") && !workspace.exists("t.png"))
        #expect(String(decoding: try workspace.data("t.gp"), as: UTF8.self).contains("set output 't.png'"))
    }

    /// What is written nowhere is told with the folder and how to choose another; a report goes without its figures.
    @Test(.enabled(if: Gnuplot() != nil, "gnuplot is not installed"), arguments: ["none", "tiny.yaml"])
    func aTemporaryFolderThatTakesNothingIsNamed(_ folder: String) throws {
        let workspace = try Self.trained()
        try workspace.write(tinySuite, to: "tiny.yaml")
        // Below a file no folder can be.
        let path = workspace.path("tiny.yaml") + (folder == "none" ? "/none" : "")
        let environment = ["TMPDIR": path]
        let plot = try workspace.run("plot", "tradeoff", "--output", "t.svg", environment: environment)
        #expect(plot.status == 74 && plot.errorLines.count == 1, "\(plot.errors)")
        #expect(
            plot.errors.contains(path) && plot.errors.contains("name another with TMPDIR"),
            "\(plot.errors)"
        )
        let report = try workspace.run("report", "--output", "page.html", environment: environment)
        #expect(report.status == 0 && workspace.exists("page.html"), "\(report.errors)")
        #expect(report.errors.contains("name another with TMPDIR"), "\(report.errors)")
    }

    @Test(.enabled(if: Gnuplot() != nil, "gnuplot is not installed")) func figuresAreWritten() throws {
        let workspace = try Self.trained()
        for kind in Self.kinds {
            let piped = try workspace.run("plot", kind)
            #expect(piped.status == 0 && piped.output.contains("<svg"), "\(piped.errors)")
            for name in ["f.svg", "f.png"] {
                let outcome = try workspace.run("plot", kind, "--output", name)
                #expect(outcome.status == 0 && outcome.output == "", "\(outcome.errors)")
            }
            #expect(String(decoding: try workspace.data("f.svg"), as: UTF8.self) == piped.output)
            #expect(try workspace.data("f.png").starts(with: [0x89, 0x50, 0x4E, 0x47]))
        }
        #expect(workspace.content.filter { $0.hasSuffix(".partial") }.isEmpty)
        // gnuplot's own complaint, in one line: a folder where its files should go cannot be.
        let outcome = try workspace.run("plot", "tradeoff", "--output", "none/f.svg")
        #expect(outcome.status == 74 && outcome.errorLines.count == 1)
    }

    @Test func throughputIsOfMeasurementsAtOneBatch() throws {
        let workspace = try Workspace()
        let none = try workspace.run("plot", "throughput", "--script", "t.gp")
        #expect(none.status == 66)
        let store = try Store(path: workspace.path("b.sqlite"), mode: .readWrite)
        for (name, context, speed) in [
            ("attention prefill", 128, 1e6), ("attention decode", 128, 3000.0),
            ("attention decode", 256, 2000.0),
            ("attention decode", 256, 2500.0), ("mamba decode", 128, 4000.0),
        ] {
            try store.recordBenchmark(
                BenchmarkRecord(
                    kind: "generate",
                    name: name,
                    device: "cpu",
                    precision: "fp32",
                    threads: 1,
                    shape: "{\"batch\":16,\"sequence_length\":\(context)}",
                    medianMilliseconds: 1,
                    minimumMilliseconds: 1,
                    tokensPerSecond: speed
                )
            )
        }
        let outcome = try workspace.run("plot", "throughput", "--db", "b.sqlite", "--script", "t.gp")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let script = String(decoding: try workspace.data("t.gp"), as: UTF8.self)
        // The last of two measurements of the same.
        #expect(script.contains("128.0 3000.0\n256.0 2500.0\n") && !script.contains("256.0 2000.0"))
        let other = try workspace.run("plot", "throughput", "--db", "b.sqlite", "--batch", "3")
        #expect(other.status == 66 && other.errors.contains("choose one with --batch of 16"), "\(other.errors)")
    }

    @Test func mistakesAreOneLine() throws {
        let workspace = try Self.trained()
        try workspace.write("suite,model\n", to: "short.csv")
        let header = "suite,model,config,state_bytes,test_accuracy_mean\n"
        try workspace.write(header + "s,m,{},many,0.5\n", to: "word.csv")
        try workspace.write(header + "s,m,{}\n", to: "ragged.csv")
        try workspace.write(header + "s,m,{},10,0.5\nt,m,{},10,0.5\n", to: "two.csv")
        try workspace.write(header, to: "empty.csv")
        try workspace.write(tiny("name: tiny", "name: other"), to: "other.yaml")
        let cases: [([String], Int32, String)] = [
            (["tradeoff", "--output", "t.pdf"], 64, "'t.pdf'"), (["tradeoff", "--output", "svg"], 64, "'svg'"),
            (["tradeoff", "--width", "3"], 64, "--width must be from 100"),
            (["tradeoff", "--width", "150"], 64, "--width"),
            (["tradeoff", "--suite", "tinny"], 66, "did you mean 'tiny'?"),
            (["tradeoff", "--db", "none.sqlite"], 66, "none.sqlite"), (["trade"], 64, "trade"),
            (["tradeoff", "--csv", "none.csv"], 66, "none.csv: there is no such file"),
            (
                ["tradeoff", "--csv", "short.csv"], 65,
                "no columns 'config', 'state_bytes', 'test_accuracy_mean'"
            ),
            (["tradeoff", "--csv", "word.csv"], 65, "line 2, state_bytes: 'many' is not a number"),
            (["tradeoff", "--csv", "ragged.csv"], 65, "line 2 has 3 fields under 5 columns"),
            (["tradeoff", "--csv", "two.csv"], 66, "choose one with --suite: s, t"),
            (["tradeoff", "--csv", "two.csv", "--suite", "u"], 66, "no row of a suite 'u'"),
            (["tradeoff", "--csv", "empty.csv"], 66, "nothing to draw"),
            (["tradeoff", "--task", "quick"], 64, "--task goes with --csv"),
            (["throughput", "--batch", "0"], 64, "--batch must be at least 1"),
            (
                ["throughput", "--csv", "empty.csv"], 65,
                "no columns 'kind', 'name', 'shape', 'tokens_per_second'"
            ),
        ]
        for (arguments, status, part) in cases {
            let outcome = try workspace.run("plot", more: arguments)
            #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
            #expect(outcome.errorLines.last?.contains(part) == true, "\(arguments): \(outcome.errors)")
            #expect(outcome.output == "", "\(arguments)")
        }
        #expect(try workspace.run("run", "--suite", "other.yaml", "--quiet").status == 0)
        let several = try workspace.run("plot", "tradeoff")
        #expect(several.status == 64 && several.errors.contains("choose one with --suite: other, tiny"))
    }

    @Test func theSketchStandsBelowTheTableWhereItIsAskedFor() throws {
        let workspace = try Workspace.withTinySuite()
        let plain = try workspace.run("run", "--suite", "tiny.yaml", "--quiet")
        let sketched = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--plot")
        #expect(plain.status == 0 && sketched.status == 0)
        #expect(sketched.output.hasPrefix(plain.output) && sketched.output.contains("A attention"))
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--no-plot").output == plain.output)
    }
}
