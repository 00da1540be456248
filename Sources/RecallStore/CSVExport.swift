import Foundation
import GRDB
import RecallSuite

/// Tidy CSV of the store's tables: a header row, one unit a column, empty for missing.
///
/// Rows come in an order that does not depend on who ran what when.
public struct CSVExport {
    /// The tables that are stored as they are exported.
    public enum StoredTable: String, CaseIterable, Sendable { case runs, slices, history, state, benchmarks }

    public let store: Store
    /// The suites to export; empty for all, and the runs that belong to none. Benchmarks belong to no suite.
    public let suites: [String]
    /// Whether texts that a spreadsheet would take for formulas have an apostrophe before them.
    public let isGuarded: Bool

    public init(_ store: Store, suites: [String] = [], guarded isGuarded: Bool = false) {
        (self.store, self.suites, self.isGuarded) = (store, suites, isGuarded)
    }

    /// The header, in order.
    public static func columns(of table: StoredTable) -> [String] {
        switch table {
        case .runs: storedColumns(of: table) + SpecificationColumns.names
        case .slices: storedColumns(of: table) + ["task", "task_config", "training"]
        case .history, .state, .benchmarks: storedColumns(of: table)
        }
    }

    /// Those that the database has as they are exported; they come first.
    private static func storedColumns(of table: StoredTable) -> [String] {
        switch table {
        case .runs:
            [
                "run_id", "suite", "task", "task_hash", "data_seed", "model", "config", "d_model", "layers",
                "vocab_size", "parameters", "state_bytes", "state_bytes_zoology", "learning_rate", "seed",
                "status",
                "error", "epochs", "steps", "train_loss", "validation_loss", "validation_accuracy", "test_loss",
                "test_accuracy", "train_seconds", "tokens_per_second", "device", "precision", "version",
                "commit",
                "started_at", "finished_at",
            ]
        case .slices: ["run_id", "split", "sequence_length", "kv_pairs", "examples", "accuracy"]
        case .history:
            [
                "run_id", "epoch", "step", "learning_rate", "train_loss", "validation_loss",
                "validation_accuracy",
                "seconds",
            ]
        case .state: ["run_id", "layer", "mixer", "kind", "bytes"]
        case .benchmarks:
            [
                "kind", "name", "device", "precision", "threads", "shape", "median_ms", "min_ms", "floor_ms",
                "gflop",
                "gbyte", "examples_per_second", "tokens_per_second", "commit", "measured_at", "peak_bytes",
                "state_bytes",
            ]
        }
    }

    /// Writes a stored table row by row, however long it is; the header too when there is no row.
    ///
    /// - Throws: `StoreError`, for a damaged row too that the store does not leave out; or what the sink throws.
    public func write(_ table: StoredTable, to sink: @escaping CSVWriter.Sink) throws {
        let stored = Self.storedColumns(of: table)
        var writer = CSVWriter(columns: Self.columns(of: table), guarded: isGuarded, to: sink)
        let names = stored.map { "\"\($0)\"" } + (table == .slices ? [taskNames] : [])
        var specifications = Specifications()
        // What the sink throws, a full disk say, is no error of the database.
        var refused: (any Error)?
        do {
            try store.forEachRow(
                of: databaseTable(table),
                "SELECT \((names + hidden(table)).joined(separator: ", ")) FROM \(source(of: table))",
                arguments(of: table)
            ) { row in
                try row.check(stored)
                if table == .runs { try row.joined("suite_runs").checkPlace() }
                let fields = Array(row.row.databaseValues.prefix(names.count).map(Self.field))
                let more = try furtherFields(of: table, row, &specifications)
                do { try writer.write(fields + more) } catch {
                    refused = error
                    throw error
                }
            }
        } catch {
            throw refused ?? error
        }
        try writer.flush()
    }

    /// What follows the stored columns.
    private func furtherFields(
        of table: StoredTable,
        _ row: TableRow,
        _ specifications: inout Specifications
    ) throws(RowDamage) -> [CSVField] {
        switch table {
        case .runs: return SpecificationColumns.fields(of: try specifications.spec(in: row))
        case .slices:
            let spec = try specifications.spec(in: row)
            return [.text(RunSpec.json(spec.task)), .text(RunSpec.json(spec.training))]
        case .history, .state, .benchmarks: return []
        }
    }

    /// Reads the specifications of rows, which may be many of one run.
    private struct Specifications {
        private var last: (json: String, spec: RunSpec)?

        /// - Throws: `RowDamage` for one that is none.
        mutating func spec(in row: TableRow) throws(RowDamage) -> RunSpec {
            guard let json: String = try row.optional("spec") else {
                throw row.damage("runs has no row of its run_id, or one without a specification")
            }
            if let last, last.json == json { return last.spec }
            let spec = try row.specification()
            last = (json, spec)
            return spec
        }
    }

    /// What the database calls a table.
    private func databaseTable(_ table: StoredTable) -> String {
        switch table {
        case .runs, .slices, .history, .benchmarks: table.rawValue
        case .state: "state_items"
        }
    }

    /// What is read besides what is written as it is: of the specification, or to name a row.
    private func hidden(_ table: StoredTable) -> [String] {
        switch table {
        case .runs: ["spec"]
        case .slices: ["spec", "segment"]
        case .history, .state: []
        case .benchmarks: ["id"]
        }
    }

    /// What the chosen suites call a run's task: one name as a rule.
    private var taskNames: String {
        """
        (SELECT group_concat(task, ';') FROM (SELECT DISTINCT task FROM suite_runs m
            WHERE m.run_id = slices.run_id \(suites.isEmpty ? "" : "AND suite IN (\(places))") ORDER BY task))
        """
    }

    private var places: String { suites.map { _ in "?" }.joined(separator: ", ") }

    private func arguments(of table: StoredTable) -> StatementArguments {
        switch table {
        case .benchmarks: []
        case .slices: StatementArguments(suites + suites)
        case .runs, .history, .state: StatementArguments(suites)
        }
    }

    private func source(of table: StoredTable) -> String {
        let chosen = suites.isEmpty ? "" : "WHERE suite IN (\(places))"
        let ofSuites = suites.isEmpty ? "" : "WHERE run_id IN (SELECT run_id FROM suite_runs \(chosen))"
        return switch table {
        case .runs:
            """
            runs LEFT JOIN suite_runs USING (run_id) \(chosen)
            ORDER BY suite IS NULL, suite, position, run_id
            """
        case .slices:
            """
            slices LEFT JOIN runs USING (run_id) \(ofSuites)
            ORDER BY run_id, CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END, segment
            """
        case .history: "history \(ofSuites) ORDER BY run_id, epoch"
        case .state: "state_items \(ofSuites) ORDER BY run_id, layer, kind"
        case .benchmarks: "benchmarks ORDER BY id"
        }
    }

    private static func field(_ value: DatabaseValue) -> CSVField {
        switch value.storage {
        case .null, .blob: .missing
        case .int64(let integer): .integer(integer)
        case .double(let number): .number(number)
        case .string(let text): .text(text)
        }
    }
}
