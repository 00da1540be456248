import RecallStore
import RecallSuite

/// The tables that `export csv` knows.
public enum CSVTable: String, CaseIterable, Sendable {
    case runs, slices, history, state, tradeoff
    case learningRates = "learning-rates"
    case benchmarks

    /// The header, in order: its own columns, then those that say what was run.
    public var columns: [String] {
        switch self {
        case .tradeoff, .learningRates: ownColumns + TradeoffRow.settingColumns
        case .runs, .slices, .history, .state, .benchmarks: ownColumns
        }
    }

    private var ownColumns: [String] {
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
                "test_accuracy_low", "test_accuracy_high", "outcome", "on_frontier", "frontier",
                "test_accuracy_sd_seeds", "test_accuracy_sd_data", "learning_rates_tried",
                "learning_rates_full_grid", "train_loss_lowest", "chance_loss", "chance_loss_in_sequence",
                "failed_seeds", "control", "chance_accuracy", "chance_accuracy_in_sequence",
                "test_accuracy_seeds", "seed_names", "seeds_spread", "test_labels",
                "test_accuracy_trained_lengths", "test_accuracy_beyond", "ranking",
            ]
        case .learningRates:
            [
                "suite", "model", "config", "d_model", "state_bytes", "learning_rate", "seeds",
                "validation_accuracy",
                "validation_loss", "left_chance", "best", "learning_rate_at_edge",
                "learning_rate_window_decades",
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
        case .tradeoff: try writeRows(of: table, to: sink) { [$0.csvFields($1)] }
        case .learningRates: try writeRows(of: table, to: sink) { row, _ in row.learningRateFields }
        }
    }

    /// What each row of the tradeoff comes to, suite by suite.
    private func writeRows(
        of table: CSVTable,
        to sink: @escaping CSVWriter.Sink,
        _ fields: (TradeoffRow, Tradeoff) -> [[CSVField]]
    ) throws {
        var writer = CSVWriter(columns: table.columns, guarded: isGuarded, to: sink)
        for suite in try store.suites() where suites.isEmpty || suites.contains(suite.name) {
            let tradeoff = Tradeoff(suite: suite, runs: try store.runs(suite: suite.name))
            for row in tradeoff.rows {
                let settings = row.settingFields
                for record in fields(row, tradeoff) { try writer.write(record + settings) }
            }
        }
        try writer.flush()
    }
}

extension TradeoffRow {
    /// What a row of any of its tables was run with, after the table's own columns.
    static let settingColumns = ["task", "task_config", "training"] + SettingColumns.names

    /// In the order of `settingColumns`.
    var settingFields: [CSVField] {
        [.text(task), .text(taskConfig), .text(training)] + SettingColumns.fields(of: spec.model)
    }

    /// In the order of `CSVTable.tradeoff`'s own columns.
    func csvFields(_ tradeoff: Tradeoff) -> [CSVField] {
        [
            .text(suite), .text(model), .text(config), .integer(spec.model.dModel), .integer(facts.stateBytes),
            .integer(facts.stateBytesZoology), .integer(facts.parameters), .number(learningRate),
            .flag(learningRateAtEdge), .number(learningRateWindowDecades), .integer(seeds),
            .number(testAccuracy.mean), .number(testAccuracy.median), .number(testAccuracy.minimum),
            .number(testAccuracy.maximum), .number(testAccuracy.interval?.lowerBound),
            .number(testAccuracy.interval?.upperBound), .text(outcome.rawValue), .flag(standing != .off),
            .text(standing.rawValue), .number(accuracyOfInitialisations?.standardDeviation),
            .number(accuracyOfData?.standardDeviation), .integer(points.count),
            .integer(fullGrid(of: tradeoff.suite.search)), .number(lowestTrainLoss),
            .number(spec.task.chanceLoss),
            .number(spec.task.chanceLossInSequence), .integer(failedSeeds),
            .text(tradeoff.verdict.kind.rawValue), .number(spec.task.chanceAccuracy),
            .number(spec.task.chanceAccuracyInSequence),
            .text(seedAccuracies.map { "\($0)" }.joined(separator: ";")),
            .text(seedNames.joined(separator: ";")), .flag(seedsSpread), .integer(testLabels),
            .number(accuracyAtTrainedLengths), .number(accuracyBeyondTraining),
            ranking.map { .text($0.text) } ?? .missing,
        ]
    }

    /// A record a learning rate, in the order of `CSVTable.learningRates`' own columns.
    var learningRateFields: [[CSVField]] {
        points.map { point in
            [
                .text(suite), .text(model), .text(config), .integer(spec.model.dModel),
                .integer(facts.stateBytes), .number(point.learningRate), .integer(point.seeds),
                .number(point.validationAccuracy), .number(point.validationLoss), .flag(point.hasLeftChance),
                .flag(point.learningRate == learningRate), .flag(learningRateAtEdge),
                .number(learningRateWindowDecades),
            ]
        }
    }
}
