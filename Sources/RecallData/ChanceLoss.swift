import Foundation

extension MQARTask {
    /// ln(V/2), nats: the loss of a guess among all values, where a model that has learnt nothing begins.
    public var chanceLoss: Double { Self.chanceLoss(vocabSize: vocabSize) }

    private static func chanceLoss(vocabSize: Int) -> Double { log(Double(vocabSize) / 2) }

    /// The mean of ln n over the labels of the training split, nats: the loss of a guess among the n values that stand in
    /// the sequence itself. A model that ends here has learnt which tokens are answers, and not which answer is whose.
    public var chanceLossInSequence: Double {
        let labels = train.map { Double($0.kvPairs) * Double($0.examples) }
        let loss = zip(train, labels).reduce(0) { $0 + log(Double($1.0.kvPairs)) * $1.1 }
        return loss / labels.reduce(0, +)
    }

    /// Whether a training loss has left `chanceLoss` behind, by more than 2 %.
    ///
    /// - Parameter loss: the lowest of a run's epochs, nats a label.
    public func hasLeftChance(_ loss: Double) -> Bool { Self.hasLeftChance(loss, vocabSize: vocabSize) }

    /// The same for a task of which only the vocabulary is at hand.
    public static func hasLeftChance(_ loss: Double, vocabSize: Int) -> Bool {
        loss < 0.98 * chanceLoss(vocabSize: vocabSize)
    }

    /// 2/V: the accuracy of a guess among all values.
    public var chanceAccuracy: Double { 2 / Double(vocabSize) }

    /// The mean over the test split's examples of 1/n: the accuracy of a guess among the sequence's own values.
    public var chanceAccuracyInSequence: Double {
        let examples = test.reduce(0.0) { $0 + Double($1.examples) }
        return test.reduce(0) { $0 + Double($1.examples) / Double($1.kvPairs) } / examples
    }
}
