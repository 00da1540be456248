import Foundation
import RecallData
import RecallStore
import RecallSuite
import RecallTraining

/// Recall for each byte of state: a suite's models at their best learning rates, and whether its control allows to
/// believe them.
///
/// Learning rates are chosen on validation alone; what is reported is test.
public struct Tradeoff: Sendable {
    public let suite: SuiteRecord
    /// The names of the suite's models in its order, those without a finished run among them.
    public let models: [String]
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
        var known: Set<String> = []
        models = runs.map(\.model).filter { known.insert($0).inserted }
        var groups: [GroupKey: [StoredRun]] = [:]
        var order: [GroupKey] = []
        for run in runs {
            let key = GroupKey(run)
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(run)
        }
        var found: [(key: GroupKey, row: TradeoffRow)] = []
        for key in order {
            guard let row = Self.row(of: groups[key] ?? [], suite: suite) else { continue }
            found.append((key, row))
        }
        for panel in Dictionary(grouping: found.indices, by: { found[$0].key.panel }).values {
            let competition = Competition(panel.map { Contender(found[$0].row) })
            for (place, index) in panel.enumerated() {
                found[index].row.standing = competition.standings[place]
                found[index].row.ranking = competition.rankings[place]
            }
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
            suite: suite,
            runs: runs,
            rows: found.map { ($0.key.taskIdentity, $0.row) },
            taskIdentity: { GroupKey($0).taskIdentity }
        )
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
        let competing = CompetingRuns(ended, search: suite.search)
        let compared = Dictionary(grouping: competing.runs) { $0.spec.training.learningRate }
        let points = compared.keys.sorted().map { point(at: $0, compared[$0] ?? []) }
        // Means of unequal numbers of seeds do not compare: a lucky single seed would beat the mean of several.
        let candidates = points.filter { point in
            (competing.chosen ?? point.learningRate) == point.learningRate
                && compared[point.learningRate]?.contains(where: \.isScored) ?? false
        }
        let mostSeeds = candidates.map(\.seeds).max()
        guard
            let best = candidates.filter({ $0.seeds == mostSeeds }).min(by: {
                ($1.validationAccuracy, $0.validationLoss, $0.learningRate)
                    < ($0.validationAccuracy, $1.validationLoss, $1.learningRate)
            }),
            let chosen = byRate[best.learningRate]?.filter(\.isScored), let first = chosen.first
        else { return nil }
        let lengths = LengthAccuracies(of: chosen)
        let statistics = Statistics(chosen.compactMap(\.testAccuracy), labels: first.spec.task.testLabels)
        return TradeoffRow(
            suite: suite.name,
            task: first.task,
            model: first.model,
            spec: first.spec,
            facts: first.facts,
            learningRate: best.learningRate,
            learningRateAtEdge: points.count > 1 && [points.first, points.last].contains(best),
            learningRateWindow: points.count > 1 && best.hasLeftChance
                ? window(around: best, in: points) : nil,
            points: points,
            testAccuracy: statistics,
            runIDs: chosen.map(\.runID),
            seedAccuracies: chosen.compactMap(\.testAccuracy),
            seedNames: chosen.map { "\($0.spec.task.dataSeed)/\($0.spec.seed)" },
            failedSeeds: byRate[best.learningRate]?.count { $0.status == .failed } ?? 0,
            accuracyOfInitialisations: spread(chosen, over: \.spec.seed, at: \.spec.task.dataSeed),
            accuracyOfData: spread(chosen, over: \.spec.task.dataSeed, at: \.spec.seed),
            lowestTrainLoss: Outcome.lowestTrainLoss(of: chosen),
            accuracyAtTrainedLengths: lengths.trained,
            accuracyBeyondTraining: lengths.beyond,
            outcome: Outcome(of: chosen, testMean: statistics.mean, suite: suite),
            standing: .off
        )
    }

    /// The accuracies of the runs that differ in one seed and have the smallest other that goes with several.
    private static func spread(
        _ runs: [StoredRun],
        over seed: KeyPath<StoredRun, UInt64>,
        at other: KeyPath<StoredRun, UInt64>
    ) -> Statistics? {
        let families = Dictionary(grouping: runs) { $0[keyPath: other] }.filter { $0.value.count > 1 }
        guard let first = families.keys.min(), let family = families[first] else { return nil }
        return Statistics(family.compactMap(\.testAccuracy), labels: family[0].spec.task.testLabels)
    }

    private static func point(at learningRate: Double, _ runs: [StoredRun]) -> LearningRatePoint {
        let mean = LearningRateTrial.mean(of: runs.map(\.trial))
        return LearningRatePoint(
            learningRate: learningRate,
            seeds: runs.count,
            validationAccuracy: mean.accuracy,
            validationLoss: mean.loss,
            hasLeftChance: mean.hasLeftChance
        )
    }

    private static func window(
        around best: LearningRatePoint,
        in points: [LearningRatePoint]
    ) -> ClosedRange<Double> {
        guard let place = points.firstIndex(of: best) else { return best.learningRate...best.learningRate }
        // Rounding in the means must not decide about a point that is exactly as far off as allowed.
        let floor = best.validationAccuracy - windowTolerance - 1e-12
        let isGood = { (point: LearningRatePoint) in point.validationAccuracy >= floor }
        let below = points[..<place].reversed().prefix(while: isGood).last ?? best
        let above = points[(place + 1)...].prefix(while: isGood).last ?? best
        return below.learningRate...above.learningRate
    }
}

extension StoredRun {
    /// Finished, with an accuracy to show for it: a file may hold any number in its place.
    var isScored: Bool { status == .finished && testAccuracy.map((0...1).contains) == true }
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

    /// Rows of one are held against one another: those on the same task under the same training.
    var panel: String { taskIdentity + "\n" + training }
}
