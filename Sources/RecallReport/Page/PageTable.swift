import RecallStore

/// One cell of a table on a page.
public struct PageCell: Equatable, Sendable {
    public var text: String
    /// The same as `export csv` writes it, in full; nil where the text says everything.
    public var value: String?
    /// The id of what the cell leads to on the page.
    public var target: String?
    public var isCode = false
    /// Whether the cell is the one of its row that was chosen.
    public var isBest = false
    /// As its column has them: set when the row joins a table.
    public internal(set) var isNumber = false
    public internal(set) var isRowName = false

    public init(_ text: String) { self.text = text }

    /// A number, shortened for people.
    static func number(_ text: String, _ field: CSVField) -> PageCell {
        var cell = PageCell(text)
        if field != .missing { cell.value = field.encoded }
        return cell
    }

    static func number(_ value: Int) -> PageCell { number(Format.count(value), .integer(value)) }

    static func accuracy(_ value: Double?) -> PageCell {
        number(value.map(Format.accuracy) ?? "", .number(value.flatMap { $0.isFinite ? $0 : nil }))
    }

    static func code(_ text: String) -> PageCell {
        var cell = PageCell(text)
        cell.isCode = true
        return cell
    }

    static let empty = PageCell("")
}

/// A column of a table on a page.
public struct PageColumn: Equatable, Sendable {
    public var title: String
    public var isNumber: Bool
    /// Whether its cells name their rows.
    public var isRowName: Bool

    init(_ title: String, isNumber: Bool = false, isRowName: Bool = false) {
        (self.title, self.isNumber, self.isRowName) = (title, isNumber, isRowName)
    }
}

/// A row, or the heading of the rows beneath it.
public struct PageRow: Equatable, Sendable {
    /// What leads here; nil for a row that nothing leads to.
    public var anchor: String?
    /// Stands over all columns, before the row; nil for most.
    public var groupTitle: String?
    public var cells: [PageCell]
}

/// A table on a page.
public struct PageTable: Equatable, Sendable {
    public let caption: String
    public private(set) var columns: [PageColumn]
    public private(set) var rows: [PageRow] = []
    /// What its marks mean.
    public private(set) var notes: [String] = []

    init(_ caption: String, _ columns: [PageColumn]) { (self.caption, self.columns) = (caption, columns) }

    mutating func add(_ cells: [PageCell], anchor: String? = nil, groupTitle: String? = nil) {
        precondition(
            cells.count == columns.count,
            "a row of \(cells.count) cells under \(columns.count) columns"
        )
        let cells = zip(cells, columns).map { cell, column in
            var cell = cell
            (cell.isNumber, cell.isRowName) = (column.isNumber, column.isRowName)
            return cell
        }
        rows.append(PageRow(anchor: anchor, groupTitle: groupTitle, cells: cells))
    }

    /// - Parameter isWanted: whether the note has something to explain.
    mutating func note(_ text: String?, if isWanted: Bool = true) {
        if isWanted, let text { notes.append(text) }
    }

    /// The table without the columns in which no row has anything, but for those that name rows.
    func withoutEmptyColumns() -> PageTable {
        let kept = columns.indices.filter { index in
            columns[index].isRowName || rows.contains { !$0.cells[index].text.isEmpty }
        }
        var table = self
        table.columns = kept.map { columns[$0] }
        for index in rows.indices { table.rows[index].cells = kept.map { rows[index].cells[$0] } }
        return table
    }
}
