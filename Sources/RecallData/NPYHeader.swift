import Foundation

/// The header of a .npy file: a Python dictionary with exactly the keys `descr`, `fortran_order` and `shape`, read as Python
/// reads it, so that a file means here what it means to NumPy.
struct NPYHeader {
    /// What is wrong with the header.
    struct Fault: Error, Equatable { let message: String }

    /// The element type as it is written, with its quotes if it is a text.
    let descr: String
    let isFortran: Bool
    let shape: [Int]
    /// The shape as it is written.
    let shapeText: String

    /// As many as NumPy reads.
    static let mostDimensions = 64
    private static let keys = ["descr", "fortran_order", "shape"]

    /// - Parameter bytes: the dictionary.
    init(_ bytes: Data) throws(Fault) {
        if let zero = bytes.firstIndex(of: 0) {
            throw Fault(message: "its header has a NUL byte at byte \(zero - bytes.startIndex) of its text")
        }
        var text = HeaderText(Array(bytes))
        var values: [String: String] = [:]
        text.skipSpace()
        guard text.take("{") else { throw text.notUnderstood }
        text.skipSpace()
        while !text.take("}") {
            guard let key = text.quoted() else { throw text.notUnderstood }
            guard Self.keys.contains(key) else {
                throw Fault(message: "its header has \(shortened("'\(key)'")), which is no key of the format")
            }
            text.skipSpace()
            guard text.take(":"), let value = text.value() else { throw text.notUnderstood }
            if values.updateValue(value, forKey: key) != nil {
                throw Fault(message: "its header has '\(key)' twice")
            }
            text.skipSpace()
            if text.take("}") { break }
            guard text.take(",") else { throw text.notUnderstood }
            text.skipSpace()
        }
        text.skipSpace()
        guard text.isAtEnd else { throw text.notUnderstood }
        for key in Self.keys where values[key] == nil { throw Fault(message: "its header has no '\(key)'") }
        (descr, shapeText) = (values["descr"] ?? "", values["shape"] ?? "")
        switch values["fortran_order"] {
        case "True": isFortran = true
        case "False": isFortran = false
        case let other:
            throw Fault(
                message:
                    "its header has the fortran_order \(shortened(other ?? "")), which is neither True nor False"
            )
        }
        guard let shape = Self.dimensions(shapeText) else {
            throw Fault(
                message:
                    "its shape \(shortened(shapeText)) is no tuple of whole numbers, such as (100, 32) or (100,)"
            )
        }
        guard shape.count <= Self.mostDimensions else {
            throw Fault(message: "it has \(shape.count) dimensions; at most \(Self.mostDimensions) are read")
        }
        self.shape = shape
    }

    /// The element type by its name; nil where it is described otherwise.
    var typeName: String? {
        descr.hasPrefix("'") || descr.hasPrefix("\"") ? String(descr.dropFirst().dropLast()) : nil
    }

    /// The numbers of a tuple such as "(3, 4)" or "(3,)": digits alone, as Python writes whole numbers.
    private static func dimensions(_ tuple: String) -> [Int]? {
        guard tuple.hasPrefix("("), tuple.hasSuffix(")") else { return nil }
        let space = CharacterSet(charactersIn: " \t\r\n")
        var parts = tuple.dropFirst().dropLast().components(separatedBy: ",").map {
            $0.trimmingCharacters(in: space)
        }
        // What stands behind the last comma, or in "()"; a number in brackets without a comma is no tuple.
        if parts.last == "" { parts.removeLast() } else if parts.count == 1 { return nil }
        var numbers: [Int] = []
        for part in parts {
            let isWhole = part.utf8.allSatisfy { (48...57).contains($0) } && (part == "0" || part.first != "0")
            guard isWhole, let number = Int(part) else { return nil }
            numbers.append(number)
        }
        return numbers
    }
}

/// A header's text, read from its beginning on.
private struct HeaderText {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    var notUnderstood: NPYHeader.Fault {
        NPYHeader.Fault(
            message: "its header is not understood: \(shortened(String(decoding: bytes, as: UTF8.self)))"
        )
    }

    mutating func skipSpace() {
        while index < bytes.count, " \t\r\n".utf8.contains(bytes[index]) { index += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    /// A text in either kind of quotes, without escapes; nil where there is none.
    mutating func quoted() -> String? {
        guard index < bytes.count, "'\"".utf8.contains(bytes[index]),
            let end = bytes[(index + 1)...].firstIndex(of: bytes[index])
        else { return nil }
        let text = bytes[(index + 1)..<end]
        if text.contains(UInt8(ascii: "\\")) { return nil }
        index = end + 1
        return String(decoding: text, as: UTF8.self)
    }

    /// A value as it is written: a text with its quotes, something in brackets, or a word. nil for anything else.
    mutating func value() -> String? {
        skipSpace()
        let start = index
        var brackets = 0
        repeat {
            guard index < bytes.count else { return nil }
            switch Unicode.Scalar(bytes[index]) {
            case "'", "\"": if quoted() == nil { return nil }
            case "(", "[":
                brackets += 1
                index += 1
            case ")", "]":
                brackets -= 1
                index += 1
            case ",", "}", ":":
                if brackets == 0 { return nil }
                index += 1
            default:
                index += 1
                // A word goes on up to what ends it.
                while brackets == 0, index < bytes.count, !" \t\r\n,}:'\"()[]".utf8.contains(bytes[index]) {
                    index += 1
                }
            }
        } while brackets > 0
        return brackets == 0 ? String(decoding: bytes[start..<index], as: UTF8.self) : nil
    }
}

/// The beginning of what somebody wrote, for a message.
private func shortened(_ text: String) -> String { String(text.prefix(100)) }
