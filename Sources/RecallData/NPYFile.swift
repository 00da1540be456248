import Foundation

/// What went wrong with a file of data, and which file.
public struct DataFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// The system refused to read or write: exit status 74.
        case inputOutput
        /// What the file holds is not what it should: exit status 65.
        case content
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

    /// With the operating system's reason if Foundation's error holds one.
    static func foundation(_ path: String, _ what: String, _ error: any Error) -> DataFileError {
        let reason = (error as NSError).userInfo[NSUnderlyingErrorKey] as? POSIXError
        guard let reason else { return DataFileError(.inputOutput, path: path, message: what) }
        return system(path, what, code: reason.code.rawValue)
    }
}

/// An array read from or written to NumPy's .npy format: C order, little-endian, int64 or float32.
public struct NPYFile: Hashable, Sendable {
    public enum ElementType: String, Sendable {
        case int64 = "<i8"
        case float32 = "<f4"

        public var size: Int { self == .int64 ? 8 : 4 }
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
    public init(path: String) throws(DataFileError) {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch {
            throw .foundation(path, "cannot be read", error)
        }
        try self.init(bytes: bytes, path: path)
    }

    /// Reads the bytes of such a file.
    ///
    /// - Parameter path: what errors call them.
    /// - Throws: `DataFileError` of kind `content`.
    public init(bytes: Data, path: String) throws(DataFileError) {
        do { self = try Self.parse(bytes) } catch {
            throw DataFileError(.content, path: path, message: error.message)
        }
    }

    struct FormatError: Error { let message: String }

    /// Reads the bytes of a .npy file.
    private static func parse(_ bytes: Data) throws(FormatError) -> NPYFile {
        func byte(_ index: Int) -> Int { Int(bytes[bytes.startIndex + index]) }
        guard bytes.count >= 10, bytes.prefix(6).elementsEqual(magic) else {
            throw FormatError(message: "not an .npy file")
        }
        let wide = byte(6) >= 2
        guard (1...3).contains(byte(6)) else {
            throw FormatError(message: "version \(byte(6)) of the .npy format is not known")
        }
        let start = wide ? 12 : 10
        guard bytes.count >= start else { throw FormatError(message: "its header is cut off") }
        let length =
            wide ? byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24 : byte(8) | byte(9) << 8
        guard bytes.count - start >= length else { throw FormatError(message: "its header is cut off") }
        let text = String(decoding: bytes.dropFirst(start).prefix(length), as: UTF8.self)
        guard let descr = value(of: "descr", in: text), let order = value(of: "fortran_order", in: text),
            let shapeText = value(of: "shape", in: text), let shape = dimensions(shapeText)
        else { throw FormatError(message: "its header is not understood: \(text.prefix(100))") }
        guard let type = ElementType(rawValue: descr.trimmingCharacters(in: ["'", "\""])) else {
            throw FormatError(message: "its elements are \(descr); int64 ('<i8') and float32 ('<f4') are read")
        }
        guard order == "False" || shape.count < 2 else { throw FormatError(message: "it is in Fortran order") }
        var count = 1
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { throw FormatError(message: "its shape \(shapeText) is impossible") }
            count = product
        }
        let present = bytes.count - start - length
        guard present % type.size == 0, present / type.size == count else {
            throw FormatError(
                message:
                    "its shape \(shapeText) needs \(count) elements of \(type.size) bytes: it has \(present) bytes"
            )
        }
        let body = bytes.dropFirst(start + length)
        func load<Element: BitwiseCopyable>(_ zero: Element) -> [Element] {
            Array(unsafeUninitializedCapacity: count) { buffer, initialised in
                _ = body.copyBytes(to: UnsafeMutableRawBufferPointer(buffer))
                initialised = count
            }
        }
        return NPYFile(shape: shape, elements: type == .int64 ? .int64(load(0)) : .float32(load(0)))
    }

    /// The text of a key's value in a Python dictionary without nesting deeper than one tuple.
    private static func value(of key: String, in text: String) -> String? {
        guard let found = text.range(of: "'\(key)'") ?? text.range(of: "\"\(key)\"") else { return nil }
        let rest = text[found.upperBound...].drop { $0 == " " }
        guard rest.first == ":" else { return nil }
        let value = rest.dropFirst().drop { $0 == " " }
        guard let end = value.firstIndex(where: { value.first == "(" ? $0 == ")" : ($0 == "," || $0 == "}") })
        else { return nil }
        return String(value.first == "(" ? value[...end] : value[..<end]).trimmingCharacters(in: [" "])
    }

    /// The numbers of a tuple such as "(3, 4)" or "(3,)".
    private static func dimensions(_ tuple: String) -> [Int]? {
        guard tuple.hasPrefix("("), tuple.hasSuffix(")") else { return nil }
        let parts = tuple.dropFirst().dropLast().split(separator: ",")
            .map { $0.trimmingCharacters(in: [" "]) }.filter { !$0.isEmpty }
        let numbers = parts.compactMap { Int($0) }.filter { $0 >= 0 }
        return numbers.count == parts.count ? numbers : nil
    }
}
