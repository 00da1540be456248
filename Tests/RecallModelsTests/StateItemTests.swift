import RecallKernels
import RecallModels
import RecallTensor
import Testing

@Suite struct StateItemTests {
    /// Numbers that one sequence carries of each kind after `length` tokens, by the formulas of the papers'
    /// decoding (docs/math/state.md, section 1): written down here once more, not taken from the mixers.
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
        // What is known before the model is made.
        let layout = try LanguageModel(
            config,
            vocabulary: 8,
            maximumLength: length,
            backend: CPUBackend(takesMemory: false),
            seed: nil
        )
        #expect(layout.stateItems(length: length) == items)
        #expect(layout.parameterCount == model.parameterCount && layout.store.bytes == model.store.bytes)
        #expect(layout.zoologyStateBytes(length: length) == model.zoologyStateBytes(length: length))
        #expect(
            layout.stateBytes(capacity: length)
                == model.makeStates(batch: 1, capacity: length).reduce(0) { $0 + $1.allocatedBytes }
        )

        var states = model.makeStates(batch: 1, capacity: length)
        for _ in 0..<length { _ = try model.step([3], &states, arena) }
        #expect(items.reduce(0) { $0 + $1.bytes } == states.reduce(0) { $0 + $1.serialised().count })
        #expect(try model.measureStateBytes(length: length, arena: arena) == items.reduce(0) { $0 + $1.bytes })

        let expected = try config.layers.enumerated().flatMap { index, layer in
            let numbers = try Self.formula(layer, width: config.dModel, length: length)
            return StateKind.allCases.compactMap { kind in
                numbers[kind].map {
                    StateItem(
                        layer: index,
                        mixer: layer.mixer,
                        kind: kind,
                        bytes: $0 * MemoryLayout<Float>.stride
                    )
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

    /// Gigabytes and terabytes are laid out at once, and no array is made.
    @Test func sizesThatNoMachineHasAreLaidOut() throws {
        func items(_ layer: LayerConfig, width: Int) throws -> [Int] {
            let config = try ModelConfig(dModel: width, layers: [layer]).resolved()
            let model = try LanguageModel(
                config,
                vocabulary: 1 << 24,
                maximumLength: 1 << 20,
                backend: CPUBackend(takesMemory: false),
                seed: nil
            )
            #expect(!model.isQuicklyMeasured(length: 1 << 20))
            return model.stateItems(length: 1 << 20).map(\.bytes)
        }
        #expect(try items(LayerConfig(mixer: "attention"), width: 1 << 20) == [1 << 43])
        #expect(
            try items(
                LayerConfig(mixer: "taylor-linear-attention", knobs: ["feature_dim": .integer(1024)]),
                width: 16384
            ) == [4 * 1025 * 1026 / 2 * 16385]
        )
        let beyond = ModelConfig(dModel: (1 << 20) + 1, layers: [LayerConfig(mixer: "attention")])
        #expect(throws: ConfigurationError.self) { try beyond.resolved() }
    }

    /// The same of a step: where it fits into an address space, what it takes is known; where not, it is refused.
    @Test func stepsThatNoMachineCanDoArePlanned() throws {
        let config = try ModelConfig(
            dModel: 4096,
            layers: [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "mamba")]
        ).resolved()
        let model = try LanguageModel(
            config,
            vocabulary: 1 << 24,
            maximumLength: 1 << 20,
            backend: CPUBackend(takesMemory: false),
            seed: nil
        )
        let plan = try model.plan(batch: 1, length: 1 << 18, labels: 1 << 10)
        #expect(plan.tensorBytes > 1 << 33 && plan.parameterBytes > 1 << 40)
        #expect(
            try model.planEvaluation(batch: 1, length: 1 << 18, labels: 1 << 10).tensorBytes < plan.tensorBytes
        )
        #expect(throws: TapeError.outOfMemory(bytes: 1 << 52)) {
            try model.plan(batch: 1 << 20, length: 1 << 18, labels: 1 << 16)
        }
    }
}
