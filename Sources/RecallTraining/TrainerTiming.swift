import RecallData
import RecallKernels
import RecallTensor

/// Steps for their own sake: to estimate how long a run will take, and to measure speed.
extension Trainer {
    /// Seconds of each of `steps` training steps (forward, backward, AdamW at learning rate 0) on one batch, which is on
    /// the host before. The first steps of a trainer make room and warm caches up: leave them out.
    ///
    /// - Parameters:
    ///   - segment: of the training split.
    ///   - examples: the batch's size.
    /// - Throws: `RunError`.
    public func timeSteps(segment: Int, examples: Int, steps: Int) throws(RunError) -> [Double] {
        let batch = try firstBatch(segment, examples)
        var times: [Double] = []
        for _ in 0..<steps {
            let began = ContinuousClock.now
            _ = try trainStep(batch, learningRate: 0)
            times.append(seconds(since: began))
        }
        return times
    }

    /// The operations of such a step, timed. A new trainer's first takes longer: do some steps before.
    ///
    /// - Throws: `RunError`.
    public func profile(segment: Int, examples: Int) throws(RunError) -> StepProfile {
        let batch = try firstBatch(segment, examples)
        let profile = StepProfile()
        _ = try trainStep(batch, learningRate: 0, profile: profile)
        return profile
    }

    private func firstBatch(_ segment: Int, _ examples: Int) throws(RunError) -> HostBatch {
        HostBatch(
            try makeData(.train, segment, first: 0, count: examples), examples: Array(0..<Int32(examples)))
    }
}
