import RecallData
import RecallModels

/// One line of a run's history, made at the end of an epoch.
public struct EpochRecord: Equatable, Codable, Sendable {
    /// 1 for the first.
    public var epoch: Int
    /// Optimiser steps done so far.
    public var step: Int
    /// The learning rate of the epoch's last step.
    public var learningRate: Double
    /// The mean over the epoch's labelled positions.
    public var trainLoss: Double
    public var validationLoss: Double
    public var validationAccuracy: Double
    /// Seconds of training and evaluation since the run began, over all sittings.
    public var seconds: Double

    public init(
        epoch: Int,
        step: Int,
        learningRate: Double,
        trainLoss: Double,
        validationLoss: Double,
        validationAccuracy: Double,
        seconds: Double
    ) {
        (self.epoch, self.step, self.learningRate, self.trainLoss) = (epoch, step, learningRate, trainLoss)
        (self.validationLoss, self.validationAccuracy) = (validationLoss, validationAccuracy)
        self.seconds = seconds
    }
}

/// Accuracy on one segment of a split.
public struct SliceAccuracy: Equatable, Codable, Sendable {
    public var split: Split
    public var sequenceLength: Int
    public var kvPairs: Int
    public var examples: Int
    /// The mean over examples of the share of right answers within each.
    public var accuracy: Double

    public init(split: Split, sequenceLength: Int, kvPairs: Int, examples: Int, accuracy: Double) {
        (self.split, self.sequenceLength, self.kvPairs) = (split, sequenceLength, kvPairs)
        (self.examples, self.accuracy) = (examples, accuracy)
    }
}

extension Evaluation {
    /// The slices as a run's result keeps them.
    func accuracies(of split: Split) -> [SliceAccuracy] {
        slices.map {
            SliceAccuracy(
                split: split,
                sequenceLength: $0.segment.sequenceLength,
                kvPairs: $0.segment.kvPairs,
                examples: $0.segment.examples,
                accuracy: $0.accuracy
            )
        }
    }
}

/// What is known of a model before it trains.
public struct ModelFacts: Equatable, Codable, Sendable {
    /// Trained numbers, the tied table once.
    public var parameters: Int
    /// Bytes that one sequence carries from token to token after the longest test length, measured.
    public var stateBytes: Int
    /// What the published harness's formula gives for the same model; nil where it gives none.
    public var stateBytesZoology: Int?
    /// `stateBytes` by layer and kind; empty where nobody has itemised them.
    public var stateItems: [StateItem]

    public init(parameters: Int, stateBytes: Int, stateBytesZoology: Int?, stateItems: [StateItem] = []) {
        (self.parameters, self.stateBytes, self.stateBytesZoology) = (parameters, stateBytes, stateBytesZoology)
        self.stateItems = stateItems
    }
}

/// What a finished run reports.
public struct RunResult: Equatable, Codable, Sendable {
    public var epochs: Int
    public var steps: Int
    /// Of the last epoch.
    public var trainLoss: Double
    public var validationLoss: Double
    public var validationAccuracy: Double
    public var testLoss: Double
    public var testAccuracy: Double
    public var slices: [SliceAccuracy]
    /// Seconds in training steps alone.
    public var trainSeconds: Double
    /// Training tokens over `trainSeconds`.
    public var tokensPerSecond: Double

    public init(
        epochs: Int,
        steps: Int,
        trainLoss: Double,
        validationLoss: Double,
        validationAccuracy: Double,
        testLoss: Double,
        testAccuracy: Double,
        slices: [SliceAccuracy],
        trainSeconds: Double,
        tokensPerSecond: Double
    ) {
        (self.epochs, self.steps, self.trainLoss) = (epochs, steps, trainLoss)
        (self.validationLoss, self.validationAccuracy) = (validationLoss, validationAccuracy)
        (self.testLoss, self.testAccuracy, self.slices) = (testLoss, testAccuracy, slices)
        (self.trainSeconds, self.tokensPerSecond) = (trainSeconds, tokensPerSecond)
    }
}
