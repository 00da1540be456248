import RecallKernels
import RecallSuite
import RecallTraining

/// How long runs will take, from a step of each kind of them on each of its segments.
struct TimeEstimate {
    private let runs: [PlannedRun]
    private let options: TrainingOptions
    private let epochs: (PlannedRun) -> Int

    /// - Parameter epochs: those that a run is yet to be trained for.
    init(_ runs: [PlannedRun], _ options: TrainingOptions, epochs: @escaping (PlannedRun) -> Int) {
        (self.runs, self.options, self.epochs) = (runs, options, epochs)
    }

    /// A timed step takes no more tokens than this: enough to fill the matrix products, few enough that a suite of
    /// the papers' scale is estimated within a minute.
    private static let mostTokens = 4096

    /// Seconds of all runs together, as many at once as the options say; evaluation counts as a third of training's cost a token.
    ///
    /// - Parameter progress: told after each kind of run how many are timed, and of how many.
    /// - Throws: what training a step can meet.
    func seconds(progress: (Int, Int) -> Void) throws -> Double {
        // Runs that differ only in learning rate or seed take the same time.
        let kinds = Dictionary(grouping: runs) { run in
            var kind = run.spec
            (kind.seed, kind.task.dataSeed) = (0, 0)
            kind.training.learningRate = 1e-3
            return kind
        }
        var total = 0.0
        for (index, (kind, alike)) in kinds.enumerated() {
            total += try secondsPerEpoch(kind) * Double(alike.reduce(0) { $0 + epochs($1) })
            progress(index + 1, kinds.count)
        }
        return total / Double(min(options.jobCount, max(runs.count, 1)))
    }

    private func secondsPerEpoch(_ spec: RunSpec) throws -> Double {
        let trainer = try Trainer(
            task: spec.task, model: spec.model, training: spec.training, seed: spec.seed,
            backend: options.deviceChoice.makeBackend(threads: options.threads, spec.training.precision))
        var seconds = 0.0
        for (index, segment) in spec.task.train.enumerated() {
            let examples = min(
                segment.examples, spec.training.batchSize, max(1, Self.mostTokens / segment.sequenceLength))
            let steps = try trainer.timeSteps(segment: index, examples: examples, steps: 2)
            seconds += steps[1] * Double(segment.examples) / Double(examples)
        }
        let evaluated = spec.task.validation.reduce(0) { $0 + $1.examples * $1.sequenceLength }
        return seconds * (1 + Double(evaluated) / 3 / Double(spec.task.tokensPerEpoch))
    }
}
