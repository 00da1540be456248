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

    private let backend = CPUBackend()
    private var known: [Key: ModelFacts] = [:]

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

    private func facts(
        _ config: ModelConfig, vocabulary: Int, maximumLength: Int, testLength: Int
    ) throws -> ModelFacts {
        let key = Key(
            model: config, vocabulary: vocabulary, maximumLength: maximumLength, testLength: testLength)
        if let facts = known[key] { return facts }
        let model = try LanguageModel(
            config, vocabulary: vocabulary, maximumLength: maximumLength, backend: backend, seed: 0)
        let items = try model.measureStateItems(length: testLength, arena: Arena(backend: backend))
        let facts = ModelFacts(
            parameters: model.parameterCount, stateBytes: items.reduce(0) { $0 + $1.bytes },
            stateBytesZoology: model.zoologyStateBytes(length: testLength), stateItems: items)
        known[key] = facts
        return facts
    }
}
