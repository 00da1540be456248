import Foundation
import RecallInput

/// Reads a .npy file piece by piece, so that memory need not hold it: version 1, 2 or 3, C order, little-endian integers or
/// float32. Between the pieces the file is closed, so that there may be any number of them.
public struct NPYReader: Sendable {
    private enum Source: Sendable {
        /// A regular file. Its size is known, and every piece must lie within it.
        case file(size: Int)
        case bytes(Data)
    }

    public let path: String
    public let type: NPYFile.ElementType
    public let shape: [Int]
    /// The product of the shape.
    public let count: Int
    /// Where in the file the elements begin.
    private let start: Int
    private let source: Source

    /// Looks at the header and at the file's size.
    ///
    /// - Throws: `DataFileError` for a file that cannot be read, is damaged, or holds another element type or order.
    public init(path: String) throws(DataFileError) {
        let (beginning, size) = try reading { () throws(InputFileError) in
            let file = try InputFile(path: path)
            return (try file.beginning(upTo: Self.mostHeaderBytes), file.size)
        }
        guard let size else {
            throw DataFileError(.content, path: path, message: "is piped in; name a regular file")
        }
        try self.init(path, .file(size: size), beginning: beginning, size: size)
    }

    /// The same of a file's bytes.
    ///
    /// - Parameter path: what errors call them.
    init(bytes: Data, path: String) throws(DataFileError) {
        let bytes = Data(bytes)  // indices from 0
        try self.init(path, .bytes(bytes), beginning: bytes.prefix(Self.mostHeaderBytes), size: bytes.count)
    }

    /// Some elements of a file of integers, in C order, whatever their width.
    ///
    /// - Throws: `DataFileError` where the elements are not integers, and where the file has changed since it was looked at.
    public func int64(_ range: Range<Int>) throws(DataFileError) -> [Int64] {
        guard type.isInteger else {
            throw DataFileError(
                .content,
                path: path,
                message: "its elements are '\(type.rawValue)'; integers, such as int64 ('<i8'), are needed"
            )
        }
        return integers(try bytes(of: range))
    }

    /// All of the array.
    ///
    /// - Throws: `DataFileError` where the file has changed since it was looked at.
    func file() throws(DataFileError) -> NPYFile {
        let bytes = try bytes(of: 0..<count)
        return NPYFile(
            shape: shape,
            elements: type.isInteger ? .int64(integers(bytes)) : .float32(Self.elements(bytes, as: Float.self))
        )
    }

    // MARK: Elements

    private func bytes(of range: Range<Int>) throws(DataFileError) -> Data {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let place = start + range.lowerBound * type.size..<start + range.upperBound * type.size
        switch source {
        case .bytes(let bytes): return bytes[place]
        case .file(let size):
            let (bytes, found) = try reading { () throws(InputFileError) in
                let file = try InputFile(path: path)
                return (try file.bytes(place), file.size)
            }
            guard found == size else {
                throw DataFileError(.content, path: path, message: "has changed since it was opened")
            }
            return bytes
        }
    }

    private func integers(_ bytes: Data) -> [Int64] {
        func widened<Element: FixedWidthInteger & BitwiseCopyable>(_: Element.Type) -> [Int64] {
            Self.elements(bytes, as: Element.self).map { Int64(Element(littleEndian: $0)) }
        }
        return switch type {
        case .int64: Self.elements(bytes, as: Int64.self)
        case .int32: widened(Int32.self)
        case .uint32: widened(UInt32.self)
        case .int16: widened(Int16.self)
        case .uint16: widened(UInt16.self)
        case .int8: widened(Int8.self)
        case .uint8: widened(UInt8.self)
        case .float32: preconditionFailure("floats as integers")
        }
    }

    private static func elements<Element: BitwiseCopyable>(_ bytes: Data, as: Element.Type) -> [Element] {
        let count = bytes.count / MemoryLayout<Element>.stride
        return Array(unsafeUninitializedCapacity: count) { buffer, initialised in
            _ = bytes.copyBytes(to: UnsafeMutableRawBufferPointer(buffer))
            initialised = count
        }
    }

    // MARK: The header

    /// NumPy itself reads 10,000 bytes, and writes a few hundred.
    private static let mostHeaderBytes = 1 << 16

    /// - Parameter beginning: of the file: the header, if it is not too long.
    private init(_ path: String, _ source: Source, beginning: Data, size: Int) throws(DataFileError) {
        do throws(NPYHeader.Fault) {
            let (header, start) = try Self.header(beginning, size: size)
            guard let type = header.typeName.flatMap(NPYFile.ElementType.init(rawValue:)) else {
                throw NPYHeader.Fault(
                    message:
                        "its elements are \(header.descr.prefix(100)); little-endian integers up to int64, such as "
                        + "'<i8', '<i4' and '<u2', and float32 ('<f4') are read"
                )
            }
            guard !header.isFortran || header.shape.count < 2 else {
                throw NPYHeader.Fault(message: "it is in Fortran order")
            }
            let count = try Self.count(header, of: type, in: size - start)
            (self.path, self.type, shape, self.count) = (path, type, header.shape, count)
            (self.start, self.source) = (start, source)
        } catch {
            throw DataFileError(.content, path: path, message: error.message)
        }
    }

    /// The header, and where the elements begin.
    private static func header(_ bytes: Data, size: Int) throws(NPYHeader.Fault) -> (NPYHeader, start: Int) {
        func byte(_ index: Int) -> Int { Int(bytes[bytes.startIndex + index]) }
        func refusal(_ why: String) -> NPYHeader.Fault { NPYHeader.Fault(message: why) }
        guard bytes.count >= 10, bytes.prefix(6).elementsEqual(NPYFile.magic) else {
            throw refusal("not an .npy file")
        }
        guard (1...3).contains(byte(6)) else {
            throw refusal("version \(byte(6)) of the .npy format is not known")
        }
        let isWide = byte(6) >= 2
        let first = isWide ? 12 : 10
        guard bytes.count >= first else { throw refusal("its header is cut off") }
        let length =
            isWide ? byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24 : byte(8) | byte(9) << 8
        guard size - first >= length else { throw refusal("its header is cut off") }
        guard bytes.count - first >= length else {
            throw refusal("its header has \(length) bytes; at most \(mostHeaderBytes - first) are read")
        }
        return (try NPYHeader(bytes.dropFirst(first).prefix(length)), first + length)
    }

    /// The number of elements, for which there must be as many bytes as are there.
    private static func count(
        _ header: NPYHeader,
        of type: NPYFile.ElementType,
        in bytes: Int
    ) throws(NPYHeader.Fault) -> Int {
        var count = 1
        for dimension in header.shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else {
                throw NPYHeader.Fault(message: "its shape \(header.shapeText) is impossible")
            }
            count = product
        }
        guard bytes % type.size == 0, bytes / type.size == count else {
            throw NPYHeader.Fault(
                message:
                    "its shape \(header.shapeText) needs \(count) elements of \(type.size) bytes: it has \(bytes) bytes"
            )
        }
        return count
    }
}

/// What a file gives, with the errors of data.
private func reading<Result>(
    _ body: () throws(InputFileError) -> Result
) throws(DataFileError) -> Result {
    do { return try body() } catch { throw DataFileError(error) }
}
