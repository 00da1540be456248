import Foundation

/// What is wrong with some JSON.
public struct JSONFault: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        case notUTF8
        case notJSON
        case tooDeep
        case repeatedKey(String)
    }

    public let kind: Kind
    /// Where, in bytes from the beginning.
    public let offset: Int

    public init(kind: Kind, offset: Int) { (self.kind, self.offset) = (kind, offset) }

    /// What is wrong, to follow "it" or the text's name.
    public var description: String {
        switch kind {
        case .notUTF8: "is not UTF-8 text"
        case .notJSON: "is not JSON at byte \(offset)"
        case .tooDeep: "is nested more than \(JSONScanner.deepest) deep"
        case .repeatedKey(let key): "has '\(key)' twice"
        }
    }
}

/// Reads JSON of other programs one value after another, and keeps nothing of what is passed over. It holds it to the
/// letter of RFC 8259, where Foundation's parsers are lenient or at a loss: UTF-8 alone, no key twice in an object, whole
/// numbers written as such, and no nesting beyond `deepest`.
///
/// Each reading call takes one value from the text. Those that return an optional pass over a value of another type and
/// return nil for it.
public struct JSONScanner {
    /// Lists and objects in one another.
    public static let deepest = 64

    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0

    /// - Throws: `JSONFault` for text that is not UTF-8.
    public init(_ text: Data) throws(JSONFault) {
        guard String(validating: text, as: UTF8.self) != nil else { throw JSONFault(kind: .notUTF8, offset: 0) }
        bytes = Array(text)
    }

    /// Checks a whole text, of which other parsers are to make something.
    ///
    /// - Throws: `JSONFault` for the first thing that is wrong.
    public static func check(_ text: Data) throws(JSONFault) {
        var scanner = try JSONScanner(text)
        try scanner.skip()
        try scanner.end()
    }

    /// Passes over a value.
    public mutating func skip() throws(JSONFault) {
        switch next() {
        case UInt8(ascii: "{"): try object { scanner, _ throws(JSONFault) in try scanner.skip() }
        case UInt8(ascii: "["): try array { scanner throws(JSONFault) in try scanner.skip() }
        case UInt8(ascii: "\""): try readString { _ in }
        case UInt8(ascii: "t"): try take("true")
        case UInt8(ascii: "f"): try take("false")
        case UInt8(ascii: "n"): try take("null")
        default: _ = try number()
        }
    }

    /// Requires that nothing follows but space.
    public mutating func end() throws(JSONFault) {
        if next() != nil { throw fault() }
    }

    /// Reads an object; `member` takes the value of each key.
    ///
    /// - Returns: whether it was one.
    @discardableResult
    public mutating func object(
        _ member: (inout JSONScanner, _ key: String) throws(JSONFault) -> Void
    ) throws(JSONFault) -> Bool {
        guard next() == UInt8(ascii: "{") else {
            try skip()
            return false
        }
        var keys: Set<String> = []
        try elements(until: UInt8(ascii: "}")) { scanner throws(JSONFault) in
            guard scanner.next() == UInt8(ascii: "\"") else { throw scanner.fault() }
            let offset = scanner.index
            let key = try scanner.string()
            guard keys.insert(key).inserted else { throw JSONFault(kind: .repeatedKey(key), offset: offset) }
            _ = scanner.next()
            try scanner.take(":")
            try member(&scanner, key)
        }
        return true
    }

    /// Reads a list; `element` takes each value.
    ///
    /// - Returns: whether it was one.
    @discardableResult
    public mutating func array(
        _ element: (inout JSONScanner) throws(JSONFault) -> Void
    ) throws(JSONFault) -> Bool {
        guard next() == UInt8(ascii: "[") else {
            try skip()
            return false
        }
        try elements(until: UInt8(ascii: "]"), element)
        return true
    }

    /// Reads a text.
    public mutating func text() throws(JSONFault) -> String? {
        guard next() == UInt8(ascii: "\"") else {
            try skip()
            return nil
        }
        return try string()
    }

    /// Reads a whole number that an `Int` holds, written with digits alone: 2, not 2.0 or 2e0.
    public mutating func integer() throws(JSONFault) -> Int? {
        guard let first = next(), first == UInt8(ascii: "-") || Self.isDigit(first) else {
            try skip()
            return nil
        }
        let digits = String(decoding: bytes[try number()], as: UTF8.self)
        return digits == "-0" ? nil : Int(digits)
    }

    /// Reads a list of such numbers.
    public mutating func integers() throws(JSONFault) -> [Int]? {
        var numbers: [Int]? = []
        let isList = try array { scanner throws(JSONFault) in
            if let number = try scanner.integer() { numbers?.append(number) } else { numbers = nil }
        }
        return isList ? numbers : nil
    }

    // MARK: Pieces

    private func fault() -> JSONFault { JSONFault(kind: .notJSON, offset: index) }

    /// The first byte of what comes next; nil at the end.
    private mutating func next() -> UInt8? {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            case let byte: return byte
            }
        }
        return nil
    }

    private mutating func take(_ word: StaticString) throws(JSONFault) {
        for offset in 0..<word.utf8CodeUnitCount {
            guard index < bytes.count, bytes[index] == word.utf8Start[offset] else { throw fault() }
            index += 1
        }
    }

    /// The members of a list or an object that begins here, with the commas between them.
    private mutating func elements(
        until end: UInt8,
        _ element: (inout JSONScanner) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        guard depth < Self.deepest else { throw JSONFault(kind: .tooDeep, offset: index) }
        depth += 1
        index += 1
        if next() != end {
            while true {
                try element(&self)
                guard next() == UInt8(ascii: ",") else { break }
                index += 1
            }
        }
        guard next() == end else { throw fault() }
        index += 1
        depth -= 1
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    /// - Returns: where it stands.
    private mutating func number() throws(JSONFault) -> Range<Int> {
        let start = index
        func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }
        func digits() throws(JSONFault) {
            let first = index
            while let byte = peek(), Self.isDigit(byte) { index += 1 }
            if index == first { throw fault() }
        }
        if peek() == UInt8(ascii: "-") { index += 1 }
        if peek() == UInt8(ascii: "0") { index += 1 } else { try digits() }
        if peek() == UInt8(ascii: ".") {
            index += 1
            try digits()
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            index += 1
            if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { index += 1 }
            try digits()
        }
        return start..<index
    }

    // MARK: Strings

    private mutating func string() throws(JSONFault) -> String {
        var text: [UInt8] = []
        try readString { text.append(contentsOf: $0) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads a string; `take` gets its bytes, piece by piece.
    private mutating func readString(_ take: (ArraySlice<UInt8>) -> Void) throws(JSONFault) {
        index += 1
        while true {
            guard index < bytes.count, bytes[index] >= 0x20 else { throw fault() }
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index += 1
                return
            case UInt8(ascii: "\\"): take(Array(String(try escape()).utf8)[...])
            default:
                take(bytes[index...index])
                index += 1
            }
        }
    }

    private mutating func escape() throws(JSONFault) -> Unicode.Scalar {
        index += 1
        guard index < bytes.count else { throw fault() }
        let letter = Unicode.Scalar(bytes[index])
        if letter == "u" { return try numberedScalar() }
        let scalar: Unicode.Scalar? =
            switch letter {
            case "\"", "\\", "/": letter
            case "b": "\u{8}"
            case "f": "\u{C}"
            case "n": "\n"
            case "r": "\r"
            case "t": "\t"
            default: nil
            }
        guard let scalar else { throw fault() }
        index += 1
        return scalar
    }

    /// `u` and four digits, or two of those for what lies beyond 16 bits.
    private mutating func numberedScalar() throws(JSONFault) -> Unicode.Scalar {
        let start = index
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        if (0xD800..<0xDC00).contains(first), index < bytes.count, bytes[index] == UInt8(ascii: "\\") {
            index += 1
            let second = try hexadecimal()
            if (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
            {
                return scalar
            }
        }
        throw JSONFault(kind: .notJSON, offset: start)
    }

    private mutating func hexadecimal() throws(JSONFault) -> UInt32 {
        try take("u")
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard index < bytes.count, let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue else {
                throw fault()
            }
            number = number << 4 | UInt32(digit)
            index += 1
        }
        return number
    }
}
