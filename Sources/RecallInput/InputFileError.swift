#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why a file that was handed over is not read.
public struct InputFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// There is none: exit status 66.
        case missing
        /// A folder: exit status 65.
        case isFolder
        /// A named pipe, a device or a socket: exit status 65.
        case notRegular
        /// The system refused to open or to read it: exit status 74.
        case unreadable
        /// Larger than its kind of file may be: exit status 65.
        case tooLarge(limit: Int)
        /// Shorter than what it says of itself, or than it was: exit status 65.
        case cutShort
    }

    public let kind: Kind
    public let path: String
    /// What is wrong and what to do, without the path.
    public let message: String

    public var description: String { "\(path): \(message)" }

    init(_ kind: Kind, path: String) {
        let message =
            switch kind {
            case .tooLarge(let limit): "is larger than the \(limit) bytes that such a file may have"
            case .cutShort: "is cut short, or was made shorter while it was read"
            default: "cannot be read"
            }
        self.init(kind, path: path, message)
    }

    /// - Parameter code: of the system's call that failed.
    init(_ code: Int32, path: String) {
        if code == ENOENT || code == ENOTDIR {
            self.init(.missing, path: path, "there is no such file")
        } else {
            self.init(.unreadable, path: path, "cannot be read: \(String(cString: strerror(code)))")
        }
    }

    /// What speaks against a file by its kind; nil for a regular one.
    init?(kindOf status: stat, path: String) {
        let what: String
        switch status.st_mode & S_IFMT {
        case S_IFREG: return nil
        case S_IFDIR:
            self.init(.isFolder, path: path, "is a folder; name a file in it")
            return
        case S_IFIFO: what = "a named pipe"
        case S_IFSOCK: what = "a socket"
        default: what = "a device"
        }
        self.init(
            .notRegular,
            path: path,
            "is \(what); name a regular file, or /dev/stdin for what is piped in"
        )
    }

    private init(_ kind: Kind, path: String, _ message: String) {
        (self.kind, self.path, self.message) = (kind, path, message)
    }
}
