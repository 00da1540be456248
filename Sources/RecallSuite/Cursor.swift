/// A value of a suite, with its path for messages: what the decoding walks along.
struct Cursor {
    let value: YAMLValue
    /// `models[1].layers[0].window`; empty at the top.
    let path: String
    let file: String
    private let problems: SuiteProblems

    init(root: YAMLValue, file: String, problems: SuiteProblems) {
        (value, path, self.file, self.problems) = (root, "", file, problems)
    }

    private init(_ value: YAMLValue, _ path: String, of parent: Cursor) {
        (self.value, self.path, file, problems) = (value, path, parent.file, parent.problems)
    }

    var place: Place { value.place }

    func error(_ message: String, at place: Place? = nil) -> SuiteError {
        SuiteError(file: file, place: place ?? self.place, key: path, message: message)
    }

    // MARK: Several errors

    /// What `read` returns; nil where something in it is wrong, which is then reported with the suite's other errors.
    func attempt<Value>(_ read: () throws(SuiteError) -> Value) -> Value? {
        let before = problems.reports
        do throws(SuiteError) {
            let value = try read()
            return problems.reports == before ? value : nil
        } catch {
            problems.report(error)
            return nil
        }
    }

    func report(_ error: SuiteError) { problems.report(error) }

    /// How many errors have been reported so far, in the whole suite.
    var reports: Int { problems.reports }

    /// To throw where a value cannot be made because of errors that are reported already; it adds none.
    var consequence: SuiteError {
        var error = error("cannot be read, as parts of it are wrong")
        error.isConsequence = true
        return error
    }

    /// The value as messages show it.
    var shown: String {
        switch value.content {
        case .list: "a list"
        case .mapping: "a mapping"
        case .scalar(let text, let plain):
            YAMLScalar(text, plain: plain) == .nothing ? "nothing" : quoted(text)
        }
    }

    var scalar: YAMLScalar? {
        if case .scalar(let text, let plain) = value.content { YAMLScalar(text, plain: plain) } else { nil }
    }

    var isMapping: Bool { if case .mapping = value.content { true } else { false } }

    // MARK: Collections

    /// The elements of a list that may not be empty.
    func list(of what: String) throws(SuiteError) -> [Cursor] {
        guard case .list(let items) = value.content else {
            throw error("must be a list of \(what), not \(shown)")
        }
        if items.isEmpty { throw error("is an empty list; give at least one of \(what)") }
        return items.enumerated().map { Cursor($1, "\(path)[\($0)]", of: self) }
    }

    /// The value itself, or the elements of a list of alternatives.
    func alternatives() throws(SuiteError) -> [Cursor] {
        guard case .list(let items) = value.content else { return [self] }
        if items.isEmpty {
            throw error("is an empty list, so there would be no run; give a value or leave the key out")
        }
        let elements = items.enumerated().map { Cursor($1, "\(path)[\($0)]", of: self) }
        for element in elements {
            if case .list = element.value.content {
                throw element.error("must be one value, not a list in a list")
            }
        }
        return elements
    }

    /// Every alternative read, none twice; all that are wrong are reported.
    func grid<Value: Hashable>(
        _ read: (Cursor) throws(SuiteError) -> Value
    ) throws(SuiteError) -> [(value: Value, cursor: Cursor)] {
        var result: [(value: Value, cursor: Cursor)] = []
        var seen: [Value: Place] = [:]
        let before = reports
        for cursor in try alternatives() {
            guard let value = cursor.attempt({ () throws(SuiteError) in try read(cursor) }) else { continue }
            if let first = seen[value] {
                report(
                    cursor.error(
                        "\(cursor.shown) is there twice (first in line \(first.line)); keep one of them"
                    )
                )
            }
            seen[value] = cursor.place
            result.append((value, cursor))
        }
        guard reports == before else { throw consequence }
        return result
    }

    /// A mapping whose keys should all be among `keys`; those that are not are reported.
    func mapping(keys: [String]) throws(SuiteError) -> MappingCursor {
        guard case .mapping(let entries) = value.content else {
            throw error("must be a mapping with \(listed(keys)), not \(shown)")
        }
        let unknown = entries.filter { !keys.contains($0.key) }
        for entry in unknown {
            // Few errors are shown, and a guess at what was meant takes longer than all else.
            let near = reports < 1000 ? suggestion(for: entry.key, in: keys) : ""
            report(
                child(entry).error(
                    "unknown key" + (near.isEmpty ? "; there are \(listed(keys))" : near),
                    at: entry.place
                )
            )
        }
        return MappingCursor(
            cursor: self,
            entries: entries.filter { keys.contains($0.key) }.map { ($0.key, child($0)) },
            hasUnknownKeys: !unknown.isEmpty
        )
    }

    /// The entries of a mapping whatever their keys; nil for any other value.
    func entries() -> [(key: String, place: Place, cursor: Cursor)]? {
        guard case .mapping(let entries) = value.content else { return nil }
        return entries.map { ($0.key, $0.place, child($0)) }
    }

    private func child(_ entry: YAMLEntry) -> Cursor {
        let key = oneLine(entry.key)
        return Cursor(entry.value, path.isEmpty ? key : "\(path).\(key)", of: self)
    }

    // MARK: Scalars

    func integer(in range: ClosedRange<Int>) throws(SuiteError) -> Int {
        switch scalar {
        case .integer(let value) where range.contains(value): return value
        default: throw error("must be an integer from \(range.lowerBound) to \(range.upperBound), not \(shown)")
        }
    }

    /// Any integer that a `UInt64` holds, written as every other integer.
    func unsigned() throws(SuiteError) -> UInt64 {
        if case .scalar(let text, true) = value.content, let number = UInt64(text),
            [.integer(Int(clamping: number)), .hugeInteger].contains(scalar)
        {
            return number
        }
        throw error("must be an integer from 0 to \(UInt64.max), not \(shown)")
    }

    /// A finite number for which `accepts` holds; `expectation` says in words which: "a number above 0".
    func number(_ expectation: String, _ accepts: (Double) -> Bool) throws(SuiteError) -> Double {
        let number: Double? =
            switch scalar {
            case .integer(let value): Double(value)
            case .number(let value): value
            default: nil
            }
        guard let number, number.isFinite, accepts(number) else {
            throw error("must be \(expectation), not \(shown)")
        }
        // -0.0 is the same number and would be another run.
        return number == 0 ? 0 : number
    }

    func flag() throws(SuiteError) -> Bool {
        if case .flag(let value) = scalar { return value }
        throw error("must be true or false, not \(shown)")
    }

    func text() throws(SuiteError) -> String {
        switch scalar {
        case .text(let text): return text
        case nil, .nothing: throw error("must be text, not \(shown)")
        default: throw error("must be text, not \(shown), which is a number or a boolean; put it in quotes")
        }
    }

    /// Text that can name a model or a suite: what `--only` and file names can hold.
    func name() throws(SuiteError) -> String {
        let text = try text()
        if text.isEmpty { throw error("must not be empty") }
        if text.count > 100 { throw error("must have at most 100 characters, not \(text.count)") }
        if text.first == " " || text.last == " " { throw error("must not begin or end with a space") }
        if let bad = text.first(where: { ",=".contains($0) || oneLine(String($0)) != String($0) }) {
            throw error(
                "must not contain '\(oneLine(String(bad)))'; \(quoted(text)) could not be given to --only"
            )
        }
        return text
    }

    /// ASCII letters, digits, `-` and `_`, at most 100 of them; a number is taken as it is written.
    func identifier() throws(SuiteError) -> String {
        guard case .scalar(let text, let plain) = value.content, YAMLScalar(text, plain: plain) != .nothing,
            (1...100).contains(text.utf8.count),
            text.utf8.allSatisfy({ byte in
                let scalar = Character(Unicode.Scalar(byte))
                return scalar.isASCII && (scalar.isLetter || scalar.isNumber || "-_".contains(scalar))
            })
        else { throw error("must be 1 to 100 letters, digits, - and _, not \(shown)") }
        return text
    }

    /// One of some words.
    func word(of words: [String]) throws(SuiteError) -> String {
        if case .scalar(let text, let plain) = value.content, YAMLScalar(text, plain: plain) != .nothing {
            if words.contains(text) { return text }
            throw error(
                "must be \(words.count == 1 ? "" : "one of ")\(listed(words)), not \(shown)"
                    + suggestion(for: text, in: words)
            )
        }
        throw error("must be \(words.count == 1 ? "" : "one of ")\(listed(words)), not \(shown)")
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _: Choice.Type
    ) throws(SuiteError) -> Choice where Choice.RawValue == String {
        let word = try word(of: Choice.allCases.map(\.rawValue))
        guard let choice = Choice(rawValue: word) else { preconditionFailure("a word of its own list") }
        return choice
    }
}

/// A mapping whose keys have been checked.
struct MappingCursor {
    let cursor: Cursor
    /// In document order.
    let entries: [(key: String, cursor: Cursor)]
    /// One of them may be a key that is missing, misspelt.
    let hasUnknownKeys: Bool

    func optional(_ key: String) -> Cursor? { entries.first { $0.key == key }?.cursor }

    func required(_ key: String) throws(SuiteError) -> Cursor {
        if let found = optional(key) { return found }
        throw hasUnknownKeys ? cursor.consequence : cursor.error("the key '\(key)' is missing")
    }

    /// The value of a key that must be there; nil where it is missing or wrong, which is reported.
    func required<Value>(_ key: String, _ read: (Cursor) throws(SuiteError) -> Value) -> Value? {
        cursor.attempt { () throws(SuiteError) in try read(try required(key)) }
    }

    /// The value of a key that may be left out; nil where it is, or where it is wrong, which is reported.
    func optional<Value>(_ key: String, _ read: (Cursor) throws(SuiteError) -> Value) -> Value? {
        guard let found = optional(key) else { return nil }
        return found.attempt { () throws(SuiteError) in try read(found) }
    }
}
