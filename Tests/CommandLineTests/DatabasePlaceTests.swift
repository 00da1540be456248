import Foundation
import Testing

/// Longer than a signal takes to arrive.
private let longSuite = tiny("epochs: 2", "epochs: 60")

/// Where a database's checkpoints are, under whichever name it is opened and whatever else is in its folder.
@Suite struct DatabasePlaceTests {
    private func run(_ workspace: Workspace, _ database: String, _ more: String...) throws -> Outcome {
        try workspace.run("run", "--suite", "tiny.yaml", "--db", database, "--json", "--jobs", "1", more: more)
    }

    /// Trains until the first epoch is recorded, then is killed.
    private func runUntilKilled(_ workspace: Workspace, _ database: String, _ more: String...) throws {
        let isSent = Once()
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            database,
            "--json",
            "--jobs",
            "1",
            more: more
        ) { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGKILL) }
        }
        #expect(outcome.isSignalled && outcome.status == SIGKILL)
    }

    /// Trains to the end, from a checkpoint for the run that was killed.
    private func expectContinues(_ workspace: Workspace, _ database: String, _ more: String...) throws {
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            database,
            "--json",
            "--jobs",
            "1",
            more: more
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(!outcome.errors.contains("starts anew"), "\(outcome.errors)")
        let starts = try outcome.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(starts.count { $0["step"] as? Int ?? 0 > 0 } == 1, "\(starts)")
    }

    private func link(_ workspace: Workspace, _ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: workspace.path(name),
            withDestinationPath: target
        )
    }

    /// As SQLite does, the program follows links of the file and of its folders.
    @Test(arguments: ["home/r.sqlite", "folder/r.sqlite", "again/r.sqlite"])
    func aRunContinuesThroughALink(_ database: String) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try workspace.makeFolder("real")
        try workspace.makeFolder("home")
        try link(workspace, "home/r.sqlite", to: "../real/r.sqlite")
        try link(workspace, "folder", to: "real")
        try link(workspace, "again", to: workspace.path("home"))
        try runUntilKilled(workspace, "real/r.sqlite")
        try expectContinues(workspace, database)
        #expect(workspace.content.filter { $0.hasPrefix("home/") } == ["home/r.sqlite"])
        #expect(workspace.exists("real/r.sqlite.checkpoints"))
    }

    @Test func theTargetOfADanglingLinkIsMade() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try workspace.makeFolder("home")
        try link(workspace, "home/r.sqlite", to: "../real/new.sqlite")
        try runUntilKilled(workspace, "home/r.sqlite")
        try expectContinues(workspace, "real/new.sqlite")
        #expect(workspace.content.filter { $0.hasPrefix("home/") } == ["home/r.sqlite"])
    }

    /// SQLite would take these for no file at all, or for an address with options.
    @Test(arguments: [":memory:", "file:r.sqlite", "file::memory:?cache=shared", "file:r?mode=memory", ":r"])
    func anyNameIsAFiles(_ database: String) throws {
        let workspace = try Workspace.withTinySuite()
        let first = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--db", database)
        #expect(first.status == 0, "\(first.errors)")
        #expect(
            workspace.content.filter { $0.hasSuffix(".sqlite") || $0.hasPrefix(":") || $0.hasPrefix("file:") }
                .contains(database),
            "\(workspace.content)"
        )
        let again = try workspace.run("run", "--suite", "tiny.yaml", "--db", database)
        #expect(again.errors.contains("all 4 runs of tiny are finished"), "\(again.errors)")
        let copy = try workspace.run("export", "sqlite", "--db", database, "--output", database + "-copy")
        #expect(copy.status == 0 && workspace.exists(database + "-copy"), "\(copy.errors)")
        let missing = try workspace.run("status", "--db", database + "?")
        #expect(missing.status == 66, "\(missing.errors)")
    }

    /// A run that finishes in one database leaves another's checkpoint of it, beside it or in a folder that both use.
    @Test(arguments: [[], ["--checkpoints", "shared"], ["--checkpoints", "shared", "--fresh"]])
    func databasesDoNotShareCheckpoints(_ options: [String]) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let folder = "--checkpoints=shared"
        try options.isEmpty
            ? runUntilKilled(workspace, "d/e.sqlite") : runUntilKilled(workspace, "d/e.sqlite", folder)
        let other = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            "d/f.sqlite",
            "--quiet",
            more: options
        )
        #expect(other.status == 0, "\(other.errors)")
        try options.isEmpty
            ? expectContinues(workspace, "d/e.sqlite") : expectContinues(workspace, "d/e.sqlite", folder)
    }

    /// Checkpoints of versions before databases had folders of their own are in checkpoints/ beside them.
    @Test(arguments: [[], ["--keep-checkpoints"]])
    func aCheckpointOfAnEarlierVersionIsFound(_ options: [String]) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try runUntilKilled(workspace, "d/e.sqlite")
        let names = try FileManager.default.contentsOfDirectory(
            atPath: workspace.path("d/e.sqlite.checkpoints")
        )
        let name = try #require(names.first { $0.hasSuffix(".partial.safetensors") })
        try workspace.makeFolder("d/checkpoints")
        try FileManager.default.moveItem(
            atPath: workspace.path("d/e.sqlite.checkpoints/\(name)"),
            toPath: workspace.path("d/checkpoints/\(name)")
        )
        // A database that has none of its epochs on record neither uses nor removes it.
        let other = try run(workspace, "d/f.sqlite")
        #expect(other.status == 0 && workspace.exists("d/checkpoints/\(name)"), "\(other.errors)")
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            "d/e.sqlite",
            "--json",
            "--jobs",
            "1",
            more: options
        )
        #expect(outcome.status == 0 && !outcome.errors.contains("starts anew"), "\(outcome.errors)")
        let starts = try outcome.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(starts.count { $0["step"] as? Int ?? 0 > 0 } == 1)
        #expect(!workspace.exists("d/checkpoints/\(name)"))
        // What is kept is where it always was.
        let kept = workspace.content.filter { $0.hasSuffix(".safetensors") }
        #expect(kept.count == (options.isEmpty ? 0 : 4))
        #expect(kept.allSatisfy { $0.hasPrefix("d/checkpoints/") && !$0.contains(".partial.") }, "\(kept)")
    }
}
