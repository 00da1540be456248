import RecallData
import RecallInput
import RecallKernels
import RecallModels
import RecallSuite
import RecallTraining

/// How long runs will take, from a step of each kind of them on each of its shapes. What would take long to time goes by the
/// work of its steps, which is arithmetic, and what timed work took.
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
    /// To make a model of more takes seconds.
    private static let mostParameters = 1 << 26
    /// Operations of a timed step: about two seconds' on a core.
    private static let mostOperations = 1e11
    /// Kinds of runs are timed so long; those that are left go by their work.
    private static let timingLimit = Duration.seconds(60)

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
        var (total, untimed, timed) = (0.0, 0.0, TimedWork())
        let began = ContinuousClock.now
        for (index, (kind, alike)) in kinds.enumerated() {
            let epochsLeft = alike.reduce(0.0) { $0 + Double(epochs($1)) }
            let work = try EpochWork(kind)
            let isLate = ContinuousClock.now - began > Self.timingLimit
            if !isLate, let seconds = try secondsPerEpoch(kind, work, &timed) {
                total += seconds * epochsLeft
            } else {
                untimed += work.operations * epochsLeft
            }
            progress(index + 1, kinds.count)
        }
        if untimed > 0 { total += untimed * (try timed.secondsPerOperation ?? secondsPerOperation()) }
        return total / Double(min(options.jobCount, max(runs.count, 1)))
    }

    /// By timing a step of each shape; nil for a model or a step that is too large for that.
    private func secondsPerEpoch(
        _ spec: RunSpec,
        _ work: EpochWork,
        _ timed: inout TimedWork
    ) throws -> Double? {
        guard work.parameters <= Self.mostParameters else { return nil }
        let steps = try work.shapes.map { try step(on: $0, work, batchSize: spec.training.batchSize) }
        guard steps.allSatisfy({ $0.operations <= Self.mostOperations }) else { return nil }
        var task = spec.task
        task.train = steps.map {
            Segment(sequenceLength: $0.length, kvPairs: $0.pairs, examples: $0.examples)
        }
        (task.validation, task.test) = (task.train, task.train)
        let trainer = try Trainer(
            task: task,
            model: spec.model,
            training: spec.training,
            seed: spec.seed,
            backend: options.deviceChoice.makeBackend(threads: options.threads, spec.training.precision)
        )
        var seconds = 0.0
        for (index, (shape, step)) in zip(work.shapes, steps).enumerated() {
            let timedSeconds = try trainer.timeSteps(segment: index, examples: step.examples, steps: 2)[1]
            timed.add(timedSeconds, step.operations)
            seconds += timedSeconds * shape.operations * shape.examples / step.operations
        }
        return seconds * (work.operations / work.operationsOfShapes)
    }

    /// A step on a shape: of fewer examples, and of shorter sequences where one alone is long.
    private func step(on shape: EpochWork.Shape, _ work: EpochWork, batchSize: Int) throws -> TimedStep {
        let length = min(shape.length, Self.mostTokens)
        let pairs = max(1, min(shape.pairs, length / 4))
        let examples = Int(
            clamping: min(shape.examples, Double(min(batchSize, max(1, Self.mostTokens / length))))
        )
        return TimedStep(
            length: length,
            pairs: pairs,
            examples: examples,
            operations: try work.operations(batch: examples, length: length, pairs: pairs)
        )
    }

    /// Where nothing was timed: twice what the device needs at the least for a product of some size.
    private func secondsPerOperation() throws -> Double {
        var work = Work()
        let product = Work.Product(1024, 1024, 1024)
        work.products[product] = 1
        return 2 * (try options.deviceChoice.floor(options.deviceChoice.arithmetic)(work)) / product.operations
    }

    private struct TimedStep {
        let length: Int
        let pairs: Int
        let examples: Int
        let operations: Double
    }

    private struct TimedWork {
        private var seconds = 0.0
        private var operations = 0.0

        mutating func add(_ seconds: Double, _ operations: Double) {
            self.seconds += seconds
            self.operations += operations
        }

        var secondsPerOperation: Double? { operations > 0 ? seconds / operations : nil }
    }
}

/// What an epoch of a kind of run comes to, by arithmetic alone.
private struct EpochWork {
    /// Examples of one shape, in whatever segments they are.
    struct Shape {
        let length: Int
        let pairs: Int
        let examples: Double
        /// Of training on one example.
        let operations: Double

        var tokens: Double { Double(length) * examples }
    }

    /// Those with the most tokens; the others are taken to cost as much a token.
    let shapes: [Shape]
    /// Of the whole epoch, evaluation among it.
    let operations: Double
    let parameters: Int
    private let model: LanguageModel

    /// Of training on the shapes.
    var operationsOfShapes: Double { shapes.reduce(0) { $0 + $1.operations * $1.examples } }

    private static let mostShapes = 8

    private struct Key: Hashable {
        let length: Int
        let pairs: Int
    }

    init(_ spec: RunSpec) throws {
        let task = spec.task
        let model = try ModelMeasurement.layout(
            spec.model,
            vocabulary: task.vocabSize,
            maximumLength: task.maximumLength
        )
        (self.model, parameters) = (model, model.parameterCount)
        let all = Dictionary(
            task.train.map { (Key(length: $0.sequenceLength, pairs: $0.kvPairs), Double($0.examples)) },
            uniquingKeysWith: +
        )
        let largest = all.sorted {
            (Double($0.key.length) * $0.value, $0.key.length, $0.key.pairs)
                > (Double($1.key.length) * $1.value, $1.key.length, $1.key.pairs)
        }.prefix(Self.mostShapes)
        shapes = try largest.map { key, examples in
            // A batch shares the update of the parameters.
            let batch = Int(clamping: min(examples, Double(spec.training.batchSize)))
            let operations = try Self.operations(model, batch: batch, length: key.length, pairs: key.pairs)
            return Shape(
                length: key.length,
                pairs: key.pairs,
                examples: examples,
                operations: operations / Double(batch)
            )
        }
        func tokens(_ segments: [Segment]) -> Double {
            segments.reduce(0) { $0 + Double($1.examples) * Double($1.sequenceLength) }
        }
        let (trained, evaluated) = (tokens(task.train), tokens(task.validation))
        let ofShapes = shapes.reduce(0) { $0 + $1.tokens }
        operations =
            shapes.reduce(0) { $0 + $1.operations * $1.examples } / ofShapes * (trained + evaluated / 3)
    }

    func operations(batch: Int, length: Int, pairs: Int) throws -> Double {
        try Self.operations(model, batch: batch, length: length, pairs: pairs)
    }

    /// Of a training step. What is no matrix product counts by the operations that take as long.
    private static func operations(
        _ model: LanguageModel,
        batch: Int,
        length: Int,
        pairs: Int
    ) throws -> Double {
        let work = try model.plan(batch: batch, length: length, labels: pairs).work
        return work.productOperations + 4 * work.vectorOperations + 20 * work.exponentials + 8 * work.bytes
    }
}
