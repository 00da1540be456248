import Foundation
import GRDB
import RecallStore
import Testing

/// Every way in which a file can be wrong, found by `Store.check` and by opening.
@Suite struct StoreErrorTests {
    let folder = try! TemporaryFolder()

    private func kind(_ body: () throws -> Void) -> StoreError.Kind? {
        do {
            try body()
            return nil
        } catch let error as StoreError {
            // One line that names what it is about.
            #expect(!error.description.contains("\n"))
            #expect(error.description.hasPrefix(error.path + ": "))
            return error.kind
        } catch {
            Issue.record("not a StoreError: \(error)")
            return nil
        }
    }

    private func expectRefused(_ path: String, as expected: StoreError.Kind, status: Int32) throws {
        let before = try folder.contents()
        #expect(kind { try Store.check(path: path) } == expected)
        #expect(try folder.contents() == before, "check made or removed a file")
        #expect(kind { _ = try Store(path: path, mode: .readWrite) } == expected)
        #expect(StoreError(expected, path: path, "").exitStatus == status)
    }

    @Test func aDirectory() throws { try expectRefused(folder.path, as: .isDirectory, status: 65) }

    @Test(arguments: [
        "garbage that is long enough to be a header" + String(repeating: ".", count: 100), "short",
    ])
    func notADatabase(_ content: String) throws {
        try Data(content.utf8).write(to: URL(fileURLWithPath: folder.file()))
        try expectRefused(folder.file(), as: .notADatabase, status: 65)
        #expect(try String(contentsOfFile: folder.file(), encoding: .utf8) == content)
    }

    @Test func aDevice() throws { try expectRefused("/dev/null", as: .notADatabase, status: 65) }

    @Test func anotherProgramsDatabase() throws {
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { try $0.execute(sql: "CREATE TABLE bookmarks (url TEXT)") }
        try queue.close()
        #expect(kind { _ = try Store(path: folder.file(), mode: .readWrite) } == .foreign)
        let after = try DatabaseQueue(path: folder.file())
        #expect(
            try after.read { try String.fetchAll($0, sql: "SELECT name FROM sqlite_master") } == ["bookmarks"]
        )
    }

    @Test func aNewerSchemaVersion() throws {
        try Store(path: folder.file(), mode: .readWrite).close()
        let queue = try DatabaseQueue(path: folder.file())
        try queue.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA user_version = 99; PRAGMA journal_mode = DELETE")
        }
        try queue.close()
        try expectRefused(folder.file(), as: .newer, status: 65)
    }

    @Test func anUnknownMigration() throws {
        try Store(path: folder.file(), mode: .readWrite).close()
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('v2-from-the-future')") }
        try queue.close()
        #expect(kind { _ = try Store(path: folder.file(), mode: .readWrite) } == .newer)
        #expect(kind { _ = try Store(path: folder.file(), mode: .readOnly) } == .newer)
    }

    @Test func readingAnOlderOne() throws {
        let queue = try DatabaseQueue(path: folder.file())
        try queue.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA application_id = \(0x5243_4C42); CREATE TABLE tasks (hash TEXT)")
        }
        try queue.close()
        #expect(kind { _ = try Store(path: folder.file(), mode: .readOnly) } == .older)
    }

    @Test func aMissingFileCannotBeRead() throws {
        #expect(kind { _ = try Store(path: folder.file(), mode: .readOnly) } == .missing)
        #expect(StoreError(.missing, path: "", "").exitStatus == 66)
        #expect(try folder.contents() == [])
    }

    @Test func aPathUnderAFile() throws {
        try Data().write(to: URL(fileURLWithPath: folder.file("file")))
        try expectRefused(folder.file("file/recall.sqlite"), as: .unwritable, status: 74)
        try expectRefused(folder.file("file/deeper/recall.sqlite"), as: .unwritable, status: 74)
    }

    /// /proc takes no files, from root either.
    @Test func aFolderThatCannotBeMade() throws {
        #expect(kind { _ = try Store(path: "/proc/recall/recall.sqlite", mode: .readWrite) } == .unwritable)
    }

    /// Permissions do not bind root.
    @Test(.enabled(if: getuid() != 0)) func aReadOnlyFile() throws {
        try Store(path: folder.file(), mode: .readWrite).close()
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: folder.file())
        #expect(kind { try Store.check(path: folder.file()) } == .unwritable)
        #expect(kind { _ = try Store(path: folder.file(), mode: .readWrite) } == .unwritable)
    }

    @Test func aFullDiskIsFoundBefore() throws {
        #expect(kind { try Store.check(path: folder.file()) { _ in 1 << 20 } } == .diskFull)
        #expect(kind { try Store.check(path: folder.file()) { _ in Store.minimumFreeBytes } } == nil)
        #expect(kind { try Store.check(path: folder.file("a/b/c/recall.sqlite")) } == nil)
        // Many runs' rows need more.
        let runs = (0..<100).map { plannedRun(seed: $0, epochs: 1000) }
        let needed = Store.bytesNeeded(for: runs)
        #expect(needed > Store.minimumFreeBytes + 100 * 1000 * 100)
        #expect(kind { try Store.check(path: folder.file(), for: runs) { _ in needed } } == nil)
        let error = #expect(throws: StoreError.self) {
            try Store.check(path: folder.file(), for: runs) { _ in 3 << 19 }
        }
        #expect(error?.kind == .diskFull)
        #expect(error?.message.hasPrefix("only 1.5 MiB are free there, and 5") == true)
        #expect(error?.message.contains("--db") == true)
        #expect(try folder.contents() == [])
    }

    @Test func aDiskThatFillsUpKeepsWhatWasFinished() throws {
        let run = plannedRun()
        let store = try Store(path: folder.file(), mode: .readWrite, identity: .current, maximumPages: 60)
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        try store.finish(run.runID, runResult())
        let many = (1...200).map { plannedRun(seed: UInt64($0)) }
        #expect(
            kind { try store.plan(many, suite: suiteRecord, membership: .additional) { _ in modelFacts } }
                == .diskFull
        )
        #expect(try store.runs().map(\.status) == [.finished])
        #expect(StoreError(.diskFull, path: "", "").exitStatus == 74)
    }

    @Test func aDatabaseThatStaysLocked() throws {
        let store = try Store(path: folder.file(), mode: .readWrite, identity: .current, busyTimeout: 0.1)
        let other = try DatabasePool(path: folder.file())
        try other.writeWithoutTransaction { db in
            try db.execute(sql: "BEGIN IMMEDIATE")
            #expect(kind { try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts } } == .busy)
            try db.execute(sql: "ROLLBACK")
        }
        try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts }
        #expect(StoreError(.busy, path: "", "").exitStatus == 74)
    }

    @Test func aDamagedPage() throws {
        let store = try Store(path: folder.file(), mode: .readWrite)
        try store.plan((0..<50).map { plannedRun(seed: $0) }, suite: suiteRecord) { _ in modelFacts }
        try store.verifyIntegrity()
        try store.close()
        let file = try #require(FileHandle(forUpdatingAtPath: folder.file()))
        let size = try file.seekToEnd()
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0xA5, count: Int(size) - 4096))
        try file.close()
        let found = kind {
            let store = try Store(path: folder.file(), mode: .readWrite)
            try store.verifyIntegrity()
        }
        #expect(found == .corrupted)
        #expect(StoreError(.corrupted, path: "", "").exitStatus == 65)
    }

    @Test func anEmptyFileIsAnEmptyDatabase() throws {
        try Data().write(to: URL(fileURLWithPath: folder.file()))
        try Store.check(path: folder.file())
        #expect(try Store(path: folder.file(), mode: .readWrite).runs().isEmpty)
    }
}
