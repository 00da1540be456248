import Foundation
import Testing

/// What users, files and databases are called comes back in messages, each of which is one line that a terminal can show.
@Suite struct EscapingTests {
    /// Begins lines, moves a terminal's cursor and colors it, and turns the direction of writing.
    private static let odd = "a\nb\u{1B}[31m\u{202E}\u{9B}c"
    private static let escaped = #"a\nb\u{1B}[31m\u{202E}\u{009B}c"#

    private func expectClean(_ text: String, _ command: [String]) {
        let dirty = text.unicodeScalars.filter { scalar in
            scalar != "\n"
                && ([.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
                    || (0x200E...0x200F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)
                    || (0x2066...0x2069).contains(scalar.value))
        }
        #expect(dirty.isEmpty, "\(command): \(text.debugDescription)")
    }

    @Test(arguments: [
        ["run", "--suite", odd], ["run", "--suite", "\(odd).yaml"], ["run", "--suite", "\(odd)/t.yaml"],
        ["run", "--suite", "tiny.yaml", "--only", odd],
        ["run", "--suite", "tiny.yaml", "--only", "model=\(odd)"],
        ["run", "--suite", "tiny.yaml", "--only=\(odd)=1"], ["run", "--suite", "tiny.yaml", "--shard", odd],
        ["run", "--suite", "tiny.yaml", "--device", odd], ["run", "--suite", "tiny.yaml", "--jobs", odd],
        ["run", "--suite", "tiny.yaml", "--db", "tiny.yaml/\(odd)"],
        ["run", "--suite", "tiny.yaml", "--db", odd],
        ["run", "--suite", "tiny.yaml", "--checkpoints", "tiny.yaml/\(odd)"], [odd],
        ["plot", odd], ["status", "--db", odd], ["status", "--db", "missing/\(odd)"],
        ["export", "csv", "--table", odd],
        ["export", "csv", "--table", "runs", "--db", odd], ["plot", "tradeoff", "--csv", odd],
        ["plot", "tradeoff", "--csv", "missing/\(odd)"],
        ["plot", "tradeoff", "--output", odd], ["eval", "--checkpoint", odd],
        ["eval", "--checkpoint", "missing/\(odd)"],
        ["models", odd], ["models", "based", "--config", odd],
        ["suites", odd], ["tasks", odd], ["verify", "--only", odd], ["bench", "train", "--models", odd],
        ["bench", "data", "--shapes", odd], ["data", "sample", "--suite", odd],
        ["sweep", "state-size", "--task", odd],
        ["serve", "--db", odd, "--port", "0"],
    ]) func aRefusalIsOneLine(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.makeFolder(Self.odd)
        let outcome = try workspace.run(more: command)
        #expect(outcome.status != 0 && outcome.status != 70 && !outcome.isSignalled, "\(command)")
        #expect(outcome.errorLines.count == 1, "\(command): \(outcome.errors)")
        #expect(outcome.errors.contains(#"a\nb\u{1B}[31m\u{202E}"#), "\(command): \(outcome.errors)")
        expectClean(outcome.errors + outcome.output, command)
    }

    /// Files and suites of odd names are trained as any, and what is said of them is as many lines as of any.
    @Test func notesAreLinesWhateverFilesAreCalled() throws {
        let workspace = try Workspace()
        let (suite, database) = ("\(Self.odd).yaml", "\(Self.odd).sqlite")
        try workspace.write(tinySuite, to: suite)
        let plain = try Workspace.withTinySuite().run("run", "--suite", "tiny.yaml")
        let run = try workspace.run("run", "--suite", suite, "--db", database)
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.errorLines.count == plain.errorLines.count, "\(run.errors)")
        #expect(run.errors.contains("everything is in \(Self.escaped).sqlite"), "\(run.errors)")
        expectClean(run.errors + run.output, ["run"])
        // The command in it is one that a shell takes.
        for command in commandsBetweenBackquotes(run.errors) {
            #expect(try workspace.shell(command).status == 0, "\(command)")
        }
        let status = try workspace.run("status", "--db", database)
        expectClean(status.output, ["status"])
        let other = try workspace.run("export", "csv", "--table", "runs", "--suite", Self.odd, "--db", database)
        #expect(other.status == 66 && other.errorLines.count == 1, "\(other.errors)")
        expectClean(other.errors, ["export"])
    }

    /// Letters stay as they are written.
    @Test(arguments: ["größe 模型 нет.yaml", "نمی\u{200C}خواهم.yaml", "👩\u{200D}🔬.yaml", "e\u{301}.yaml"])
    func lettersOfAnyScriptStay(_ name: String) throws {
        let outcome = try Workspace().run("run", "--suite", name)
        #expect(outcome.status == 66 && outcome.errors.hasPrefix("recall-bench: \(name): no such file"))
    }
}
