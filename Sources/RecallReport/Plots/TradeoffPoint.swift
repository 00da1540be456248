import Foundation
import RecallData

/// A row of the tradeoff as a figure needs it: from the store, or from a CSV that was exported from one.
public struct TradeoffPoint: Equatable, Sendable {
    public var suite: String
    public var model: String
    /// As the CSV has it: a model's JSON; in earlier files with the keys `task` and `training` where those told rows apart.
    public var config: String
    /// What it was trained on, and how.
    let setting: TradeoffSetting
    public var stateBytes: Int
    public var accuracy: Double
    /// 95 % over seeds; nil for one seed.
    public var interval: ClosedRange<Double>?
    public var learningRateAtEdge: Bool
    public var standing: Standing
    public var failedSeeds: Int
    /// Nil where the CSV has none, or one of a name that is not known.
    public var outcome: Outcome?
    /// The accuracies of guesses among all values, and among those of the sequence itself; nil where the CSV does not say.
    public var chance: Double?
    public var chanceInSequence: Double?

    public init(_ row: TradeoffRow) {
        (suite, model, config, setting) = (row.suite, row.model, row.config, row.setting)
        (stateBytes, accuracy) = (row.facts.stateBytes, row.testAccuracy.mean)
        (interval, learningRateAtEdge) = (row.testAccuracy.interval, row.learningRateAtEdge)
        (standing, failedSeeds) = (row.standing, row.failedSeeds)
        outcome = row.outcome
        (chance, chanceInSequence) = (row.spec.task.chanceAccuracy, row.spec.task.chanceAccuracyInSequence)
    }

    /// Columns without which there is no figure.
    static let requiredColumns = ["suite", "model", "config", "state_bytes", "test_accuracy_mean"]

    /// - Throws: `DataFileError` for a field that is not what its column holds.
    init(_ record: CSVRecords.Record, in file: CSVRecords) throws(DataFileError) {
        (suite, model, config) = (record["suite"] ?? "", record["model"] ?? "", record["config"] ?? "")
        setting = TradeoffSetting(record, config: config)
        let bytes = try file.requiredNumber("state_bytes", of: record)
        guard bytes >= 1, let whole = Int(exactly: bytes) else {
            throw file.notThat("state_bytes", record, "a number of bytes above 0")
        }
        stateBytes = whole
        accuracy = try file.requiredNumber("test_accuracy_mean", of: record)
        let low = try file.number("test_accuracy_low", of: record)
        let high = try file.number("test_accuracy_high", of: record)
        if let low, let high {
            guard low <= high else { throw file.notThat("test_accuracy_high", record, "above the lower end") }
            interval = low...high
        }
        learningRateAtEdge = try file.flag("learning_rate_at_edge", of: record)
        let isOn = try file.flag("on_frontier", of: record)
        if let text = record["frontier"] {
            guard let standing = Standing(rawValue: text) else {
                throw file.notThat("frontier", record, "on, possible or off")
            }
            self.standing = standing
        } else {
            // Earlier files know no uncertainty.
            standing = isOn ? .on : .off
        }
        failedSeeds = Int(try file.number("failed_seeds", of: record) ?? 0)
        outcome = record["outcome"].flatMap { Outcome(tableName: $0) }
        chance = try file.number("chance_accuracy", of: record)
        if chance == nil { chance = try file.number("chance_loss", of: record).map { exp(-$0) } }
        chanceInSequence = try file.number("chance_accuracy_in_sequence", of: record)
    }
}
