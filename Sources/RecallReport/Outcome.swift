import Foundation
import RecallData
import RecallStore

/// What became of a point of the tradeoff.
public enum Outcome: String, CaseIterable, Sendable {
    case solved, capacity, overfit
    case notLearned = "not-learned"
}

extension Outcome {
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
    init(of runs: [StoredRun], testMean: Double, suite: SuiteRecord) {
        precondition(!runs.isEmpty, "the outcome of no runs")
        let spec = runs[0].spec
        let threshold = suite.controlMinimum ?? spec.training.stopAtAccuracy ?? Tradeoff.defaultThreshold
        if testMean >= threshold {
            self = .solved
            return
        }
        if !spec.task.hasLeftChance(Self.lowestTrainLoss(of: runs)) {
            self = .notLearned
            return
        }
        let count = Double(runs.count)
        let fit = exp(-runs.map { $0.trainLoss ?? .infinity }.sorted().reduce(0, +) / count)
        let validation = runs.map { $0.validationAccuracy ?? 0 }.sorted().reduce(0, +) / count
        self = (fit >= 0.95 && validation < 0.9) || fit - validation >= 0.1 ? .overfit : .capacity
    }

    /// Of all their epochs, nats a label; infinite where none is on record.
    static func lowestTrainLoss(of runs: [StoredRun]) -> Double {
        runs.compactMap { $0.lowestTrainLoss ?? $0.trainLoss }.min() ?? .infinity
    }
}
