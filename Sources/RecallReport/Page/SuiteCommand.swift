import RecallData
import RecallStore
import RecallSuite
import RecallTraining

/// The commands that train a suite's runs again.
struct SuiteCommand: Equatable, Sendable {
    let suite: SuiteRecord
    /// The suite whose task and training a sweep of state sizes took; nil for a suite that is no sweep.
    private let base: String?
    /// The file that stands for one that is not known; nil where `--suite` or `--task` knows the suite by its name.
    let unknownFile: String?

    /// - Parameters:
    ///   - runs: those of the suite.
    ///   - known: the suite that `--suite` finds by `name(of:)`; nil where it finds none.
    init(_ suite: SuiteRecord, runs: [StoredRun], known: Suite?) {
        self.suite = suite
        let base = StateSizeSweep.base(ofSuite: suite.name, description: suite.description)
        self.base = base
        let isKnown = known.map { known in runs.allSatisfy { Self.lists(known, $0, anyModel: base != nil) } }
        unknownFile = isKnown ?? false ? nil : "\(base ?? suite.name).yaml"
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

    /// The argument of `--suite` of `run`, or of `--task` of a sweep.
    private var argument: String { shellQuoted(unknownFile ?? base ?? suite.name) }

    /// The whole suite; nil for a sweep, whose target sizes nobody has kept.
    var whole: String? { base == nil ? "recall-bench run --suite \(argument)" : nil }

    /// The runs of one point at its best learning rate, perhaps among others.
    ///
    /// - Parameters:
    ///   - runs: those in its mean, at least one.
    ///   - severalTasks: whether the suite has points on other tasks.
    func point(_ row: TradeoffRow, _ runs: [StoredRun], severalTasks: Bool) -> String {
        precondition(!runs.isEmpty, "a point without runs")
        let words =
            base == nil
            ? ["run", "--suite", argument] + only(row, runs, severalTasks) : sweep(row) + seeds(runs)
        return (["recall-bench"] + words + Self.execution(runs[0])).joined(separator: " ")
    }

    private func only(_ row: TradeoffRow, _ runs: [StoredRun], _ severalTasks: Bool) -> [String] {
        var conditions = ["d_model=\(row.spec.model.dModel)"]
        // What --only cannot be given is left out, and other models are trained too.
        if !row.model.contains(where: { ",=".contains($0) }) { conditions.insert("model=\(row.model)", at: 0) }
        // A search has to come to its rates by itself.
        if suite.search == nil { conditions.append("learning_rate=\(row.learningRate)") }
        if severalTasks {
            conditions += Set(runs.map(\.taskHash)).sorted().map { "task=\($0.prefix(12))" }
        }
        let first = runs.map(\.spec.seed).min() ?? 0
        return ["--only", shellQuoted(conditions.joined(separator: ","))]
            + (first == 0 ? [] : ["--seed", "\(first)"])
    }

    /// A sweep chooses the same for a target that is the true size.
    private func sweep(_ row: TradeoffRow) -> [String] {
        let isControl = row.model == StateSizeSweep.controlName
        let rates = suite.search == nil ? row.points.map { "\($0.learningRate)" }.joined(separator: ",") : ""
        return ["sweep", "state-size", "--task", argument]
            + (isControl
                ? ["--only", "model=\(row.model)"]
                : ["--models", shellQuoted(row.model), "--sizes", "\(row.facts.stateBytes)"])
            + (rates.isEmpty ? [] : ["--learning-rates", rates])
    }

    private func seeds(_ runs: [StoredRun]) -> [String] {
        let (seeds, dataSeeds) = (Set(runs.map(\.spec.seed)), Set(runs.map(\.spec.task.dataSeed)))
        return (seeds.count > 1 ? ["--seeds", "\(seeds.count)"] : [])
            + (dataSeeds.count > 1 ? ["--data-seeds", "\(dataSeeds.count)"] : [])
            + ((seeds.min() ?? 0) == 0 ? [] : ["--seed", "\(seeds.min() ?? 0)"])
    }

    /// The options for the device and precision of a run.
    private static func execution(_ run: StoredRun) -> [String] {
        guard let device = run.device, !device.hasPrefix("cpu") else { return [] }
        return ["--device", "cuda", "--precision", run.spec.training.precision.rawValue]
    }
}

/// A text as one word of a POSIX shell.
func shellQuoted(_ text: String) -> String {
    let plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%"
    if !text.isEmpty, text.allSatisfy(plain.contains) { return text }
    return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}
