import RecallData
import RecallModels
import RecallTraining

/// A benchmark as somebody writes it: tasks, models and training, each with its grid resolved.
public struct Suite: Sendable {
    /// The one task there is so far, as suites and tables name it.
    public static let taskName = "mqar"
    /// A suite that asks for more is refused.
    public static let maximumRuns = 100_000

    public var name: String
    public var description: String?
    public var tasks: [SuiteTask]
    public var models: [SuiteModel]
    /// The grid of `training`, in document order, the first key outermost.
    public var trainings: [TrainingConfig]
    /// How many seeds every point has.
    public var seeds: Int
    public var control: SuiteControl?

    public init(
        name: String, description: String? = nil, tasks: [SuiteTask], models: [SuiteModel],
        trainings: [TrainingConfig], seeds: Int = 1, control: SuiteControl? = nil
    ) {
        (self.name, self.description, self.tasks, self.models) = (name, description, tasks, models)
        (self.trainings, self.seeds, self.control) = (trainings, seeds, control)
    }

    /// The runs in order: model by model; within one its grid in document order, the first key outermost; then the
    /// tasks; then the grid of `training`, likewise; innermost the seeds.
    ///
    /// The data stay those of each task's `data_seed` for every seed. A specification that comes up twice in a model, as
    /// when a task's own batch size makes a grid of batch sizes idle, is there once.
    ///
    /// - Parameter seed: the first seed, S; a point runs with S ..< S + `seeds`.
    public func expand(seed: UInt64 = 0) -> [PlannedRun] {
        // A task's hash may be costly: one for each.
        let hashes = tasks.map { $0.task.contentHash() }
        var runs: [PlannedRun] = []
        for model in models {
            var seen: Set<RunSpec> = []
            for configuration in model.configurations {
                for (task, hash) in zip(tasks, hashes) {
                    for var training in trainings {
                        training.batchSize = task.batchSize ?? training.batchSize
                        for offset in 0..<UInt64(seeds) {
                            let spec = RunSpec(
                                task: task.task, model: configuration, training: training, seed: seed &+ offset)
                            guard seen.insert(spec).inserted else { continue }
                            runs.append(
                                PlannedRun(
                                    suite: name, task: Self.taskName, model: model.name, spec: spec,
                                    taskHash: hash))
                        }
                    }
                }
            }
        }
        return runs
    }

    /// Sixteen hexadecimal digits of SHA-256 over the runs that the suite lists from seed 0 on, with their models' names:
    /// the same for the same list, whatever else the file says.
    public func contentHash() -> String {
        shortHash(expand().map { "\($0.model) \($0.runID)\n" }.joined())
    }
}

/// A task of a suite.
public struct SuiteTask: Hashable, Sendable {
    public var task: MQARTask
    /// Instead of the training's; nil for that.
    public var batchSize: Int?

    public init(task: MQARTask, batchSize: Int? = nil) {
        (self.task, self.batchSize) = (task, batchSize)
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
