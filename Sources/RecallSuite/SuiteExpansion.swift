import RecallData
import RecallInput
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

extension Suite {
    /// The runs as `SuiteExpansion` lists them before one of them has ended.
    ///
    /// - Parameter seed: the first seed, S; a point runs with S ..< S + `seeds`.
    public func expand(seed: UInt64 = 0) -> [PlannedRun] {
        var expansion = SuiteExpansion(self, seed: seed)
        return expansion.runs { _ in nil }
    }

    /// The most runs that a point can need.
    ///
    /// - Parameter rates: where only so many learning rates of a point are to be trained; nil for all.
    public func mostRunsOfAPoint(rates: Int? = nil) -> Int {
        Self.mostRunsOfAPoint(search, seeds: seeds, dataSeeds: dataSeeds, rates: rates)
    }

    static func mostRunsOfAPoint(
        _ search: LearningRateSearch?,
        seeds: Int,
        dataSeeds: Int,
        rates: Int? = nil
    ) -> Int {
        let seedsOfARate = seeds.plus(dataSeeds - 1)
        guard let search else { return seedsOfARate }
        let rates = min(search.mostRates, rates ?? .max)
        return search.selection == .firstSeed ? rates.plus(seedsOfARate - 1) : rates.times(seedsOfARate)
    }

    /// What a search can come to beyond the runs that it begins with; nil where the suite lists its learning rates.
    ///
    /// - Parameter seed: the first, as `expand` takes it.
    public func reach(seed: UInt64 = 0) -> SearchReach? {
        search.map { SearchReach(firstSeed: seed, seeds: seeds, rates: $0.reach) }
    }
}

/// Seeds and learning rates of the runs that a suite with a search may come to need.
public struct SearchReach: Hashable, Sendable {
    public let firstSeed: UInt64
    public let seeds: Int
    public let rates: ClosedRange<Double>

    public func has(seed: UInt64) -> Bool { seed &- firstSeed < UInt64(seeds) }
}

/// The runs of a suite. Where it searches learning rates, they become more as results come in.
public struct SuiteExpansion {
    public let suite: Suite
    /// The first seed, S; a point runs with S ..< S + `seeds`.
    public let seed: UInt64
    /// A task's hash may be costly: one for each.
    private var hashes: [MQARTask: String] = [:]
    /// So is a run's id: a search asks for each again and again.
    private var planned: [Key: PlannedRun] = [:]

    private struct Key: Hashable {
        let model: String
        let spec: RunSpec
    }

    public init(_ suite: Suite, seed: UInt64 = 0) {
        (self.suite, self.seed) = (suite, seed)
    }

    /// The runs in order: model by model; within one its grid in document order, the first key outermost; then the
    /// tasks; then the grid of `training`, likewise; innermost the seeds: those of initialisation on the task's own
    /// `data_seed`, then the other seeds of the data with the first of initialisation.
    ///
    /// With a search a point has the rates that are tried or to be tried so far, ascending, each with the first seed. Once
    /// the best is known the other seeds join, at the rates of `SeededSelection`, or at the best alone where the first seed
    /// chooses. A specification that comes up twice in a model, as when a
    /// task's own batch size makes a grid of batch sizes idle, is there once.
    ///
    /// - Parameter trial: what a run came to; nil for one that has not ended. Only a search asks.
    public mutating func runs(_ trial: (_ runID: String) -> LearningRateTrial?) -> [PlannedRun] {
        var runs: [PlannedRun] = []
        for model in suite.models {
            var seen: Set<RunSpec> = []
            for configuration in model.configurations {
                for task in suite.tasks {
                    for training in suite.trainings {
                        let point = SuitePoint(
                            model: model.name,
                            configuration: configuration,
                            task: task,
                            training: training
                        )
                        runs += self.runs(of: point, trial).filter { seen.insert($0.spec).inserted }
                    }
                }
            }
        }
        return runs
    }

    private mutating func runs(
        of point: SuitePoint,
        _ trial: (String) -> LearningRateTrial?
    ) -> [PlannedRun] {
        guard let search = suite.search else {
            return seedsOfAPoint.map { run(point, rate: point.training.learningRate, $0) }
        }
        let first = Seeds(initialisation: seed, data: 0)
        let progress = search.progress { trial(run(point, rate: $0, first).runID) }
        var seeded: [Double] = []
        if let best = progress.best {
            switch search.selection {
            case .firstSeed: seeded = [best]
            case .allSeeds:
                seeded =
                    SeededSelection(from: best, among: progress.rates) { rate in
                        let trials = seedsOfAPoint.map { trial(run(point, rate: rate, $0).runID) }
                        return trials.contains(nil) ? nil : trials.compactMap(\.self)
                    }.rates
            }
        }
        return progress.rates.flatMap { rate in
            (seeded.contains(rate) ? seedsOfAPoint : [first]).map { run(point, rate: rate, $0) }
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
        let spec = RunSpec(
            task: task,
            model: point.configuration,
            training: training,
            seed: seeds.initialisation
        )
        let key = Key(model: point.model, spec: spec)
        if let run = planned[key] { return run }
        let hash = hashes[task] ?? task.contentHash()
        hashes[task] = hash
        let run = PlannedRun(
            suite: suite.name,
            task: point.task.id,
            model: point.model,
            spec: spec,
            taskHash: hash
        )
        planned[key] = run
        return run
    }
}
