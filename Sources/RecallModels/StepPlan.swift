import RecallInput
import RecallKernels
import RecallTensor

/// What a training step comes to, known from its shape before any kernel runs.
public struct StepPlan: Sendable {
    /// What it cannot do without.
    public let work: Work
    /// Bytes of its tensors at their peak, gaps between them included.
    public let tensorBytes: Int
    /// Bytes of the parameters with their gradients and moments.
    public let parameterBytes: Int

    /// Bytes of memory that the step needs at least: what kernels use as workspaces comes to it.
    public var bytes: Int { tensorBytes.plus(parameterBytes) }
}

extension LanguageModel {
    /// Places every tensor of a training step (forward, backward, AdamW), in order, and runs nothing. No memory is taken for
    /// it.
    ///
    /// - Parameters:
    ///   - batch: sequences.
    ///   - length: of each, at most the model's longest.
    ///   - labels: labelled positions of a sequence.
    /// - Throws: `TapeError` where the step needs more than any arena has.
    public func plan(batch: Int, length: Int, labels: Int) throws -> StepPlan {
        try plan(batch: batch, length: length, labels: labels, isTraining: true)
    }

    /// The same of a batch that is evaluated, forward alone.
    public func planEvaluation(batch: Int, length: Int, labels: Int) throws -> StepPlan {
        try plan(batch: batch, length: length, labels: labels, isTraining: false)
    }

    private func plan(batch: Int, length: Int, labels: Int, isTraining: Bool) throws -> StepPlan {
        // With a residual stream that fits, no product of sizes that the program allows leaves Int.
        let stream = [batch, length, config.dModel, MemoryLayout<Float>.stride].saturatingProduct()
        guard stream <= Arena.defaultCapacity, batch * length <= Int32.max else {
            throw TapeError.outOfMemory(bytes: stream)
        }
        let arena = try Arena(backend: CPUBackend(takesMemory: false))
        let profile = StepProfile()
        let tape = Tape(arena: arena, isTraining: isTraining, profile: profile, isPlanning: true)
        store.beginStep()
        // Nothing is kept here: what backward does not need goes back before it, as in training.
        _ = loss(
            ModelInput(
                batch: batch,
                tokens: tape.integers(count: batch * length),
                labelledRows: tape.integers(count: batch * labels)
            ),
            labels: tape.integers(count: batch * labels),
            tape
        )
        if isTraining {
            try tape.backward()
            profile.addUpdate(seconds: 0, numbers: parameterCount)
        } else {
            try tape.check()
        }
        return StepPlan(work: profile.work, tensorBytes: arena.peakBytes, parameterBytes: store.bytes)
    }
}
