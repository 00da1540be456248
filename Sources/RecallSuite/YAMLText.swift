import Foundation

/// Reads YAML text into `YAMLValue`s, bounded in size and in depth.
struct YAMLText {
    static let maximumBytes = 1 << 20
    /// After aliases are expanded.
    static let maximumValues = 200_000
    /// Bytes of all texts, after aliases are expanded.
    static let maximumText = 8 << 20
    static let maximumDepth = 32
    /// Bytes of a key.
    static let maximumKey = 256

    let file: String
    /// Without a byte order mark.
    private let text: String

    init(_ text: String = "", file: String) {
        // libYAML takes the byte order mark for a control character.
        let hasMark = text.unicodeScalars.first == "\u{FEFF}"
        (self.text, self.file) = (hasMark ? String(text.unicodeScalars.dropFirst()) : text, file)
    }

    /// - Throws: `SuiteError` for text that is not one YAML document, keys that are there twice or are not plain words,
    ///   tags, merge keys, and documents beyond the limits: those are refused where they go beyond, whatever would follow.
    static func parse(_ text: String, file: String) throws(SuiteError) -> YAMLValue {
        let reader = YAMLText(text, file: file)
        guard text.utf8.count <= maximumBytes else { throw reader.tooLarge() }
        try reader.refuseControlCharacters()
        var builder = YAMLBuilder(reader, YAMLEvents(reader.text))
        guard let root = try builder.document() else {
            throw reader.error(.start, "the file is empty; a suite is a mapping that begins with 'name:'")
        }
        return root
    }

    func error(_ place: Place, _ message: String) -> SuiteError {
        SuiteError(file: file, place: place, message: message)
    }

    func tooLarge() -> SuiteError {
        error(.start, "larger than 1 MiB, which is no suite; split it or use lists for grids")
    }

    func tooDeep(_ place: Place) -> SuiteError {
        error(place, "nested more than \(Self.maximumDepth) deep; a suite is not")
    }

    // MARK: Before parsing

    private func refuseControlCharacters() throws(SuiteError) {
        var place = Place.start
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A where previous == "\r": break
            case 0x0A, 0x0D, 0x85, 0x2028, 0x2029: place = Place(line: place.line + 1, column: 1)
            case 0x09, 0x20...0x7E, 0xA0...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...0x10FFFF:
                place.column += 1
            default:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                let code = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
                throw error(place, "not YAML: control character U+\(code); remove it")
            }
            previous = scalar
        }
    }

    // MARK: What the parser says

    func explain(_ fault: YAMLFault) -> SuiteError {
        let place = clamp(fault.place)
        if fault.problem.contains("nesting level") { return tooDeep(place) }
        let during =
            fault.context.map { " (\($0.text), line \($0.place.line), column \($0.place.column))" } ?? ""
        return error(place, "not YAML: \(fault.problem)\(during)\(hint(at: place))")
    }

    /// The parser's places may lie beyond the text.
    private func clamp(_ place: Place) -> Place {
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        guard place.line >= lines.count else { return place }
        let last = Place(line: lines.count, column: lines[lines.count - 1].count + 1)
        return place.line > last.line || place.column > last.column ? last : place
    }

    private func hint(at place: Place) -> String {
        guard let index = index(of: place) else { return "" }
        return switch text.unicodeScalars[index] {
        case "\t": "; indent with spaces, not tabs"
        case "@", "`", "%": "; put the value in quotes"
        default: ""
        }
    }

    private func index(of place: Place) -> String.Index? {
        let scalars = text.unicodeScalars
        var (index, line) = (scalars.startIndex, 1)
        while line < place.line {
            guard let end = scalars[index...].firstIndex(of: "\n") else { return nil }
            (index, line) = (scalars.index(after: end), line + 1)
        }
        guard let found = scalars.index(index, offsetBy: place.column - 1, limitedBy: scalars.endIndex),
            found < scalars.endIndex
        else { return nil }
        return found
    }
}
