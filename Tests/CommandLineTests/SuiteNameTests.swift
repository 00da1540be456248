import Foundation
import GRDB
import Testing

/// A suite's rows are those of the file that it is from.
@Suite struct SuiteNameTests {
    private func run(_ workspace: Workspace, _ suite: String, _ more: String...) throws -> Outcome {
        try workspace.run("run", "--suite", suite, "--quiet", more: more)
    }

    /// A workspace in which tiny.yaml was run, and other.yaml has another suite of the same name.
    private func withTwoFiles() throws -> Workspace {
        let workspace = try Workspace.withTinySuite()
        try workspace.write(tiny("[0.003, 0.01]", "[0.02]"), to: "other.yaml")
        #expect(try run(workspace, "tiny.yaml").status == 0)
        return workspace
    }

    @Test(arguments: [["run", "--suite"], ["sweep", "state-size", "--task"]])
    func aBuiltInSuitesNameIsRefused(_ command: [String]) throws {
        let workspace = try Workspace.withTinySuite(tiny("name: tiny", "name: quick"))
        for more in [[], ["--dry-run"]] {
            let outcome = try workspace.run(more: command + ["tiny.yaml"] + more)
            #expect(outcome.status == 65)
            #expect(
                outcome.errors
                    == "recall-bench: tiny.yaml:1:1: name: 'quick' is a built-in suite, and this file has other runs; give "
                    + "it another name, such as 'my-quick'\n"
            )
        }
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test func anotherFileOfTheSameNameIsRefused() throws {
        let workspace = try withTwoFiles()
        let before = try workspace.results()
        let refused = try run(workspace, "other.yaml")
        #expect(refused.status == 65)
        let folder = URL(fileURLWithPath: workspace.folder.path).resolvingSymlinksInPath().path
        #expect(
            refused.errors
                == "recall-bench: results/recall.sqlite: the suite 'tiny' in it is that of \(folder)/tiny.yaml, not of "
                + "\(folder)/other.yaml; give the suite another `name:`, or let it take the place of that one with "
                + "--replace-suite\n"
        )
        #expect(try run(workspace, "other.yaml", "--dry-run").status == 65)
        #expect(try workspace.results() == before)
        // An edit of the file is no other file, and neither is a link to it.
        try workspace.write(tiny("[0.003, 0.01]", "[0.003]"), to: "tiny.yaml")
        try FileManager.default.createSymbolicLink(
            atPath: workspace.path("link.yaml"),
            withDestinationPath: "tiny.yaml"
        )
        #expect(try run(workspace, "link.yaml").status == 0)
        #expect(try run(workspace, "other.yaml", "--replace-suite").status == 0)
        #expect(try Set(workspace.table("tradeoff").column("learning_rate")) == ["0.02"])
        // Now the name is that file's.
        #expect(try run(workspace, "other.yaml").status == 0)
        #expect(try run(workspace, "tiny.yaml").status == 65)
    }

    /// A suite that an older version stored is that of the first file that runs it.
    @Test func aSuiteWithoutAPathIsAdopted() throws {
        let workspace = try withTwoFiles()
        let queue = try DatabaseQueue(path: workspace.path("results/recall.sqlite"))
        try queue.write { try $0.execute(sql: "UPDATE suites SET path = NULL") }
        try queue.close()
        #expect(try run(workspace, "other.yaml").status == 0)
        #expect(try run(workspace, "tiny.yaml").status == 65)
    }

    /// A sweep's suite is that of the file whose task it took.
    @Test func aSweepsNameIsItsOwn() throws {
        let workspace = try withTwoFiles()
        try workspace.write(tiny("name: tiny", "name: state-size-tiny"), to: "mine.yaml")
        func sweep(_ task: String) throws -> Outcome {
            try workspace.run(
                "sweep",
                "state-size",
                "--task",
                task,
                "--models",
                "based",
                "--sizes",
                "4KiB",
                "--learning-rates",
                "0.01",
                "--quiet"
            )
        }
        #expect(try sweep("tiny.yaml").status == 0)
        #expect(try sweep("tiny.yaml").status == 0)
        let other = try sweep("other.yaml")
        #expect(other.status == 65 && other.errors.contains("that of the sweep of "), "\(other.errors)")
        #expect(try run(workspace, "mine.yaml").status == 65)
    }
}
