import Foundation
import Testing

@Suite struct DatabaseRefusalTests {
    static let commands = [
        ["run", "--suite", "tiny.yaml"], ["status"], ["export", "csv", "--table", "runs"],
        ["sweep", "state-size", "--task", "tiny.yaml", "--models", "based", "--sizes", "4KiB"],
        ["bench", "data", "--shapes", "16:2"],
    ]

    @Test(arguments: commands)
    func aDirectoryIsRefused(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.makeFolder("d")
        let outcome = try workspace.run(more: command + ["--db", "d"])
        #expect(outcome.status == 65)
        #expect(
            outcome.errorLines.last
                == "recall-bench: d: is a directory; name a file, such as results/recall.sqlite"
        )
        #expect(workspace.content == ["d", "tiny.yaml"])
    }

    @Test(arguments: commands)
    func whatIsNoDatabaseIsRefusedAndLeftAlone(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        let text = String(repeating: "these are my notes\n", count: 100)
        try workspace.write(text, to: "notes.txt")
        let outcome = try workspace.run(more: command + ["--db", "notes.txt"])
        #expect(outcome.status == 65)
        #expect(outcome.errors.contains("notes.txt: is not an SQLite database"))
        #expect(try workspace.data("notes.txt") == Data(text.utf8))
        #expect(workspace.content == ["notes.txt", "tiny.yaml"])
    }

    @Test(arguments: commands)
    func aNewerDatabaseIsRefusedAndLeftAlone(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        let made = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            "new.sqlite",
            "--only",
            "model=based,learning_rate=0.01",
            "--quiet"
        )
        #expect(made.status == 0)
        // PRAGMA user_version, big-endian at offset 60.
        var data = try workspace.data("new.sqlite")
        data.replaceSubrange(60..<64, with: [0, 0, 0x30, 0x39])
        try data.write(to: workspace.folder.appendingPathComponent("new.sqlite"))
        let outcome = try workspace.run(more: command + ["--db", "new.sqlite"])
        #expect(outcome.status == 65)
        #expect(outcome.errors.contains("new.sqlite: was written by a newer version of recall-bench"))
        #expect(try workspace.data("new.sqlite") == data)
    }

    @Test(arguments: commands)
    func aParentThatIsAFileIsAnOutputError(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(more: command + ["--db", "tiny.yaml/deep/r.sqlite"])
        // What only reads finds nothing there.
        let reads = ["status", "export"].contains(command[0])
        #expect(outcome.status == (reads ? 66 : 74), "\(outcome.errors)")
        #expect(outcome.errorLines.last?.contains("tiny.yaml/deep/r.sqlite: ") == true)
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test func aParentThatCannotBeMadeIsAnOutputError() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--db", "/proc/nowhere/r.sqlite")
        #expect(outcome.status == 74)
        #expect(outcome.errorLines.count == 1)
        #expect(outcome.output == "")
    }

    @Test func aStoreThatIsNotThereNamesTheRemedy() throws {
        let workspace = try Workspace()
        for command in [["status"], ["export", "csv", "--table", "runs"]] {
            let outcome = try workspace.run(more: command)
            #expect(outcome.status == 66)
            #expect(
                outcome.errors
                    == "recall-bench: results/recall.sqlite: there is no such file; `recall-bench run --suite quick` makes it\n"
            )
        }
        #expect(workspace.content.isEmpty)
    }
}
