import RecallData

/// What a row's place is computed from, wherever the row comes from: a store, or a CSV that was exported from one.
public struct Contender: Equatable, Sendable {
    public var stateBytes: Int
    /// The 95 % interval of the accuracy; from the lowest to the highest seed where there are too few for one.
    public var accuracyRange: ClosedRange<Double>
    /// The test accuracies of the seeds that finished, by the names that pair them with another row's; empty where they
    /// are not known.
    public var seeds: [String: Double]
    /// Labels that each of those accuracies is the share of; nil where it is not known.
    public var testLabels: Int?
    /// Seeds that failed: what they would have reached is not known.
    public var failedSeeds: Int
    /// Whether the accuracy is that of a guess among the sequence's own values: then nothing is recalled, and the row does
    /// not compete.
    public var isGuess: Bool

    public init(
        stateBytes: Int,
        accuracyRange: ClosedRange<Double>,
        seeds: [String: Double] = [:],
        testLabels: Int? = nil,
        failedSeeds: Int = 0,
        isGuess: Bool = false
    ) {
        (self.stateBytes, self.accuracyRange, self.seeds) = (stateBytes, accuracyRange, seeds)
        (self.testLabels, self.failedSeeds, self.isGuess) = (testLabels, failedSeeds, isGuess)
    }

    public init(_ row: TradeoffRow) {
        self.init(
            stateBytes: row.facts.stateBytes,
            accuracyRange: row.testAccuracy.range,
            seeds: Dictionary(
                zip(row.seedNames, row.seedAccuracies),
                uniquingKeysWith: { first, _ in first }
            ),
            testLabels: row.testLabels,
            failedSeeds: row.failedSeeds,
            isGuess: row.isGuessAmongSequence
        )
    }

    /// Whether an accuracy is that of a guess among the sequence's own values, or at most a fifth above. Nothing can be
    /// told where that guess is mostly right.
    ///
    /// - Parameter chanceInSequence: `MQARTask.chanceAccuracyInSequence`.
    public static func isGuess(_ accuracy: Double, chanceInSequence: Double) -> Bool {
        let bound = 1.2 * chanceInSequence
        return bound < 1 && accuracy <= bound
    }
}

extension MQARTask {
    /// Labels of the test split: every pair of every example. A specification that a damaged database has may have none.
    var testLabels: Int { max(1, test.labels) }
}
