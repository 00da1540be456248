import Foundation
import RecallData

/// A row of the tradeoff as a figure needs it: from the store, or from a CSV that was exported from one.
public struct TradeoffPoint: Equatable, Sendable {
    public var suite: String
    public var model: String
    /// As the CSV has it: a model's JSON, with the keys `task` and `training` where those tell rows apart.
    public var config: String
    public var stateBytes: Int
    public var accuracy: Double
    /// 95 % over seeds; nil for one seed.
    public var interval: ClosedRange<Double>?
    public var learningRateAtEdge: Bool
    public var standing: Standing
    public var failedSeeds: Int
    /// The accuracies of guesses among all values, and among those of the sequence itself; nil where the CSV does not say.
    public var chance: Double?
    public var chanceInSequence: Double?

    public init(_ row: TradeoffRow) {
        (suite, model, config) = (row.suite, row.model, row.config)
        (stateBytes, accuracy) = (row.facts.stateBytes, row.testAccuracy.mean)
        (interval, learningRateAtEdge) = (row.testAccuracy.interval, row.learningRateAtEdge)
        (standing, failedSeeds) = (row.standing, row.failedSeeds)
        (chance, chanceInSequence) = (row.spec.task.chanceAccuracy, row.spec.task.chanceAccuracyInSequence)
    }

    /// Columns without which there is no figure.
    static let requiredColumns = ["suite", "model", "config", "state_bytes", "test_accuracy_mean"]

    /// - Throws: `DataFileError` for a field that is not what its column holds.
    init(_ record: CSVRecords.Record, in file: CSVRecords) throws(DataFileError) {
        (suite, model, config) = (record["suite"] ?? "", record["model"] ?? "", record["config"] ?? "")
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
        chance = try file.number("chance_accuracy", of: record)
        if chance == nil { chance = try file.number("chance_loss", of: record).map { exp(-$0) } }
        chanceInSequence = try file.number("chance_accuracy_in_sequence", of: record)
    }
}

/// What the settings of rows that share a figure differ in besides their models.
struct TradeoffSetting: Hashable {
    /// The JSON of the task and of the training; empty where the row's config does not say.
    let task: String
    let training: String

    /// - Parameter config: a row's.
    init(_ config: String) {
        let object = Self.object(config)
        task = object["task"].map(Self.text) ?? ""
        training = object["training"].map(Self.text) ?? ""
    }

    /// The settings that differ among these, by setting: "data=fixed order=published".
    static func titles(_ settings: [TradeoffSetting]) -> [TradeoffSetting: String] {
        let flat = settings.map { (setting: $0, values: $0.values) }
        let keys = Set(flat.flatMap(\.values.keys)).filter { key in Set(flat.map { $0.values[key] }).count > 1 }
        return Dictionary(
            flat.map { setting, values in
                (
                    setting,
                    keys.sorted().compactMap { key in values[key].map { "\(key)=\($0)" } }.joined(
                        separator: " ")
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    /// The tasks among these, in their order, and what tells each from the others.
    static func taskTitles(
        _ settings: [TradeoffSetting]
    ) -> (tasks: [String], titles: [String: String]) {
        var tasks: [TradeoffSetting] = []
        for setting in settings where !tasks.contains(where: { $0.task == setting.task }) {
            tasks.append(TradeoffSetting(task: setting.task))
        }
        let titles = titles(tasks).map { ($0.key.task, $0.value) }
        return (tasks.map(\.task), Dictionary(titles, uniquingKeysWith: { first, _ in first }))
    }

    private init(task: String) { (self.task, training) = (task, "") }

    /// The scalars of the training, the vocabulary of the task, and the lengths and pairs that it is tested at.
    private var values: [String: String] {
        var values: [String: String] = [:]
        for (key, value) in Self.object(training) where key != "learning_rate" {
            values[key] = (value as? String) ?? Self.text(value)
        }
        let task = Self.object(task)
        for (key, value) in task where !(value is [Any]) && !(value is [String: Any]) {
            values[key == "vocab_size" ? "V" : key] = (value as? String) ?? Self.text(value)
        }
        if let test = task["test"] as? [[String: Any]] {
            values["L/pairs"] = test.map { segment in
                ["sequence_length", "kv_pairs"].map { segment[$0].map(Self.text) ?? "?" }.joined(separator: "/")
            }.joined(separator: ",")
        }
        return values
    }

    private static func object(_ json: String) -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any] ?? [:]
    }

    private static func text(_ value: Any) -> String {
        let data = try? JSONSerialization.data(
            withJSONObject: value, options: [.fragmentsAllowed, .sortedKeys])
        return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
