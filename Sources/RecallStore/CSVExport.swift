import Foundation
import GRDB

/// Tidy CSV of the store's tables: a header row, one unit a column, empty for missing.
///
/// Rows come in an order that does not depend on who ran what when.
public struct CSVExport {
    /// The tables that are stored as they are exported.
    public enum StoredTable: String, CaseIterable, Sendable { case runs, slices, history, state, benchmarks }

    public let store: Store
    /// The suites to export; empty for all, and the runs that belong to none. Benchmarks belong to no suite.
    public let suites: [String]

    public init(_ store: Store, suites: [String] = []) {
        (self.store, self.suites) = (store, suites)
    }

    public static func columns(of table: StoredTable) -> [String] {
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
    /// - Throws: `StoreError`, or what the sink throws.
    public func write(_ table: StoredTable, to sink: @escaping CSVWriter.Sink) throws {
        let columns = Self.columns(of: table)
        var writer = CSVWriter(columns: columns, to: sink)
        try store.forEachRow(
            "SELECT \(columns.map { "\"\($0)\"" }.joined(separator: ", ")) FROM \(source(of: table))",
            arguments: table == .benchmarks ? [] : StatementArguments(suites)
        ) { row in
            try writer.write(row.databaseValues.map(Self.field))
        }
        try writer.flush()
    }

    private func source(of table: StoredTable) -> String {
        let places = suites.map { _ in "?" }.joined(separator: ", ")
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
            slices \(ofSuites)
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
