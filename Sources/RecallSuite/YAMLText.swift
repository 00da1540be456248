import Foundation
import Yams

/// Reads YAML text into `YAMLValue`s, bounded in size and in depth.
struct YAMLText {
    static let maximumBytes = 1 << 20
    /// After aliases are expanded.
    static let maximumValues = 200_000
    static let maximumDepth = 32

    let file: String

    /// - Throws: `SuiteError` for text that is not one YAML document, keys that are there twice or are not plain words,
    ///   tags, merge keys, and documents beyond the limits.
    static func parse(_ text: String, file: String) throws(SuiteError) -> YAMLValue {
        let reader = YAMLText(file: file)
        guard text.utf8.count <= maximumBytes else { throw reader.tooLarge() }
        // libYAML takes the byte order mark for a control character.
        let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        try reader.refuseControlCharacters(in: text)
        try reader.refuseAliasesInKeys(of: text)
        let root: Node?
        do {
            root = try Self.compose(text)
        } catch {
            throw reader.explain(error, text)
        }
        guard let root else {
            throw reader.error(.start, "the file is empty; a suite is a mapping that begins with 'name:'")
        }
        var budget = maximumValues
        return try reader.convert(root, depth: 0, budget: &budget)
    }

    private func error(_ place: Place, _ message: String) -> SuiteError {
        SuiteError(file: file, place: place, message: message)
    }

    func tooLarge() -> SuiteError {
        error(.start, "larger than 1 MiB, which is no suite; split it or use lists for grids")
    }

    private static func compose(_ text: String) throws -> Node? {
        // The parser keeps a pointer to the text's bytes, which only a string beyond the inline 15 bytes has in one place.
        var text = text.utf8.count < 16 ? text + String(repeating: " ", count: 16) : text
        text.makeContiguousUTF8()
        return try Parser(yaml: text, encoding: .utf8).singleRoot()
    }

    private func tooDeep(_ place: Place) -> SuiteError {
        error(place, "nested more than \(Self.maximumDepth) deep; a suite is not")
    }

    // MARK: Before parsing

    private func refuseControlCharacters(in text: String) throws(SuiteError) {
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

    /// Refuses an alias where a key could hold it. The parser hashes every key with all that its aliases stand for, so a
    /// kilobyte of nested ones would keep it busy for years. Aliases elsewhere are bounded by `maximumValues`.
    private func refuseAliasesInKeys(of text: String) throws(SuiteError) {
        let bytes = Array(text.utf8)
        func byte(_ index: Int) -> UInt8? { bytes.indices.contains(index) ? bytes[index] : nil }
        func isSpace(_ byte: UInt8?) -> Bool { byte.map { " \t\r\n".utf8.contains($0) } ?? true }
        func opens(_ byte: UInt8?) -> Bool { isSpace(byte) || byte.map { "[{,".utf8.contains($0) } ?? true }
        func isName(_ byte: UInt8?) -> Bool {
            byte.map {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
                    || $0 == 95
            }
                ?? false
        }
        func colonFollows(_ start: Int) -> Bool {
            var index = start
            while let next = byte(index), isSpace(next) { index += 1 }
            return byte(index) == UInt8(ascii: ":")
        }
        var hasAlias = false
        var complexKey: Int?
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "*") where opens(byte(index - 1)) && isName(byte(index + 1)):
                hasAlias = true
                var end = index + 1
                while isName(byte(end)) { end += 1 }
                if colonFollows(end) { complexKey = complexKey ?? index }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if complexKey == nil, colonFollows(index + 1) { complexKey = index }
            case UInt8(ascii: "?") where opens(byte(index - 1)) && isSpace(byte(index + 1)):
                complexKey = complexKey ?? index
            default: break
            }
        }
        guard hasAlias, let complexKey else { return }
        var place = Place.start
        for scalar in String(decoding: bytes[..<complexKey], as: UTF8.self).unicodeScalars {
            place =
                scalar == "\n"
                ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
        }
        throw error(place, "where a document has aliases, a key must be a plain word")
    }

    // MARK: What the parser says

    private func explain(_ fault: any Error, _ text: String) -> SuiteError {
        switch fault {
        case YamlError.duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            let first = Place(context.mark)
            if let second = secondPlace(of: key, first: first, in: text) {
                return twice(key, first: first, second: second)
            }
            return error(first, "key \(quoted(key)) is there twice, here and further down; keep one of them")
        case YamlError.composer(let context?, "but found another document", let mark, _)
        where context.text.contains("single document"):
            return error(
                Place(mark), "a second document begins here; a suite is one document, so remove the other")
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let place = clamp(Place(mark), to: text)
            if problem.contains("nesting level") { return tooDeep(place) }
            let during = context.map { " (\($0.text), line \($0.mark.line), column \($0.mark.column))" } ?? ""
            return error(place, "not YAML: \(problem)\(during)\(hint(at: place, in: text))")
        case YamlError.reader(let problem, _, _, _): return error(.start, "not YAML: \(problem)")
        default: return error(.start, "not YAML: \(fault)")
        }
    }

    private func twice(_ key: String, first: Place, second: Place) -> SuiteError {
        error(second, "key \(quoted(key)) is there twice (first in line \(first.line)); keep one of them")
    }

    /// The parser's places lie beyond the text where it was padded.
    private func clamp(_ place: Place, to text: String) -> Place {
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        guard place.line >= lines.count else { return place }
        let last = Place(line: lines.count, column: lines[lines.count - 1].count + 1)
        return place.line > last.line || place.column > last.column ? last : place
    }

    private func hint(at place: Place, in text: String) -> String {
        guard let index = Self.index(of: place, in: text) else { return "" }
        return switch text.unicodeScalars[index] {
        case "\t": "; indent with spaces, not tabs"
        case "@", "`", "%": "; put the value in quotes"
        default: ""
        }
    }

    private static func index(of place: Place, in text: String) -> String.Index? {
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

    /// The place of a key's second occurrence, of which the parser tells only the first: with the first of every pair
    /// renamed, the text parses, and the mapping that holds the new name holds the second too.
    private func secondPlace(of key: String, first: Place, in text: String) -> Place? {
        var text = text
        var original: [Place: String] = [:]
        var (nextKey, nextPlace) = (key, first)
        // A letter each, so that no two new names meet in one mapping.
        for letter in ["_", "Z", "Q", "X", "W", "J", "V", "K"] {
            guard rename(nextKey, at: nextPlace, to: letter, in: &text) else { return nil }
            original[nextPlace] = nextKey
            do {
                return try Self.compose(text).flatMap { Self.second(key, first, in: $0, original) }
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                (nextKey, nextPlace) = (keys.first ?? "", Place(context.mark))
            } catch {
                return nil
            }
        }
        return nil
    }

    /// Replaces a key by as many copies of a letter, so that every place stays what it was.
    private func rename(_ key: String, at place: Place, to letter: String, in text: inout String) -> Bool {
        let scalars = text.unicodeScalars
        guard !key.isEmpty, var start = Self.index(of: place, in: text) else { return false }
        if "'\"".unicodeScalars.contains(scalars[start]) { start = scalars.index(after: start) }
        guard scalars[start...].starts(with: key.unicodeScalars) else { return false }
        let end = scalars.index(start, offsetBy: key.unicodeScalars.count)
        let name = String(repeating: letter, count: key.unicodeScalars.count)
        text = String(scalars[..<start]) + name + String(scalars[end...])
        return true
    }

    private static func second(
        _ key: String, _ first: Place, in root: Node, _ original: [Place: String]
    ) -> Place? {
        var (waiting, visited) = ([root], 0)
        while let node = waiting.popLast(), visited < maximumValues {
            visited += 1
            switch node {
            case .sequence(let items): waiting.append(contentsOf: items)
            case .mapping(let pairs):
                let keys = pairs.compactMap { pair in pair.key.mark.map { (Place($0), pair.key.string) } }
                if keys.contains(where: { $0.0 == first }) {
                    return keys.first { $0.0 != first && (original[$0.0] ?? $0.1) == key }?.0
                }
                waiting.append(contentsOf: pairs.map { $0.value })
            case .scalar, .alias: break
            }
        }
        return nil
    }

    // MARK: The tree

    private func convert(_ node: Node, depth: Int, budget: inout Int) throws(SuiteError) -> YAMLValue {
        let place = node.mark.map(Place.init) ?? .start
        budget -= 1
        if budget < 0 { throw error(place, "more than \(Self.maximumValues) values once aliases are expanded") }
        if depth > Self.maximumDepth { throw tooDeep(place) }
        switch node {
        case .scalar(let scalar):
            try refuse(tag: scalar.tag, at: place)
            return YAMLValue(place: place, content: .scalar(scalar.string, plain: scalar.style == .plain))
        case .sequence(let sequence):
            try refuse(tag: sequence.tag, at: place)
            var items: [YAMLValue] = []
            for item in sequence { items.append(try convert(item, depth: depth + 1, budget: &budget)) }
            return YAMLValue(place: place, content: .list(items))
        case .mapping(let mapping):
            try refuse(tag: mapping.tag, at: place)
            var entries: [YAMLEntry] = []
            var seen: [String: Place] = [:]
            for (key, value) in mapping {
                let keyPlace = key.mark.map(Place.init) ?? place
                guard case .scalar(let word) = key else { throw error(keyPlace, "a key must be a plain word") }
                if word.string == "<<" {
                    throw error(keyPlace, "merge keys are not understood; write the keys out")
                }
                if let first = seen[word.string] { throw twice(word.string, first: first, second: keyPlace) }
                seen[word.string] = keyPlace
                let converted = try convert(value, depth: depth + 1, budget: &budget)
                entries.append(YAMLEntry(key: word.string, place: keyPlace, value: converted))
            }
            return YAMLValue(place: place, content: .mapping(entries))
        case .alias: preconditionFailure("the parser resolves aliases")
        }
    }

    private func refuse(tag: Tag, at place: Place) throws(SuiteError) {
        // What is quoted carries the tag of a string, and collections may resolve to their own.
        let known = ["", "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"]
        if !known.contains(tag.description) {
            let written = tag.description.replacingOccurrences(of: "tag:yaml.org,2002:", with: "!!")
            throw error(place, "YAML tag \(quoted(written)) is not understood; remove it")
        }
    }
}

extension Place {
    init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}
