import Foundation
import RecallInput

/// What went wrong with a file of data, and which file.
public struct DataFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// The system refused to read or write: exit status 74.
        case inputOutput
        /// What the file holds is not what it should: exit status 65.
        case content
        /// A file to be read is not there: exit status 66.
        case missing
    }

    public let kind: Kind
    public let path: String
    public let message: String

    public init(_ kind: Kind, path: String, message: String) {
        (self.kind, self.path, self.message) = (kind, path, message)
    }

    public var description: String { "\(path): \(message)" }

    /// With the operating system's reason, of `code` (by default of the last failed call).
    static func system(_ path: String, _ what: String, code: Int32 = errno) -> DataFileError {
        DataFileError(.inputOutput, path: path, message: "\(what): \(String(cString: strerror(code)))")
    }

    /// The same error, of a file that was handed over to be read.
    public init(_ error: InputFileError) {
        switch error.kind {
        case .missing:
            self.init(
                .missing,
                path: error.path,
                message: "cannot be read: \(String(cString: strerror(ENOENT)))"
            )
        case .unreadable: self.init(.inputOutput, path: error.path, message: error.message)
        case .isFolder, .notRegular, .tooLarge, .cutShort:
            self.init(.content, path: error.path, message: error.message)
        }
    }

    /// With the operating system's reason if Foundation's error holds one.
    static func foundation(_ path: String, _ what: String, _ error: any Error) -> DataFileError {
        let reason = (error as NSError).userInfo[NSUnderlyingErrorKey] as? POSIXError
        guard let reason else { return DataFileError(.inputOutput, path: path, message: what) }
        return system(path, what, code: reason.code.rawValue)
    }
}

/// An array read from or written to NumPy's .npy format: C order, little-endian. Integers of other widths are read as int64.
public struct NPYFile: Hashable, Sendable {
    public enum ElementType: String, Sendable {
        case int64 = "<i8"
        case float32 = "<f4"
        /// Read only, as what PyTorch and memory-mapped token files save.
        case int32 = "<i4"
        case uint32 = "<u4"
        case int16 = "<i2"
        case uint16 = "<u2"
        case int8 = "|i1"
        case uint8 = "|u1"

        /// Bytes of an element.
        public var size: Int {
            switch self {
            case .int64: 8
            case .float32, .int32, .uint32: 4
            case .int16, .uint16: 2
            case .int8, .uint8: 1
            }
        }

        public var isInteger: Bool { self != .float32 }
    }

    public enum Elements: Hashable, Sendable {
        case int64([Int64])
        case float32([Float])

        public var count: Int {
            switch self {
            case .int64(let values): values.count
            case .float32(let values): values.count
            }
        }

        public var type: ElementType {
            switch self {
            case .int64: .int64
            case .float32: .float32
            }
        }
    }

    public let shape: [Int]
    public let elements: Elements

    /// - Parameter shape: its product must be the number of elements.
    public init(shape: [Int], elements: Elements) {
        precondition(shape.allSatisfy { $0 >= 0 } && shape.reduce(1, *) == elements.count, "shape ≠ elements")
        self.shape = shape
        self.elements = elements
    }

    /// Writes the array; the file is complete or absent.
    ///
    /// - Throws: `DataFileError`.
    public func write(to path: String) throws(DataFileError) {
        var writer = try NPYWriter(path: path, type: elements.type, shape: shape)
        switch elements {
        case .int64(let values): try writer.append(values)
        case .float32(let values): try writer.append(values)
        }
        try writer.finish()
    }

    /// The bytes before the elements, as `numpy.save` writes them: version 1.0, room for the first dimension to
    /// grow to 21 digits, then spaces up to a multiple of 64 bytes.
    public static func header(type: ElementType, shape: [Int]) -> [UInt8] {
        let dimensions = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var text = "{'descr': '\(type.rawValue)', 'fortran_order': False, 'shape': (\(dimensions)), }"
        if let first = shape.first { text += String(repeating: " ", count: 21 - String(first).count) }
        let prefix = magic.count + 4
        text += String(repeating: " ", count: 64 - (prefix + text.utf8.count + 1) % 64) + "\n"
        let length = text.utf8.count
        return magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(text.utf8)
    }

    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// Reads a .npy file of version 1, 2 or 3.
    ///
    /// - Throws: `DataFileError` for a file that cannot be read, is damaged, or holds another element type or order.
    public init(path: String) throws(DataFileError) { self = try NPYReader(path: path).file() }

    /// Reads the bytes of such a file.
    ///
    /// - Parameter path: what errors call them.
    /// - Throws: `DataFileError` of kind `content`.
    public init(bytes: Data, path: String) throws(DataFileError) {
        self = try NPYReader(bytes: bytes, path: path).file()
    }
}
