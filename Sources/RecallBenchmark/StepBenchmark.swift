import RecallData
import RecallKernels
import RecallModels
import RecallTraining

/// One batch of MQAR, as a training step takes it.
public struct StepShape: Hashable, Sendable {
    public var batch: Int
    public var length: Int
    public var pairs: Int
    public var vocabulary: Int

    public init(batch: Int, length: Int, pairs: Int, vocabulary: Int) {
        (self.batch, self.length, self.pairs, self.vocabulary) = (batch, length, pairs, vocabulary)
    }

    /// A task of that one batch.
    public var task: MQARTask {
        let segment = Segment(sequenceLength: length, kvPairs: pairs, examples: batch)
        return MQARTask(vocabSize: vocabulary, train: [segment], validation: [segment], test: [segment])
    }
}

/// How long full training steps take, forward, backward and AdamW, and how much memory.
public struct StepTimes: Sendable {
    /// Seconds of each step, run by run.
    public let seconds: [[Double]]
    /// What a step comes to by its shape.
    public let plan: StepPlan
    /// Bytes of memory that one run held when it had done its first steps, measured: all that was resident more than
    /// before, over the number of runs. nil where the system does not tell.
    ///
    /// That is the peak of a step: nothing that a step has touched is given back before the run ends.
    public let residentBytes: Int?

    /// Of all runs' steps.
    public var median: Double { RecallBenchmark.median(seconds.flatMap { $0 }) }
    public var minimum: Double { seconds.flatMap { $0 }.min() ?? .nan }

    /// Examples a second of all runs together, each at its median step.
    public func examplesPerSecond(batch: Int) -> Double {
        seconds.reduce(0) { $0 + Double(batch) / RecallBenchmark.median($1) }
    }
}

/// One operation of a step: its seconds, and what it cannot do without.
public struct OperationTimes: Sendable {
    public let name: String
    public let work: KernelWork
    public let forward: Double
    public let backward: Double
}

public enum StepBenchmark {
    /// Times steps of `jobs` runs side by side, each on a thread of its own. The runs start their timed steps together.
    ///
    /// - Parameters:
    ///   - model: resolved.
    ///   - steps: timed, after two that are not. At least 1.
    ///   - makeBackend: makes one for each run.
    /// - Throws: what a step can meet.
    public static func run(
        _ model: ModelConfig,
        _ shape: StepShape,
        steps: Int,
        jobs: Int,
        makeBackend: @escaping @Sendable () throws -> any Backend
    ) throws -> StepTimes {
        precondition(steps >= 1 && jobs >= 1)
        let before = ResidentMemory.bytes()
        var resident: Int?
        let seconds = try SideBySide.run(jobs) {
            let trainer = try trainer(model, shape, makeBackend())
            _ = try trainer.timeSteps(segment: 0, examples: shape.batch, steps: 2)
            return trainer
        } atRest: {
            // Every run's memory is as its largest step left it.
            guard let before, let now = ResidentMemory.bytes() else { return }
            resident = max(0, now - before) / jobs
        } start: { trainer in
            try trainer.timeSteps(segment: 0, examples: shape.batch, steps: steps)
        }
        return StepTimes(seconds: seconds, plan: try plan(model, shape), residentBytes: resident)
    }

    /// The work and the memory of a step. None is run, and no memory is taken.
    ///
    /// - Throws: `BackendError.outOfMemory` and `TapeError.outOfMemory` for sizes beyond all bounds.
    public static func plan(_ model: ModelConfig, _ shape: StepShape) throws -> StepPlan {
        try LanguageModel(
            model,
            vocabulary: shape.vocabulary,
            maximumLength: shape.length,
            backend: CPUBackend(takesMemory: false),
            seed: nil
        ).plan(batch: shape.batch, length: shape.length, labels: shape.pairs)
    }

    /// The operations of a step and their seconds, medians over `steps` of them by one run alone.
    ///
    /// - Parameter steps: at least 1.
    public static func profile(
        _ model: ModelConfig,
        _ shape: StepShape,
        steps: Int,
        threads: Int
    ) throws -> [OperationTimes] {
        precondition(steps >= 1)
        let trainer = try trainer(model, shape, CPUBackend(threads: threads))
        _ = try trainer.timeSteps(segment: 0, examples: shape.batch, steps: 2)
        let profiles = try (0..<steps).map { _ in
            try trainer.profile(segment: 0, examples: shape.batch).operations
        }
        return profiles[0].indices.map { index in
            OperationTimes(
                name: profiles[0][index].name,
                work: profiles[0][index].work,
                forward: median(profiles.map { $0[index].forwardSeconds }),
                backward: median(profiles.map { $0[index].backwardSeconds })
            )
        }
    }

    private static func trainer(
        _ model: ModelConfig,
        _ shape: StepShape,
        _ backend: any Backend
    ) throws -> Trainer {
        try Trainer(
            task: shape.task,
            model: model,
            training: TrainingConfig(epochs: 1, batchSize: shape.batch, learningRate: 1e-3),
            seed: 0,
            backend: backend
        )
    }
}
