import RecallBenchmark
import RecallKernels
import RecallReport
import RecallSuite
import RecallTraining

/// How many runs at once a graphics card trains fastest: a small model's kernels leave most of one idle, a large one's do not.
struct JobMeasurement {
    private let run: PlannedRun
    /// Of the runs to train.
    private let count: Int
    private let bytes: Int

    struct Choice {
        let jobs: Int
        /// What was measured, for a person.
        let text: String
    }

    /// Doubled as long as another run at once gains this much in steps a second.
    private static let leastGain = 1.08
    private static let most = 16
    /// Steps timed together, and how often.
    private static let (warmUp, steps) = (1, 3)

    /// - Parameter runs: at least one; the middle one by memory speaks for all.
    /// - Throws: what making a model can meet.
    init(_ runs: [PlannedRun], _ measurement: ModelMeasurement) throws {
        let needs = try runs.map { (run: $0, bytes: try measurement.trainingBytes($0)) }
            .sorted { $0.bytes < $1.bytes }
        (run, bytes) = (needs[needs.count / 2].run, needs[needs.count - 1].bytes)
        count = runs.count
    }

    /// More at once than the device has room for are not taken; nor is one that fails already, whose run will say why.
    ///
    /// - Throws: what training a step can meet.
    func choose(on device: DeviceChoice) throws -> Choice {
        let fitting = max(1, min(Self.most, count, try device.availableMemory() / max(1, bytes)))
        var best = (jobs: 1, rate: 0.0)
        var said: [String] = []
        for jobs in sequence(first: 1, next: { $0 * 2 }).prefix(while: { $0 <= fitting }) {
            guard let rate = try stepsPerSecond(jobs, on: device) else { break }
            said.append("\(Format.count(rounding: rate)) steps/s with \(jobs)")
            guard rate > best.rate * Self.leastGain else { break }
            best = (jobs, rate)
        }
        return Choice(jobs: best.jobs, text: said.joined(separator: ", "))
    }

    /// Steps a second of so many runs side by side, on the segment with the longest sequences; nil where the device fails at
    /// them.
    private func stepsPerSecond(_ jobs: Int, on device: DeviceChoice) throws -> Double? {
        do {
            return try SideBySide.run(jobs) {
                try warmTrainer(on: device)
            } start: { trainer in
                1 / (try time(trainer, Self.steps))
            }.reduce(0, +)
        } catch is BackendError { return nil } catch is RunError { return nil }
    }

    private func warmTrainer(on device: DeviceChoice) throws -> Trainer {
        let spec = run.spec
        let trainer = try Trainer(
            task: spec.task,
            model: spec.model,
            training: spec.training,
            seed: spec.seed,
            backend: device.makeBackend(threads: 1, spec.training.precision)
        )
        _ = try time(trainer, Self.warmUp)
        return trainer
    }

    /// Seconds of a step, a mean.
    private func time(_ trainer: Trainer, _ steps: Int) throws -> Double {
        let segments = run.spec.task.train
        let longest = segments.indices.max { segments[$0].sequenceLength < segments[$1].sequenceLength } ?? 0
        let examples = min(segments[longest].examples, run.spec.training.batchSize)
        let seconds = try trainer.timeSteps(segment: longest, examples: examples, steps: steps)
        return seconds.reduce(0, +) / Double(seconds.count)
    }
}
