import Foundation
import GRDB
import Testing

private let longSuite = tiny("epochs: 2", "epochs: 60")

/// Files that were cut, overwritten or removed between two sittings.
@Suite struct DamageTests {
    /// One run, killed when it has trained some epochs: its row and its checkpoint are there.
    private func interrupted() throws -> (Workspace, checkpoint: URL, arguments: [String]) {
        let workspace = try Workspace.withTinySuite(longSuite)
        let arguments = ["run", "--suite", "tiny.yaml", "--json", "--only", "model=based,learning_rate=0.01"]
        let count = Counter()
        let outcome = try workspace.run(more: arguments) { line, pid in
            if line.contains("\"epoch_finished\""), count.next() == 3 { kill(pid, SIGKILL) }
        }
        #expect(outcome.isSignalled)
        let name = try #require(workspace.content.first { $0.hasSuffix(".safetensors") })
        return (workspace, workspace.folder.appendingPathComponent(name), arguments)
    }

    private static let plain = Result {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--only",
            "model=based,learning_rate=0.01"
        )
        #expect(outcome.status == 0)
        return try workspace.results()
    }

    enum Damage: CaseIterable { case cutInHalf, emptied, oneByteShort, removed, headerOverwritten }

    /// Said in a line, and trained anew to the same bits: never continued from half a file.
    @Test(arguments: Damage.allCases) func aDamagedCheckpointIsNotContinuedFrom(_ damage: Damage) throws {
        let (workspace, checkpoint, arguments) = try interrupted()
        var data = try Data(contentsOf: checkpoint)
        switch damage {
        case .cutInHalf: data = data.prefix(data.count / 2)
        case .emptied: data = Data()
        case .oneByteShort: data = data.dropLast()
        case .headerOverwritten: data.replaceSubrange(16..<24, with: Data(repeating: 0, count: 8))
        case .removed: break
        }
        if damage == .removed {
            try FileManager.default.removeItem(at: checkpoint)
        } else {
            try data.write(to: checkpoint)
        }
        let outcome = try workspace.run(more: arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let events = try outcome.errorLines.map(object)
        let notes = events.filter { $0["event"] as? String == "note" }.compactMap { $0["message"] as? String }
        #expect(notes.count == 1)
        let what = damage == .removed ? "is not there any more" : "cannot be used: "
        #expect(
            notes.first?.hasPrefix("based d=16 feature_dim=4 lr=0.01: starts anew: the checkpoint ") == true
                && notes.first?.contains(what) == true,
            "\(notes)"
        )
        #expect(
            events.filter { $0["event"] as? String == "run_started" }.map { $0["step"] as? Int } == [0]
        )
        #expect(try workspace.results() == Self.plain.get())
    }

    /// Every page in turn: overwritten, it is found before anything is written, and the file is left as it is.
    @Test func aDamagedPageIsFoundAndTheFileLeftAlone() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let whole = try workspace.data("results/recall.sqlite")
        #expect(whole.count % 4096 == 0 && whole.count > 10 * 4096)
        // Page 1 has the header: changed, the file is no database at all.
        for page in 1..<whole.count / 4096 {
            var data = whole
            data.replaceSubrange(page * 4096..<(page + 1) * 4096, with: Data(repeating: 0xA5, count: 4096))
            try data.write(to: workspace.folder.appendingPathComponent("damaged.sqlite"))
            let outcome = try workspace.run(
                "run",
                "--suite",
                "tiny.yaml",
                "--quiet",
                "--db",
                "damaged.sqlite",
                "--fresh"
            )
            #expect(outcome.status == 65, "page \(page)")
            #expect(outcome.output == "" && outcome.errorLines.count == 1)
            #expect(
                outcome.errors.hasPrefix("recall-bench: damaged.sqlite: is damaged (")
                    && outcome.errors.hasSuffix(
                        "); restore a copy, or save what can be read with `sqlite3 damaged.sqlite .recover`\n"
                    ),
                "\(outcome.errors)"
            )
            #expect(try workspace.data("damaged.sqlite") == data, "page \(page)")
        }
    }

    /// Half a database, as an interrupted copy leaves it.
    @Test func aDatabaseCutInHalfIsLeftAlone() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let whole = try workspace.data("results/recall.sqlite")
        let half = whole.prefix(whole.count / 2)
        try half.write(to: workspace.folder.appendingPathComponent("half.sqlite"))
        for command in [
            ["run", "--suite", "tiny.yaml", "--quiet"], ["status"], ["export", "csv", "--table", "history"],
        ] {
            let outcome = try workspace.run(more: command + ["--db", "half.sqlite"])
            #expect(outcome.status == 65)
            #expect(outcome.errorLines.last?.hasPrefix("recall-bench: half.sqlite: is damaged (") == true)
            #expect(try workspace.data("half.sqlite") == Data(half))
        }
    }

    /// An epoch that is a word: whoever reads it says so in a line, and the other rows are written on wish.
    @Test func aDamagedRowIsNamedAndTheOthersExported() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let whole = try workspace.table("history").rows
        let queue = try DatabaseQueue(path: workspace.path("results/recall.sqlite"))
        // A file that is damaged keeps no rule of its schema.
        try queue.writeWithoutTransaction {
            try $0.execute(
                sql: """
                    PRAGMA writable_schema = ON;
                    UPDATE sqlite_master SET sql = replace(sql, 'STRICT, ', '') WHERE name = 'history'
                    """
            )
        }
        try queue.close()
        let other = try DatabaseQueue(path: workspace.path("results/recall.sqlite"))
        try other.writeWithoutTransaction {
            try $0.execute(
                sql:
                    "UPDATE history SET epoch = 'kills' WHERE epoch = 1 AND run_id = (SELECT MIN(run_id) FROM runs)"
            )
        }
        try other.close()
        let row = "results/recall.sqlite: is damaged (table history, row run_id '"
        let wrong =
            "', epoch 'kills': epoch is the text 'kills', where an integer belongs); restore a copy, or write the other "
            + "rows with `recall-bench export csv --table history --skip-damaged`"
        for command in [
            ["status"], ["report", "--suite", "tiny", "--output", "x.html"],
            ["export", "csv", "--table", "history"],
            ["export", "csv", "--table", "tradeoff"],
            ["plot", "tradeoff", "--suite", "tiny", "--output", "x.svg"],
            ["run", "--suite", "tiny.yaml", "--quiet"],
        ] {
            let outcome = try workspace.run(more: command)
            #expect(outcome.status == 65 && !outcome.isSignalled, "\(command): \(outcome.errors)")
            #expect(outcome.errorLines.count == 1, "\(command): \(outcome.errors)")
            #expect(outcome.errors.hasPrefix("recall-bench: " + row), "\(command): \(outcome.errors)")
            #expect(outcome.errors.hasSuffix(wrong + "\n"), "\(command): \(outcome.errors)")
        }
        let rest = try workspace.run("export", "csv", "--table", "history", "--skip-damaged")
        #expect(rest.status == 0, "\(rest.errors)")
        #expect(CSVText(rest.output).rows == Array(whole.dropFirst()))
        #expect(
            rest.errorLines.count == 1
                && rest.errors.hasPrefix(
                    "recall-bench: left out: results/recall.sqlite: table history, row run_id '"
                ),
            "\(rest.errors)"
        )
        let runs = try workspace.run("export", "csv", "--table", "tradeoff", "--skip-damaged")
        #expect(runs.status == 0 && CSVText(runs.output).rows.count == 2, "\(runs.errors)")
    }
}
