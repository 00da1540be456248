import Foundation

/// One field of a CSV file.
public enum CSVField: Equatable, Sendable {
    case missing
    case integer(Int64)
    /// Written as the shortest decimal that reads back as the same number.
    case number(Double)
    case flag(Bool)
    case text(String)

    public static func number(_ value: Double?) -> CSVField { value.map { .number($0) } ?? .missing }
    public static func integer(_ value: Int?) -> CSVField { value.map { .integer(Int64($0)) } ?? .missing }

    /// The field with an apostrophe before a text that a spreadsheet would take for a formula and compute. Numbers, which
    /// may begin with a sign, stay.
    public var guarded: CSVField {
        // A tab or a line end before it hides nothing from a spreadsheet.
        guard case .text(let text) = self, let first = text.unicodeScalars.first,
            "=+-@\t\r\n".unicodeScalars.contains(first)
        else { return self }
        return .text("'" + text)
    }

    /// The field as it stands in the file, quoted as RFC 4180 says where that is needed.
    public var encoded: String {
        switch self {
        case .missing: ""
        case .integer(let value): "\(value)"
        case .number(let value): value.isNaN ? "" : "\(value)"
        case .flag(let value): value ? "true" : "false"
        case .text(let value):
            // Bytes, because "\r\n" is one Character.
            value.utf8.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
                ? "\"" + value.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : value
        }
    }
}

/// Writes a header and rows, line by line, in chunks of some 64 KiB.
public struct CSVWriter {
    /// Takes a piece of the file; what it throws ends the writing.
    public typealias Sink = (String) throws -> Void

    private let columns: Int
    private let isGuarded: Bool
    private let sink: Sink
    private var buffer = ""

    /// - Parameter guarded: whether texts are guarded from spreadsheets (`CSVField.guarded`).
    public init(columns: [String], guarded isGuarded: Bool = false, to sink: @escaping Sink) {
        (self.columns, self.isGuarded, self.sink) = (columns.count, isGuarded, sink)
        append(columns.map(CSVField.text))
    }

    public mutating func write(_ row: [CSVField]) throws {
        precondition(row.count == columns, "a row of \(row.count) fields under \(columns) columns")
        append(row)
        if buffer.utf8.count >= 1 << 16 { try flush() }
    }

    /// Hands over what is left; call it at the end.
    public mutating func flush() throws {
        guard !buffer.isEmpty else { return }
        try sink(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ row: [CSVField]) {
        for (index, field) in row.enumerated() {
            if index > 0 { buffer += "," }
            buffer += (isGuarded ? field.guarded : field).encoded
        }
        buffer += "\n"
    }
}

extension FileHandle {
    /// A sink that writes to this file.
    public var csvSink: CSVWriter.Sink { { try self.write(contentsOf: Data($0.utf8)) } }
}
