import RecallStore

/// The tables that `export csv` knows.
public enum CSVTable: String, CaseIterable, Sendable {
    case runs, slices, history, state, tradeoff, benchmarks

    /// The header, in order.
    public var columns: [String] {
        switch self {
        case .runs: CSVExport.columns(of: .runs)
        case .slices: CSVExport.columns(of: .slices)
        case .history: CSVExport.columns(of: .history)
        case .state: CSVExport.columns(of: .state)
        case .benchmarks: CSVExport.columns(of: .benchmarks)
        case .tradeoff:
            [
                "suite", "model", "config", "d_model", "state_bytes", "state_bytes_zoology", "parameters",
                "learning_rate", "learning_rate_at_edge", "learning_rate_window_decades", "seeds",
                "test_accuracy_mean", "test_accuracy_median", "test_accuracy_min", "test_accuracy_max",
                "test_accuracy_low", "test_accuracy_high", "outcome", "on_frontier",
            ]
        }
    }
}

extension CSVExport {
    /// Writes a table, the header too when there is no row.
    ///
    /// - Throws: `StoreError`, or what the sink throws.
    public func write(_ table: CSVTable, to sink: @escaping CSVWriter.Sink) throws {
        switch table {
        case .runs: try write(StoredTable.runs, to: sink)
        case .slices: try write(StoredTable.slices, to: sink)
        case .history: try write(StoredTable.history, to: sink)
        case .state: try write(StoredTable.state, to: sink)
        case .benchmarks: try write(StoredTable.benchmarks, to: sink)
        case .tradeoff: try writeTradeoff(to: sink)
        }
    }

    private func writeTradeoff(to sink: @escaping CSVWriter.Sink) throws {
        var writer = CSVWriter(columns: CSVTable.tradeoff.columns, to: sink)
        for suite in try store.suites() where suites.isEmpty || suites.contains(suite.name) {
            for row in Tradeoff(suite: suite, runs: try store.runs(suite: suite.name)).rows {
                try writer.write(row.csvFields)
            }
        }
        try writer.flush()
    }
}

extension TradeoffRow {
    /// In the order of `CSVTable.tradeoff.columns`.
    var csvFields: [CSVField] {
        [
            .text(suite), .text(model), .text(config), .integer(spec.model.dModel), .integer(facts.stateBytes),
            .integer(facts.stateBytesZoology), .integer(facts.parameters), .number(learningRate),
            .flag(learningRateAtEdge), .number(learningRateWindowDecades), .integer(seeds),
            .number(testAccuracy.mean), .number(testAccuracy.median), .number(testAccuracy.minimum),
            .number(testAccuracy.maximum), .number(testAccuracy.interval?.lowerBound),
            .number(testAccuracy.interval?.upperBound), .text(outcome.rawValue), .flag(onFrontier),
        ]
    }
}
