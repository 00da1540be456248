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
    /// log.
    private static func isBeingMade(_ path: String) -> Bool {
        func bytes(_ path: String) -> Int? {
            (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
        }
        guard let size = bytes(path) else { return true }
        return size == 0 || (size <= 4096 && bytes(path + "-wal") != nil)
    }
}
