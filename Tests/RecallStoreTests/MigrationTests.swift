import Foundation
import GRDB
import RecallStore
import Testing

/// Files that earlier versions of the program made, from their SQL.
@Suite struct MigrationTests {
    let folder = try! TemporaryFolder()

    /// A database of schema 1, with a log as those files have it.
    private func schemaOne() throws -> String {
        let sql = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "SchemaOne.sql")
        let queue = try DatabaseQueue(path: folder.file())
        try queue.inDatabase {
            try $0.execute(sql: "PRAGMA journal_mode = WAL; " + String(contentsOf: sql, encoding: .utf8))
        }
        try queue.close()
        return folder.file()
    }

    private func version(_ path: String) throws -> Int? {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
    }

    @Test func schemaOneIsBroughtForwardWithEveryRow() throws {
        let path = try schemaOne()
        #expect(try version(path) == 1)
        let store = try Store(path: path, mode: .readWrite)
        try store.verifyIntegrity()
        let runs = try store.runs(suite: "tiny")
        #expect(runs.map(\.model) == ["attention", "based"])
        #expect(runs.map(\.status) == [.finished, .interrupted])
        #expect(runs.map(\.epochs) == [2, 1] && runs.map(\.steps) == [26, 13])
        #expect(runs.map(\.trainLoss) == [4.080373707413673, 4.161704620718956])
        #expect(runs.map(\.testAccuracy) == [0.0234375, nil] && runs.map(\.tokensPerSecond) == [20000.5, nil])
        #expect(runs.map(\.facts.stateBytes) == [2176, 1148])
        #expect(runs.allSatisfy { $0.spec.model.dModel == 16 && $0.spec.task.dataSeed == 123 })
        #expect(runs.allSatisfy { $0.commit == "abc1234" && $0.device?.hasSuffix("0.3.21 Haswell") == true })
        #expect(try runs.map { try store.history($0.runID).map(\.seconds) } == [[0.75, 1.5], [0.75]])
        #expect(try runs.map { try store.slices($0.runID).map(\.accuracy) } == [[0.0390625, 0.0234375], []])
        #expect(try store.suite(named: "tiny")?.contentHash == "9ff55b22d6c96aa2")
        var csv = ""
        try CSVExport(store).write(CSVExport.StoredTable.benchmarks) { csv += $0 }
        let lines = csv.split(separator: "\n")
        #expect(lines.count == 2 && lines[1].hasPrefix("kernel,scan,") && lines[1].hasSuffix("000Z,,"))
        // What came later can be written.
        try store.recordBenchmark(
            BenchmarkRecord(
                kind: "generate",
                name: "new",
                device: "cpu",
                precision: "fp32",
                threads: 1,
                shape: "{}",
                medianMilliseconds: 2,
                minimumMilliseconds: 1,
                peakBytes: 1 << 40,
                stateBytes: 512
            )
        )
        #expect(
            try store.claim(
                runs[1].runID,
                on: Execution(device: try #require(runs[1].device), version: "0.1.0", commit: "abc1234")
            )
                == .claimed(resumeFromEpoch: 1)
        )
        try store.close()
        #expect(try version(path) ?? 0 > 1)
        // Brought forward it has the schema of a new file.
        try Store(path: folder.file("new.sqlite"), mode: .readWrite).close()
        let schemas = try [path, folder.file("new.sqlite")].map { path in
            try DatabaseQueue(path: path).read {
                try String.fetchAll(
                    $0,
                    sql: "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
                )
            }
        }
        #expect(schemas[0] == schemas[1] && schemas[0].count > 8)
    }

    /// Looking at it changes nothing, and says who does.
    @Test func readersLeaveSchemaOneAlone() throws {
        let path = try schemaOne()
        let before = try Data(contentsOf: URL(filePath: path))
        let error = #expect(throws: StoreError.self) { try Store(path: path, mode: .readOnly) }
        #expect(error?.kind == .older && error?.exitStatus == 65)
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }

    /// A damaged old file is found before it is brought forward.
    @Test func aDamagedOldFileIsLeftAlone() throws {
        let path = try schemaOne()
        var data = try Data(contentsOf: URL(filePath: path))
        data.replaceSubrange(3 * 4096..<4 * 4096, with: Data(repeating: 0xA5, count: 4096))
        try data.write(to: URL(filePath: path))
        let error = #expect(throws: StoreError.self) { try Store(path: path, mode: .readWrite) }
        #expect(error?.kind == .corrupted)
        #expect(try Data(contentsOf: URL(filePath: path)) == data)
    }

    /// A database has one id for good, and a copy of it the same.
    @Test func aDatabaseHasAnIdentity() throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        let id = try #require(store.databaseID)
        #expect(id.count == 32 && id.allSatisfy(\.isHexDigit))
        #expect(try Store(path: folder.file("other.sqlite"), mode: .readWrite).databaseID != id)
        try store.backUp(to: folder.file("copy.sqlite"), replacing: false)
        #expect(try Store(path: folder.file("copy.sqlite"), mode: .readWrite).databaseID == id)
        try store.close()
        let again = try Store(path: folder.file(), mode: .readWrite)
        #expect(again.databaseID == id)
        try again.close()
        // Emptied by hand, it gets another.
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { try $0.execute(sql: "DELETE FROM identity") }
        try queue.close()
        let third = try #require(Store(path: folder.file(), mode: .readWrite).databaseID)
        #expect(third.count == 32 && third != id)
    }

    /// What only writers look at need not be there for readers.
    @Test func aDatabaseWithoutAnIdentityCanBeRead() throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts }
        try store.close()
        let queue = try DatabaseQueue(path: folder.file())
        try queue.writeWithoutTransaction {
            try $0.execute(
                sql: """
                    DROP TABLE identity; DELETE FROM grdb_migrations WHERE identifier = 'identity';
                    PRAGMA user_version = 6
                    """
            )
        }
        try queue.close()
        #expect(try Store(path: folder.file(), mode: .readOnly).runs().count == 1)
        #expect(try Store(path: folder.file(), mode: .readWrite).databaseID?.count == 32)
    }

    /// Rows that belong to no other, as somebody who deletes runs by hand leaves them, do not keep a file from being brought
    /// forward.
    @Test func referencesThatOthersBrokeAreNoMatterOfAMigration() throws {
        let path = try schemaOne()
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.write {
            try $0.execute(sql: "DELETE FROM runs WHERE run_id = (SELECT MIN(run_id) FROM runs)")
        }
        try queue.close()
        #expect(try Store(path: path, mode: .readWrite).runs(suite: "tiny").count == 1)
    }
}
