import RecallData
import RecallModels
import RecallTraining

extension Suite {
    static let keys = ["name", "description", "task", "training", "control", "models"]

    /// Reads a suite.
    ///
    /// - Parameters:
    ///   - yaml: the text, at most 1 MiB.
    ///   - file: what errors call the text.
    /// - Throws: `SuiteError` for the first thing that is wrong, with its place and a remedy.
    public init(yaml: String, file: String) throws(SuiteError) {
        let cursor = Cursor(root: try YAMLText.parse(yaml, file: file), file: file)
        guard cursor.isMapping else {
            throw cursor.error("a suite must be a mapping with \(listed(Self.keys)), not \(cursor.shown)")
        }
        let top = try cursor.mapping(keys: Self.keys)
        name = try top.required("name").name()
        description = try top.optional("description")?.text()
        tasks = try Self.tasks(try top.required("task"))

        let training = try top.required("training")
        let trainingKeys = try training.mapping(keys: TrainingDecoding.keys)
        seeds = try trainingKeys.optional("seeds")?.integer(in: 1...Self.maximumRuns) ?? 1
        namesPrecision = trainingKeys.optional("precision") != nil
        dataSeeds = try trainingKeys.optional("data_seeds")?.integer(in: 1...Self.maximumRuns) ?? 1
        search = try TrainingDecoding.search(trainingKeys)
        let grid = try TrainingDecoding.grid(trainingKeys)
        let runsAPoint = Self.mostRunsOfAPoint(search, seeds: seeds, dataSeeds: dataSeeds)
        let runsAModel = Self.product(grid.count, tasks.count, runsAPoint)
        guard let runsAModel, runsAModel <= Self.maximumRuns else {
            throw training.error(Self.tooMany(runsAModel, of: "one configuration of a model"))
        }
        trainings = grid.points(from: TrainingDecoding.base)
        let longest = tasks.flatMap(\.task.train).map(\.examples).max() ?? 0
        for point in trainings where point.data == .fresh {
            // Example numbers of the generator are 32 bits wide.
            guard let examples = Self.product(point.epochs, longest), examples <= 1 << 32 else {
                throw training.error(
                    "epochs × examples ≤ 2^32 fails for data: fresh: \(point.epochs) × \(longest); "
                        + "train fewer epochs, or say data: fixed")
            }
        }

        let list = try top.required("models").list(of: "models")
        models = []
        var names: [String: Place] = [:]
        var runs = 0
        for item in list {
            let decoding = try ModelDecoding(item)
            if let first = names[decoding.name] {
                throw decoding.nameCursor.error(
                    "there are two models \(quoted(decoding.name)) (first in line \(first.line)); rename one")
            }
            names[decoding.name] = decoding.nameCursor.place
            let more = Self.product(decoding.count, runsAModel)
            guard let more, more <= Self.maximumRuns - runs else {
                let before = runs > 0 ? ", the models before it to \(runs)" : ""
                throw item.error(Self.tooMany(more, of: "this model", before))
            }
            runs += more
            models.append(SuiteModel(name: decoding.name, configurations: try decoding.configurations()))
        }
        control = try top.optional("control").map { cursor throws(SuiteError) in
            try Self.control(cursor, models: models.map(\.name))
        }
    }

    private static func product(_ factors: Int?...) -> Int? {
        factors.reduce(1) { product, factor in
            guard let product, let factor else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            return overflow ? nil : next
        }
    }

    private static func tooMany(_ runs: Int?, of what: String, _ before: String = "") -> String {
        "the grid of \(what) comes to \(runs.map { "\($0)" } ?? "more than \(Int.max)") runs\(before); a suite may "
            + "have at most \(maximumRuns), so shorten its lists"
    }

    private static func control(_ cursor: Cursor, models: [String]) throws(SuiteError) -> SuiteControl {
        let keys = try cursor.mapping(keys: ["model", "minimum_accuracy"])
        let model = try keys.required("model")
        let name = try model.text()
        guard models.contains(name) else {
            let near = suggestion(for: name, in: models)
            throw model.error(
                "there is no model \(quoted(name)) in this suite"
                    + (near.isEmpty ? "; there are \(listed(models))" : near))
        }
        let accuracy = try keys.required("minimum_accuracy").number("a number from 0 to 1") {
            (0...1).contains($0)
        }
        return SuiteControl(model: name, minimumAccuracy: accuracy)
    }

    // MARK: Tasks

    private static let taskKeys = [
        "name", "id", "vocab_size", "train", "validation", "test", "random_non_queries", "fillers", "power_a",
        "data_seed",
        "batch_size",
    ]

    private static func tasks(_ cursor: Cursor) throws(SuiteError) -> [SuiteTask] {
        if cursor.isMapping { return [try task(cursor)] }
        var tasks: [SuiteTask] = []
        let items = try cursor.list(of: "tasks")
        for item in items {
            let task = try task(item)
            if tasks.contains(where: { $0.task == task.task && $0.batchSize == task.batchSize }) {
                throw item.error("this task is there twice; keep one of them")
            }
            tasks.append(task)
        }
        try requireDistinctIDs(tasks, items)
        return tasks
    }

    /// Refuses a label that two tasks share, the name that stands for a missing `id` among them. A suite that gives none at
    /// all is of the time before there were ids, and tells its tasks apart by their settings.
    private static func requireDistinctIDs(_ tasks: [SuiteTask], _ items: [Cursor]) throws(SuiteError) {
        let given = items.map { $0.entries()?.first { $0.key == "id" }?.cursor }
        guard given.contains(where: { $0 != nil }) else { return }
        var places: [String: Place] = [:]
        for ((task, item), id) in zip(zip(tasks, items), given) {
            if let first = places.updateValue(item.place, forKey: task.id) {
                let message =
                    "the task in line \(first.line) has the id \(quoted(task.id)) too; give one of them another"
                throw id?.error(message) ?? item.error("a task without id has its name for one, and \(message)")
            }
        }
    }

    private static func task(_ cursor: Cursor) throws(SuiteError) -> SuiteTask {
        let keys = try cursor.mapping(keys: taskKeys)
        _ = try keys.required("name").word(of: [taskName])
        let lists = (
            try keys.required("train"), try keys.required("validation"), try keys.required("test")
        )
        var task = MQARTask(
            vocabSize: try keys.required("vocab_size").integer(in: 1...Int.max), train: try segments(lists.0),
            validation: try segments(lists.1), test: try segments(lists.2))
        if let cursor = keys.optional("random_non_queries") { task.randomNonQueries = try cursor.flag() }
        if let cursor = keys.optional("fillers") { task.fillers = try cursor.choice(Fillers.self) }
        if let cursor = keys.optional("power_a") {
            task.powerA = try cursor.number("a number from 0") { $0 >= 0 }
        }
        if let cursor = keys.optional("data_seed") { task.dataSeed = try cursor.unsigned() }
        let batchSize = try keys.optional("batch_size")?.integer(in: TrainingDecoding.batchSizes)
        do {
            try task.validate()
        } catch {
            let place = blamed(error, in: keys)
            throw place.error(error.message)
        }
        let id = try keys.optional("id")?.identifier() ?? taskName
        return SuiteTask(task: task, batchSize: batchSize, id: id)
    }

    private static func segments(_ cursor: Cursor) throws(SuiteError) -> [Segment] {
        var segments: [Segment] = []
        for item in try cursor.list(of: "segments, such as {sequence_length: 64, kv_pairs: 8, examples: 1000}")
        {
            let keys = try item.mapping(keys: ["sequence_length", "kv_pairs", "examples"])
            segments.append(
                Segment(
                    sequenceLength: try keys.required("sequence_length").integer(in: 1...Int.max),
                    kvPairs: try keys.required("kv_pairs").integer(in: 1...Int.max),
                    examples: try keys.required("examples").integer(in: 1...Int.max)))
        }
        return segments
    }

    /// The value that a task's error is about, as near as the document has it.
    private static func blamed(_ error: TaskError, in keys: MappingCursor) -> Cursor {
        guard let split = error.split else { return keys.optional(error.field) ?? keys.cursor }
        guard let list = keys.optional(split.rawValue) else { return keys.cursor }
        guard let index = error.segmentIndex, let items = try? list.list(of: "segments"),
            items.indices.contains(index)
        else { return list }
        return items[index].entries()?.first { $0.key == error.field }?.cursor ?? items[index]
    }
}
