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
    /// - Throws: `SuiteError` for the first thing that is wrong, with its place and a remedy, and with what else is wrong
    ///   and does not follow from it. Text that is no YAML has one error.
    public init(yaml: String, file: String) throws(SuiteError) {
        let problems = SuiteProblems()
        let cursor = Cursor(root: try YAMLText.parse(yaml, file: file), file: file, problems: problems)
        guard cursor.isMapping else {
            throw cursor.error("a suite must be a mapping with \(listed(Self.keys)), not \(cursor.shown)")
        }
        let suite = cursor.attempt { () throws(SuiteError) in try Self.read(cursor) }
        try problems.check()
        guard let suite else { preconditionFailure("a suite without a fault that was not read") }
        self = suite
    }

    private static func read(_ cursor: Cursor) throws(SuiteError) -> Suite {
        let top = try cursor.mapping(keys: keys)
        let name = top.required("name") { item throws(SuiteError) in try item.name() }
        let description = top.optional("description") { item throws(SuiteError) in try item.text() }
        let tasks = top.required("task", tasks)
        let training = top.required("training") { item throws(SuiteError) in
            try SuiteTraining(item, tasks: tasks)
        }
        let models = top.required("models") { item throws(SuiteError) in
            try self.models(item, runsAModel: training?.runsAModel ?? 1)
        }
        let control = top.optional("control") { item throws(SuiteError) in
            try self.control(item, models: names(of: top.optional("models")))
        }
        guard let name, let tasks, let training, let models else { throw cursor.consequence }
        var suite = Suite(
            name: name,
            description: description,
            tasks: tasks,
            models: models.map(\.model),
            trainings: training.grid.points(from: TrainingDecoding.base),
            search: training.search,
            seeds: training.seeds,
            dataSeeds: training.dataSeeds,
            control: control,
            namesPrecision: training.namesPrecision
        )
        suite.notes = notes(models.compactMap(\.note))
        return suite
    }

    /// - Parameter runsAModel: how many runs each configuration has.
    private static func models(
        _ cursor: Cursor,
        runsAModel: Int
    ) throws(SuiteError) -> [(model: SuiteModel, note: (text: String, line: Int)?)] {
        var models: [(model: SuiteModel, note: (text: String, line: Int)?)] = []
        var names: [String: Place] = [:]
        var runs = 0
        for item in try cursor.list(of: "models") {
            if let (name, cursor) = ModelDecoding.name(of: item) {
                if let first = names[name] {
                    cursor.report(
                        cursor.error(
                            "there are two models \(quoted(name)) (first in line \(first.line)); rename one"
                        )
                    )
                }
                names[name] = cursor.place
            }
            guard let decoding = item.attempt({ () throws(SuiteError) in try ModelDecoding(item) }) else {
                continue
            }
            let more = product(decoding.count, runsAModel)
            guard let more, more <= maximumRuns - runs else {
                let before = runs > 0 ? ", the models before it to \(runs)" : ""
                throw item.error(tooMany(more, of: "this model", before))
            }
            runs += more
            let configurations = item.attempt { () throws(SuiteError) in try decoding.configurations() }
            if let configurations {
                models.append((SuiteModel(name: decoding.name, configurations: configurations), decoding.note))
            }
        }
        return models
    }

    /// One note for all models that give cause for it.
    private static func notes(_ found: [(text: String, line: Int)]) -> [String] {
        guard let first = found.first else { return [] }
        let others = found.dropFirst().map { "\($0.line)" }
        guard !others.isEmpty else { return [first.text] }
        return ["\(first.text); likewise in line\(others.count == 1 ? "" : "s") \(listed(others))"]
    }

    /// The names that the models have, those that are wrong among them; nil where one cannot be told.
    private static func names(of models: Cursor?) -> [String]? {
        guard let models, let items = try? models.list(of: "models") else { return nil }
        let names = items.map { ModelDecoding.name(of: $0)?.name }
        return names.contains(nil) ? nil : names.compactMap(\.self)
    }

    fileprivate static func product(_ factors: Int?...) -> Int? {
        factors.reduce(1) { product, factor in
            guard let product, let factor else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            return overflow ? nil : next
        }
    }

    fileprivate static func tooMany(_ runs: Int?, of what: String, _ before: String = "") -> String {
        "the grid of \(what) comes to \(runs.map { "\($0)" } ?? "more than \(Int.max)") runs\(before); a suite may "
            + "have at most \(maximumRuns), so shorten its lists"
    }

    /// - Parameter models: their names; nil where they are not all known.
    private static func control(_ cursor: Cursor, models: [String]?) throws(SuiteError) -> SuiteControl {
        let keys = try cursor.mapping(keys: ["model", "minimum_accuracy"])
        let name = keys.required("model") { item throws(SuiteError) in
            let name = try item.text()
            if let models, !models.contains(name) {
                let near = suggestion(for: name, in: models)
                throw item.error(
                    "there is no model \(quoted(name)) in this suite"
                        + (near.isEmpty ? "; there are \(listed(models))" : near)
                )
            }
            return name
        }
        let accuracy = keys.required("minimum_accuracy") { item throws(SuiteError) in
            try item.number("a number from 0 to 1") { (0...1).contains($0) }
        }
        guard let name, let accuracy else { throw cursor.consequence }
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
        var items: [Cursor] = []
        var seen: Set<SuiteTask> = []
        for item in try cursor.list(of: "tasks") {
            guard let task = item.attempt({ () throws(SuiteError) in try task(item) }) else { continue }
            // What a task is called makes it no other task.
            if !seen.insert(SuiteTask(task: task.task, batchSize: task.batchSize)).inserted {
                item.report(item.error("this task is there twice; keep one of them"))
                continue
            }
            items.append(item)
            tasks.append(task)
        }
        reportSharedIDs(tasks, items)
        return tasks
    }

    /// Reports a label that two tasks share, the name that stands for a missing `id` among them. A suite that gives none at
    /// all is of the time before there were ids, and tells its tasks apart by their settings.
    private static func reportSharedIDs(_ tasks: [SuiteTask], _ items: [Cursor]) {
        let given = items.map { $0.entries()?.first { $0.key == "id" }?.cursor }
        guard given.contains(where: { $0 != nil }) else { return }
        var places: [String: Place] = [:]
        for ((task, item), id) in zip(zip(tasks, items), given) {
            if let first = places.updateValue(item.place, forKey: task.id) {
                let message =
                    "the task in line \(first.line) has the id \(quoted(task.id)) too; give one of them another"
                item.report(
                    id?.error(message) ?? item.error("a task without id has its name for one, and \(message)")
                )
            }
        }
    }

    private static func task(_ cursor: Cursor) throws(SuiteError) -> SuiteTask {
        let before = cursor.reports
        let keys = try cursor.mapping(keys: taskKeys)
        _ = keys.required("name") { item throws(SuiteError) in try item.word(of: [taskName]) }
        let vocabSize = keys.required("vocab_size") { item throws(SuiteError) in
            try item.integer(in: 1...Int.max)
        }
        let lists = (
            keys.required("train", segments), keys.required("validation", segments),
            keys.required("test", segments)
        )
        let randomNonQueries = keys.optional("random_non_queries") { item throws(SuiteError) in
            try item.flag()
        }
        let fillers = keys.optional("fillers") { item throws(SuiteError) in try item.choice(Fillers.self) }
        let powerA = keys.optional("power_a") { item throws(SuiteError) in
            try item.number("a number from 0") { $0 >= 0 }
        }
        let dataSeed = keys.optional("data_seed") { item throws(SuiteError) in try item.unsigned() }
        let batchSize = keys.optional("batch_size") { item throws(SuiteError) in
            try item.integer(in: TrainingDecoding.batchSizes)
        }
        let id = keys.optional("id") { item throws(SuiteError) in try item.identifier() }
        guard let vocabSize, let train = lists.0, let validation = lists.1, let test = lists.2,
            cursor.reports == before
        else { throw cursor.consequence }
        var task = MQARTask(vocabSize: vocabSize, train: train, validation: validation, test: test)
        task.randomNonQueries = randomNonQueries ?? task.randomNonQueries
        task.fillers = fillers ?? task.fillers
        task.powerA = powerA ?? task.powerA
        task.dataSeed = dataSeed ?? task.dataSeed
        do {
            try task.validate()
        } catch {
            let place = blamed(error, in: keys)
            throw place.error(error.message)
        }
        return SuiteTask(task: task, batchSize: batchSize, id: id ?? taskName)
    }

    private static func segments(_ cursor: Cursor) throws(SuiteError) -> [Segment] {
        var segments: [Segment] = []
        for item in try cursor.list(of: "segments, such as {sequence_length: 64, kv_pairs: 8, examples: 1000}")
        {
            if let segment = item.attempt({ () throws(SuiteError) in try segment(item) }) {
                segments.append(segment)
            }
        }
        return segments
    }

    private static func segment(_ cursor: Cursor) throws(SuiteError) -> Segment {
        let keys = try cursor.mapping(keys: ["sequence_length", "kv_pairs", "examples"])
        func number(_ key: String) -> Int? {
            keys.required(key) { item throws(SuiteError) in try item.integer(in: 1...Int.max) }
        }
        let (length, pairs, examples) = (number("sequence_length"), number("kv_pairs"), number("examples"))
        guard let length, let pairs, let examples else { throw cursor.consequence }
        return Segment(sequenceLength: length, kvPairs: pairs, examples: examples)
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

/// `training` on its way from the document.
private struct SuiteTraining {
    let seeds: Int
    let dataSeeds: Int
    let namesPrecision: Bool
    let search: LearningRateSearch?
    let grid: Grid<TrainingConfig>
    /// How many runs each configuration of a model has; where the tasks are not known, as if there were one.
    let runsAModel: Int

    /// - Parameter tasks: nil where they are wrong: then what depends on them is not looked at.
    init(_ cursor: Cursor, tasks: [SuiteTask]?) throws(SuiteError) {
        let before = cursor.reports
        let keys = try cursor.mapping(keys: TrainingDecoding.keys)
        func count(_ key: String) -> Int {
            keys.optional(key) { item throws(SuiteError) in try item.integer(in: 1...Suite.maximumRuns) } ?? 1
        }
        (seeds, dataSeeds) = (count("seeds"), count("data_seeds"))
        namesPrecision = keys.optional("precision") != nil
        search = cursor.attempt { () throws(SuiteError) in try TrainingDecoding.search(keys) } ?? nil
        grid = TrainingDecoding.grid(keys)
        guard cursor.reports == before else { throw cursor.consequence }
        let runsAPoint = Suite.mostRunsOfAPoint(search, seeds: seeds, dataSeeds: dataSeeds)
        let runs = Suite.product(grid.count, tasks?.count ?? 1, runsAPoint)
        guard let runs, runs <= Suite.maximumRuns else {
            throw cursor.error(Suite.tooMany(runs, of: "one configuration of a model"))
        }
        runsAModel = runs
        let longest = tasks?.flatMap(\.task.train).map(\.examples).max() ?? 0
        for point in grid.points(from: TrainingDecoding.base) where point.data == .fresh {
            // Example numbers of the generator are 32 bits wide.
            guard let examples = Suite.product(point.epochs, longest), examples <= 1 << 32 else {
                throw cursor.error(
                    "epochs × examples ≤ 2^32 fails for data: fresh: \(point.epochs) × \(longest); "
                        + "train fewer epochs, or say data: fixed"
                )
            }
        }
    }
}
