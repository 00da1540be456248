import Foundation

/// Writes a .npy file piece by piece. The pieces go to `PATH.partial`, which is renamed when all are there; a
/// writer that is dropped before that leaves nothing. What is no ordinary file, /dev/null or a named pipe, is written as it
/// is.
public struct NPYWriter: ~Copyable {
    private let path: String
    private let type: NPYFile.ElementType
    private let count: Int
    private var written = 0
    private var file: Int32
    private let isDevice: Bool
    private var temporary: String { isDevice ? path : path + ".partial" }

    /// - Throws: `DataFileError` if the file cannot be made.
    public init(path: String, type: NPYFile.ElementType, shape: [Int]) throws(DataFileError) {
        self.path = path
        self.type = type
        count = shape.reduce(1, *)
        var status = stat()
        let isThere = stat(path, &status) == 0
        isDevice = isThere && status.st_mode & S_IFMT != S_IFREG
        // A folder is opened as it is too, which fails before any work is done.
        file = open(isDevice ? path : path + ".partial", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .system(path, "cannot be written") }
        try NPYFile.header(type: type, shape: shape).withUnsafeBufferPointer { bytes throws(DataFileError) in
            try write(UnsafeRawBufferPointer(bytes))
        }
    }

    deinit {
        if file >= 0 {
            close(file)
            if !isDevice { unlink(temporary) }
        }
    }

    /// Adds elements of an int64 file, in C order.
    ///
    /// - Throws: `DataFileError`, for a full disk say.
    public mutating func append(_ values: [Int64]) throws(DataFileError) {
        precondition(type == .int64, "int64 elements for a file of \(type)")
        try add(values)
    }

    /// Adds elements of a float32 file, in C order.
    ///
    /// - Throws: `DataFileError`, for a full disk say.
    public mutating func append(_ values: [Float]) throws(DataFileError) {
        precondition(type == .float32, "float32 elements for a file of \(type)")
        try add(values)
    }

    /// Closes the file and gives it its name. As many elements as the shape has must have been added.
    ///
    /// - Throws: `DataFileError`; then there is no file.
    public consuming func finish() throws(DataFileError) {
        precondition(written == count, "\(written) elements for a file of \(count)")
        let closed = close(file)
        file = -1
        guard closed == 0, isDevice || rename(temporary, path) == 0 else {
            let error = DataFileError.system(path, "cannot be written")
            if !isDevice { unlink(temporary) }
            throw error
        }
    }

    private mutating func add<Element: BitwiseCopyable>(_ values: [Element]) throws(DataFileError) {
        try values.withUnsafeBufferPointer { values throws(DataFileError) in
            try write(UnsafeRawBufferPointer(values))
        }
        written += values.count
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(DataFileError) {
        var left = bytes
        while !left.isEmpty {
            let done = Foundation.write(file, left.baseAddress, left.count)
            if done < 0 {
                if errno == EINTR { continue }
                throw .system(path, "cannot be written")
            }
            left = UnsafeRawBufferPointer(rebasing: left[done...])
        }
    }
}
