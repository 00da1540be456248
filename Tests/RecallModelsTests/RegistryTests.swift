import Foundation
import RecallModels
import Testing

struct RegistryTests {
    @Test func everyMixerSaysWhatItIs() {
        #expect(Set(MixerRegistry.names).count == MixerRegistry.names.count)
        for mixer in MixerRegistry.mixers {
            #expect(!mixer.summary.isEmpty && !mixer.paper.isEmpty)
            #expect(mixer.paper.contains(/(19|20)\d\d/), "\(mixer.name): a paper has a year")
            #expect(mixer.name.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)*/) != nil)
            #expect(Set(mixer.knobs.map(\.name)).count == mixer.knobs.count)
            if let stateKnob = mixer.stateKnob {
                #expect(mixer.knobs.contains { $0.name == stateKnob })
            }
            for knob in mixer.knobs {
                #expect(knob.accepts(knob.defaultValue) == knob.defaultValue, "\(mixer.name).\(knob.name)")
                #expect(!knob.summary.isEmpty && !knob.expectation.isEmpty)
                #expect(knob.name.wholeMatch(of: /[a-z0-9]+(_[a-z0-9]+)*/) != nil)
            }
        }
    }

    /// JSON has one notation for 0 and 0.0; a stored layer is the layer that was stored all the same.
    @Test func everyLayerComesBackFromJSON() throws {
        for mixer in MixerRegistry.mixers {
            for knob in mixer.knobs {
                var values = [knob.defaultValue]
                if case .number(let range) = knob.kind {
                    values += [range.lowerBound, range.upperBound].map { KnobValue.number($0) }
                    values.append(.number((range.lowerBound + range.upperBound) / 2))
                }
                for value in values {
                    let layer = LayerConfig(mixer: mixer.name, knobs: [knob.name: value])
                    let data = try JSONEncoder().encode(layer)
                    #expect(
                        try JSONDecoder().decode(LayerConfig.self, from: data) == layer,
                        "\(mixer.name) \(value)"
                    )
                }
            }
        }
        let data = Data(#"{"mixer": "of-another-program", "knob": 0}"#.utf8)
        #expect(try JSONDecoder().decode(LayerConfig.self, from: data).knobs == ["knob": .integer(0)])
    }

    @Test func everyPresetResolves() throws {
        #expect(Set(ModelPresets.presets.map(\.name)).count == ModelPresets.presets.count)
        for preset in ModelPresets.presets {
            #expect(!preset.summary.isEmpty && preset.paper.contains(/(19|20)\d\d/))
            if let knob = preset.stateKnob { #expect(preset.knobs.contains { $0.name == knob }) }
            let config = try preset.config(dModel: 64).resolved()
            #expect(config.layers.count >= 2)
            for knob in preset.knobs {
                #expect(knob.accepts(knob.defaultValue) == knob.defaultValue)
                let same = try preset.layers([knob.name: knob.defaultValue])
                #expect(same == (try preset.layers()))
            }
            #expect(throws: ConfigurationError.self) { try preset.layers(["no_such_knob": .integer(1)]) }
        }
    }

    /// The state's knob reaches the layers: another value, another state.
    @Test func theStateKnobOfAPresetChangesItsLayers() throws {
        for preset in ModelPresets.presets {
            guard let knob = preset.stateKnob else { continue }
            #expect(try preset.layers([knob: .integer(3)]) != preset.layers([knob: .integer(4)]))
        }
    }

    @Test func basedHasItsPapersArrangements() throws {
        let based = try #require(ModelPresets.preset("based"))
        func mixers(_ arrangement: String) throws -> [String] {
            try based.layers(["arrangement": .text(arrangement)]).map(\.mixer)
        }
        #expect(try mixers("mqar") == ["base-conv", "taylor-linear-attention"])
        #expect(try mixers("sliding-last") == ["base-conv", "taylor-linear-attention", "sliding-window"])
        #expect(try mixers("sliding-first") == ["base-conv", "sliding-window", "taylor-linear-attention"])
        let layers = try based.layers([
            "arrangement": .text("sliding-last"), "window": .integer(7), "feature_dim": .integer(5),
            "heads": .integer(2),
        ])
        #expect(layers[1].knobs == ["feature_dim": .integer(5), "heads": .integer(2)])
        #expect(layers[2].knobs == ["window": .integer(7), "heads": .integer(2)])
    }

    @Test func basedsLanguageModelHasItsPapersLayers() throws {
        let preset = try #require(ModelPresets.preset("based-lm"))
        func mixers(_ depth: Int) throws -> [String] {
            try preset.layers(["depth": .integer(depth)]).map(\.mixer)
        }
        let (conv, taylor, window) = ("gated-conv", "taylor-linear-attention", "sliding-window")
        #expect(try preset.layers().map(\.mixer) == [conv, taylor, window, conv, conv])
        #expect(try mixers(3) == [conv, taylor, window])
        #expect(try mixers(7) == [conv, taylor, window, conv, conv, conv, conv])
        let published = try mixers(27)
        #expect(published.indices.filter { published[$0] == taylor } == [1, 6, 11, 16, 21])
        #expect(published.indices.filter { published[$0] == window } == [2, 7, 12, 17, 22])
        #expect(published.filter { $0 == conv }.count == 17)
        let config = try preset.config(
            dModel: 64,
            [
                "heads": .integer(4), "window": .integer(9), "feature_dim": .integer(8),
                "kernel_size": .integer(4),
            ]
        ).resolved()
        #expect(config.norm == .rms && config.stateMixer == .swiglu && config.block == .transformer)
        #expect(config.layers[0].knobs == ["kernel_size": .integer(4)])
        #expect(
            config.layers[1].knobs == [
                "feature_map": .text("taylor-2"), "feature_dim": .integer(8), "heads": .integer(4),
            ]
        )
        #expect(
            config.layers[2].knobs == ["window": .integer(9), "heads": .integer(4), "rope": .flag(true)]
        )
    }

    /// A sweep without names takes the models that it always took.
    @Test func theSweepsModels() {
        let swept = ModelPresets.presets.filter(\.isSweptByDefault).map(\.name)
        #expect(
            swept == ["attention", "sliding-window", "linear-attention", "mamba", "base-conv", "based"]
        )
    }

    @Test func resolvingFillsDefaultsAndKeepsWhatIsGiven() throws {
        for mixer in MixerRegistry.mixers {
            let resolved = try MixerRegistry.resolve(LayerConfig(mixer: mixer.name), dModel: 64)
            #expect(
                resolved.knobs
                    == Dictionary(
                        uniqueKeysWithValues: mixer.knobs.filter { !$0.isLeftOutAtDefault }.map {
                            ($0.name, $0.defaultValue)
                        }
                    )
            )
            #expect(try MixerRegistry.resolve(resolved, dModel: 64) == resolved)
        }
        let given = try MixerRegistry.resolve(
            LayerConfig(mixer: "sliding-window", knobs: ["window": .integer(5)]),
            dModel: 64
        )
        #expect(given.knobs == ["window": .integer(5), "heads": .integer(1)])
        // A knob that came later is there where it is not at its default.
        for (rope, kept) in [(false, nil), (true, KnobValue.flag(true))] {
            let window = try MixerRegistry.resolve(
                LayerConfig(mixer: "sliding-window", knobs: ["rope": .flag(rope)]),
                dModel: 64
            )
            #expect(window.knobs["rope"] == kept)
        }
        // A number may be written as an integer.
        let dropout = try MixerRegistry.resolve(
            LayerConfig(mixer: "attention", knobs: ["dropout": .integer(0)]),
            dModel: 64
        )
        #expect(dropout.knobs["dropout"] == .number(0))
    }

    @Test func aliasesHaveOneCanonicalForm() throws {
        let alias = try MixerRegistry.resolve(
            LayerConfig(mixer: "taylor-linear-attention", knobs: ["feature_dim": .integer(8)]),
            dModel: 64
        )
        let plain = try MixerRegistry.resolve(
            LayerConfig(
                mixer: "linear-attention",
                knobs: ["feature_dim": .integer(8), "feature_map": .text("taylor-2"), "heads": .integer(1)]
            ),
            dModel: 64
        )
        #expect(alias == plain)
        #expect(MixerRegistry.description(of: "taylor-linear-attention")?.name == "linear-attention")
        #expect(throws: ConfigurationError.self) {
            try MixerRegistry.resolve(
                LayerConfig(mixer: "taylor-linear-attention", knobs: ["feature_map": .text("relu")]),
                dModel: 64
            )
        }
        for (name, target) in MixerRegistry.aliases {
            #expect(MixerRegistry.mixers.contains { $0.name == target.mixer })
            #expect(!MixerRegistry.mixers.contains { $0.name == name })
        }
    }

    private static let refused: [(mixer: String, knobs: [String: KnobValue], key: String, says: [String])] = [
        ("atention", [:], "mixer", ["atention", "attention", "mamba"]),
        ("based", [:], "mixer", ["based"]),
        ("attention", ["head": .integer(1)], "head", ["head", "heads"]),
        ("attention", ["heads": .integer(5)], "heads", ["64", "5"]),
        ("attention", ["heads": .integer(0)], "heads", ["1 to"]),
        ("attention", ["heads": .text("two")], "heads", ["integer", "two"]),
        ("attention", ["heads": .number(2)], "heads", ["integer"]),
        ("attention", ["rope": .integer(1)], "rope", ["true or false"]),
        ("attention", ["rope": .flag(true), "heads": .integer(64)], "rope", ["even"]),
        ("attention", ["dropout": .number(1)], "dropout", ["0.99"]),
        ("attention", ["dropout": .number(.nan)], "dropout", ["0.99"]),
        ("sliding-window", ["window": .integer(0)], "window", ["1 to"]),
        ("sliding-window", ["window": .integer(-3)], "window", ["1 to"]),
        ("sliding-window", ["heads": .integer(7)], "heads", ["64", "7"]),
        ("sliding-window", ["rope": .flag(true), "heads": .integer(64)], "rope", ["even", "it is 1"]),
        ("sliding-window", ["rope": .text("yes")], "rope", ["true or false"]),
        ("gated-conv", ["kernel_size": .text("long")], "kernel_size", ["1 to 256"]),
        ("gated-conv", ["kernel_size": .integer(0)], "kernel_size", ["1 to 256"]),
        ("gated-conv", ["bias": .flag(false)], "bias", ["kernel_size"]),
        ("linear-attention", ["feature_map": .text("taylor2")], "feature_map", ["taylor-2", "elu+1"]),
        ("linear-attention", ["feature_dim": .integer(0)], "feature_dim", ["1 to"]),
        ("base-conv", ["kernel_size": .integer(0)], "kernel_size", ["1 to", "long"]),
        ("base-conv", ["kernel_size": .text("short")], "kernel_size", ["long"]),
        ("mamba", ["state_size": .integer(0)], "state_size", ["1 to"]),
        ("mamba", ["heads": .integer(1)], "heads", ["state_size"]),
    ]

    @Test(arguments: refused.indices) func impossibleLayersAreRefused(_ index: Int) {
        let refused = Self.refused[index]
        do {
            _ = try MixerRegistry.resolve(LayerConfig(mixer: refused.mixer, knobs: refused.knobs), dModel: 64)
            Issue.record("\(refused) was accepted")
        } catch {
            #expect(error.key == refused.key)
            for words in refused.says { #expect(error.message.contains(words), "\(error.message)") }
        }
    }

    @Test func impossibleModelsAreRefused() {
        let layers = [LayerConfig(mixer: "attention")]
        let models: [(ModelConfig, String)] = [
            (ModelConfig(dModel: 0, layers: layers), "d_model"),
            (ModelConfig(dModel: -8, layers: layers), "d_model"),
            (ModelConfig(dModel: 8, layers: []), "layers"),
            (ModelConfig(dModel: 8, layers: layers, block: .mamba, stateMixer: .mlp), "state_mixer"),
            (ModelConfig(dModel: 8, layers: layers, block: .mamba, residualDropout: 0.1), "residual_dropout"),
        ]
        for (config, key) in models {
            do {
                _ = try config.resolved()
                Issue.record("\(config) was accepted")
            } catch { #expect(error.key == key) }
        }
    }

    @Test(arguments: ModelCase.all) func configurationsSurviveJSON(_ modelCase: ModelCase) throws {
        let json = try JSONEncoder().encode(modelCase.config)
        let decoded = try JSONDecoder().decode(ModelConfig.self, from: json)
        // Whole numbers come back as integers; resolving makes them numbers again.
        #expect(try decoded.resolved() == modelCase.config)
    }

    @Test func keysOfTheConfigurationAreStable() throws {
        let config = try ModelConfig(
            dModel: 8,
            layers: [
                LayerConfig(mixer: "base-conv"),
                LayerConfig(mixer: "attention", knobs: ["dropout": .number(0.5)]),
            ],
            stateMixer: .identity,
            positions: .learned,
            residualDropout: 0.25,
            initialisation: .zoology
        ).resolved()
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        #expect(
            String(decoding: try encoder.encode(config), as: UTF8.self)
                == """
                {"block":"transformer","d_model":8,"embed_dropout":0.1,"init":"zoology",\
                "layers":[{"kernel_size":3,"mixer":"base-conv"},\
                {"dropout":0.5,"heads":1,"mixer":"attention","rope":false}],\
                "norm_epsilon":1e-05,"positions":"learned","residual_dropout":0.25,"state_mixer":"identity"}
                """
        )
    }

    /// The key `norm` is there where it says something only, and comes back.
    @Test(arguments: BlockKind.allCases) func theNormIsEncodedWhereItIsNotTheDefault(block: BlockKind) throws {
        for norm in NormChoice.allCases {
            let config = try ModelConfig(
                dModel: 8,
                layers: [LayerConfig(mixer: "gated-conv")],
                block: block,
                norm: norm
            ).resolved()
            let json = try JSONEncoder().encode(config)
            #expect(String(decoding: json, as: UTF8.self).contains(#""norm":"#) == (norm == .rms))
            #expect(try JSONDecoder().decode(ModelConfig.self, from: json).resolved() == config)
        }
    }

    /// The default is the block's; what a model states is kept.
    @Test(arguments: BlockKind.allCases) func embeddingDropoutIsTheBlocksUnlessStated(block: BlockKind) throws {
        let layers = [LayerConfig(mixer: "mamba")]
        let silent = try ModelConfig(dModel: 8, layers: layers, block: block).resolved()
        #expect(silent.embedDropout == block.defaultEmbedDropout)
        #expect(silent.embedDropout == (block == .mamba ? 0 : 0.1))
        let stated = try ModelConfig(dModel: 8, layers: layers, block: block, embedDropout: 0.25).resolved()
        #expect(stated.embedDropout == 0.25)
    }
}
