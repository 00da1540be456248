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
    public var bytes: Int { tensorBytes + parameterBytes }
}

extension LanguageModel {
    /// Places every tensor of a training step (forward, backward, AdamW), in order, and runs nothing.
    ///
    /// - Parameters:
    ///   - batch: sequences.
    ///   - length: of each, at most the model's longest.
    ///   - labels: labelled positions of a sequence.
    /// - Throws: `BackendError` where there is no address space, `TapeError` where the step needs more than there is.
    public func plan(batch: Int, length: Int, labels: Int) throws -> StepPlan {
        func zeros(_ count: Int) -> [Int32] { Array(repeating: 0, count: count) }
        let arena = try Arena(backend: store.backend)
        let profile = StepProfile()
        let tape = Tape(arena: arena, isTraining: true, profile: profile, isPlanning: true)
        store.beginStep()
        // Nothing is kept here: what backward does not need goes back before it, as in training.
        _ = loss(
            ModelInput(
                batch: batch, tokens: tape.integers(zeros(batch * length)),
                labelledRows: tape.integers(zeros(batch * labels))),
            labels: tape.integers(zeros(batch * labels)), tape)
        try tape.backward()
        profile.addUpdate(seconds: 0, numbers: parameterCount)
        return StepPlan(
            work: profile.work, tensorBytes: arena.peakBytes,
            parameterBytes: store.bytes)
    }
}
