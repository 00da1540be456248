import RecallKernels
import RecallModels
import RecallTensor
import Testing

@Suite struct StateItemTests {
    @Test(arguments: MixerRegistry.names)
    func itemsSumToTheMeasuredState(_ mixer: String) throws {
        let backend = CPUBackend()
        let config = try ModelConfig(
            dModel: 16, layers: [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: mixer)]
        ).resolved()
        for length in [1, 7, 70] {
            let model = try LanguageModel(
                config, vocabulary: 8, maximumLength: length, backend: backend, seed: 0)
            let arena = try Arena(backend: backend)
            let items = try model.measureStateItems(length: length, arena: arena)
            let total = try model.measureStateBytes(length: length, arena: arena)
            #expect(items.reduce(0) { $0 + $1.bytes } == total)
            #expect(total > 0)
            #expect(Set(items.map(\.layer)) == [0, 1])
            #expect(items.allSatisfy { $0.mixer == config.layers[$0.layer].mixer })
        }
    }
}
