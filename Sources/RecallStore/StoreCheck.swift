import Foundation
import RecallSuite
import RecallTraining

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension Store {
    /// Free space below which nothing is started: some hundred runs' rows and the write-ahead log take a few megabytes.
    public static let minimumFreeBytes: Int64 = 32 << 20

    /// What the rows of runs take at most, with the room that there must always be.
    public static func bytesNeeded(for runs: [PlannedRun]) -> Int64 {
        let epochs = runs.reduce(Int64(0)) { $0 + Int64($1.spec.training.epochs) }
        return minimumFreeBytes + Int64(runs.count) * 16 << 10 + 256 * epochs
    }

    /// Says, before anything is trained, whether `path` can hold the store, without making or writing anything.
    ///
    /// - Parameter runs: what is going to be kept in it.
    /// - Throws: `StoreError`: a directory, not a database, another program's or a newer one (65); a parent that cannot be
    ///   made, a file or folder that cannot be written, too little space (74).
    public static func check(path: String, for runs: [PlannedRun] = []) throws(StoreError) {
        try check(path: path, for: runs, freeBytes: DiskSpace.freeBytes)
    }

    package static func check(
        path: String,
        for runs: [PlannedRun] = [],
        freeBytes: (String) -> Int64?
    ) throws(StoreError) {
        try inspect(path, mustExist: false)
        let folder = try existingAncestor(of: DatabaseFile.resolved(path), named: path)
        if access(path, F_OK) == 0, access(path, W_OK) != 0 {
            throw unwritable(path, "the file is not writable", errno)
        }
        // SQLite keeps its log beside the file, so the folder has to be writable as well.
        guard access(folder, W_OK | X_OK) == 0 else {
            throw unwritable(path, "the folder \(folder) is not writable", errno)
        }
        let needed = bytesNeeded(for: runs)
        if let free = freeBytes(folder), free < needed {
            throw StoreError(
                .diskFull,
                path: path,
                "only \(ByteSize(bytes: Int(free))) are free there, and \(ByteSize(bytes: Int(needed))) are needed; free "
                    + "some, or name a file elsewhere with --db"
            )
        }
    }

    /// What the file's type and first bytes tell.
    static func inspect(_ path: String, mustExist: Bool) throws(StoreError) {
        var status = stat()
        guard !path.isEmpty else {
            throw StoreError(.unwritable, path: "--db", "names no file; give it a path")
        }
        guard stat(path, &status) == 0 else {
            guard errno != ENOENT, errno != ENOTDIR else {
                if mustExist { throw .missing(path) }
                return
            }
            throw unwritable(path, "cannot be looked at", errno)
        }
        let type = status.st_mode & S_IFMT
        guard type != S_IFDIR else { throw .isDirectory(path) }
        guard type == S_IFREG else { throw .notADatabase(path) }
        guard access(path, R_OK) == 0 else { throw unwritable(path, "cannot be read", errno) }
        // An empty file is an empty database.
        guard status.st_size > 0 else { return }
        guard let file = FileHandle(forReadingAtPath: path), let header = try? file.read(upToCount: 100) else {
            throw unwritable(path, "cannot be read", errno)
        }
        guard header.count == 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw .notADatabase(path)
        }
        // Big-endian, at the offsets of the file format (sqlite.org/fileformat2.html, section 1.3).
        func integer(at offset: Int) -> UInt32 {
            header[(header.startIndex + offset)...].prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        }
        // A version above ours tells nothing about another program's file.
        if integer(at: 68) == UInt32(bitPattern: Migrations.applicationID),
            Int32(bitPattern: integer(at: 60)) > Migrations.schemaVersion
        {
            throw .newer(path)
        }
    }

    /// Makes the folders above a file.
    ///
    /// - Parameter path: the file as the user named it.
    static func makeParent(of file: String, named path: String) throws(StoreError) {
        _ = try existingAncestor(of: file, named: path)
        let parent = parentFolder(of: file)
        do {
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        } catch {
            throw StoreError(
                .unwritable,
                path: path,
                "its folder \(parent) cannot be made; make it, or name another file"
            )
        }
    }

    /// The nearest folder above a file that exists.
    private static func existingAncestor(of file: String, named path: String) throws(StoreError) -> String {
        var folder = parentFolder(of: file)
        while true {
            var status = stat()
            if stat(folder, &status) == 0 {
                guard status.st_mode & S_IFMT == S_IFDIR else {
                    throw StoreError(
                        .unwritable,
                        path: path,
                        "\(folder) is a file, not a folder; name another file"
                    )
                }
                return folder
            }
            guard errno == ENOENT || errno == ENOTDIR, folder != "/", folder != "." else {
                throw unwritable(path, "the folder \(folder) cannot be looked at", errno)
            }
            folder = parentFolder(of: folder)
        }
    }

    /// The folder that a path's last name is in; "." for a name alone. Not Foundation's, which traps on a name of one
    /// letter.
    static func parentFolder(of path: String) -> String {
        func withoutSlashesAtEnd(_ text: Substring) -> Substring {
            text.last == "/" ? withoutSlashesAtEnd(text.dropLast()) : text
        }
        let name = withoutSlashesAtEnd(path[...])
        guard let slash = name.lastIndex(of: "/") else { return path.hasPrefix("/") ? "/" : "." }
        let parent = withoutSlashesAtEnd(name[..<slash])
        return parent.isEmpty ? "/" : String(parent)
    }

    static func unwritable(_ path: String, _ what: String, _ code: Int32) -> StoreError {
        StoreError(.unwritable, path: path, "\(what) (\(String(cString: strerror(code)))); name another file")
    }
}
