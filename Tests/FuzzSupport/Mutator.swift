import RecallRandom

/// Spoils files a little, by their structure: mostly so that a reader gets past its first look. Reproducible: the same
/// seed spoils the same file in the same way.
public struct Mutator {
    private var stream: RandomStream

    public init(seed: UInt64, input: UInt32 = 0) {
        stream = RandomStream(seed: seed, purpose: .test, a: input)
    }

    /// An index below `count`; the bias of the remainder does not matter here.
    public mutating func below(_ count: Int) -> Int { Int(stream.nextWord()) % count }

    // MARK: - Suites

    private static let yamlWords = [
        "[", "]", "{", "}", ":", ": ", "- ", "*a", "&a ", "? ", "|", ">", "'", "\"", "\t", "!", "%", "\\", "#",
        "---", "...", "null", "<<: ", "\u{0}", "\u{85}", "\u{2028}", "é", "\r", ", ", "{*a, b: 1}", "{[*a]}",
        "!!set ",
        "&a [*a, *a]", "*s", "&s ", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "- - - - - - - - - - - - - - - - - - - - ",
    ]
    /// What may stand where a number or a name stood: the document stays well-formed.
    private static let yamlValues = [
        "0", "-1", "1", "2", "3", "7", "64", "1024", "65536", "4294967295", "4294967296", "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "1e400", "1e-400", "-0.0", "0.5", "1.5", ".nan", ".inf",
        "0x10",
        "yes", "true", "null", "~", "''", "[]", "{}", "[1, 2]", "[[1]]", "[0.1, 0.1]", "{a: 1}", "attention",
        "base-conv", "mamba", "long", "any", "mqar", "long-name-\u{1F600}", "relu", "taylor-2", "fixed",
        "fresh",
        "zoology", "shuffled", "2.0", "1e3", "010",
    ]
    private static let yamlKeys = [
        "name", "task", "train", "training", "models", "layers", "mixer", "heads", "window", "d_model", "seeds",
        "epochs",
        "batch_size", "learning_rate", "vocab_size", "kv_pairs", "examples", "sequence_length", "preset",
        "control",
        "feature_dim", "state_size", "kernel_size", "block", "stop_at_accuracy", "power_a", "data",
        "unheard_of",
    ]

    /// A suite's text, changed in up to four places: lines moved, values and keys replaced, and now and then bytes.
    public mutating func suite(_ source: [UInt8]) -> [UInt8] {
        var lines = source.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        for _ in 0...below(4) {
            let line = below(lines.count)
            switch below(16) {
            case 0: lines.remove(at: line)
            case 1: lines.insert(lines[line], at: line)
            case 2: lines.swapAt(line, below(lines.count))
            case 3: lines.insert(lines[line], at: below(lines.count))
            case 4: if !lines[line].isEmpty { lines[line].removeLast(1 + below(lines[line].count)) }
            case 5: flipBit(&lines[line])
            case 6: insert(pick(Self.yamlWords), into: &lines[line])
            case 7...9: replaceWord(&lines[line], with: pick(Self.yamlKeys))
            default: replaceWord(&lines[line], with: pick(Self.yamlValues), isValue: true)
            }
            if lines.isEmpty { lines = [[]] }
        }
        return Array(lines.joined(separator: [0x0A]))
    }

    /// Puts a word in the place of one, of one that stands after a colon, a comma or a bracket where a value is wanted.
    private mutating func replaceWord(_ line: inout [UInt8], with word: [UInt8], isValue: Bool = false) {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case 48...57, 65...90, 97...122, 0x2D, 0x2E, 0x5F: true
            default: byte >= 0x80
            }
        }
        var words: [Range<Int>] = []
        var start = 0
        while let begin = line[start...].firstIndex(where: isWord) {
            let end = line[begin...].firstIndex { !isWord($0) } ?? line.count
            let isKey = end < line.count && line[end] == UInt8(ascii: ":")
            if isKey != isValue { words.append(begin..<end) }
            start = end
        }
        if !words.isEmpty { line.replaceSubrange(words[below(words.count)], with: word) }
    }

    // MARK: - Files with a header

    /// Texts without quotes, as keys or values.
    private static let headerTexts = [
        "F32", "BF16", "F64", "", "shape", "dtype", "data_offsets", "__metadata__", "version", "1", "2",
        "record", "run_id",
        "train_seconds", "nan", "1e999", "embedding.weight", "optimizer.m.a", "é", "<f4", "<i8", ">i8", "|O",
        "descr",
        "fortran_order", "{}", "mqar", "segments", "folder", "test", "any", "task", "\\u00e9", "\\ud83d\\ude00",
    ]
    private static let headerNumbers = [
        "0", "-1", "1", "2", "4", "8", "16", "1.5", "1e3", "1e30", "9223372036854775807", "9223372036854775808",
        "4611686018427387904", "18446744073709551616", "-9223372036854775808", "1e999", "-0", "0.1", "2.0",
        "+1",
        "1000000000", "65537",
    ]
    private static let jsonValues = [
        "true", "null", "[]", "[0]", "[0,0]", "[0,4]", "[4,0]", "[0,16]", "[16,32]", "[0,1e30]", "{}",
        "[1,1,1,1]", "[[]]",
        "[2,2]", "[0,9223372036854775807]", "[4294967296,4294967296]", #"{"a":"b"}"#, #"{"dtype":"F32"}"#,
        "[2.0]", #"{"a":1,"a":2}"#, "[[],[],[]]", #"{"a":{"a":{"a":{}}}}"#,
    ]
    private static let jsonBroken = [
        "\"\\ud800\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "}", "\u{0}", ",", "nan", "01",
    ]
    private static let npyValues = [
        "(0,)", "(1,)", "()", "(2, 3)", "(9223372036854775807, 2)", "(0, 9223372036854775807)", "(4, 1)",
        "(2, 1)", "(3,)",
        "(1, 1, 1, 1, 1, 1)", "True", "False", "(,)", "( 2 , )", "(+4, 1)", "(04,)", "(4)", "[4]", "((4,),)",
    ]
    private static let npyBroken = [
        "(", ")", "(-1,)", "(1e3,)", "é", "\"", "'", ":", ",", "}", "\u{0}", "'shape': (4, 1), ", "\\",
    ]

    /// A .safetensors file: mostly its JSON header is changed, and the length before it made to fit.
    public mutating func safeTensors(_ source: [UInt8]) -> [UInt8] {
        guard source.count >= 8 else { return bytes(source) }
        let length = source.prefix(8).reversed().reduce(0) { ($0 & 0xFF_FFFF_FFFF) << 8 | Int($1) }
        guard length <= source.count - 8 else { return bytes(source) }
        var header = Array(source[8..<8 + length])
        var body = Array(source[(8 + length)...])
        for _ in 0...below(3) {
            switch below(32) {
            case 0: body = bytes(body)
            case 1: header = bytes(header)
            case 2: insert(pick(Self.jsonBroken), into: &header)
            default: replaceToken(&header, values: Self.jsonValues)
            }
        }
        var count = UInt64(header.count)
        if below(24) == 0 { count = UInt64(stream.nextWord()) << UInt64(below(40)) }
        return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * UInt64($0))) } + header + body
    }

    /// JSON as it is, such as a dataset.json.
    public mutating func json(_ source: [UInt8]) -> [UInt8] {
        var text = source
        for _ in 0...below(3) {
            switch below(32) {
            case 0: text = bytes(text)
            case 1: insert(pick(Self.jsonBroken), into: &text)
            default: replaceToken(&text, values: Self.jsonValues)
            }
        }
        return text
    }

    /// A .npy file: mostly the text of its header is changed, and the length before it made to fit.
    public mutating func npy(_ source: [UInt8]) -> [UInt8] {
        guard source.count >= 12 else { return bytes(source) }
        let isWide = source[6] >= 2
        let start = isWide ? 12 : 10
        let length = (0..<(isWide ? 4 : 2)).reversed().reduce(0) { $0 << 8 | Int(source[8 + $1]) }
        guard length <= source.count - start else { return bytes(source) }
        var prefix = Array(source[..<8])
        var header = Array(source[start..<start + length])
        var body = Array(source[(start + length)...])
        for _ in 0...below(3) {
            switch below(32) {
            case 0...3: body = bytes(body)
            case 4: header = bytes(header)
            case 5: prefix[6] = UInt8(below(5))
            case 6: insert(pick(Self.npyBroken), into: &header)
            default: replaceToken(&header, values: Self.npyValues)
            }
        }
        if below(24) == 0 { prefix = bytes(prefix) }
        let field = prefix.count > 6 && prefix[6] >= 2 ? 4 : 2
        let count = below(24) == 0 ? Int(stream.nextWord()) : header.count
        return prefix + (0..<field).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + header + body
    }

    /// The JSON of a checkpoint's metadata, with up to four of its values replaced.
    public mutating func record(_ source: [UInt8]) -> [UInt8] {
        var text = source
        for _ in 0...below(4) {
            if below(32) == 0 { text = bytes(text) } else { replaceToken(&text, values: Self.jsonValues) }
        }
        return text
    }

    /// Puts something of its kind in the place of a quoted text, a number, a list or a word. Keys, without which little
    /// more of the file is looked at, are seldom meant.
    ///
    /// - Parameter values: for what is neither text nor number, and for any of them at times.
    private mutating func replaceToken(_ text: inout [UInt8], values: [String]) {
        let tokens = Self.tokens(of: text).filter { !$0.isKey || below(48) == 0 }
        guard !tokens.isEmpty else { return }
        let token = tokens[below(tokens.count)]
        let first = text[token.range.lowerBound]
        if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'"), token.isKey || below(8) > 0 {
            text.replaceSubrange(token.range, with: [first] + pick(Self.headerTexts) + [first])
        } else if (48...57).contains(first), below(8) > 0 {
            text.replaceSubrange(token.range, with: pick(Self.headerNumbers))
        } else {
            text.replaceSubrange(token.range, with: pick(values))
        }
    }

    /// Quoted texts, runs of letters and digits, lists in brackets, and the numbers in those.
    private static func tokens(of text: [UInt8]) -> [(range: Range<Int>, isKey: Bool)] {
        func isWord(_ byte: UInt8) -> Bool {
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        }
        var tokens: [(range: Range<Int>, isKey: Bool)] = []
        var start = 0
        while start < text.count {
            var end = start + 1
            switch text[start] {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                while end < text.count, text[end] != text[start] {
                    end += text[end] == UInt8(ascii: "\\") ? 2 : 1
                }
                end = min(end + 1, text.count)
                let next = text[end...].first { $0 != UInt8(ascii: " ") }
                tokens.append((start..<end, next == UInt8(ascii: ":")))
            case UInt8(ascii: "["), UInt8(ascii: "("):
                let closing = UInt8(ascii: text[start] == UInt8(ascii: "[") ? "]" : ")")
                if let last = text[end...].firstIndex(of: closing) { tokens.append((start..<last + 1, false)) }
            case let byte where isWord(byte):
                while end < text.count, isWord(text[end]) { end += 1 }
                tokens.append((start..<end, false))
            default: break
            }
            start = end
        }
        return tokens
    }

    // MARK: - Bytes

    /// Any bytes: some changed, taken out or put in.
    public mutating func bytes(_ source: [UInt8]) -> [UInt8] {
        var bytes = source
        for _ in 0...below(4) {
            switch below(4) {
            case 0: flipBit(&bytes)
            case 1:
                if !bytes.isEmpty { bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: stream.nextWord()) }
            case 2: if !bytes.isEmpty { bytes.removeLast(1 + below(bytes.count)) }
            default: bytes.insert(UInt8(truncatingIfNeeded: stream.nextWord()), at: below(bytes.count + 1))
            }
        }
        return bytes
    }

    mutating func flipBit(_ bytes: inout [UInt8]) {
        if !bytes.isEmpty { bytes[below(bytes.count)] ^= 1 << UInt8(below(8)) }
    }

    mutating func insert(_ word: [UInt8], into bytes: inout [UInt8]) {
        bytes.insert(contentsOf: word, at: below(bytes.count + 1))
    }

    mutating func pick(_ words: [String]) -> [UInt8] { Array(words[below(words.count)].utf8) }
}
