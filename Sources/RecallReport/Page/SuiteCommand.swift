import RecallData
import RecallStore
import RecallSuite
import RecallTraining

/// The commands that train a suite's runs again.
struct SuiteCommand: Sendable {
    /// Why a file stands for the suite in the commands.
    enum Unknown: Equatable, Sendable {
        /// No suite has its name.
        case name
        /// The suite of that name does not list its runs.
        case runs
    }

    let suite: SuiteRecord
    /// The suite whose task and training a sweep of state sizes took; nil for a suite that is no sweep.
    private let base: String?
    /// Seeds of initialization that the known suite gives a point.
    private let seedsAPoint: UInt64?
    /// The learning rates that the known suite lists; nil where there is none, or where it searches them.
    private let listedRates: Set<Double>?
    private let dataSeedsAPoint: Int?
    /// The lowest seed of all the suite's runs.
    private let firstSeed: UInt64
    private let execution: [String]
    /// nil where `--suite` or `--task` knows the suite by its name.
    let unknown: Unknown?

    /// - Parameters:
    ///   - runs: those of the suite.
    ///   - known: the suite that `--suite` finds by `name(of:)`; nil where it finds none.
    init(_ suite: SuiteRecord, runs: [StoredRun], known: Suite?) {
        self.suite = suite
        let base = StateSizeSweep.base(ofSuite: suite.name, description: suite.description)
        self.base = base
        let isListed = known.map { known in runs.allSatisfy { Self.lists(known, $0, anyModel: base != nil) } }
        unknown = isListed.map { $0 ? nil : .runs } ?? .name
        seedsAPoint = unknown == nil ? known.map { UInt64($0.seeds) } : nil
        dataSeedsAPoint = unknown == nil ? known?.dataSeeds : nil
        listedRates =
            unknown == nil && known?.search == nil ? known.map { Set($0.trainings.map(\.learningRate)) } : nil
        firstSeed = runs.map(\.spec.seed).min() ?? 0
        execution = Self.execution(runs)
    }

    /// What to look a suite up by, to make its runs again.
    static func name(of suite: SuiteRecord) -> String {
        StateSizeSweep.base(ofSuite: suite.name, description: suite.description) ?? suite.name
    }

    /// Whether the suite has the run's model, task and training, whatever its learning rate, seeds and precision: another of
    /// the same name may not.
    private static func lists(_ suite: Suite, _ run: StoredRun, anyModel: Bool) -> Bool {
        func plain(_ training: TrainingConfig) -> TrainingConfig {
            var training = training
            (training.learningRate, training.batchSize, training.precision) = (0, 0, .fp32)
            return training
        }
        func plain(_ task: MQARTask) -> MQARTask {
            var task = task
            task.dataSeed = 0
            return task
        }
        let hasModel = suite.models.contains {
            $0.name == run.model && $0.configurations.contains(run.spec.model)
        }
        return (anyModel || hasModel) && suite.tasks.contains { plain($0.task) == plain(run.spec.task) }
            && suite.trainings.contains { plain($0) == plain(run.spec.training) }
    }

    /// The file that stands for a suite that is not known; nil for one that is.
    var unknownFile: String? { unknown == nil ? nil : "\(base ?? suite.name).yaml" }

    /// The argument of `--suite` of `run`, or of `--task` of a sweep.
    private var argument: String { unknownFile ?? base ?? suite.name }

    /// The whole suite; nil for a sweep, whose target sizes nobody has kept.
    ///
    /// - Parameter runs: those that it is to train, perhaps among others.
    func whole(training runs: [StoredRun]) -> ShellCommand? {
        base == nil
            ? ShellCommand("run").option("--suite", argument).option("--seed", seed(of: runs))
                .adding(beyondSuite(runs)).adding(execution)
            : nil
    }

    /// The runs of one point at its best learning rate, perhaps among others.
    ///
    /// - Parameters:
    ///   - runs: those in its mean, at least one.
    ///   - severalTasks: whether the suite has points on other tasks.
    func point(_ row: TradeoffRow, _ runs: [StoredRun], severalTasks: Bool) -> ShellCommand {
        precondition(!runs.isEmpty, "a point without runs")
        let command = base == nil ? only(row, runs, severalTasks) : sweep(row, runs)
        return command.option("--seed", seed(of: runs)).adding(Self.execution(runs))
    }

    private func only(_ row: TradeoffRow, _ runs: [StoredRun], _ severalTasks: Bool) -> ShellCommand {
        var conditions = ["d_model=\(row.spec.model.dModel)"]
        // What --only cannot be given is left out, and other models are trained too.
        if !row.model.contains(where: { ",=".contains($0) }) { conditions.insert("model=\(row.model)", at: 0) }
        // A search has to come to its rates by itself.
        if suite.search == nil { conditions.append("learning_rate=\(row.learningRate)") }
        if severalTasks {
            conditions += Set(runs.map(\.taskHash)).sorted().map { "task=\($0.prefix(12))" }
        }
        return ShellCommand("run").option("--suite", argument)
            .option("--only", conditions.joined(separator: ",")).adding(beyondSuite(runs))
    }

    /// The options for learning rates and seeds of runs that a known suite does not have by itself.
    private func beyondSuite(_ runs: [StoredRun]) -> [String] {
        guard unknown == nil else { return [] }
        var words: [String] = []
        let rates = Set(runs.map(\.spec.training.learningRate))
        if suite.search == nil, listedRates.map({ !rates.isSubset(of: $0) }) ?? true {
            words += ["--learning-rates", rates.sorted().map { "\($0)" }.joined(separator: ",")]
        }
        let (seeds, dataSeeds) = (Set(runs.map(\.spec.seed)), Set(runs.map(\.spec.task.dataSeed)))
        if let seedsAPoint, seeds.count > seedsAPoint { words += ["--seeds", "\(seeds.count)"] }
        if let dataSeedsAPoint, dataSeeds.count > dataSeedsAPoint {
            words += ["--data-seeds", "\(dataSeeds.count)"]
        }
        return words
    }

    /// A sweep chooses the same for a target that is the true size.
    private func sweep(_ row: TradeoffRow, _ runs: [StoredRun]) -> ShellCommand {
        let isControl = row.model == StateSizeSweep.controlName
        let rates = row.points.map { "\($0.learningRate)" }.joined(separator: ",")
        let (seeds, dataSeeds) = (Set(runs.map(\.spec.seed)), Set(runs.map(\.spec.task.dataSeed)))
        let command = ShellCommand("sweep", "state-size").option("--task", argument)
        return
            (isControl
            ? command.option("--only", "model=\(row.model)")
            : command.option("--models", row.model).option("--sizes", "\(row.facts.stateBytes)"))
            .option("--learning-rates", suite.search == nil ? rates : nil)
            .option("--seeds", seeds.count > 1 ? "\(seeds.count)" : nil)
            .option("--data-seeds", dataSeeds.count > 1 ? "\(dataSeeds.count)" : nil)
    }

    /// The first seed to name, so that runs are among those trained; nil for 0, which commands begin with.
    private func seed(of runs: [StoredRun]) -> String? {
        let lowest = runs.map(\.spec.seed).min() ?? firstSeed
        // The second seed of a suite of three is trained by beginning with the first.
        let isAmongFirst = seedsAPoint.map { lowest < $0 } ?? (firstSeed == 0)
        let seed = isAmongFirst ? 0 : seedsAPoint == nil ? firstSeed : lowest
        return seed == 0 ? nil : "\(seed)"
    }

    /// The options for the device of runs and, where they have one, their precision.
    private static func execution(_ runs: [StoredRun]) -> [String] {
        let precisions = Set(runs.map(\.spec.training.precision))
        let isElsewhere = runs.contains { $0.device.map { !$0.hasPrefix("cpu") } ?? false }
        guard isElsewhere || precisions.contains(where: { $0 != .fp32 }) else { return [] }
        let precision = precisions.count == 1 ? precisions.first : nil
        return ["--device", "cuda"] + (precision.map { ["--precision", $0.rawValue] } ?? [])
    }
}
