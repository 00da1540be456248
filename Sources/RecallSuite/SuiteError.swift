/// Where something stands in a file; both numbers count from 1, the column in Unicode scalars.
public struct Place: Hashable, Sendable {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        (self.line, self.column) = (line, column)
    }

    static let start = Place(line: 1, column: 1)
}

/// What is wrong with a suite, where, and what would do: the first error in document order, with the others. Exit status
/// 65.
public struct SuiteError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// From 1.
    public let line: Int
    /// From 1, in Unicode scalars.
    public let column: Int
    /// The key to blame, such as `models[1].layers[0].window`; empty for the file as a whole.
    public let key: String
    /// What is wrong and the remedy, without the place.
    public let message: String
    /// What else is wrong with the same file, in document order, each without others of its own.
    public internal(set) var others: [SuiteError] = []
    /// Whether it only follows from an error that is reported already.
    var isConsequence = false

    /// `lines` has no more errors than these.
    public static let mostShown = 10

    public init(file: String, place: Place, key: String = "", message: String) {
        (self.file, line, column) = (file, place.line, place.column)
        (self.key, self.message) = (key, message)
    }

    /// A line for each error, of which there are up to `mostShown`, then "and N more" where there are more.
    public var lines: [String] {
        let errors = [self] + others
        let more = errors.count - Self.mostShown
        return errors.prefix(Self.mostShown).map(\.description) + (more > 0 ? ["and \(more) more"] : [])
    }

    /// The first error in one line: `Suites/x.yaml:12:7: models[1].layers[0].windw: unknown key; did you mean 'window'?`
    public var description: String {
        let text = "\(file):\(line):\(column): " + (key.isEmpty ? message : "\(key): \(message)")
        return oneLine(text)
    }
}

/// Somebody's word in quotes, shortened where it is long.
func quoted(_ text: String) -> String {
    // A long text is not counted to its end.
    let short = text.prefix(61).count > 60 ? text.prefix(57) + "..." : text[...]
    return "'\(short)'"
}

/// A word from a small set, with commas and "or" left to the reader: "a, b, c".
func listed(_ words: some Sequence<String>) -> String { words.joined(separator: ", ") }
