#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Held while a database is made or migrated, so that two processes do not do it at once. A lock on the database's folder
/// leaves no file behind, and the system takes it away from a process that dies.
struct CreationLock {
    private let descriptor: Int32

    /// Waits for whoever holds it.
    ///
    /// - Parameter path: the file as the user named it.
    /// - Throws: `StoreError` where the folder cannot be opened.
    init(besides file: String, named path: String) throws {
        let folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? "."
        descriptor = open(folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Store.unwritable(path, "the folder \(folder) cannot be opened", errno)
        }
        // A file system without locks must not keep anybody from working.
        _ = flock(descriptor, LOCK_EX)
    }

    func release() { close(descriptor) }
}
