import Dispatch
import RecallBenchmark
import RecallData
import RecallKernels
import RecallModels
import RecallSuite
import RecallTensor
import RecallTraining
import Synchronization

/// Sizes of models, measured once each.
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
                run.spec.model, vocabulary: task.vocabSize, maximumLength: task.maximumLength,
                testLength: task.maximumTestLength)
        }
    }

    private struct StepKey: Hashable {
        let model: Key
        let segments: [Segment]
        let batch: Int
    }

    private let backend = CPUBackend()
    private var known: [Key: ModelFacts] = [:]
    private var knownSteps: [StepKey: Int] = [:]

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

    /// Bytes of memory that training a run takes at the least: its largest step's tensors, parameters with their gradients
    /// and moments, and an epoch's data. Kernels' workspaces come to it.
    ///
    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func trainingBytes(_ run: PlannedRun) throws -> Int {
        let (task, batch) = (run.spec.task, run.spec.training.batchSize)
        let key = StepKey(model: Key(run), segments: task.train, batch: batch)
        if let bytes = knownSteps[key] { return bytes }
        let model = try LanguageModel(
            run.spec.model, vocabulary: task.vocabSize, maximumLength: task.maximumLength, backend: backend,
            seed: nil)
        let steps = try task.train.map { segment in
            try model.plan(
                batch: min(batch, segment.examples), length: segment.sequenceLength, labels: segment.kvPairs
            ).bytes
        }
        // Tokens, and a label with its place for each pair, 32 bits each.
        let data = task.train.reduce(0) { $0 + 4 * $1.examples * ($1.sequenceLength + 2 * $1.kvPairs) }
        let bytes = (steps.max() ?? 0) + data
        knownSteps[key] = bytes
        return bytes
    }

    private func facts(_ key: Key) throws -> ModelFacts {
        if let facts = known[key] { return facts }
        let facts = try Self.measured(key)
        known[key] = facts
        return facts
    }

    private static func measured(_ key: Key) throws -> ModelFacts {
        let backend = CPUBackend()
        let model = try LanguageModel(
            key.model, vocabulary: key.vocabulary, maximumLength: key.maximumLength, backend: backend,
            seed: nil)
        let items = try model.measureStateItems(length: key.testLength, arena: Arena(backend: backend))
        return ModelFacts(
            parameters: model.parameterCount, stateBytes: items.reduce(0) { $0 + $1.bytes },
            stateBytesZoology: model.zoologyStateBytes(length: key.testLength), stateItems: items)
    }
}
