import RecallKernels
import RecallModels
import RecallTensor
import Testing

/// Training allocates in the first step of a shape and never again.
@Suite struct SteadyStateTests {
    /// What one training step did to memory.
    private struct Footprint: Equatable {
        /// Where every tensor lay.
        var placements: [Int]
        var arenaGrowths: Int
        var workspaceGrowths: Int
    }

    private func trainStep(_ model: LanguageModel, _ batch: TokenBatch, _ arena: Arena, step: Int) throws
        -> Footprint
    {
        arena.placements = []
        model.store.beginStep()
        let tape = Tape(arena: arena, isTraining: true, seed: 3, step: step)
        let losses = try tape.read(
            model.loss(batch.input(tape), labels: tape.integers(batch.labels), tape).losses
        )
        #expect(losses.allSatisfy { $0.isFinite })
        try tape.backward()
        model.store.update(AdamWStep(learningRate: 0.001, weightDecay: 0, step: step), weightDecay: { _ in 0 })
        return Footprint(
            placements: arena.placements ?? [],
            arenaGrowths: arena.growths,
            workspaceGrowths: model.store.backend.workspaceGrowths
        )
    }

    /// Two shapes in turn, as tasks of several segments train: each keeps its addresses, and nothing grows.
    @Test(arguments: ModelCase.all) func stepsRepeatTheirMemory(_ model: ModelCase) throws {
        let backend = CPUBackend(threads: 2)
        let arena = try Arena(backend: backend)
        let trained = try LanguageModel(
            model.config,
            vocabulary: 31,
            maximumLength: 70,
            backend: backend,
            seed: 1
        )
        let batches = [
            TokenBatch(batch: 3, length: 70, rows: [5, 69, 70, 150, 209]), TokenBatch(batch: 5, length: 33),
        ]
        let first = try batches.map { try trainStep(trained, $0, arena, step: 1) }
        #expect(first.allSatisfy { $0.placements.count > 10 && $0.arenaGrowths > 0 && $0.workspaceGrowths > 0 })
        for step in 2...4 {
            for (batch, before) in zip(batches, first) {
                let footprint = try trainStep(trained, batch, arena, step: step)
                #expect(footprint.placements == before.placements)
                #expect(footprint.arenaGrowths == first[1].arenaGrowths)
                #expect(footprint.workspaceGrowths == first[1].workspaceGrowths)
                #expect(arena.bytesInUse == 0)
            }
        }
    }

    /// A plan places what a step places, and runs nothing.
    @Test(arguments: ModelCase.all) func aPlanIsWhatAStepDoes(_ model: ModelCase) throws {
        let backend = CPUBackend()
        let trained = try LanguageModel(
            model.config,
            vocabulary: 31,
            maximumLength: 40,
            backend: backend,
            seed: 1
        )
        let before = try trained.values("embedding.weight")
        let growths = backend.workspaceGrowths
        let plan = try trained.plan(batch: 3, length: 40, labels: 2)
        #expect(backend.workspaceGrowths == growths)
        #expect(try trained.values("embedding.weight") == before)
        let arena = try Arena(backend: backend)
        let batch = TokenBatch(batch: 3, length: 40, rows: [0, 39, 40, 66, 80, 119])
        _ = try trainStep(trained, batch, arena, step: 1)
        #expect(plan.tensorBytes == arena.peakBytes)
        #expect(
            plan.parameterBytes == trained.store.bytes && plan.bytes == arena.peakBytes + trained.store.bytes
        )
        #expect(backend.workspaceGrowths > growths)
    }
}
