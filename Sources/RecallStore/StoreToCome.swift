import Foundation

extension Store {
    /// The store at a path, for a look; nil where it is yet to be made: no file is there, or one without anything in it.
    ///
    /// - Throws: `StoreError` for what is no database of ours.
    public static func ifThere(_ path: String) throws(StoreError) -> Store? {
        do {
            return try Store(path: path, mode: .readOnly)
        } catch {
            guard error.kind == .missing || (error.kind == .empty && isBeingMade(path)) else { throw error }
            return nil
        }
    }

    /// Whether a file has no table yet: an empty one, or one whose first page alone is written while the rest is in the
    /// log. With nothing in the log it is a copy that was made too early.
    private static func isBeingMade(_ path: String) -> Bool {
        guard let size = DatabaseFile.bytes(path) else { return true }
        if size == 0 { return true }
        guard size <= 4096 else { return false }
        // A look leaves an empty log beside a file. One that a writer has just made is filled within moments.
        for _ in 0..<20 {
            guard let log = DatabaseFile.bytes(path + "-wal") else { return false }
            if log > 0 { return true }
            Thread.sleep(forTimeInterval: 0.05)
        }
        return false
    }
}
