import Foundation
import RecallSuite
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The file of an open database, known by its device and inode: a path may come to name nothing, or another file, while
/// SQLite goes on writing to the one that it has open.
final class OpenFile: Sendable {
    /// What became of it.
    enum Change: Equatable, Sendable {
        /// No folder has it any more.
        case deleted
        /// As far as the system tells, to that path.
        case moved(String?)
    }

    private let path: String
    private let device, inode: UInt64
    /// Names the file wherever it is; -1 where the system has no such thing.
    private let descriptor: Int32

    #if os(Linux)
        /// O_PATH of open(2), which the module map does not have.
        private static let pathOnly: Int32 = 0o10_000_000
    #endif

    /// nil where no file is there.
    ///
    /// - Parameter path: of the file itself, with links followed.
    init?(_ path: String) {
        var status = stat()
        #if os(Linux)
            // Reads nothing, and so closing it lets no lock of SQLite's go, as it would of any other descriptor.
            let found = open(path, Self.pathOnly | O_CLOEXEC)
            guard found >= 0 else { return nil }
            guard fstat(found, &status) == 0 else {
                close(found)
                return nil
            }
            descriptor = found
        #else
            guard stat(path, &status) == 0 else { return nil }
            descriptor = -1
        #endif
        self.path = path
        (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// What became of the file; nil where it is in its place. A look that the system refuses tells nothing.
    var change: Change? {
        var status = stat()
        if stat(path, &status) == 0 {
            guard (UInt64(status.st_dev), UInt64(status.st_ino)) != (device, inode) else { return nil }
        } else if errno != ENOENT, errno != ENOTDIR {
            return nil
        }
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else { return .moved(nil) }
        return status.st_nlink == 0 ? .deleted : .moved(placeNow)
    }

    /// Whether another file has taken the path.
    var isReplaced: Bool { access(path, F_OK) == 0 }

    private var placeNow: String? {
        #if os(Linux)
            let link = "/proc/self/fd/\(descriptor)"
            return try? FileManager.default.destinationOfSymbolicLink(atPath: link)
        #else
            return nil
        #endif
    }
}

/// What a session has put into a database.
struct RecordedWork: Sendable {
    var epochs = 0
    var ends = 0

    /// "14 epochs and the ends of 2 runs"; nil for nothing.
    var text: String? {
        let parts = [
            epochs == 0 ? nil : epochs == 1 ? "1 epoch" : "\(epochs) epochs",
            ends == 0 ? nil : ends == 1 ? "the end of 1 run" : "the ends of \(ends) runs",
        ].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: " and ")
    }
}

extension Store {
    /// Databases whose files are gone. SQLite would remove the log of whatever has their paths now when it closed them.
    private static let displaced = Mutex<[Store]>([])

    /// Looks whether the file that was opened is still the one at its path.
    ///
    /// - Throws: `StoreError` of kind `displaced`, which says what is lost.
    public func requireInPlace() throws(StoreError) {
        guard let change = openFile?.change else { return }
        keepOpen()
        throw .displaced(
            path,
            change,
            isReplaced: openFile?.isReplaced ?? false,
            work: recorded.withLock { $0 }
        )
    }

    /// Puts the log into the file, wherever that is, and never closes it.
    private func keepOpen() {
        let isFirst = Self.displaced.withLock { stores in
            if stores.contains(where: { $0 === self }) { return false }
            stores.append(self)
            return true
        }
        if isFirst { foldLog() }
    }
}

extension StoreError {
    static func displaced(
        _ path: String,
        _ change: OpenFile.Change,
        isReplaced: Bool,
        work: RecordedWork
    ) -> StoreError {
        let session =
            work.text.map { "the \($0) that this session recorded" } ?? "nothing that this session recorded"
        let place = isReplaced ? "was replaced by another file" : nil
        let what =
            switch change {
            case .deleted:
                "\(place ?? "was deleted") while it was in use; lost are \(session), and what else it held; restore a copy, or "
                    + "run the same command again to train anew"
            case .moved(let now?):
                "\(place ?? "was moved") while it was in use; it is \(now) now and has \(session), which \(path) lacks; go on with "
                    + "`--db \(ShellCommand.quoted(now))`, or put it back"
            case .moved(nil):
                "\(place ?? "was moved or deleted") while it was in use; \(path) lacks \(session); put it back, or run the "
                    + "same command again to train anew"
            }
        return StoreError(.displaced, path: path, what)
    }
}
