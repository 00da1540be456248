import GRDB

/// What a column holds, as this program makes it.
struct TableColumn: Equatable, Sendable {
    /// "INTEGER", "REAL", "TEXT" or "ANY".
    let type: String
    let isNullable: Bool
    /// Its place in the table's key, from 1; 0 for none.
    let keyPlace: Int
}

/// A column whose values are keys of another table.
struct TableReference: Equatable, Sendable {
    let table: String
    let column: String
    let parent: String
    let parentColumn: String
}

/// The tables as the migrations make them, which a file may not have: what its rows are held to.
struct TableSchema: Sendable {
    /// By table and column.
    private(set) var columns: [String: [String: TableColumn]] = [:]
    private(set) var references: [TableReference] = []
    /// The columns of each table's key, in order.
    private(set) var keys: [String: [String]] = [:]

    static let current: TableSchema = {
        // Our own SQL on a database in memory has nothing to fail on.
        guard let schema = try? TableSchema() else { preconditionFailure("the schema could not be made") }
        return schema
    }()

    private init() throws {
        let queue = try DatabaseQueue()
        try Migrations.migrator.migrate(queue)
        let (columns, references) = try queue.read { db in
            let tables = try String.fetchAll(
                db,
                sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'grdb%'"
            )
            var columns: [String: [String: TableColumn]] = [:]
            var references: [TableReference] = []
            for table in tables {
                for row in try Row.fetchAll(db, sql: "SELECT * FROM pragma_table_info(?)", arguments: [table]) {
                    let place = try row.decode(Int.self, forColumn: "pk")
                    columns[table, default: [:]][try row.decode(String.self, forColumn: "name")] = TableColumn(
                        type: try row.decode(String.self, forColumn: "type"),
                        isNullable: try !row.decode(Bool.self, forColumn: "notnull") && place == 0,
                        keyPlace: place
                    )
                }
                let sql = "SELECT * FROM pragma_foreign_key_list(?)"
                for row in try Row.fetchAll(db, sql: sql, arguments: [table]) {
                    references.append(
                        TableReference(
                            table: table,
                            column: try row.decode(String.self, forColumn: "from"),
                            parent: try row.decode(String.self, forColumn: "table"),
                            parentColumn: try row.decode(String.self, forColumn: "to")
                        )
                    )
                }
            }
            return (columns, references)
        }
        (self.columns, self.references) = (columns, references)
        keys = columns.mapValues { columns in
            columns.filter { $0.value.keyPlace > 0 }.sorted { $0.value.keyPlace < $1.value.keyPlace }.map(\.key)
        }
    }
}
