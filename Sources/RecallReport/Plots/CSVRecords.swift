import Foundation
import RecallData
import RecallInput

/// A CSV file as RFC 4180 has it, read back: what `export csv` wrote, or a program that keeps to its names. Columns may
/// stand in any order, and others beside them; the text may begin with a byte order mark, and blank lines are passed over.
public struct CSVRecords: Sendable {
    /// One record: its fields by the header's names, and the line that it begins in.
    public struct Record: Sendable {
        public let line: Int
        let fields: [String: String]

        /// The field's text; nil where it is empty or there is no such column.
        public subscript(name: String) -> String? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }
    }

    /// The largest file that is read, in bytes: enough for a hundred thousand rows.
    private static let mostBytes = 256 << 20

    public let path: String
    public let header: [String]
    public let records: [Record]

    /// - Parameter path: for messages.
    /// - Throws: `DataFileError` for text that is no CSV, or one without these columns.
    public init(_ text: String, path: String, requiring columns: [String]) throws(DataFileError) {
        self.path = path
        var rows = try Self.rows(text, path)
        guard let first = rows.first?.fields else {
            throw DataFileError(.content, path: path, message: "it is empty; a CSV has a header")
        }
        header = first
        let missing = columns.filter { !first.contains($0) }
        guard missing.isEmpty else {
            throw DataFileError(
                .content,
                path: path,
                message: "its header has no column\(missing.count == 1 ? "" : "s") "
                    + missing.map { "'\($0)'" }.joined(separator: ", ")
            )
        }
        if let twice = first.indices.first(where: { first[..<$0].contains(first[$0]) }) {
            throw DataFileError(.content, path: path, message: "its header has '\(first[twice])' twice")
        }
        rows.removeFirst()
        if let odd = rows.first(where: { $0.fields.count != first.count }) {
            throw DataFileError(
                .content,
                path: path,
                message: "line \(odd.line) has \(odd.fields.count) fields under \(first.count) columns"
            )
        }
        records = rows.map { row in
            Record(
                line: row.line,
                fields: Dictionary(uniqueKeysWithValues: zip(first, row.fields))
            )
        }
    }

    /// Reads a file.
    ///
    /// - Throws: `DataFileError`, also for a file that is not there.
    public init(file path: String, requiring columns: [String]) throws(DataFileError) {
        let data: Data
        do { data = try InputFile(path: path).contents(upTo: Self.mostBytes) } catch {
            let inWords = DataFileError(error)
            guard error.kind == .missing else { throw inWords }
            throw DataFileError(.missing, path: path, message: error.message)
        }
        try self.init(data, path: path, requiring: columns)
    }

    /// Reads a file's bytes.
    ///
    /// - Parameter path: for messages.
    /// - Throws: `DataFileError`.
    package init(_ data: Data, path: String, requiring columns: [String]) throws(DataFileError) {
        guard let text = String(data: data, encoding: .utf8) else {
            throw DataFileError(.content, path: path, message: "it is not UTF-8")
        }
        try self.init(text, path: path, requiring: columns)
    }

    /// The field as a number; nil where it is empty or the `nan` of a program that has no empty numbers.
    ///
    /// - Throws: `DataFileError` for a field that is none, or that is not finite.
    public func number(_ name: String, of record: Record) throws(DataFileError) -> Double? {
        guard let text = record[name], text.lowercased() != "nan" else { return nil }
        guard let number = Double(text), number.isFinite else { throw notThat(name, record, "a number") }
        return number
    }

    /// What `read` makes of a field that must not be empty.
    func required<Value>(
        _ name: String,
        of record: Record,
        _ read: (String, Record) throws(DataFileError) -> Value?
    ) throws(DataFileError) -> Value {
        guard let value = try read(name, record) else { throw notThat(name, record, "a number") }
        return value
    }

    /// The field as a number from 0 to 1; nil where it is empty.
    func share(_ name: String, of record: Record) throws(DataFileError) -> Double? {
        guard let number = try number(name, of: record) else { return nil }
        guard (0...1).contains(number) else { throw notThat(name, record, "from 0 to 1") }
        return number
    }

    /// The fields as the ends of a range within 0 to 1; nil where one is empty.
    func range(_ low: String, _ high: String, of record: Record) throws(DataFileError) -> ClosedRange<Double>? {
        guard let lower = try share(low, of: record), let upper = try share(high, of: record) else {
            return nil
        }
        guard lower <= upper else { throw notThat(high, record, "at or above \(low)") }
        return lower...upper
    }

    /// The field as a whole number of 0 or more; nil where it is empty.
    func count(_ name: String, of record: Record) throws(DataFileError) -> Int? {
        guard let number = try number(name, of: record) else { return nil }
        guard number >= 0, let count = Int(exactly: number) else {
            throw notThat(name, record, "a whole number, 0 or more")
        }
        return count
    }

    /// The field as `true` or `false`, in letters of any case; false where it is empty.
    public func flag(_ name: String, of record: Record) throws(DataFileError) -> Bool {
        switch record[name]?.lowercased() {
        case "true": true
        case "false", nil: false
        default: throw notThat(name, record, "true or false")
        }
    }

    func notThat(_ name: String, _ record: Record, _ what: String) -> DataFileError {
        DataFileError(
            .content,
            path: path,
            message: "line \(record.line), \(name): '\(record[name] ?? "")' is not \(what)"
        )
    }

    private static func rows(
        _ text: String,
        _ path: String
    ) throws(DataFileError) -> [(line: Int, fields: [String])] {
        var rows: [(line: Int, fields: [String])] = []
        var (fields, field, isQuoted) = ([String](), String.UnicodeScalarView(), false)
        var (line, begin) = (1, 1)
        // Scalars, because "\r\n" is one Character.
        var scalars = Array(text.unicodeScalars)[...]
        if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
        while let next = scalars.popFirst() {
            if next == "\n" { line += 1 }
            switch (next, isQuoted) {
            case ("\"", true) where scalars.first == "\"":
                scalars.removeFirst()
                field.append(next)
            case ("\"", _): isQuoted.toggle()
            case (",", false):
                fields.append(String(field))
                field = .init()
            case ("\r", false) where scalars.first == "\n": break
            case ("\n", false):
                rows.append((begin, fields + [String(field)]))
                (fields, field, begin) = ([], .init(), line)
            default: field.append(next)
            }
        }
        guard !isQuoted else {
            throw DataFileError(.content, path: path, message: "line \(begin): a quote is not closed")
        }
        if !field.isEmpty || !fields.isEmpty { rows.append((begin, fields + [String(field)])) }
        return rows.filter { $0.fields != [""] }
    }
}
