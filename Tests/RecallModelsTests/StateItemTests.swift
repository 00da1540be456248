import RecallKernels
import RecallModels
import RecallTensor
import Testing

@Suite struct StateItemTests {
    /// Numbers that one sequence carries of each kind after `length` tokens, by the formulas of the papers' decoding
    /// (MODELS.md C.18): written down here once more, not taken from the mixers.
    private static func formula(_ layer: LayerConfig, width d: Int, length l: Int) throws -> [StateKind: Int] {
        func integer(_ name: String) throws -> Int {
            guard case .integer(let value)? = layer.knobs[name] else {
                throw Unknown(what: "\(layer.mixer) has no integer \(name)")
            }
            return value
        }
        switch layer.mixer {
        case "attention": return [.keyValueCache: 2 * d * l]
        case "sliding-window":
            return [.keyValueCache: 2 * d * min(try integer("window") - 1, l)]
        case "linear-attention":
            let (f, heads) = (try integer("feature_dim"), try integer("heads"))
            let features = layer.knobs["feature_map"] == .text("taylor-2") ? (f + 1) * (f + 2) / 2 : f
            return [.recurrent: heads * (d / heads + 1) * features]
        case "base-conv":
            if layer.knobs["kernel_size"] == .text("long") { return [.convolution: d * l] }
            return [.convolution: d * (try integer("kernel_size") - 1)]
        case "gated-conv": return [.convolution: 2 * d * (try integer("kernel_size") - 1)]
        case "mamba":
            let channels = try integer("expand") * d
            return [
                .recurrent: channels * (try integer("state_size")),
                .convolution: channels * (try integer("kernel_size") - 1),
            ]
        default: throw Unknown(what: "no formula is written down for the mixer \(layer.mixer)")
        }
    }

    private struct Unknown: Error { let what: String }

    /// Every mixer with its defaults and variants, every alias and every preset: the items are the formulas', and sum to
    /// the bytes of the serialised states.
    @Test(arguments: ModelCase.all, [1, 7, 70])
    func itemsAreTheFormulasAndSumToTheSerialisedState(_ modelCase: ModelCase, length: Int) throws {
        let backend = CPUBackend()
        let config = modelCase.config
        let model = try LanguageModel(config, vocabulary: 8, maximumLength: length, backend: backend, seed: 0)
        let arena = try Arena(backend: backend)
        let items = try model.measureStateItems(length: length, arena: arena)

        var states = model.makeStates(batch: 1, capacity: length)
        for _ in 0..<length { _ = try model.step([3], &states, arena) }
        #expect(items.reduce(0) { $0 + $1.bytes } == states.reduce(0) { $0 + $1.serialised().count })
        #expect(try model.measureStateBytes(length: length, arena: arena) == items.reduce(0) { $0 + $1.bytes })

        let expected = try config.layers.enumerated().flatMap { index, layer in
            let numbers = try Self.formula(layer, width: config.dModel, length: length)
            return StateKind.allCases.compactMap { kind in
                numbers[kind].map {
                    StateItem(
                        layer: index, mixer: layer.mixer, kind: kind, bytes: $0 * MemoryLayout<Float>.stride)
                }
            }
        }
        #expect(items == expected)
    }

    /// A part that grows is counted in use, not by its room.
    @Test func roomThatIsNotInUseIsNotCounted() throws {
        let backend = CPUBackend()
        let config = try ModelConfig(dModel: 8, layers: [LayerConfig(mixer: "attention")]).resolved()
        let model = try LanguageModel(config, vocabulary: 8, maximumLength: 50, backend: backend, seed: 0)
        let bytes = try [1, 10, 50].map {
            try model.measureStateItems(length: $0, arena: Arena(backend: backend)).map(\.bytes)
        }
        #expect(bytes == [[64], [640], [3200]])
    }
}
