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
    /// The 95 % interval over seeds; nil for too few of them.
    public var interval: ClosedRange<Double>?
    /// From the lowest to the highest seed; nil where the CSV does not say.
    public var extent: ClosedRange<Double>?
    public var learningRateAtEdge: Bool
    public var failedSeeds: Int
    /// Nil where the CSV has none, or one of a name that is not known.
    public var outcome: Outcome?
    /// The accuracy of each seed and the name that pairs it with another row's; empty where the CSV does not say.
    public var seeds: [Seed]
    /// Labels that those accuracies are shares of; nil where the CSV does not say.
    public var testLabels: Int?
    /// The accuracies of guesses among all values, and among those of the sequence itself; nil where the CSV does not say.
    public var chance: Double?
    public var chanceInSequence: Double?

    /// One seed's accuracy.
    public struct Seed: Equatable, Sendable {
        public var name: String
        public var accuracy: Double
    }

    public init(_ row: TradeoffRow) {
        (suite, model, config, setting) = (row.suite, row.model, row.config, row.setting)
        (stateBytes, accuracy) = (row.facts.stateBytes, row.testAccuracy.mean)
        (interval, extent) = (row.testAccuracy.interval, row.testAccuracy.minimum...row.testAccuracy.maximum)
        (learningRateAtEdge, failedSeeds) = (row.learningRateAtEdge, row.failedSeeds)
        seeds = zip(row.seedNames, row.seedAccuracies).map(Seed.init)
        testLabels = row.testLabels
        outcome = row.outcome
        (chance, chanceInSequence) = (row.spec.task.chanceAccuracy, row.spec.task.chanceAccuracyInSequence)
    }

    /// Columns without which there is no figure.
    package static let requiredColumns = ["suite", "model", "config", "state_bytes", "test_accuracy_mean"]

    /// - Throws: `DataFileError` for a field that is not what its column holds.
    init(_ record: CSVRecords.Record, in file: CSVRecords) throws(DataFileError) {
        (suite, model, config) = (record["suite"] ?? "", record["model"] ?? "", record["config"] ?? "")
        setting = TradeoffSetting(record, config: config)
        stateBytes = try file.required("state_bytes", of: record, file.count)
        accuracy = try file.required("test_accuracy_mean", of: record, file.share)
        interval = try file.range("test_accuracy_low", "test_accuracy_high", of: record)
        extent = try file.range("test_accuracy_min", "test_accuracy_max", of: record)
        learningRateAtEdge = try file.flag("learning_rate_at_edge", of: record)
        failedSeeds = try file.count("failed_seeds", of: record) ?? 0
        seeds = try Self.seeds(record, file)
        testLabels = try file.count("test_labels", of: record)
        if testLabels == 0 { throw file.notThat("test_labels", record, "above 0") }
        chance = try file.share("chance_accuracy", of: record)
        if chance == nil, let loss = try file.number("chance_loss", of: record) {
            guard loss >= 0 else { throw file.notThat("chance_loss", record, "0 or more") }
            chance = exp(-loss)
        }
        outcome = record["outcome"].flatMap { Outcome(tableName: $0) }
        chanceInSequence = try file.share("chance_accuracy_in_sequence", of: record)
    }

    /// "0.11;0.84" under the names "1/0;1/1".
    private static func seeds(_ record: CSVRecords.Record, _ file: CSVRecords) throws(DataFileError) -> [Seed] {
        guard let texts = record["test_accuracy_seeds"]?.split(separator: ";", omittingEmptySubsequences: false)
        else { return [] }
        let names = (record["seed_names"] ?? "").split(separator: ";").map(String.init)
        let accuracies = texts.compactMap { Double($0) }.filter((0...1).contains)
        guard accuracies.count == texts.count else {
            throw file.notThat("test_accuracy_seeds", record, "a list of numbers from 0 to 1, joined by ;")
        }
        guard names.isEmpty || names.count == accuracies.count else {
            throw file.notThat("seed_names", record, "a name for each of test_accuracy_seeds, joined by ;")
        }
        // A seed without a name is not paired with any other.
        return accuracies.enumerated().map { index, accuracy in
            Seed(name: names.isEmpty ? "" : names[index], accuracy: accuracy)
        }
    }

    /// The range of several seeds that are too few for an interval.
    var drawnExtent: ClosedRange<Double>? {
        interval == nil ? extent.flatMap { $0.lowerBound < $0.upperBound ? $0 : nil } : nil
    }

    /// The accuracies of several seeds: a single one is the point itself.
    var drawnSeeds: [Double] { seeds.count > 1 ? seeds.map(\.accuracy) : [] }

    /// What its standing is computed from.
    var contender: Contender {
        Contender(
            stateBytes: stateBytes,
            accuracyRange: interval ?? extent ?? accuracy...accuracy,
            seeds: Dictionary(
                seeds.filter { !$0.name.isEmpty }.map { ($0.name, $0.accuracy) },
                uniquingKeysWith: { first, _ in first }
            ),
            testLabels: testLabels,
            failedSeeds: failedSeeds,
            isGuess: chanceInSequence.map { Contender.isGuess(accuracy, chanceInSequence: $0) } ?? false
        )
    }
}
