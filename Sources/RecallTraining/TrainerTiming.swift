import RecallKernels
import RecallTensor

/// Steps for their own sake: to estimate how long a run will take, and to measure speed.
extension Trainer {
    /// Steps that are timed together where the device works behind the host's back.
    private static let stepsTogether = 20

    /// Seconds of each of `steps` training steps (forward, backward, AdamW at learning rate 0) on one batch, which is on
    /// the device before. The first steps of a trainer make room and warm caches up: leave them out.
    ///
    /// A device that works behind the host's back does twenty of them for each that is asked for, and the time is their
    /// mean: waiting for each would time the waiting.
    ///
    /// - Parameters:
    ///   - segment: of the training split.
    ///   - examples: the batch's size.
    /// - Throws: `RunError`, `BackendError`.
    public func timeSteps(segment: Int, examples: Int, steps: Int) throws -> [Double] {
        let together = backend.stepsAhead == 1 ? 1 : min(Self.stepsTogether, backend.stepsAhead)
        let data = try trainingExamples(segment, first: 0, count: examples)
        let order = try ArrayOnDevice(Array(0..<Int32(examples)), backend: backend)
        let losses = try ArrayOnDevice([Double](repeating: .nan, count: together), backend: backend)
        let batch = BatchOnDevice(data, count: examples, order: order, first: 0)
        return try (0..<steps).map { _ in
            let began = ContinuousClock.now
            for slot in 0..<together { try queueStep(batch, learningRate: 0, slot: slot, losses: losses) }
            guard try losses.read(0..<together).allSatisfy(\.isFinite) else {
                throw diagnose(try HostBatch(data, examples: 0..<Int32(examples)))
            }
            return seconds(since: began) / Double(together)
        }
    }

    /// The operations of such a step, timed. A new trainer's first takes longer: do some steps before.
    ///
    /// - Throws: `RunError`, `BackendError`.
    public func profile(segment: Int, examples: Int) throws -> StepProfile {
        let data = try trainingExamples(segment, first: 0, count: examples)
        let batch = try HostBatch(data, examples: 0..<Int32(examples))
        let profile = StepProfile()
        _ = try trainStep(batch, learningRate: 0, profile: profile)
        return profile
    }
}
