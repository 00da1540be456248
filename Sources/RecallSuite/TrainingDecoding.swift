import RecallKernels
import RecallTraining

/// The keys of `training`.
enum TrainingDecoding {
    static let keys = [
        "epochs", "batch_size", "learning_rate", "weight_decay", "decay", "schedule", "order", "data", "seeds",
        "data_seeds", "stop_at_accuracy", "precision",
    ]
    static let epochs = 1...1_000_000
    static let batchSizes = 1...1_048_576
    static let accuracies = 0.0...1.0

    /// The defaults of everything optional; the grid sets the three others.
    static let base = TrainingConfig(epochs: 1, batchSize: 1, learningRate: 1)

    /// - Returns: the axes of the keys that are right; the others are reported.
    static func grid(_ training: MappingCursor) -> Grid<TrainingConfig> {
        for key in ["epochs", "batch_size", "learning_rate"] { _ = training.required(key) { $0 } }
        var grid = Grid<TrainingConfig>()
        for (key, cursor) in training.entries {
            switch key {
            case "epochs":
                grid.add(cursor, \.epochs) { cursor throws(SuiteError) in
                    try cursor.integer(in: epochs)
                }
            case "batch_size":
                grid.add(cursor, \.batchSize) { cursor throws(SuiteError) in
                    try cursor.integer(in: batchSizes)
                }
            case "learning_rate" where cursor.isMapping: break
            case "learning_rate":
                grid.add(cursor, \.learningRate) { cursor throws(SuiteError) in
                    try cursor.number("a number above 0") { $0 > 0 }
                }
            case "weight_decay":
                grid.add(cursor, \.weightDecay) { cursor throws(SuiteError) in
                    try cursor.number("a number from 0") { $0 >= 0 }
                }
            case "decay":
                grid.add(cursor, \.decay) { cursor throws(SuiteError) in try cursor.choice(DecayKind.self) }
            case "schedule":
                grid.add(cursor, \.schedule) { cursor throws(SuiteError) in
                    try cursor.choice(ScheduleKind.self)
                }
            case "order":
                grid.add(cursor, \.order) { cursor throws(SuiteError) in try cursor.choice(OrderKind.self) }
            case "data":
                grid.add(cursor, \.data) { cursor throws(SuiteError) in try cursor.choice(DataKind.self) }
            case "stop_at_accuracy":
                grid.add(cursor, \.stopAtAccuracy) { cursor throws(SuiteError) in
                    try cursor.number("a number from 0 to 1") { accuracies.contains($0) }
                }
            case "precision":
                grid.add(cursor, \.precision) { cursor throws(SuiteError) in
                    try cursor.choice(Arithmetic.self)
                }
            default:
                precondition(
                    key == "seeds" || key == "data_seeds",
                    "a key of training that nothing reads: \(key)"
                )
            }
        }
        return grid
    }

    /// `learning_rate: {search: {from: 1e-4, to: 3e-2, start: 6, resolution: 0.25, selection: all-seeds}}`; nil for a rate
    /// or a list of rates.
    static func search(_ training: MappingCursor) throws(SuiteError) -> LearningRateSearch? {
        guard let cursor = training.optional("learning_rate"), cursor.isMapping else { return nil }
        let search = try cursor.mapping(keys: ["search"]).required("search")
        let keys = try search.mapping(keys: ["from", "to", "start", "resolution", "extend", "selection"])
        let from = try keys.required("from").number("a number above 0") { $0 > 0 }
        let upper = try keys.required("to")
        let to = try upper.number("a number above 0") { $0 > 0 }
        guard to > from else {
            throw upper.error("must be above from: \(to) is not above \(from)")
        }
        let resolutions = LearningRateSearch.resolutions
        let decoded = LearningRateSearch(
            from: from,
            to: to,
            start: try keys.optional("start")?.integer(in: 2...100) ?? LearningRateSearch.defaultStart,
            resolution: try keys.optional("resolution")?.number(
                "a number of decades from \(resolutions.lowerBound) to \(resolutions.upperBound)"
            ) { resolutions.contains($0) } ?? LearningRateSearch.defaultResolution,
            extend: try keys.optional("extend")?.number("a number of decades from 0 to 10") {
                (0...10).contains($0)
            } ?? LearningRateSearch.defaultExtend,
            selection: try keys.optional("selection")?.choice(SeedSelection.self) ?? .allSeeds
        )
        let most = decoded.mostRates
        guard most <= LearningRateSearch.maximumRates else {
            throw search.error(
                "may try \(most) rates a point, and at most \(LearningRateSearch.maximumRates) are taken; bring from and "
                    + "to closer together, lower start or extend, or raise resolution"
            )
        }
        return decoded
    }
}

extension Grid {
    /// An axis of a key that sets one property; none where a value is wrong, which is reported.
    mutating func add<Value: Hashable>(
        _ cursor: Cursor,
        _ property: WritableKeyPath<Point, Value>,
        _ read: (Cursor) throws(SuiteError) -> Value
    ) {
        let items = cursor.attempt { () throws(SuiteError) in try cursor.grid(read) }
        if let items { add(items.map { item in { $0[keyPath: property] = item.value } }) }
    }
}
