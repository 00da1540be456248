import Foundation
import GRDB

/// A row that is not as the program writes rows.
struct RowDamage: Error, Equatable {
    let table: String
    /// The row by its key: "run_id 'c0ffee', epoch 3".
    let row: String
    let what: String

    var description: String { "table \(table), row \(row): \(what)" }
}

/// A row of a table, of which nothing is taken for granted. SQLite vouches for the structure of a file alone: what a column
/// holds may be damaged, or another program's.
struct TableRow {
    let row: Row
    let table: String

    init(_ row: Row, of table: String) { (self.row, self.table) = (row, table) }

    /// The same row, read as one of a table that the query joins.
    func joined(_ table: String) -> TableRow { TableRow(row, of: table) }

    /// A value that must be there.
    func value<Value: ColumnValue>(
        _ column: String,
        as: Value.Type = Value.self
    ) throws(RowDamage) -> Value {
        let stored = try stored(column)
        guard let value = Value(stored: stored.storage) else {
            throw damage(column, stored, where: Value.article)
        }
        return value
    }

    /// A value that may be missing.
    func optional<Value: ColumnValue>(
        _ column: String,
        as: Value.Type = Value.self
    ) throws(RowDamage) -> Value? {
        let stored = try stored(column)
        if stored.isNull { return nil }
        guard let value = Value(stored: stored.storage) else {
            throw damage(column, stored, where: Value.article)
        }
        return value
    }

    /// A value of JSON in a text column.
    func json<Value: Decodable>(_ column: String, as type: Value.Type, _ name: String) throws(RowDamage)
        -> Value
    {
        let text: String = try value(column)
        do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch {
            throw damage("\(column) is not \(name)")
        }
    }

    func damage(_ what: String) -> RowDamage { RowDamage(table: table, row: name, what: what) }

    /// Holds every column to what the table's schema says of it.
    ///
    /// - Parameter columns: those to look at; nil for all that the table has.
    func check(_ columns: [String]? = nil) throws(RowDamage) {
        let known = TableSchema.current.columns[table] ?? [:]
        for column in columns ?? known.keys.sorted() {
            guard let expected = known[column] else { continue }
            let stored = try stored(column)
            if stored.isNull, expected.isNullable { continue }
            let isRight =
                switch expected.type {
                case "INTEGER": Int64(stored: stored.storage) != nil
                case "REAL": Double(stored: stored.storage) != nil
                case "TEXT": String(stored: stored.storage) != nil
                default: UInt64(stored: stored.storage) != nil
                }
            guard isRight else {
                throw damage(column, stored, where: Self.articles[expected.type] ?? UInt64.article)
            }
        }
    }

    /// Holds a run's place in a suite to its types, where the query has one at all.
    func checkPlace() throws(RowDamage) {
        guard try optional("suite", as: String.self) != nil else { return }
        let _: String = try value("model")
        let _: String = try value("task")
    }

    private static let articles = [
        "INTEGER": Int64.article, "REAL": Double.article, "TEXT": String.article,
    ]

    private func stored(_ column: String) throws(RowDamage) -> DatabaseValue {
        do { return try row.decode(DatabaseValue.self, forColumn: column) } catch {
            throw damage("it has no \(column)")
        }
    }

    private func damage(_ column: String, _ stored: DatabaseValue, where article: String) -> RowDamage {
        damage("\(column) is \(Self.words(for: stored)), where \(article) belongs")
    }

    /// The row by as much of its key as the query has.
    private var name: String {
        let key = TableSchema.current.keys[table] ?? []
        let parts = key.compactMap { column -> String? in
            guard let value = try? row.decode(DatabaseValue.self, forColumn: column) else { return nil }
            return "\(column) \(Self.text(value))"
        }
        return parts.isEmpty ? "without a key" : parts.joined(separator: ", ")
    }

    private static func words(for value: DatabaseValue) -> String {
        let kind =
            switch value.storage {
            case .null, .blob: ""
            case .int64: "the integer "
            case .double: "the number "
            case .string: "the text "
            }
        return kind + text(value)
    }

    private static func text(_ value: DatabaseValue) -> String {
        switch value.storage {
        case .null: "NULL"
        case .int64(let integer): "\(integer)"
        case .double(let number): "\(number)"
        case .blob(let data): "a blob of \(data.count) bytes"
        case .string(let text): "'\(escaped(text))'"
        }
    }

    /// The longest text that is quoted whole.
    private static let longestText = 40

    /// A text in one line of a message, whatever it holds.
    private static func escaped(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(longestText).map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse, .surrogate:
                scalar.escaped(asASCII: true)
            default: String(scalar)
            }
        }
        return scalars.joined() + (text.unicodeScalars.count > longestText ? "…" : "")
    }
}

/// A type that columns hold.
protocol ColumnValue {
    /// "an integer".
    static var article: String { get }
    /// nil for what is none of the type: nothing is converted.
    init?(stored: DatabaseValue.Storage)
}

extension String: ColumnValue {
    static var article: String { "a text" }
    init?(stored: DatabaseValue.Storage) {
        guard case .string(let text) = stored else { return nil }
        self = text
    }
}

extension FixedWidthInteger where Self: ColumnValue {
    init?(stored: DatabaseValue.Storage) {
        guard case .int64(let integer) = stored else { return nil }
        self.init(exactly: integer)
    }
}

extension Int: ColumnValue { static var article: String { "an integer" } }
extension Int64: ColumnValue { static var article: String { "an integer" } }
extension Int32: ColumnValue { static var article: String { "an integer of 32 bits" } }

extension UInt64: ColumnValue {
    static var article: String { "an integer from 0 to 2^64 - 1" }
    /// An integer, or a text above 2^63 - 1, as `Store.wide` writes them.
    init?(stored: DatabaseValue.Storage) {
        switch stored {
        case .int64(let integer): self.init(exactly: integer)
        case .string(let text): self.init(text)
        case .null, .double, .blob: return nil
        }
    }
}

extension Double: ColumnValue {
    static var article: String { "a number" }
    init?(stored: DatabaseValue.Storage) {
        switch stored {
        case .double(let number): self = number
        // SQLite keeps whole numbers so where that is shorter.
        case .int64(let integer): self = Double(integer)
        case .null, .string, .blob: return nil
        }
    }
}
