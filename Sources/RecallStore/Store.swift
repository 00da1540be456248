import Foundation
import GRDB
import Synchronization

/// The one SQLite file in which suites, runs and benchmarks are kept (WAL, foreign keys on).
///
/// Safe to use from several threads, and by several processes at once. Every method throws `StoreError`; whatever was
/// written before an error stays.
public final class Store: Sendable {
    public enum Mode: Sendable {
        /// Makes the file and its parent folders where they are missing, and brings the schema up to date.
        case readWrite
        /// Changes nothing; the file must exist.
        case readOnly
    }

    /// The file as the user named it.
    public let path: String
    /// The file itself, with links followed: what is beside it is named by this.
    public let file: String
    /// In whose name runs are claimed.
    public let identity: ProcessIdentity
    let now: @Sendable () -> Date
    private let reader: any DatabaseReader
    private let writer: DatabasePool?
    let lockWait: LockWait
    /// The database's own id, which its checkpoints name; nil for one opened to read only.
    public let databaseID: String?
    /// What was opened, whatever its path comes to name; nil where the system does not tell.
    let openFile: OpenFile?
    /// By this store.
    let recorded = Mutex(RecordedWork())
    /// Where rows go that cannot be read; nil where the first one is an error.
    let damagedRows: DamagedRows?

    /// Seconds to wait for another process that is writing.
    public static let busyTimeout =
        ProcessInfo.processInfo.environment[busyVariable].flatMap(busyTimeout(of:)) ?? 30
    /// The environment variable that sets another time.
    public static let busyVariable = "RECALL_BENCH_BUSY_SECONDS"

    /// Seconds as that variable gives them; nil for what is no time up to a day.
    public static func busyTimeout(of text: String) -> TimeInterval? {
        Double(text).flatMap { (0...86_400).contains($0) ? $0 : nil }
    }

    /// - Parameters:
    ///   - damagedRows: told of rows that cannot be read, which are left out then; nil to end with the first.
    ///   - say: called with a sentence where another process keeps this one waiting for more than a moment.
    public convenience init(
        path: String,
        mode: Mode,
        leavingOut damagedRows: DamagedRows? = nil,
        say: (_ sentence: String) -> Void = { _ in }
    ) throws(StoreError) {
        try self.init(path: path, mode: mode, identity: .current, leavingOut: damagedRows, say: say)
    }

    /// - Parameters:
    ///   - identity: in whose name runs are claimed.
    ///   - busyTimeout: seconds to wait for another writer.
    ///   - maximumPages: a bound on the file's size in pages of 4 KiB, which stands for a full disk.
    ///   - now: the clock.
    package init(
        path: String,
        mode: Mode,
        identity: ProcessIdentity,
        busyTimeout: TimeInterval = Store.busyTimeout,
        maximumPages: Int? = nil,
        leavingOut damagedRows: DamagedRows? = nil,
        now: @escaping @Sendable () -> Date = { Date() },
        say: (_ sentence: String) -> Void = { _ in }
    ) throws(StoreError) {
        (self.path, self.identity, self.now) = (path, identity, now)
        self.damagedRows = damagedRows
        let file = DatabaseFile.resolved(path)
        let lockWait = LockWait(busyTimeout: busyTimeout)
        (self.file, self.lockWait) = (file, lockWait)
        try Self.inspect(path, mustExist: mode == .readOnly)
        var configuration = Configuration()
        configuration.label = "recall-bench"
        configuration.busyMode = .callback { lockWait.triesAgain(after: $0) }
        configuration.readonly = mode == .readOnly
        do {
            switch mode {
            case .readWrite:
                try Self.makeParent(of: file, named: path)
                // Processes of a job array may all find no file: one at a time makes it.
                let making = try CreationLock(
                    besides: file,
                    named: path,
                    patience: busyTimeout,
                    say: say
                )
                defer { making.release() }
                try Self.requireWhole(file, named: path, configuration)
                let pool = try DatabasePool(path: file, configuration: configuration)
                try Self.requireOurs(pool, path: path)
                // In WAL mode NORMAL keeps the file whole, but FULL also keeps the last commits through a power cut.
                try pool.writeWithoutTransaction { db in
                    try db.execute(sql: "PRAGMA synchronous = FULL")
                    if let maximumPages { try db.execute(sql: "PRAGMA max_page_count = \(maximumPages)") }
                }
                try Migrations.migrator.migrate(pool)
                databaseID = try Self.databaseID(pool)
                (reader, writer, openFile) = (pool, pool, OpenFile(file))
            case .readOnly:
                let queue = try DatabaseQueue(
                    path: Self.cannotChange(file) ? Self.immutable(file) : file,
                    configuration: configuration
                )
                try Self.requireOurs(queue, path: path)
                guard try queue.read(Migrations.isReadable) else {
                    throw try queue.read(Self.isEmpty) ? StoreError.empty(path, file: file) : .older(path)
                }
                databaseID = nil
                (reader, writer, openFile) = (queue, nil, OpenFile(file))
            }
        } catch {
            if mode == .readOnly, error is DatabaseError, Self.cannotReadLog(of: file) {
                throw .unreadableLog(path, file: file)
            }
            throw StoreError(error, path: path)
        }
    }

    /// Closes the file, with everything in it and no log left beside it when nobody else has it open. The store is not
    /// used afterwards.
    public func close() throws(StoreError) {
        // SQLite folds the log into the file when the last connection to it closes, if that one may write.
        writer?.invalidateReadOnlyConnections()
        do { try reader.close() } catch { throw StoreError(error, path: path) }
    }

    // MARK: - Access

    /// One consistent look at the database.
    ///
    /// - Throws: `StoreError`, of kind `displaced` where a process that writes would look at another file.
    func read<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        if writer != nil { try requireInPlace() }
        do { return try reader.read(body) } catch { throw StoreError(error, path: path) }
    }

    /// One IMMEDIATE transaction: what it reads cannot change before it writes, in any process.
    ///
    /// - Throws: `StoreError`, of kind `displaced` where what is written would be, or was, lost.
    func write<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        guard let writer else { preconditionFailure("a read-only store was written to") }
        try requireInPlace()
        let result = try write(body, with: writer)
        try requireInPlace()
        return result
    }

    private func write<T>(_ body: (Database) throws -> T, with writer: DatabasePool) throws(StoreError) -> T {
        do {
            return try writer.writeWithoutTransaction { db in
                var result: T?
                try db.inTransaction(.immediate) {
                    result = try body(db)
                    return .commit
                }
                return result!
            }
        } catch {
            // SQLite says that a row breaks a rule, not which.
            if (error as? DatabaseError)?.resultCode == .SQLITE_CONSTRAINT,
                let damage = try? writer.read(Self.firstDamage)
            {
                throw StoreError(damage, path: path)
            }
            throw StoreError(error, path: path)
        }
    }

    /// A number that is another one when the database has been changed since it was last asked for: a cheap question
    /// before a costly look. For a store opened to read only.
    public func dataVersion() throws(StoreError) -> Int {
        precondition(writer == nil, "the version is that of one connection, and a writing store has several")
        return try read { try Int.fetchOne($0, sql: "PRAGMA data_version") ?? 0 }
    }

    /// Reads every page and index entry.
    ///
    /// - Throws: `StoreError` of kind `corrupted` with the first thing that is wrong.
    public func verifyIntegrity() throws(StoreError) {
        let findings = try read { try String.fetchAll($0, sql: "PRAGMA integrity_check(1)") }
        guard findings == ["ok"] else { throw .corrupted(path, findings: findings) }
    }

    /// Puts the log into the file without waiting for anybody. Nobody is waited for after that either.
    func foldLog() {
        lockWait.giveUp()
        try? writer?.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    }

    func backUp(into copy: DatabaseQueue) throws { try reader.backup(to: copy) }

    /// Whether no process can be writing: the folder takes no file, and no log is in it.
    private static func cannotChange(_ file: String) -> Bool {
        access(parentFolder(of: file), W_OK) != 0 && DatabaseFile.bytes(file + "-wal") ?? 0 == 0
    }

    /// Whether rows are in a log that SQLite reads with the help of a file that is not there and cannot be made.
    private static func cannotReadLog(of file: String) -> Bool {
        DatabaseFile.bytes(file + "-wal") ?? 0 > 0 && access(file + "-shm", R_OK) != 0
            && access(parentFolder(of: file), W_OK) != 0
    }

    /// The file for a reader that makes no files beside it, which SQLite's readers of a write-ahead log otherwise do
    /// (sqlite.org/wal.html, "Read-Only Databases").
    private static func immutable(_ path: String) -> String {
        URL(fileURLWithPath: path).absoluteString + "?immutable=1"
    }

    /// Reads every page before anything is written: what a damaged file still holds must not be lost to more writing.
    /// SQLite sees damage to its own structure; numbers that were changed in place have no check sum.
    private static func requireWhole(
        _ file: String,
        named path: String,
        _ configuration: Configuration
    ) throws {
        guard DatabaseFile.bytes(file) ?? 0 > 0 else { return }
        // A pool would write to the log already when it is opened.
        let queue = try DatabaseQueue(path: file, configuration: configuration)
        let findings = try queue.inDatabase { try String.fetchAll($0, sql: "PRAGMA quick_check(1)") }
        guard findings == ["ok"] else {
            // "NULL value in suites.description": the structure is whole, and the row can be found.
            if findings.contains(where: { $0.contains(" value in ") }),
                let damage = try? queue.inDatabase(firstDamage)
            {
                throw damage
            }
            throw StoreError.corrupted(path, findings: findings)
        }
        try queue.close()
    }

    private static func databaseID(_ pool: DatabasePool) throws -> String {
        let sql = "SELECT id FROM identity ORDER BY rowid LIMIT 1"
        return try pool.writeWithoutTransaction { db in
            // Somebody may have emptied the table.
            if try Row.fetchOne(db, sql: sql) == nil { try db.execute(sql: Migrations.newIdentity) }
            guard let row = try Row.fetchOne(db, sql: sql) else { preconditionFailure("no identity was made") }
            return try TableRow(row, of: "identity").value("id")
        }
    }

    private static func requireOurs(_ database: some DatabaseReader, path: String) throws {
        let (id, version, isEmpty, superseded) = try database.read { db in
            (
                try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0,
                try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0,
                try Self.isEmpty(db),
                try Migrations.migrator.hasBeenSuperseded(db)
            )
        }
        guard id == Migrations.applicationID || isEmpty else { throw StoreError.foreign(path) }
        guard version <= Migrations.schemaVersion, !superseded else { throw StoreError.newer(path) }
    }

    /// One whose making was cut short holds at most the migrator's own table.
    private static func isEmpty(_ db: Database) throws -> Bool {
        try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master WHERE tbl_name <> 'grdb_migrations'") == 0
    }
}
