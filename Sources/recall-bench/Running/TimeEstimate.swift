import RecallKernels
import RecallSuite
import RecallTraining

/// How long runs will take, from a few steps of each kind of them.
struct TimeEstimate {
    private let runs: [PlannedRun]

    init(_ runs: [PlannedRun]) { self.runs = runs }

    /// Seconds of all runs together, `jobs` at once; evaluation counts as a third of training's cost a token.
    ///
    /// - Throws: what training a step can meet.
    func seconds(jobs: Int, threads: Int) throws -> Double {
        // Runs that differ only in learning rate or seed take the same time.
        var known: [RunSpec: Double] = [:]
        var total = 0.0
        for run in runs {
            var key = run.spec
            key.seed = 0
            key.training.learningRate = 1e-3
            let perToken: Double
            if let time = known[key] {
                perToken = time
            } else {
                perToken = try Self.secondsPerToken(key, threads: threads)
                known[key] = perToken
            }
            let evaluated = key.task.validation.reduce(0) { $0 + $1.examples * $1.sequenceLength }
            total +=
                perToken * Double(key.training.epochs)
                * (Double(key.task.tokensPerEpoch) + Double(evaluated) / 3)
        }
        return total / Double(min(jobs, max(runs.count, 1)))
    }

    /// Trains a step of every segment and divides.
    private static func secondsPerToken(_ spec: RunSpec, threads: Int) throws -> Double {
        var spec = spec
        for index in spec.task.train.indices {
            spec.task.train[index].examples = min(spec.task.train[index].examples, spec.training.batchSize)
        }
        spec.training.epochs = 1
        let trainer = try Trainer(
            task: spec.task, model: spec.model, training: spec.training, seed: spec.seed,
            backend: CPUBackend(threads: threads))
        return try trainer.timeEpoch() / Double(spec.task.tokensPerEpoch)
    }
}
