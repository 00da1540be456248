import RecallData
import RecallInput
import RecallModels
import RecallTraining

/// A benchmark as somebody writes it: tasks, models and training, each with its grid resolved.
public struct Suite: Sendable {
    /// The one task there is so far, as suites name it; tables too where it has no `id`.
    public static let taskName = "mqar"
    /// A suite that asks for more is refused.
    public static let maximumRuns = 100_000

    public var name: String
    public var description: String?
    public var tasks: [SuiteTask]
    public var models: [SuiteModel]
    /// The grid of `training`, in document order, the first key outermost. With a search their learning rate means nothing.
    public var trainings: [TrainingConfig]
    /// Whether the suite says what products are rounded to, or leaves it to the device.
    public var namesPrecision: Bool
    /// How the learning rate of every point is found; nil where the suite lists the rates to try.
    public var search: LearningRateSearch?
    /// How many seeds of initialisation, dropout and order every point has.
    public var seeds: Int
    /// How many seeds of the data.
    public var dataSeeds: Int
    public var control: SuiteControl?
    /// Where it is from: a file's resolved path, or a sweep's origin; nil for a built-in one, and where that does not matter.
    public var path: String?
    /// What the file's author may have meant otherwise, a line each with its place.
    public var notes: [String] = []

    public init(
        name: String,
        description: String? = nil,
        tasks: [SuiteTask],
        models: [SuiteModel],
        trainings: [TrainingConfig],
        search: LearningRateSearch? = nil,
        seeds: Int = 1,
        dataSeeds: Int = 1,
        control: SuiteControl? = nil,
        namesPrecision: Bool = false
    ) {
        (self.name, self.description, self.tasks, self.models) = (name, description, tasks, models)
        (self.trainings, self.search, self.control) = (trainings, search, control)
        (self.seeds, self.dataSeeds, self.namesPrecision) = (seeds, dataSeeds, namesPrecision)
    }

    /// The same suite with these learning rates at every point, in place of its own list or search.
    ///
    /// - Parameter rates: at least one, none twice.
    public func trying(_ rates: [Double]) -> Suite {
        precondition(!rates.isEmpty, "a suite without a learning rate")
        var seen: Set<TrainingConfig> = []
        let others = trainings.map { $0.at(learningRate: rates[0]) }.filter { seen.insert($0).inserted }
        var suite = self
        suite.trainings = rates.flatMap { rate in others.map { $0.at(learningRate: rate) } }
        suite.search = nil
        return suite
    }

    /// How many runs the suite may need at most.
    public var mostRuns: Int {
        [models.map(\.configurations.count).saturatingSum(), tasks.count, trainings.count, mostRunsOfAPoint()]
            .saturatingProduct()
    }

    /// Sixteen hexadecimal digits of SHA-256 over the runs that the suite lists from seed 0 on, with their models' names, and
    /// over its search: the same for the same list, whatever else the file says.
    ///
    /// - Parameter runs: those that the suite lists from seed 0 on, for who has them; nil to list them.
    public func contentHash(of runs: [PlannedRun]? = nil) -> String {
        let list = (runs ?? expand()).map { "\($0.model) \($0.runID)\n" }.joined()
        guard var search else { return shortHash(list) }
        // With one seed it makes no difference who chooses.
        if seeds == 1, dataSeeds == 1 { search.selection = .firstSeed }
        return shortHash("\(list)\(RunSpec.json(search)) \(seeds) \(dataSeeds)")
    }
}

/// A task of a suite.
public struct SuiteTask: Hashable, Sendable {
    public var task: MQARTask
    /// Instead of the training's; nil for that.
    public var batchSize: Int?
    /// What tables, figures and `--only` call it: a label, in no specification and no hash.
    public var id: String

    public init(task: MQARTask, batchSize: Int? = nil, id: String = Suite.taskName) {
        (self.task, self.batchSize, self.id) = (task, batchSize, id)
    }
}

/// A model of a suite: a name, and every configuration that its grid comes to.
public struct SuiteModel: Hashable, Sendable {
    public var name: String
    /// In document order, canonical: aliases resolved, every knob there.
    public var configurations: [ModelConfig]

    public init(name: String, configurations: [ModelConfig]) {
        (self.name, self.configurations) = (name, configurations)
    }
}

/// The model whose failure makes a suite's table worthless.
public struct SuiteControl: Hashable, Sendable {
    /// The name of a model of the suite.
    public var model: String
    /// The test accuracy that it must reach, 0 to 1.
    public var minimumAccuracy: Double

    public init(model: String, minimumAccuracy: Double) {
        (self.model, self.minimumAccuracy) = (model, minimumAccuracy)
    }
}

extension TrainingConfig {
    fileprivate func at(learningRate: Double) -> TrainingConfig {
        var training = self
        training.learningRate = learningRate
        return training
    }
}
