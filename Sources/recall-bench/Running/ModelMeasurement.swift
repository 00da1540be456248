import RecallData
import RecallKernels
import RecallModels
import RecallSuite
import RecallTensor
import RecallTraining

/// Sizes of models, measured once each.
final class ModelMeasurement {
    private struct Key: Hashable {
        let model: ModelConfig
        let vocabulary: Int
        let maximumLength: Int
        let testLength: Int
    }

    private struct StepKey: Hashable {
        let model: Key
        let segments: [Segment]
        let batch: Int
    }

    private let backend = CPUBackend()
    private var known: [Key: ModelFacts] = [:]
    private var knownSteps: [StepKey: Int] = [:]

    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func facts(_ run: PlannedRun) throws -> ModelFacts {
        let task = run.spec.task
        return try facts(
            run.spec.model, vocabulary: task.vocabSize, maximumLength: task.maximumLength,
            testLength: task.maximumTestLength)
    }

    /// Bytes of state after the longest test length.
    func stateBytes(_ model: ModelConfig, maximumLength: Int, testLength: Int) throws -> Int {
        // The vocabulary has no part in the state.
        try facts(model, vocabulary: 2, maximumLength: maximumLength, testLength: testLength).stateBytes
    }

    /// Bytes of memory that training a run takes at the least: its largest step's tensors, parameters with their gradients
    /// and moments, and an epoch's data. Kernels' workspaces come to it.
    ///
    /// - Throws: `BackendError.outOfMemory`, `TapeError`.
    func trainingBytes(_ run: PlannedRun) throws -> Int {
        let (task, batch) = (run.spec.task, run.spec.training.batchSize)
        let key = StepKey(
            model: Key(
                model: run.spec.model, vocabulary: task.vocabSize, maximumLength: task.maximumLength,
                testLength: task.maximumTestLength), segments: task.train, batch: batch)
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

    private func facts(
        _ config: ModelConfig, vocabulary: Int, maximumLength: Int, testLength: Int
    ) throws -> ModelFacts {
        let key = Key(
            model: config, vocabulary: vocabulary, maximumLength: maximumLength, testLength: testLength)
        if let facts = known[key] { return facts }
        let model = try LanguageModel(
            config, vocabulary: vocabulary, maximumLength: maximumLength, backend: backend, seed: nil)
        let items = try model.measureStateItems(length: testLength, arena: Arena(backend: backend))
        let facts = ModelFacts(
            parameters: model.parameterCount, stateBytes: items.reduce(0) { $0 + $1.bytes },
            stateBytesZoology: model.zoologyStateBytes(length: testLength), stateItems: items)
        known[key] = facts
        return facts
    }
}
