import Foundation
import GRDB
import Synchronization

/// Rows that a store leaves out because they cannot be read, instead of ending with the first.
public final class DamagedRows: Sendable {
    private let tell: @Sendable (String) -> Void
    private let seen = Mutex<Set<String>>([])

    /// - Parameter tell: called once a row, with a line: the file, the row, and what is wrong with it.
    public init(tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    /// How many there were.
    public var count: Int { seen.withLock { $0.count } }

    func add(_ damage: RowDamage, in path: String) {
        // A run is read once a suite, and more often.
        if seen.withLock({ $0.insert(damage.description).inserted }) { tell("\(path): \(damage.description)") }
    }
}

extension Store {
    /// Calls `body` with the rows of a query, one after another; the cursor's row is reused. A row that is damaged ends it,
    /// unless the store leaves such rows out.
    func forEachRow(
        of table: String,
        _ sql: String,
        _ arguments: StatementArguments = [],
        in db: Database,
        _ body: (TableRow) throws -> Void
    ) throws {
        let rows = try Row.fetchCursor(db, sql: sql, arguments: arguments)
        while let row = try rows.next() {
            do { try body(TableRow(row, of: table)) } catch let damage as RowDamage {
                guard let damagedRows else { throw damage }
                damagedRows.add(damage, in: path)
            }
        }
    }

    /// The same in a look of its own.
    func forEachRow(
        of table: String,
        _ sql: String,
        _ arguments: StatementArguments,
        _ body: (TableRow) throws -> Void
    ) throws(StoreError) {
        try read { try self.forEachRow(of: table, sql, arguments, in: $0, body) }
    }

    /// The first row that is not as the program writes rows, or that belongs to a row that is not there; nil where all are
    /// well.
    static func firstDamage(_ db: Database) throws -> RowDamage? {
        let schema = TableSchema.current
        for table in schema.columns.keys.sorted() {
            let rows = try Row.fetchCursor(db, sql: "SELECT * FROM \(table)")
            while let row = try rows.next() {
                do { try TableRow(row, of: table).check() } catch { return error }
            }
        }
        for reference in schema.references {
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT * FROM \(reference.table) WHERE \(reference.column) NOT IN
                        (SELECT \(reference.parentColumn) FROM \(reference.parent)) LIMIT 1
                    """
            )
            if let row {
                return TableRow(row, of: reference.table).damage(
                    "\(reference.parent) has no row of its \(reference.column)"
                )
            }
        }
        return nil
    }
}
