import Foundation
import GRDB

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension Store {
    /// Writes a complete copy of the database to one file, even while other processes write (sqlite.org/backup.html).
    ///
    /// The copy is made beside `output` and takes its name when it is on disk.
    ///
    /// - Parameter replacing: whether a file of that name may be there.
    /// - Throws: `StoreError`: what is there and must not be replaced, or cannot be written (74); a folder (65).
    public func backUp(to output: String, replacing: Bool) throws(StoreError) {
        let target = DatabaseFile.resolved(output)
        try requireReplaceable(target, named: output, replacing: replacing)
        let partial = "\(target).\(getpid()).partial"
        let parts = ["", "-journal", "-wal", "-shm"].map { partial + $0 }
        defer { for part in parts { unlink(part) } }
        do {
            let copy = try DatabaseQueue(path: partial)
            try backUp(into: copy)
            // One file, with no log beside it, that a program may read from a folder that takes no file.
            try copy.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
            try copy.close()
        } catch {
            let error = StoreError(error, path: output)
            throw error.kind == .diskFull
                ? StoreError(.diskFull, path: output, "the disk is full; free some space, or name another file")
                : error
        }
        try requireReplaceable(target, named: output, replacing: replacing)
        guard rename(partial, target) == 0 else {
            throw Self.unwritable(output, "cannot be written", errno)
        }
    }

    private func requireReplaceable(
        _ target: String,
        named output: String,
        replacing: Bool
    ) throws(StoreError) {
        var (there, ours) = (stat(), stat())
        guard !output.isEmpty else {
            throw StoreError(.unwritable, path: "--output", "names no file; give it a path")
        }
        if stat(target, &there) == 0, stat(file, &ours) == 0, ours.st_ino == there.st_ino,
            ours.st_dev == there.st_dev
        {
            throw StoreError(.unwritable, path: output, "is the database itself; name another file")
        }
        for log in ["-wal", "-journal"] where DatabaseFile.bytes(target + log) ?? 0 > 0 {
            throw StoreError(
                .unwritable,
                path: output,
                "\(target)\(log) is beside it, which belongs to a database that is open or was not closed, and would be "
                    + "read into the copy; name another file"
            )
        }
        guard stat(target, &there) == 0 else { return }
        guard there.st_mode & S_IFMT != S_IFDIR else { throw .isDirectory(output) }
        guard there.st_mode & S_IFMT == S_IFREG else {
            throw StoreError(.unwritable, path: output, "is no ordinary file; name another one")
        }
        guard replacing else {
            throw StoreError(
                .unwritable,
                path: output,
                "is there already; name another file, or replace it with --force"
            )
        }
    }
}
