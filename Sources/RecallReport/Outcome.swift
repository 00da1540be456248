import Foundation
import RecallData
import RecallInput
import RecallStore

/// What became of a point of the tradeoff: what its numbers show, and never a cause.
public enum Outcome: String, CaseIterable, Sendable {
    case solved
    case notLearned = "not-learned"
    case overfit
    case dropsBeyondTraining = "drops-beyond-training"
    case stillImproving = "still-improving"
    case belowThreshold = "below-threshold"

    /// The outcome that a table names, an earlier table among them; nil for a name that no version has written.
    public init?(tableName: String) {
        // Written until it was seen to name a cause that nothing had tested.
        self.init(rawValue: tableName == "capacity" ? Self.belowThreshold.rawValue : tableName)
    }
}

extension Outcome {
    /// From here on a training set is fit better than validation, and an accuracy drops beyond the lengths of training.
    static let margin = 0.1
    /// From here on an accuracy has risen.
    static let rise = 0.005
    /// Rounding must not decide about a difference that is exactly as large as asked for.
    private static let tolerance = 1e-12

    /// What became of a point, from the runs at its best learning rate; the first that holds:
    ///
    /// 1. `solved`: the mean test accuracy reaches the suite's threshold: the control's minimum, else `stop_at_accuracy`,
    ///    else 0.99.
    /// 2. `not-learned`: no epoch of any seed brought the training loss more than 2 % below ln(V/2), that of a guess
    ///    among all values.
    /// 3. `overfit`: the training set is fit better than validation at the lengths that were trained: with
    ///    p = exp(-training loss) the geometric mean of the probability of the right answer, p is at least 0.95 while that
    ///    validation accuracy is below 0.9, or p exceeds it by 0.1. (Dropout lowers p, so this errs on the side of the
    ///    outcomes below.)
    /// 4. `drops-beyond-training`: the test accuracy on sequences longer than any trained is lower by 0.1 or more than on
    ///    the others.
    /// 5. `still-improving`: see `isStillImproving(_:)`.
    /// 6. `below-threshold`: none of these.
    init(of runs: [StoredRun], testMean: Double, suite: SuiteRecord) {
        precondition(!runs.isEmpty, "the outcome of no runs")
        let spec = runs[0].spec
        let threshold = suite.controlMinimum ?? spec.training.stopAtAccuracy ?? Tradeoff.defaultThreshold
        if testMean >= threshold {
            self = .solved
        } else if !spec.task.hasLeftChance(Self.lowestTrainLoss(of: runs)) {
            self = .notLearned
        } else if Self.isOverfit(runs) {
            self = .overfit
        } else if LengthAccuracies(of: runs).drop.map({ $0 >= Self.margin - Self.tolerance }) ?? false {
            self = .dropsBeyondTraining
        } else {
            self = Self.isStillImproving(runs) ? .stillImproving : .belowThreshold
        }
    }

    /// Of all their epochs, nats a label; infinite where none is on record.
    static func lowestTrainLoss(of runs: [StoredRun]) -> Double {
        runs.compactMap { $0.lowestTrainLoss ?? $0.trainLoss }.min() ?? .infinity
    }

    private static func isOverfit(_ runs: [StoredRun]) -> Bool {
        let validations = runs.compactMap(\.validationAtTrainedLengths)
        // Where validation is of longer sequences alone, nothing stands beside the training loss.
        guard validations.count == runs.count else { return false }
        let count = Double(runs.count)
        let fit = exp(-runs.map { $0.trainLoss ?? .infinity }.sorted().reduce(0, +) / count)
        let validation = validations.sorted().reduce(0, +) / count
        return (fit >= 0.95 && validation < 0.9) || fit - validation >= margin
    }

    /// Whether more epochs may have given more: validation accuracy rose by 0.005 or more from the epoch at 50 % of the
    /// schedule to that at 75 % (both rounded up, the mean over seeds), or a seed was stopped before the end of its
    /// schedule by an epoch that brought as much.
    private static func isStillImproving(_ runs: [StoredRun]) -> Bool {
        let rises = runs.compactMap { run -> Double? in
            let epochs = run.spec.training.epochs
            let (half, threeQuarters) = (epochs.plus(1) / 2, epochs - epochs / 4)
            guard let before = run.validationCurve[half], let after = run.validationCurve[threeQuarters] else {
                return nil
            }
            return after - before
        }
        let mean = rises.isEmpty ? 0 : rises.sorted().reduce(0, +) / Double(rises.count)
        return mean >= rise - tolerance || runs.contains(where: wasStoppedRising)
    }

    private static func wasStoppedRising(_ run: StoredRun) -> Bool {
        guard let last = run.epochs, last < run.spec.training.epochs, let end = run.validationCurve[last] else {
            return false
        }
        // Before its first epoch a model guesses.
        let before = last == 1 ? run.spec.task.chanceAccuracy : run.validationCurve[last.minus(1)]
        return before.map { end - $0 >= rise - tolerance } ?? false
    }
}

/// Test accuracy by whether a sequence is longer than any of training, the mean over seeds.
struct LengthAccuracies: Equatable {
    /// On sequences at most as long as the longest trained; nil where the test split has none, or no run its slices.
    var trained: Double?
    /// On longer ones; nil likewise.
    var beyond: Double?

    /// How much lower the accuracy beyond is; nil where the test split does not have both.
    var drop: Double? {
        guard let trained, let beyond else { return nil }
        return trained - beyond
    }

    init(of runs: [StoredRun]) {
        func mean(beyond: Bool) -> Double? {
            let values = runs.compactMap { run in
                run.accuracy(.test) { ($0 > run.spec.task.longestTrainedLength) == beyond }
            }
            return values.isEmpty ? nil : values.sorted().reduce(0, +) / Double(values.count)
        }
        (trained, beyond) = (mean(beyond: false), mean(beyond: true))
    }
}

extension MQARTask {
    /// The longest sequence of the training split.
    fileprivate var longestTrainedLength: Int { train.map(\.sequenceLength).max() ?? 0 }
}

extension StoredRun {
    /// The accuracy over the examples of a split whose sequence length is asked for; nil where no slice is of one, or one
    /// is not finite.
    fileprivate func accuracy(_ split: Split, where isOne: (Int) -> Bool) -> Double? {
        let found = slices.filter { $0.split == split && isOne($0.sequenceLength) }
        let examples = found.map(\.examples).saturatingSum()
        guard examples > 0 else { return nil }
        let sum = found.reduce(0.0) { $0 + Double($1.examples) * $1.accuracy }
        return sum.isFinite ? sum / Double(examples) : nil
    }

    /// Validation accuracy on sequences at most as long as the longest trained; nil where validation has none.
    fileprivate var validationAtTrainedLengths: Double? {
        let longest = spec.task.longestTrainedLength
        let segments = spec.task.validation
        // A run of one kind of length needs no slices: the accuracy as a whole is that.
        if segments.allSatisfy({ $0.sequenceLength <= longest }) { return validationAccuracy ?? 0 }
        return accuracy(.validation) { $0 <= longest }
    }
}
