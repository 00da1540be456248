import Foundation
import RecallInput

/// Reads a .npy file piece by piece, so that memory need not hold it: version 1, 2 or 3, C order, little-endian integers or
/// float32.
public struct NPYReader: Sendable {
    public let path: String
    public let type: NPYFile.ElementType
    public let shape: [Int]
    /// The product of the shape.
    public let count: Int
    /// The elements' bytes, mapped where the system does that.
    private let body: Data

    /// Looks at the header and at the file's size.
    ///
    /// - Throws: `DataFileError` for a file that cannot be read, is damaged, or holds another element type or order.
    public init(path: String) throws(DataFileError) {
        let bytes: Data
        do { bytes = try InputFile(path: path).mapped() } catch { throw DataFileError(error) }
        try self.init(bytes: bytes, path: path)
    }

    /// The same of a file's bytes.
    ///
    /// - Parameter path: what errors call them.
    init(bytes: Data, path: String) throws(DataFileError) {
        do { try self.init(path: path, bytes) } catch {
            throw DataFileError(.content, path: path, message: error.message)
        }
    }

    /// Some elements of a file of integers, in C order, whatever their width.
    ///
    /// - Throws: `DataFileError` where the elements are not integers.
    public func int64(_ range: Range<Int>) throws(DataFileError) -> [Int64] {
        guard let integers = integers(range) else {
            throw DataFileError(
                .content, path: path,
                message: "its elements are '\(type.rawValue)'; integers, such as int64 ('<i8'), are needed")
        }
        return integers
    }

    /// All of the array.
    var file: NPYFile {
        NPYFile(
            shape: shape,
            elements: integers(0..<count).map { .int64($0) } ?? .float32(load(0..<count, as: Float.self)))
    }

    /// nil where the elements are not integers.
    private func integers(_ range: Range<Int>) -> [Int64]? {
        func widened<Element: FixedWidthInteger & BitwiseCopyable>(_: Element.Type) -> [Int64] {
            load(range, as: Element.self).map { Int64(Element(littleEndian: $0)) }
        }
        return switch type {
        case .int64: load(range, as: Int64.self)
        case .int32: widened(Int32.self)
        case .uint32: widened(UInt32.self)
        case .int16: widened(Int16.self)
        case .uint16: widened(UInt16.self)
        case .int8: widened(Int8.self)
        case .uint8: widened(UInt8.self)
        case .float32: nil
        }
    }

    private func load<Element: BitwiseCopyable>(_ range: Range<Int>, as: Element.Type) -> [Element] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let start = body.startIndex + range.lowerBound * type.size
        return Array(unsafeUninitializedCapacity: range.count) { buffer, initialised in
            _ = body[start..<start + range.count * type.size].copyBytes(
                to: UnsafeMutableRawBufferPointer(buffer))
            initialised = range.count
        }
    }

    private struct FormatError: Error { let message: String }

    private init(path: String, _ bytes: Data) throws(FormatError) {
        func byte(_ index: Int) -> Int { Int(bytes[bytes.startIndex + index]) }
        guard bytes.count >= 10, bytes.prefix(6).elementsEqual(NPYFile.magic) else {
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
        guard let descr = Self.value(of: "descr", in: text),
            let order = Self.value(of: "fortran_order", in: text),
            let shapeText = Self.value(of: "shape", in: text), let shape = Self.dimensions(shapeText)
        else { throw FormatError(message: "its header is not understood: \(text.prefix(100))") }
        guard let type = NPYFile.ElementType(rawValue: descr.trimmingCharacters(in: ["'", "\""])) else {
            throw FormatError(
                message:
                    "its elements are \(descr); little-endian integers up to int64, such as '<i8', '<i4' and '<u2', "
                    + "and float32 ('<f4') are read")
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
        (self.path, self.type, self.shape, self.count) = (path, type, shape, count)
        body = bytes.dropFirst(start + length)
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
