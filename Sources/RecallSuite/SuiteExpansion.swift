import RecallData
import RecallModels
import RecallTraining

/// What a suite compares: a model's configuration on a task under one training, whatever the learning rate and the seeds.
struct SuitePoint {
    let model: String
    let configuration: ModelConfig
    let task: SuiteTask
    /// With the learning rate of the suite's list, or none that means anything under a search.
    let training: TrainingConfig
}

/// Where the searches of a suite stand, all points together.
public struct SearchCount: Hashable, Sendable {
    /// Points whose best rate is known, and all.
    public var settled = 0
    public var points = 0
    /// Rates that the searches have tried or are trying.
    public var rates = 0
    /// Runs that full grids at the resolution would have taken beyond these, over the settled points.
    public var saved = 0
}

extension Suite {
    /// The runs as `SuiteExpansion` lists them before one of them has ended.
    ///
    /// - Parameter seed: the first seed, S; a point runs with S ..< S + `seeds`.
    public func expand(seed: UInt64 = 0) -> [PlannedRun] {
        var expansion = SuiteExpansion(self, seed: seed)
        return expansion.runs { _ in nil }
    }
}

/// The runs of a suite. Where it searches learning rates, they become more as results come in.
public struct SuiteExpansion {
    public let suite: Suite
    /// The first seed, S; a point runs with S ..< S + `seeds`.
    public let seed: UInt64
    /// A task's hash may be costly: one for each.
    private var hashes: [MQARTask: String] = [:]
    /// Where the searches stood when `runs` was last asked; nothing where the suite has none.
    public private(set) var count = SearchCount()

    public init(_ suite: Suite, seed: UInt64 = 0) {
        (self.suite, self.seed) = (suite, seed)
    }

    /// The runs in order: model by model; within one its grid in document order, the first key outermost; then the
    /// tasks; then the grid of `training`, likewise; innermost the seeds: those of initialisation on the task's own
    /// `data_seed`, then the other seeds of the data with the first of initialisation.
    ///
    /// With a search a point has the rates that are tried or to be tried so far, ascending, each with the first seed; the
    /// other seeds join at the best rate, once it is known. A specification that comes up twice in a model, as when a
    /// task's own batch size makes a grid of batch sizes idle, is there once.
    ///
    /// - Parameter trial: what a run came to; nil for one that has not ended. Only a search asks.
    public mutating func runs(_ trial: (_ runID: String) -> LearningRateTrial?) -> [PlannedRun] {
        count = SearchCount()
        var runs: [PlannedRun] = []
        for model in suite.models {
            var seen: Set<RunSpec> = []
            for configuration in model.configurations {
                for task in suite.tasks {
                    for training in suite.trainings {
                        let point = SuitePoint(
                            model: model.name, configuration: configuration, task: task, training: training)
                        runs += self.runs(of: point, trial).filter { seen.insert($0.spec).inserted }
                    }
                }
            }
        }
        return runs
    }

    private mutating func runs(
        of point: SuitePoint, _ trial: (String) -> LearningRateTrial?
    ) -> [PlannedRun] {
        guard let search = suite.search else {
            return seedsOfAPoint.map { run(point, rate: point.training.learningRate, $0) }
        }
        let first = Seeds(initialisation: seed, data: 0)
        let progress = search.progress { trial(run(point, rate: $0, first).runID) }
        count.points += 1
        count.rates += progress.rates.count
        if progress.best != nil {
            count.settled += 1
            count.saved += progress.saved
        }
        return progress.rates.flatMap { rate in
            (rate == progress.best ? seedsOfAPoint : [first]).map { run(point, rate: rate, $0) }
        }
    }

    /// What keys a run's random numbers.
    private struct Seeds {
        let initialisation: UInt64
        /// Added to the task's own.
        let data: UInt64
    }

    private var seedsOfAPoint: [Seeds] {
        (0..<UInt64(suite.seeds)).map { Seeds(initialisation: seed &+ $0, data: 0) }
            + (1..<UInt64(max(1, suite.dataSeeds))).map { Seeds(initialisation: seed, data: $0) }
    }

    private mutating func run(_ point: SuitePoint, rate: Double, _ seeds: Seeds) -> PlannedRun {
        var (task, training) = (point.task.task, point.training)
        task.dataSeed &+= seeds.data
        training.batchSize = point.task.batchSize ?? training.batchSize
        training.learningRate = rate
        let hash = hashes[task] ?? task.contentHash()
        hashes[task] = hash
        let spec = RunSpec(
            task: task, model: point.configuration, training: training, seed: seeds.initialisation)
        return PlannedRun(
            suite: suite.name, task: Suite.taskName, model: point.model, spec: spec, taskHash: hash)
    }
}
