import Foundation
import RecallData
import RecallStore
import RecallSuite
import RecallTraining

/// What became of a point of the tradeoff, by the rule of `Tradeoff.outcome`.
public enum Outcome: String, CaseIterable, Sendable {
    case solved, capacity, overfit
    case notLearned = "not-learned"
}

/// One learning rate of a model: its runs taken together.
public struct LearningRatePoint: Equatable, Sendable {
    public var learningRate: Double
    /// Runs that ended, finished or failed.
    public var seeds: Int
    /// The mean over those seeds, 0 for a failed one.
    public var validationAccuracy: Double
    /// The mean over those seeds, infinite with a failed one.
    public var validationLoss: Double
}

/// One point of the tradeoff: a model of a suite at its best learning rate.
public struct TradeoffRow: Equatable, Sendable {
    public var suite: String
    public var task: String
    public var model: String
    /// A run of the row: its specification stands for the others', which differ in learning rate and seeds only.
    public var spec: RunSpec
    /// What the CSV calls config: the model's compact JSON; with the keys `task` and `training` where the suite has
    /// several of them and they are needed to tell rows apart.
    public var config: String
    public var facts: ModelFacts
    /// The best on validation.
    public var learningRate: Double
    /// Whether it is the smallest or the largest of several tried.
    public var learningRateAtEdge: Bool
    /// Decades from the smallest to the largest of the learning rates tried around the best, without a gap, whose
    /// validation accuracy is within 0.05 of the best's; nil where only one was tried.
    public var learningRateWindowDecades: Double?
    /// The learning rates tried, ascending.
    public var points: [LearningRatePoint]
    /// Over seeds, at the best learning rate.
    public var testAccuracy: Statistics
    public var outcome: Outcome
    public var onFrontier: Bool

    public var seeds: Int { testAccuracy.count }
}

/// Recall for each byte of state: a suite's models at their best learning rates, and whether its control allows to
/// believe them.
///
/// Learning rates are chosen on validation alone; what is reported is test.
public struct Tradeoff: Sendable {
    public let suite: SuiteRecord
    /// By task and model in the suite's order, then by state.
    public let rows: [TradeoffRow]
    public let verdict: ControlVerdict

    /// Within this of the best, a validation accuracy counts as good.
    static let windowTolerance = 0.05
    /// What a solved task reaches where the suite does not say.
    static let defaultThreshold = 0.99

    /// - Parameter runs: those of the suite, in its order.
    public init(suite: SuiteRecord, runs: [StoredRun]) {
        self.suite = suite
        var groups: [GroupKey: [StoredRun]] = [:]
        var order: [GroupKey] = []
        for run in runs {
            let key = GroupKey(run)
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(run)
        }
        let severalTasks = Set(order.map(\.taskIdentity)).count > 1
        let trainings = Dictionary(grouping: order) { "\($0.taskIdentity)\n\($0.model)\n\($0.config)" }
        var found: [(key: GroupKey, row: TradeoffRow)] = []
        for key in order {
            guard var row = Self.row(of: groups[key] ?? [], suite: suite) else { continue }
            let severalTrainings =
                (trainings["\(key.taskIdentity)\n\(key.model)\n\(key.config)"]?.count ?? 0) > 1
            row.config = key.configuration(withTask: severalTasks, withTraining: severalTrainings)
            found.append((key, row))
        }
        for index in found.indices {
            let rivals = found.filter { $0.key.taskIdentity == found[index].key.taskIdentity }.map(\.row)
            found[index].row.onFrontier = Self.isOnFrontier(found[index].row, among: rivals)
        }
        let taskOrder = Self.places(order.map(\.taskIdentity))
        let modelOrder = Self.places(order.map(\.model))
        rows = found.enumerated().sorted { one, other in
            func place(_ entry: (offset: Int, element: (key: GroupKey, row: TradeoffRow))) -> [Int] {
                [
                    taskOrder[entry.element.key.taskIdentity] ?? 0, modelOrder[entry.element.key.model] ?? 0,
                    entry.element.row.facts.stateBytes, entry.offset,
                ]
            }
            return place(one).lexicographicallyPrecedes(place(other))
        }.map(\.element.row)
        verdict = ControlVerdict(
            suite: suite, runs: runs, rows: found.map { ($0.key.taskIdentity, $0.row) },
            taskIdentity: { GroupKey($0).taskIdentity })
    }

    /// The tradeoff of a suite as it stands in a store; nil where there is no such suite.
    public init?(suite name: String, in store: Store) throws(StoreError) {
        guard let suite = try store.suite(named: name) else { return nil }
        self.init(suite: suite, runs: try store.runs(suite: name))
    }

    private static func places(_ names: [String]) -> [String: Int] {
        Dictionary(names.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: min)
    }

    // MARK: - One row

    /// The row of runs that differ in learning rate and seeds only; nil before one of them is finished.
    private static func row(of runs: [StoredRun], suite: SuiteRecord) -> TradeoffRow? {
        let ended = runs.filter { $0.isScored || $0.status == .failed }
        let byRate = Dictionary(grouping: ended) { $0.spec.training.learningRate }
        let points = byRate.keys.sorted().map { point(at: $0, byRate[$0] ?? []) }
        // Means of unequal numbers of seeds do not compare: a lucky single seed would beat the mean of several.
        let candidates = points.filter { point in
            byRate[point.learningRate]?.contains(where: \.isScored) ?? false
        }
        let mostSeeds = candidates.map(\.seeds).max()
        guard
            let best = candidates.filter({ $0.seeds == mostSeeds }).min(by: {
                ($1.validationAccuracy, $0.validationLoss, $0.learningRate)
                    < ($0.validationAccuracy, $1.validationLoss, $1.learningRate)
            }),
            let chosen = byRate[best.learningRate]?.filter(\.isScored), let first = chosen.first
        else { return nil }
        let statistics = Statistics(chosen.compactMap(\.testAccuracy))
        return TradeoffRow(
            suite: suite.name, task: first.task, model: first.model, spec: first.spec, config: "",
            facts: first.facts,
            learningRate: best.learningRate,
            learningRateAtEdge: points.count > 1 && [points.first, points.last].contains(best),
            learningRateWindowDecades: points.count > 1 ? window(around: best, in: points) : nil,
            points: points,
            testAccuracy: statistics, outcome: outcome(of: chosen, testMean: statistics.mean, suite: suite),
            onFrontier: false)
    }

    private static func point(at learningRate: Double, _ runs: [StoredRun]) -> LearningRatePoint {
        let count = Double(runs.count)
        return LearningRatePoint(
            learningRate: learningRate, seeds: runs.count,
            validationAccuracy: runs.map { $0.isScored ? $0.validationAccuracy ?? 0 : 0 }.sorted().reduce(0, +)
                / count,
            validationLoss: runs.map { $0.isScored ? $0.validationLoss ?? .infinity : .infinity }.sorted()
                .reduce(0, +) / count)
    }

    private static func window(around best: LearningRatePoint, in points: [LearningRatePoint]) -> Double {
        guard let place = points.firstIndex(of: best) else { return 0 }
        // Rounding in the means must not decide about a point that is exactly as far off as allowed.
        let floor = best.validationAccuracy - windowTolerance - 1e-12
        let isGood = { (point: LearningRatePoint) in point.validationAccuracy >= floor }
        let below = points[..<place].reversed().prefix(while: isGood).last ?? best
        let above = points[(place + 1)...].prefix(while: isGood).last ?? best
        return log10(above.learningRate / below.learningRate)
    }

    /// What became of a point, from the runs at its best learning rate; the first that holds:
    ///
    /// 1. `solved`: the mean test accuracy reaches the suite's threshold: the control's minimum, else `stop_at_accuracy`,
    ///    else 0.99.
    /// 2. `not-learned`: no epoch of any seed brought the training loss more than 2 % below ln(V/2), that of a guess
    ///    among all values.
    /// 3. `overfit`: the training set is fit better than validation: with p = exp(-training loss) the geometric mean of
    ///    the probability of the right answer, p is at least 0.95 while validation accuracy is below 0.9, or p exceeds
    ///    validation accuracy by 0.1. (Dropout lowers p, so this errs on the side of `capacity`.)
    /// 4. `capacity`: it learned, and stopped short.
    static func outcome(of runs: [StoredRun], testMean: Double, suite: SuiteRecord) -> Outcome {
        precondition(!runs.isEmpty, "the outcome of no runs")
        let spec = runs[0].spec
        let threshold = suite.controlMinimum ?? spec.training.stopAtAccuracy ?? defaultThreshold
        if testMean >= threshold { return .solved }
        let chance = log(Double(spec.task.vocabSize) / 2)
        let lowest = runs.compactMap { $0.lowestTrainLoss ?? $0.trainLoss }.min() ?? .infinity
        if lowest >= 0.98 * chance { return .notLearned }
        let count = Double(runs.count)
        let fit = exp(-runs.map { $0.trainLoss ?? .infinity }.sorted().reduce(0, +) / count)
        let validation = runs.map { $0.validationAccuracy ?? 0 }.sorted().reduce(0, +) / count
        return (fit >= 0.95 && validation < 0.9) || fit - validation >= 0.1 ? .overfit : .capacity
    }

    /// Whether no other row has at most as much state and at least the accuracy, one of them strictly better. Rows equal
    /// in both are on the frontier together.
    private static func isOnFrontier(_ row: TradeoffRow, among rows: [TradeoffRow]) -> Bool {
        let (state, accuracy) = (row.facts.stateBytes, row.testAccuracy.mean)
        return !rows.contains {
            let (otherState, otherAccuracy) = ($0.facts.stateBytes, $0.testAccuracy.mean)
            return otherState <= state && otherAccuracy >= accuracy
                && (otherState < state || otherAccuracy > accuracy)
        }
    }
}

extension StoredRun {
    /// Finished, with an accuracy to show for it.
    var isScored: Bool { status == .finished && testAccuracy != nil }
}

/// What runs of one row have in common: everything but the learning rate, the seed and the data's seed.
private struct GroupKey: Hashable {
    let taskName: String
    let task: String
    let model: String
    let config: String
    let training: String

    init(_ run: StoredRun) {
        var (task, training) = (run.spec.task, run.spec.training)
        task.dataSeed = 0
        training.learningRate = 0
        (taskName, self.task, model) = (run.task, RunSpec.json(task), run.model)
        (config, self.training) = (RunSpec.json(run.spec.model), RunSpec.json(training))
    }

    var taskIdentity: String { taskName + "\n" + task }

    func configuration(withTask: Bool, withTraining: Bool) -> String {
        guard withTask || withTraining else { return config }
        var parts = ["\"model\":\(config)"]
        if withTask { parts.append("\"task\":\(task)") }
        if withTraining { parts.append("\"training\":\(training)") }
        return "{" + parts.joined(separator: ",") + "}"
    }
}
