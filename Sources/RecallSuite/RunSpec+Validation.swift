import RecallModels
import RecallTraining

/// A specification that is no run's: the setting to blame and what it may be.
public struct SpecificationError: Error, Hashable, Sendable, CustomStringConvertible {
    public let message: String

    public var description: String { oneLine(message) }
}

extension RunSpec {
    /// The specification with its model in canonical form, held to what a suite may say: one that another program wrote is
    /// read with no suite.
    ///
    /// - Throws: `SpecificationError` for the first setting that no suite may have.
    public func validated() throws(SpecificationError) -> RunSpec {
        var spec = self
        do { spec.model = try model.resolved() } catch {
            throw SpecificationError(message: error.message)
        }
        do { try task.validate() } catch {
            throw SpecificationError(message: "task.\(error)")
        }
        func require(_ holds: Bool, _ setting: String, _ expectation: String, _ value: some Any)
            throws(SpecificationError)
        {
            if !holds {
                throw SpecificationError(message: "\(setting) must be \(expectation), not \(value)")
            }
        }
        func integer(_ value: Int, _ range: ClosedRange<Int>, _ setting: String) throws(SpecificationError) {
            try require(
                range.contains(value),
                setting,
                "an integer from \(range.lowerBound) to \(range.upperBound)",
                value
            )
        }
        try integer(model.dModel, ModelDecoding.widths, "model.d_model")
        try require(
            model.layers.count <= ModelDecoding.maximumLayers,
            "model.layers",
            "at most \(ModelDecoding.maximumLayers) layers",
            model.layers.count
        )
        try integer(training.epochs, TrainingDecoding.epochs, "training.epochs")
        try integer(training.batchSize, TrainingDecoding.batchSizes, "training.batch_size")
        let (rate, decay) = (training.learningRate, training.weightDecay)
        try require(rate.isFinite && rate > 0, "training.learning_rate", "a number above 0", rate)
        try require(decay.isFinite && decay >= 0, "training.weight_decay", "a number from 0", decay)
        if let accuracy = training.stopAtAccuracy {
            try require(
                TrainingDecoding.accuracies.contains(accuracy),
                "training.stop_at_accuracy",
                "a number from 0 to 1",
                accuracy
            )
        }
        return spec
    }
}
