import Foundation
import Testing

private let longSuite = tiny("epochs: 2", "epochs: 60")

/// A database, or its folder, that is taken away while runs are trained: SQLite goes on writing to what nobody finds.
@Suite struct DisplacedDatabaseTests {
    enum Deed: String, CaseIterable {
        case fileDeleted, folderDeleted, fileMoved, folderMoved, fileReplaced, emptied
    }

    private func act(_ deed: Deed, _ workspace: Workspace) throws {
        let files = FileManager.default
        let file = workspace.path("results/recall.sqlite")
        switch deed {
        case .fileDeleted: try files.removeItem(atPath: file)
        case .folderDeleted:
            // What the session writes in it meanwhile may keep it for another turn.
            let folder = workspace.path("results")
            for _ in 0..<1000 where files.fileExists(atPath: folder) { try? files.removeItem(atPath: folder) }
        case .fileMoved: try files.moveItem(atPath: file, toPath: workspace.path("other.sqlite"))
        case .folderMoved:
            try files.moveItem(atPath: workspace.path("results"), toPath: workspace.path("away"))
        case .fileReplaced:
            try files.copyItem(atPath: file, toPath: workspace.path("copy.sqlite"))
            _ = rename(workspace.path("copy.sqlite"), file)
        case .emptied:
            try files.removeItem(atPath: file)
            try Data().write(to: URL(fileURLWithPath: file))
        }
    }

    /// Noticed, with what is lost; never "everything is in …".
    @Test(arguments: Deed.allCases) func aDatabaseThatIsTakenAwayIsNoticed(_ deed: Deed) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let isDone = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "2") { line, _ in
            if line.contains("\"epoch_finished\""), isDone.first() { try? self.act(deed, workspace) }
        }
        #expect(outcome.status == 74 && !outcome.isSignalled, "\(outcome.errors)")
        #expect(!outcome.errors.contains("everything is in") && outcome.output == "")
        let said = outcome.errorLines.filter { !$0.hasPrefix("{") }
        #expect(said.count == 1, "\(said)")
        let line = try #require(said.first)
        let what =
            switch deed {
            case .fileDeleted, .folderDeleted: "was deleted while it was in use; lost are the "
            case .fileMoved, .folderMoved: "was moved while it was in use; it is \(workspace.folder.path)"
            case .fileReplaced, .emptied: "was replaced by another file while it was in use; lost are the "
            }
        #expect(line.hasPrefix("recall-bench: results/recall.sqlite: \(what)"), "\(line)")
        #expect(line.contains(#/ [0-9]+ epochs? .*that this session recorded/#), "\(line)")
        let ended = try #require(try outcome.errorLines.filter { $0.hasPrefix("{") }.map(object).last)
        #expect(ended["event"] as? String == "suite_finished" && ended["error"] is String)
    }

    /// What was moved has every epoch that the session told of, in one file.
    @Test(arguments: [Deed.fileMoved, .folderMoved]) func aDatabaseThatWasMovedIsWhole(_ deed: Deed) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let isDone = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, _ in
            if line.contains("\"epoch_finished\""), isDone.first() { try? self.act(deed, workspace) }
        }
        #expect(outcome.status == 74, "\(outcome.errors)")
        let database = deed == .fileMoved ? "other.sqlite" : "away/recall.sqlite"
        let told = outcome.errorLines.count { $0.contains("\"epoch_finished\"") }
        let rows = try workspace.table("history", "--db", database).rows.count
        #expect(rows >= told && rows > 0)
        let next = try workspace.run("run", "--suite", "tiny.yaml", "--db", database, "--quiet")
        #expect(next.status == 0, "\(next.errors)")
    }

    /// Another process's database at the same path keeps its log.
    @Test func theLogOfWhatTookThePlaceStays() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let isDone = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, _ in
            guard line.contains("\"epoch_finished\""), isDone.first() else { return }
            try? self.act(.folderDeleted, workspace)
            try? workspace.makeFolder("results")
            try? workspace.write("database", to: "results/recall.sqlite")
            try? workspace.write("log", to: "results/recall.sqlite-wal")
        }
        #expect(outcome.status == 74, "\(outcome.errors)")
        #expect(try workspace.data("results/recall.sqlite") == Data("database".utf8))
        #expect(try workspace.data("results/recall.sqlite-wal") == Data("log".utf8))
    }

    /// One that watches ends as well: nobody writes to the file any more.
    @Test func aWatcherNoticesToo() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        let half = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--only", "model=attention")
        #expect(half.status == 0)
        let isDone = Once()
        let outcome = try workspace.run("status", "--watch", "--json", "--interval", "0.1") {
            _,
            _ in
        } onOutputLine: { _, _ in
            if isDone.first() { try? self.act(.folderDeleted, workspace) }
        }
        #expect(
            outcome.status == 74 && outcome.errors.contains("was deleted while it was in use"),
            "\(outcome.errors)"
        )
    }
}
