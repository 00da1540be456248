import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a database is on disk, which its path may not tell: SQLite follows every symbolic link before it names the files
/// beside it.
public enum DatabaseFile {
    /// The path of the file itself, for SQLite and everything that is derived from it.
    ///
    /// - Returns: `path` where no link is on the way, an absolute path otherwise. The file need not exist: SQLite makes the
    ///   target of a link that dangles.
    public static func resolved(_ path: String) -> String {
        let (absolute, hasLink) = walk(path)
        if hasLink { return absolute }
        // SQLite takes `:memory:` for no file at all and `file:x?y` for an address; here they are names as any other.
        return path.hasPrefix(":") || path.hasPrefix("file:") ? "./\(path)" : path
    }

    /// The same as an absolute path without links, `.` and `..`: one and the same for every way to write it.
    public static func absolute(_ path: String) -> String { walk(path).absolute }

    /// More links than any system follows are a loop.
    private static let mostLinks = 64

    private static func walk(_ path: String) -> (absolute: String, hasLink: Bool) {
        var done = path.hasPrefix("/") ? "/" : FileManager.default.currentDirectoryPath
        var rest = Array(path.split(separator: "/").reversed())
        var links = 0
        while let part = rest.popLast() {
            if part == "." { continue }
            if part == ".." {
                // Nothing of `done` is a link, so its parent is in its text.
                done = Store.parentFolder(of: done)
                continue
            }
            let next = done.hasSuffix("/") ? done + part : "\(done)/\(part)"
            guard let target = target(ofLink: next) else {
                done = next
                continue
            }
            links += 1
            // Opening a loop fails with the system's own words.
            guard links <= mostLinks else { return (path, false) }
            if target.hasPrefix("/") { done = "/" }
            rest += target.split(separator: "/").reversed()
        }
        return (done, links > 0)
    }

    /// nil for what is no symbolic link.
    private static func target(ofLink path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The size of a file in bytes; nil where there is none.
    static func bytes(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }
}
