import Foundation
import Testing

/// A suite that must be refused, with what its one line says after the file's name.
struct SuiteRefusal: Sendable, CustomTestStringConvertible {
    let text: String
    let error: String
    var testDescription: String { error }
}

@Suite struct SuiteRefusalTests {
    @Test(arguments: [
        SuiteRefusal(text: "a: [1\n", error: "2:1: not YAML"),
        SuiteRefusal(text: "", error: "1:1: "),
        SuiteRefusal(text: "just words\n", error: "1:1: a suite must be a mapping"),
        SuiteRefusal(
            text: tiny("[base-conv, attention]", "[base-conv, atention]"),
            error: "12:56: models[0].layers[1]: there is no mixer 'atention'; did you mean 'attention'?"
        ),
        SuiteRefusal(
            text: tiny("d_model: 16, layers: [", "d_modle: 16, layers: ["),
            error: "12:23: models[0].d_modle: unknown key; did you mean 'd_model'?"
        ),
        SuiteRefusal(
            text: tiny("  vocab_size: 64", "  vocab_size: 64\n  vocab_size: 32"),
            error: "6:3: key 'vocab_size' is there twice (first in line 5)"
        ),
        SuiteRefusal(
            text: tiny("epochs: 2", "epochs: two"),
            error: "9:20: training.epochs: must be an integer from 1 to 1000000, not 'two'"
        ),
        SuiteRefusal(
            text: tiny("d_model: 16, layers: [", "d_model: -16, layers: ["),
            error: "12:32: models[0].d_model: must be an integer from 1 to 16384, not '-16'"
        ),
        SuiteRefusal(
            text: tiny("[base-conv, attention]", "[{mixer: attention, heads: 3}]"),
            error: "12:"
        ),
        SuiteRefusal(
            text: tiny("[base-conv, attention]", "[{mixer: sliding-window, window: 0}]"),
            error: "12:77: models[0].layers[0].window: must be an integer from 1 to 1048576, not '0'"
        ),
        SuiteRefusal(
            text: tiny("[base-conv, attention]", "[{mixer: linear-attention, feature_map: taylor-3}]"),
            error:
                "12:84: models[0].layers[0].feature_map: must be one of taylor-2, elu+1, relu, identity, not 'taylor-3'"
        ),
        SuiteRefusal(
            text: tiny(
                "train: [{sequence_length: 16, kv_pairs: 2",
                "train: [{sequence_length: 16, kv_pairs: 5"
            ),
            error: "6:43: task.train[0].kv_pairs: 4 × kv_pairs ≤ sequence_length fails: 4 × 5 = 20 > 16"
        ),
        SuiteRefusal(
            text: tiny("model: attention, minimum", "model: atention, minimum"),
            error: "10:18: control.model: there is no model 'atention' in this suite; did you mean 'attention'?"
        ),
    ])
    func isOneLineWithItsPlaceAndWritesNothing(_ refusal: SuiteRefusal) throws {
        let workspace = try Workspace()
        try workspace.write(refusal.text, to: "bad.yaml")
        let outcome = try workspace.run("run", "--suite", "bad.yaml")
        #expect(outcome.status == 65 && !outcome.isSignalled)
        #expect(outcome.output == "")
        #expect(outcome.errorLines.count == 1)
        #expect(outcome.errors.hasPrefix("recall-bench: bad.yaml:\(refusal.error)"), "\(outcome.errors)")
        #expect(workspace.content == ["bad.yaml"])
    }

    @Test func aFolderIsNoSuite() throws {
        let workspace = try Workspace()
        try workspace.makeFolder("suites")
        let outcome = try workspace.run("run", "--suite", "./suites")
        #expect(outcome.status == 65)
        #expect(outcome.errors == "recall-bench: ./suites: is a folder; name a file in it\n")
    }

    /// A folder that is closed to us is no file that is missing.
    @Test func aSuiteInAClosedFolderIsAnInputError() throws {
        let workspace = try Workspace()
        try workspace.makeFolder("closed")
        try workspace.write(tinySuite, to: "closed/tiny.yaml")
        let program = workspace.path("program")
        try FileManager.default.copyItem(atPath: Program.url.path, toPath: program)
        // The superuser is kept out of no folder.
        let prefix = getuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups" : ""
        let outcome = try workspace.run(
            more: [
                "-c",
                "chmod 755 . program; chmod 0 closed; \(prefix) ./program run --suite closed/tiny.yaml; "
                    + "status=$?; chmod 755 closed; exit $status",
            ],
            program: URL(fileURLWithPath: "/bin/sh")
        )
        #expect(outcome.status == 74)
        #expect(
            outcome.errors == "recall-bench: closed/tiny.yaml: cannot be looked at: Permission denied\n",
            "\(outcome.errors)"
        )
    }

    /// What a shell would make something else of is quoted for it.
    @Test func aHintCanBeCopiedIntoAShell() throws {
        let workspace = try Workspace()
        try workspace.makeFolder("Suites")
        try workspace.write(tiny("name: tiny", "name: \"it's $tiny\""), to: "Suites/it's $tiny.yaml")
        let outcome = try workspace.run("run", "--suite", "it's $tyni")
        let hint = #"did you mean 'it'\''s $tiny'?"#
        #expect(outcome.status == 66 && outcome.errors.contains(hint), "\(outcome.errors)")
        #expect(try workspace.run("run", "--suite", "it's $tiny", "--quiet").status == 0)
        let stored = try workspace.run("status", "--suite", "it's $tyni")
        #expect(stored.status == 66 && stored.errors.contains(hint), "\(stored.errors)")
    }

    @Test func headsThatDoNotDivideTheWidthNameBoth() throws {
        let workspace = try Workspace.withTinySuite(
            tiny("[base-conv, attention]", "[{mixer: attention, heads: 3}]")
        )
        for command in [["run", "--suite"], ["suites"], ["data", "sample", "--suite"]] {
            let outcome = try workspace.run(more: command + ["tiny.yaml"])
            #expect(outcome.status == 65)
            #expect(outcome.errors.contains("heads") && outcome.errors.contains("3"), "\(outcome.errors)")
            #expect(outcome.errors.contains("16"), "\(outcome.errors)")
        }
    }

    @Test func anUnknownSuiteIsMissingAndTheNearestIsNamed() throws {
        let workspace = try Workspace()
        for command in [["run"], ["data", "sample"], ["bench", "data"]] {
            let outcome = try workspace.run(more: command + ["--suite", "quik"])
            #expect(outcome.status == 66)
            #expect(outcome.errors.contains("there is no suite 'quik'"))
            #expect(outcome.errors.contains("did you mean 'quick'?"))
            #expect(outcome.errorLines.count == 1)
        }
        let path = try workspace.run("run", "--suite", "nowhere/quick.yaml")
        #expect(path.status == 66)
        #expect(
            path.errors == "recall-bench: nowhere/quick.yaml: no such file; did you mean the suite 'quick'?\n"
        )
        #expect(workspace.content.isEmpty)
    }

    @Test func aBrokenFileInTheFolderIsListedWithItsError() throws {
        let workspace = try Workspace()
        try workspace.makeFolder("Suites")
        try workspace.write(tiny("epochs: 2", "epochz: 2"), to: "Suites/broken.yaml")
        try workspace.write(tinySuite, to: "Suites/tiny.yaml")
        let outcome = try workspace.run("suites")
        #expect(outcome.status == 0)
        let line = try #require(outcome.outputLines.first { $0.hasPrefix("broken ") })
        #expect(line.contains("Suites/broken.yaml:9:"))
        #expect(line.contains("did you mean 'epochs'?"))
        #expect(outcome.outputLines.contains { $0.hasPrefix("tiny ") && $0.contains("4 runs") })
        #expect(outcome.outputLines.contains { $0.hasPrefix("quick ") })
    }
}
