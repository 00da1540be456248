import Foundation
import FuzzSupport
import GRDB
import RecallStore
import Testing

/// Rows that hold what the program never writes: damage that SQLite does not see.
@Suite struct DamagedRowTests {
    private let database = try! LooseDatabase()

    private static let reads: [@Sendable (Store) throws -> Void] = [
        { _ = try $0.suites() }, { _ = try $0.counts() }, { _ = try $0.runs() }, { _ = try $0.trials() },
        { _ = try $0.standings() }, { for run in try $0.runs() { _ = try $0.history(run.runID) } },
        { for run in try $0.runs() { _ = try $0.slices(run.runID) } },
    ]

    /// What each way to read says of the file; nil for one that finds nothing wrong.
    private func errors() throws -> [StoreError] {
        let store = try Store(path: database.path, mode: .readOnly)
        let exports = CSVExport.StoredTable.allCases.map { table -> @Sendable (Store) throws -> Void in
            { try CSVExport($0).write(table) { _ in } }
        }
        return (Self.reads + exports).compactMap { read in
            do {
                try read(store)
                return nil
            } catch let error as StoreError { return error } catch {
                Issue.record("not a StoreError: \(error)")
                return nil
            }
        }
    }

    private func csv(_ table: CSVExport.StoredTable, leavingOut rows: DamagedRows? = nil) throws -> [Substring]
    {
        let store = try Store(path: database.path, mode: .readOnly, leavingOut: rows)
        var text = ""
        try CSVExport(store).write(table) { text += $0 }
        return text.split(separator: "\n")
    }

    struct Damage: Sendable {
        let change: String
        let table: CSVExport.StoredTable?
        /// What the error says of the row.
        let words: String
    }

    static let damages = [
        Damage(
            change: "history epoch 0 'kills'",
            table: .history,
            words: "epoch 'kills': epoch is the text 'kills', where an integer belongs"
        ),
        Damage(
            change: "history step 1 NULL",
            table: .history,
            words: ": step is NULL, where an integer belongs"
        ),
        Damage(
            change: "history train_loss 1 x'00'",
            table: .history,
            words: ": train_loss is a blob of 3 bytes, where a number belongs"
        ),
        Damage(
            change: "suites description 0 NULL",
            table: nil,
            words: "(table suites, row name 'rows': description is NULL, where a text belongs)"
        ),
        Damage(
            change: "suites search 0 '{}'",
            table: nil,
            words: "search is not a search of learning rates"
        ),
        Damage(
            change: "benchmarks kind 0 NULL",
            table: .benchmarks,
            words: "(table benchmarks, row id 1: kind is NULL, where a text belongs)"
        ),
        Damage(
            change: "state_items kind 0 NULL",
            table: .state,
            words: "kind NULL: kind is NULL, where a text belongs"
        ),
        Damage(
            change: "runs lease_pid 1 99999999999",
            table: nil,
            words: "lease_pid is the integer 99999999999, where an integer of 32 bits belongs"
        ),
        Damage(
            change: "runs status 0 'dead'",
            table: nil,
            words: "there is no such status"
        ),
        Damage(
            change: "runs spec 2 '{}'",
            table: .runs,
            words: "spec is not the specification of a run"
        ),
        Damage(
            change: "runs test_accuracy 0 'kills\u{1B}[2J\u{202E}'",
            table: .runs,
            words: #"test_accuracy is the text 'kills\u{1B}[2J\u{202E}', where a number belongs"#
        ),
        Damage(
            change: "suite_runs model 0 5",
            table: .runs,
            words: "model is the integer 5, where a text belongs"
        ),
        Damage(change: "slices split 0 'kills'", table: nil, words: "there is no such split"),
        Damage(
            change: "slices run_id 0 'gone'",
            table: .slices,
            words: "runs has no row of its run_id"
        ),
    ]

    /// One line that names table, row and column, and the status of a file that is wrong.
    @Test(arguments: damages) func aDamagedRowIsNamed(_ damage: Damage) throws {
        #expect(try errors().isEmpty)
        #expect(try database.apply(RowChanges(damage.change)) == 1)
        let errors = try errors()
        #expect(errors.allSatisfy { $0.kind == .corrupted && $0.exitStatus == 65 }, "\(errors)")
        #expect(errors.contains { $0.message.contains(damage.words) }, "\(errors)")
        #expect(errors.allSatisfy { $0.message.contains(" --skip-damaged --db ") }, "\(errors)")
        #expect(
            errors.allSatisfy {
                $0.message.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
            }
        )
    }

    /// The other rows are written, as they are.
    @Test(arguments: damages.filter { $0.table != nil }) func theOtherRowsAreExported(
        _ damage: Damage
    ) throws {
        let table = try #require(damage.table)
        let whole = try csv(table)
        #expect(try database.apply(RowChanges(damage.change)) == 1)
        #expect(throws: StoreError.self) { try csv(table) }
        let told = Told()
        let rest = try csv(table, leavingOut: DamagedRows { told.lines.append($0) })
        #expect(rest.count == whole.count - 1 && rest.allSatisfy(whole.contains))
        #expect(told.lines.count == 1 && told.lines[0].hasPrefix(database.path + ": table "), "\(told.lines)")
    }

    /// Told of once, however often a run is read.
    @Test func aRunIsLeftOutOfEverything() throws {
        #expect(try database.apply(RowChanges("runs test_loss 0 'kills'\nruns parameters 2 NULL")) == 2)
        let told = Told()
        let store = try Store(
            path: database.path,
            mode: .readOnly,
            leavingOut: DamagedRows { told.lines.append($0) }
        )
        for suite in [nil, "rows"] {
            #expect(
                try store.runs(suite: suite).map(\.runID).sorted()
                    == [database.runs[1], database.runs[3]].map(\.runID).sorted()
            )
        }
        #expect(told.lines.count == 2 && told.lines.contains { $0.contains("parameters is NULL") })
    }

    private final class Told: @unchecked Sendable { var lines: [String] = [] }

    /// A process that trains is told too, and nothing is written.
    @Test(arguments: ["history epoch 1 'kills'", "runs lease_pid 1 99999999999", "runs spec 3 ''"])
    func aSessionEndsWithALine(_ change: String) throws {
        let store = try Store(path: database.path, mode: .readWrite)
        #expect(try database.apply(RowChanges(change)) == 1)
        let error = #expect(throws: StoreError.self) {
            _ = try store.releaseStale()
            for run in database.runs { _ = try store.claim(run.runID, on: execution) }
            _ = try store.runs()
        }
        #expect(error?.kind == .corrupted && error?.message.hasPrefix("is damaged (table ") == true)
    }

    /// A row that another program removed since it was planned.
    @Test func aRunThatIsGoneIsNamed() throws {
        let store = try Store(path: database.path, mode: .readWrite)
        #expect(try database.apply(RowChanges("runs run_id 3 'other'")) == 1)
        let error = #expect(throws: StoreError.self) {
            for run in database.runs { _ = try store.claim(run.runID, on: execution) }
        }
        #expect(error?.kind == .corrupted && error?.message.contains("it was planned, and is gone") == true)
    }
}

/// What the schema's own rules find.
@Suite struct BrokenRuleTests {
    let folder = try! TemporaryFolder()

    private func strict(_ sql: String) throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts }
        try store.close()
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let queue = try DatabaseQueue(path: folder.file(), configuration: configuration)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
    }

    /// Opened to write, the file is read first, and the row that breaks a rule is named.
    @Test func aMissingValueIsFoundBeforeWriting() throws {
        func change(_ old: String, _ new: String) -> String {
            """
            PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET sql = replace(sql, '\(old)', '\(new)') WHERE name = 'suites'
            """
        }
        try strict(change("description TEXT NOT NULL", "description TEXT"))
        for sql in [
            "UPDATE suites SET description = NULL", change("description TEXT", "description TEXT NOT NULL"),
        ] {
            let queue = try DatabaseQueue(path: folder.file())
            try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
            try queue.close()
        }
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.file()))
        let error = #expect(throws: StoreError.self) { try Store(path: folder.file(), mode: .readWrite) }
        #expect(
            error?.message.hasPrefix(
                "is damaged (table suites, row name 'quick': description is NULL, where a text belongs); restore a copy"
            )
                == true,
            "\(error?.message ?? "")"
        )
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file())) == before)
    }

    /// A row that belongs to no other is damage, not an error of the program's.
    @Test func aForeignKeyThatFailsIsDamage() throws {
        try strict("DELETE FROM tasks; CREATE TRIGGER t AFTER INSERT ON tasks BEGIN DELETE FROM tasks; END")
        let store = try Store(path: folder.file(), mode: .readWrite)
        let error = #expect(throws: StoreError.self) {
            try store.plan([plannedRun(seed: 1)], suite: suiteRecord) { _ in modelFacts }
        }
        #expect(error?.kind == .corrupted && error?.exitStatus == 65)
        #expect(
            error?.message.hasPrefix("is damaged (table runs, row run_id '") == true
                && error?.message.contains("': tasks has no row of its task_hash)") == true,
            "\(error?.message ?? "")"
        )
    }

    /// Without a column or a table of ours a file is damaged.
    @Test(arguments: ["ALTER TABLE history DROP COLUMN seconds", "DROP TABLE slices"])
    func aSchemaThatLacksSomethingIsDamage(_ sql: String) throws {
        try strict(sql)
        let error = #expect(throws: StoreError.self) {
            let store = try Store(path: folder.file(), mode: .readOnly)
            for table in CSVExport.StoredTable.allCases { try CSVExport(store).write(table) { _ in } }
        }
        #expect(
            error?.kind == .corrupted && error?.message.contains("no such ") == true,
            "\(error?.message ?? "")"
        )
    }
}

/// Flipped bytes anywhere in a file.
@Suite struct FlippedByteTests {
    let folder = try! TemporaryFolder()

    /// Every read gives the right rows or one clear line.
    @Test func flippedBytesAreReadOrRefused() throws {
        let database = try LooseDatabase()
        let source = try Store(path: database.path, mode: .readOnly)
        try source.backUp(to: folder.file("whole.sqlite"), replacing: true)
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.file("whole.sqlite")))
        var state: UInt64 = 1
        func below(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var refused = 0
        // Where a flip lands depends on the database's random id, so that few files tell nothing.
        for _ in 0..<120 {
            var data = whole
            for _ in 0...below(3) { data[below(data.count)] ^= 1 << UInt8(below(8)) }
            let path = folder.file("flipped.sqlite")
            try data.write(to: URL(fileURLWithPath: path))
            do {
                let store = try Store(path: path, mode: .readOnly)
                for table in CSVExport.StoredTable.allCases { try CSVExport(store).write(table) { _ in } }
                _ = (try store.suites(), try store.counts(), try store.runs(), try store.standings())
            } catch let error as StoreError {
                refused += 1
                #expect(error.exitStatus == 65 && !error.description.contains("\n"), "\(error)")
            }
        }
        #expect(refused > 1)
    }
}
