import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file that somebody hands over, opened for reading. The one place where such files are opened.
///
/// It is a regular file, or one that the shell has opened already and that is named as such: `/dev/stdin`, `/dev/fd/3`. A named
/// pipe or a device is refused before it is opened, for to open or to read one may wait for ever. Its bytes are asked for
/// with a limit or a range: a size that a header tells is compared with the file's before anything is allocated.
public final class InputFile: Sendable {
    public let path: String
    /// The size in bytes; nil for a stream, whose size is not known.
    public let size: Int?
    private let descriptor: Int32

    /// - Throws: `InputFileError`.
    public init(path: String) throws(InputFileError) {
        let opened = Self.openedByTheShell(path)
        if opened == nil { try Self.requireRegular(path) }
        // What takes the file's place after the look must not keep the program waiting either.
        let descriptor =
            if let opened { fcntl(opened, F_DUPFD_CLOEXEC, 0) } else {
                open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            }
        guard descriptor >= 0 else { throw InputFileError(errno, path: path) }
        var status = stat()
        let error: InputFileError? =
            if fstat(descriptor, &status) != 0 { InputFileError(errno, path: path) } else {
                InputFileError(kindOf: status, path: path)
            }
        if let error, opened == nil || error.kind != .notRegular {
            close(descriptor)
            throw error
        }
        (self.path, self.descriptor) = (path, descriptor)
        size = error == nil ? Int(clamping: status.st_size) : nil
    }

    deinit { close(descriptor) }

    /// All bytes.
    ///
    /// - Parameter limit: a file with more is refused.
    /// - Throws: `InputFileError`.
    public func contents(upTo limit: Int) throws(InputFileError) -> Data {
        // What is piped in may never end.
        let limit = size == nil ? min(limit, Self.mostStreamed) : limit
        guard size ?? 0 <= limit else { throw InputFileError(.tooLarge(limit: limit), path: path) }
        let data = try beginning(upTo: limit == .max ? limit : limit + 1)
        guard data.count <= limit else { throw InputFileError(.tooLarge(limit: limit), path: path) }
        return data
    }

    /// The first bytes: so many where there are so many.
    ///
    /// - Throws: `InputFileError`.
    public func beginning(upTo count: Int) throws(InputFileError) -> Data {
        var data = Data()
        // Files of /proc say that they are empty, so what there is to read decides, not the size.
        while data.count < count {
            let piece = try readPiece(
                min(Self.pieceBytes, count - data.count),
                at: size == nil ? nil : data.count
            )
            if piece.isEmpty { break }
            data.append(piece)
        }
        return data
    }

    /// Some bytes of a regular file.
    ///
    /// - Throws: `InputFileError` where the file does not have them all.
    public func bytes(_ range: Range<Int>) throws(InputFileError) -> Data {
        guard range.lowerBound >= 0, range.upperBound <= size ?? 0 else {
            throw InputFileError(.cutShort, path: path)
        }
        var data = Data(capacity: range.count)
        while data.count < range.count {
            let offset = range.lowerBound + data.count
            let piece = try readPiece(min(Self.pieceBytes, range.upperBound - offset), at: offset)
            // Somebody has made it shorter.
            if piece.isEmpty { throw InputFileError(.cutShort, path: path) }
            data.append(piece)
        }
        return data
    }

    private static let pieceBytes = 1 << 20
    private static let mostStreamed = 1 << 30

    /// - Parameter offset: nil to go on where the last piece of a stream ended.
    private func readPiece(_ count: Int, at offset: Int?) throws(InputFileError) -> Data {
        var data = Data(count: count)
        while true {
            let got = data.withUnsafeMutableBytes { buffer in
                if let offset { return pread(descriptor, buffer.baseAddress, count, off_t(offset)) }
                return read(descriptor, buffer.baseAddress, count)
            }
            if got >= 0 { return data.prefix(got) }
            guard errno == EINTR else { throw InputFileError(errno, path: path) }
        }
    }

    /// The descriptor that a path means by its number; nil for any other path.
    private static func openedByTheShell(_ path: String) -> Int32? {
        if path == "/dev/stdin" { return STDIN_FILENO }
        for folder in ["/dev/fd/", "/proc/self/fd/"] where path.hasPrefix(folder) {
            return Int32(path.dropFirst(folder.count)).flatMap { $0 >= 0 ? $0 : nil }
        }
        return nil
    }

    /// Looks without opening: a device may do something when it is opened.
    private static func requireRegular(_ path: String) throws(InputFileError) {
        var status = stat()
        // The system reads a path only up to its first NUL, so that another file might be opened.
        guard !path.isEmpty, !path.utf8.contains(0) else { throw InputFileError(ENOENT, path: path) }
        guard stat(path, &status) == 0 else { throw InputFileError(errno, path: path) }
        if let error = InputFileError(kindOf: status, path: path) { throw error }
    }
}
