/// The sizes of a batch of examples.
public struct BatchShape: Equatable, Sendable {
    /// Sequences.
    public var batch: Int
    /// L.
    public var length: Int
    /// Labelled positions of a sequence.
    public var pairs: Int

    public init(batch: Int, length: Int, pairs: Int) {
        (self.batch, self.length, self.pairs) = (batch, length, pairs)
    }
}

/// What differs between two steps of one shape: all that a device which records its steps must look up anew.
public struct StepScalars {
    /// The update's numbers. Its step less one keys dropout.
    public var update: AdamWStep
    /// Examples in the device's memory: (any, length).
    public var tokens: Integers
    /// (any, pairs), ascending within an example: where the labels stand in their sequence.
    public var positions: Integers
    /// (any, pairs).
    public var labels: Integers
    /// The step's examples: numbers of `tokens`' rows, as many as its batch has.
    public var order: Integers
    /// Where the sum of the losses goes.
    public var loss: UnsafeMutablePointer<Double>
    /// Where the number of right answers goes.
    public var correct: UnsafeMutablePointer<Double>

    public init(
        update: AdamWStep,
        tokens: Integers,
        positions: Integers,
        labels: Integers,
        order: Integers,
        loss: UnsafeMutablePointer<Double>,
        correct: UnsafeMutablePointer<Double>
    ) {
        (self.update, self.tokens, self.positions, self.labels) = (update, tokens, positions, labels)
        (self.order, self.loss, self.correct) = (order, loss, correct)
    }
}

/// Batches out of examples that lie in device memory, and what is remembered of each. Only within `Backend.step`, whose
/// scalars say which examples, and where to.
public protocol BatchKernels {
    /// Takes the step's examples.
    ///
    /// - Parameters:
    ///   - tokens: (batch, length), written. rows: (batch, pairs), written: the positions as rows of the flattened
    ///     (batch · length). labels: (batch, pairs), written.
    func gatherBatch(
        _ shape: BatchShape,
        tokens: MutableIntegers,
        rows: MutableIntegers,
        labels: MutableIntegers
    )

    /// Writes the sum of a step's right answers, in Float64.
    func recordCorrect(_ count: Int, correct: Floats)

    /// Writes the sum of a step's losses, in Float64. Once it is not finite, a device leaves the parameters as they are.
    ///
    /// - Returns: false where it is known already that it is not, and the step's rest need not be done.
    func recordLoss(_ count: Int, losses: Floats) -> Bool
}
