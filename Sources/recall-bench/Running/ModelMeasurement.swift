import Dispatch
import RecallBenchmark
import RecallData
import RecallInput
import RecallKernels
import RecallModels
import RecallSuite
import RecallTensor
import RecallTraining
import Synchronization

/// Sizes of models, found once each. They are known by arithmetic before anything of their size is made; the state of a model
/// that is small enough is measured besides.
final class ModelMeasurement {
    private struct Key: Hashable {
        let model: ModelConfig
        let vocabulary: Int
        let maximumLength: Int
        let testLength: Int

        init(_ model: ModelConfig, vocabulary: Int, maximumLength: Int, testLength: Int) {
            (self.model, self.vocabulary) = (model, vocabulary)
            (self.maximumLength, self.testLength) = (maximumLength, testLength)
        }

        init(_ run: PlannedRun) {
            let task = run.spec.task
            self.init(
                run.spec.model,
                vocabulary: task.vocabSize,
                maximumLength: task.maximumLength,
                testLength: task.maximumTestLength
            )
        }
    }

    private struct StepKey: Hashable {
        let model: Key
        let training: [Segment]
        let evaluation: [Segment]
        let batch: Int
    }

    private var known: [Key: ModelFacts] = [:]
    private var knownSteps: [StepKey: Result<Int, any Error>] = [:]

    /// Measures the models of all these runs at once, for a suite has dozens.
    ///
    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func measure(_ runs: [PlannedRun]) throws {
        let keys = Array(Set(runs.map { Key($0) }).subtracting(known.keys))
        let results = Mutex<[Key: Result<ModelFacts, any Error>]>([:])
        let workers = min(keys.count, AvailableCores.current.count)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            for index in stride(from: worker, to: keys.count, by: workers) {
                let facts = Result { try Self.measured(keys[index]) }
                results.withLock { $0[keys[index]] = facts }
            }
        }
        for (key, facts) in results.withLock({ $0 }) { known[key] = try facts.get() }
    }

    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func facts(_ run: PlannedRun) throws -> ModelFacts { try facts(Key(run)) }

    /// Of a model with a vocabulary of two: it has no part in the state.
    ///
    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func facts(_ model: ModelConfig, maximumLength: Int, testLength: Int) throws -> ModelFacts {
        try facts(Key(model, vocabulary: 2, maximumLength: maximumLength, testLength: testLength))
    }

    /// Bytes of memory that training a run takes at the least: the tensors of its largest step or evaluated batch, parameters
    /// with their gradients and moments, and an epoch's data. Kernels' workspaces come to it.
    ///
    /// - Throws: `BackendError.outOfMemory` and `TapeError` for sizes beyond all bounds.
    func trainingBytes(_ run: PlannedRun) throws -> Int {
        let task = run.spec.task
        let key = StepKey(
            model: Key(run),
            training: task.train,
            evaluation: task.validation + task.test,
            batch: run.spec.training.batchSize
        )
        let bytes = knownSteps[key] ?? Result { try Self.trainingBytes(key) }
        knownSteps[key] = bytes
        return try bytes.get()
    }

    private static func trainingBytes(_ key: StepKey) throws -> Int {
        let model = try layout(
            key.model.model,
            vocabulary: key.model.vocabulary,
            maximumLength: key.model.maximumLength
        )
        let step = try model.largestStep(key.training, batchSize: key.batch)
        let evaluation = try model.largestEvaluation(key.evaluation, batchSize: key.batch)
        return max(step, evaluation).plus(key.training.trainingDataBytes)
    }

    /// A model that takes no memory: for its sizes alone.
    ///
    /// - Throws: `BackendError.outOfMemory` for sizes beyond all bounds.
    static func layout(
        _ config: ModelConfig,
        vocabulary: Int,
        maximumLength: Int
    ) throws -> LanguageModel {
        try LanguageModel(
            config,
            vocabulary: vocabulary,
            maximumLength: maximumLength,
            backend: CPUBackend(takesMemory: false),
            seed: nil
        )
    }

    private func facts(_ key: Key) throws -> ModelFacts {
        if let facts = known[key] { return facts }
        let facts = try Self.measured(key)
        known[key] = facts
        return facts
    }

    private static func measured(_ key: Key) throws -> ModelFacts {
        let model = try layout(key.model, vocabulary: key.vocabulary, maximumLength: key.maximumLength)
        let items = try stateItems(key)
        return ModelFacts(
            parameters: model.parameterCount,
            stateBytes: items.map(\.bytes).saturatingSum(),
            stateBytesZoology: model.zoologyStateBytes(length: key.testLength),
            stateItems: items
        )
    }

    /// The state by the layout of its arrays and, where that does not take long, by stepping the layers and counting what
    /// they carry then.
    private static func stateItems(_ key: Key) throws -> [StateItem] {
        // The vocabulary has no part in the state.
        let layout = try layout(key.model, vocabulary: 2, maximumLength: key.maximumLength)
        let items = layout.stateItems(length: key.testLength)
        guard layout.isQuicklyMeasured(length: key.testLength) else { return items }
        let backend = CPUBackend()
        let model = try LanguageModel(
            key.model,
            vocabulary: 2,
            maximumLength: key.maximumLength,
            backend: backend,
            seed: nil
        )
        let measured = try model.measureStateItems(length: key.testLength, arena: Arena(backend: backend))
        precondition(measured == items, "a mixer's state is not laid out as it says")
        return measured
    }
}

extension LanguageModel {
    /// Bytes of the largest training step on any of these segments.
    ///
    /// - Throws: `TapeError.outOfMemory` for one beyond all bounds.
    fileprivate func largestStep(_ segments: [Segment], batchSize: Int) throws -> Int {
        try Self.largest(segments.map { ($0, min(batchSize, $0.examples)) }) { segment, batch in
            try plan(batch: batch, length: segment.sequenceLength, labels: segment.kvPairs).bytes
        }
    }

    /// Bytes of the largest batch that is evaluated on any of these segments, with its examples.
    ///
    /// - Throws: `TapeError.outOfMemory` for one beyond all bounds.
    func largestEvaluation(_ segments: [Segment], batchSize: Int) throws -> Int {
        let batches = segments.map {
            ($0, min($0.examples, Evaluator.batchSize(batchSize, length: $0.sequenceLength)))
        }
        return try Self.largest(batches) { segment, batch in
            var examples = segment
            examples.examples = batch
            return try planEvaluation(batch: batch, length: segment.sequenceLength, labels: segment.kvPairs)
                .bytes
                .plus([examples].dataBytes)
        }
    }

    /// The most that a shape comes to. One that is no larger than another in anything is not looked at: there may be
    /// thousands.
    private static func largest(
        _ shapes: [(segment: Segment, batch: Int)],
        _ bytes: (Segment, Int) throws -> Int
    ) throws -> Int {
        func isWithin(_ one: (segment: Segment, batch: Int), _ other: (segment: Segment, batch: Int)) -> Bool {
            one.batch <= other.batch && one.segment.sequenceLength <= other.segment.sequenceLength
                && one.segment.kvPairs <= other.segment.kvPairs
        }
        var kept: [(segment: Segment, batch: Int)] = []
        for shape in shapes where !kept.contains(where: { isWithin(shape, $0) }) {
            kept.removeAll { isWithin($0, shape) }
            kept.append(shape)
        }
        return try kept.map { try bytes($0.segment, $0.batch) }.max() ?? 0
    }
}

extension [Segment] {
    /// Bytes of all examples: tokens, and a label with its place for each pair, 32 bits each.
    var dataBytes: Int { tokens.plus(labels.times(2)).times(4) }

    /// The same with the order in which an epoch walks them, four more numbers each.
    fileprivate var trainingDataBytes: Int { dataBytes.plus(examples.times(16)) }
}
