import Foundation
import RecallData
import RecallSuite
import RecallTraining

/// One learning rate of a model: its runs taken together.
public struct LearningRatePoint: Equatable, Sendable {
    public var learningRate: Double
    /// Runs that ended, finished or failed.
    public var seeds: Int
    /// The mean over those seeds, 0 for a failed one.
    public var validationAccuracy: Double
    /// The mean over those seeds, infinite with a failed one.
    public var validationLoss: Double
    /// Whether a seed's training loss left chance (`MQARTask.hasLeftChance`).
    public var hasLeftChance: Bool
}

/// One point of the tradeoff: a model of a suite at its best learning rate.
public struct TradeoffRow: Equatable, Sendable {
    public var suite: String
    /// The task's id in the suite.
    public var task: String
    public var model: String
    /// A run of the row: its specification stands for the others', which differ in learning rate and seeds only.
    public var spec: RunSpec
    public var facts: ModelFacts
    /// The best on validation.
    public var learningRate: Double
    /// Whether it is the smallest or the largest of several tried.
    public var learningRateAtEdge: Bool
    /// From the smallest to the largest of the learning rates tried around the best, without a gap, whose validation
    /// accuracy is within 0.05 of the best's; nil where only one was tried, or where the best has not left chance: then they
    /// are all as good, and it is no window.
    public var learningRateWindow: ClosedRange<Double>?
    /// The learning rates tried, ascending.
    public var points: [LearningRatePoint]
    /// Over all seeds that finished, at the best learning rate.
    public var testAccuracy: Statistics
    /// The runs that it is over, in the suite's order.
    public var runIDs: [String]
    /// The test accuracy of each of those runs.
    public var seedAccuracies: [Double]
    /// The seeds of each of those runs, "data seed/seed": what is paired with another row's.
    public var seedNames: [String]
    /// Runs at the best learning rate that failed: in no mean and no interval.
    public var failedSeeds: Int
    /// Over the seeds of initialisation on one set of data, and over the seeds of the data under one initialisation; nil
    /// where there is one.
    public var accuracyOfInitialisations: Statistics?
    public var accuracyOfData: Statistics?
    /// The lowest training loss of an epoch of any of its runs, nats a label.
    public var lowestTrainLoss: Double
    /// Test accuracy on sequences at most as long as the longest trained, and on longer ones, the mean over seeds; nil
    /// where the test split has none.
    public var accuracyAtTrainedLengths: Double?
    public var accuracyBeyondTraining: Double?
    public var outcome: Outcome
    public var standing: Standing
    /// Among the rows on its task under its training; nil where it competes with none.
    public var ranking: Ranking?

    /// The window's width in decades.
    public var learningRateWindowDecades: Double? {
        learningRateWindow.map { log10($0.upperBound / $0.lowerBound) }
    }

    /// Whether its seeds lie more than 0.2 apart: they may be of two kinds, and the mean of neither.
    public var seedsSpread: Bool { testAccuracy.isSpread }

    /// Labels that a test accuracy is the share of: every pair of every test example.
    public var testLabels: Int { spec.task.testLabels }

    /// Runs at the best learning rate that finished.
    public var seeds: Int { testAccuracy.count }

    /// "3"; "3 of 4" where one failed.
    var seedCount: String { failedSeeds == 0 ? "\(seeds)" : "\(seeds) of \(seeds + failedSeeds)" }

    /// Whether the accuracy is that of a guess among the values of the sequence itself, or at most a fifth above: answers
    /// are told from other tokens, and not from one another. Nothing can be told where that guess is mostly right.
    public var isGuessAmongSequence: Bool {
        Contender.isGuess(testAccuracy.mean, chanceInSequence: spec.task.chanceAccuracyInSequence)
    }

    /// Rates that the full grid at the resolution of the suite's search would have; nil without a search.
    public func fullGrid(of search: LearningRateSearch?) -> Int? {
        search.map { $0.fullGrid(covering: points.map(\.learningRate)) }
    }
}
