import GRDB

extension Store {
    /// The version of the SQLite library in use: "3.40.1"; nil where it does not work.
    public static var sqliteVersion: String? {
        guard let queue = try? DatabaseQueue() else { return nil }
        return try? queue.read { try String.fetchOne($0, sql: "SELECT sqlite_version()") }
    }
}
