import Foundation
import RecallModels
import RecallSuite
import RecallTraining
import Testing

@Suite struct ExpansionTests {
    @Test func defaultsAreThoseOfTheConfigurations() throws {
        let run = try #require(try suite(plainSuite).expand().first)
        #expect(run.spec.training == TrainingConfig(epochs: 1, batchSize: 8, learningRate: 0.01))
        let convolution = try MixerRegistry.resolve(LayerConfig(mixer: "base-conv"), dModel: 16)
        let attention = try MixerRegistry.resolve(
            LayerConfig(mixer: "attention", knobs: ["heads": .integer(2)]),
            dModel: 16
        )
        #expect(run.spec.model == ModelConfig(dModel: 16, layers: [convolution, attention]))
        #expect(run.spec.task.dataSeed == 123)
        #expect(run.taskHash == run.spec.task.contentHash())
        #expect((run.suite, run.task, run.model) == ("plain", "mqar", "first"))
        #expect(run.runID == run.spec.runID(taskHash: run.taskHash))
        #expect(run.runID.count == 16)
    }

    @Test func orderIsModelsGridTasksTrainingSeeds() throws {
        let runs = try suite(edited("epochs: 1", "seeds: 2\n  epochs: 1")).expand(seed: 7)
        let shown = runs.map { run in
            "\(run.model) \(run.spec.model.dModel) \(run.spec.model.layers[1].knobs["feature_dim"] ?? .text("-")) "
                + "\(run.spec.training.learningRate) \(run.spec.seed)"
        }
        var expected = ["0.01 7", "0.01 8", "0.001 7", "0.001 8"].map { "first 16 - \($0)" }
        for width in [16, 32] {
            for feature in [4, 8] {
                for tail in ["0.01 7", "0.01 8", "0.001 7", "0.001 8"] {
                    expected.append("second \(width) \(feature) \(tail)")
                }
            }
        }
        #expect(shown == expected)
        #expect(Set(runs.map(\.runID)).count == runs.count)
    }

    @Test func seedsWrapAtTheEnd() throws {
        let runs = try suite(edited("epochs: 1", "seeds: 2\n  epochs: 1")).expand(seed: .max)
        #expect(runs.prefix(2).map(\.spec.seed) == [.max, 0])
    }

    @Test func aTasksBatchSizeReplacesTheTrainings() throws {
        let yaml = edited(
            "batch_size: 8",
            "batch_size: [8, 16]",
            in: edited("vocab_size: 64", "vocab_size: 64\n  batch_size: 4")
        )
        let runs = try suite(yaml).expand()
        #expect(runs.allSatisfy { $0.spec.training.batchSize == 4 })
        // The grid of batch sizes is idle, so its points are one.
        #expect(runs.count == 10)
    }

    @Test func severalTasks() throws {
        let task = """
              - {name: mqar, vocab_size: 64, train: [*s], validation: [*s], test: [*s]}
              - {name: mqar, vocab_size: 64, train: [*s], validation: [*s], test: [*s], batch_size: 2}
              - {name: mqar, vocab_size: 64, train: [*s], validation: [*s], test: [*s], data_seed: 5}
            """
        let first = """
              - {name: mqar, vocab_size: 32, train: [&s {sequence_length: 32, kv_pairs: 4, examples: 10}], \
            validation: [*s], test: [*s]}
            """
        let lines = plainSuite.split(separator: "\n").map(String.init)
        let yaml = (lines[..<2] + [first, task] + lines[7...]).joined(separator: "\n")
        let loaded = try suite(yaml)
        #expect(loaded.tasks.count == 4)
        let runs = loaded.expand()
        #expect(runs.count == 40)
        #expect(runs.prefix(8).map(\.spec.training.batchSize) == [8, 8, 8, 8, 2, 2, 8, 8])
        #expect(Set(runs.map(\.taskHash)).count == 3)
    }

    @Test func aPresetStandsForItsLayers() throws {
        let layers = "[base-conv, {mixer: attention, heads: 2}]"
        func models(_ text: String) throws -> [ModelConfig] {
            try suite(edited(layers, text)).models[0].configurations
        }
        #expect(
            try models("based")
                == models("[base-conv, {mixer: taylor-linear-attention, feature_dim: 16}]")
        )
        #expect(
            try models("{preset: based, feature_dim: [8, 16]}")
                == models("[base-conv, {mixer: taylor-linear-attention, feature_dim: [8, 16]}]")
        )
        let mamba = try #require(try models("{preset: mamba, state_size: 4}").first)
        #expect(mamba.block == .mamba)
        #expect((mamba.stateMixer, mamba.embedDropout) == (.none, 0))
        let mixed = try suite(edited(layers, "mamba\n    block: [transformer, mamba]")).models[0].configurations
        #expect(mixed.map(\.block) == [.transformer, .mamba])
        #expect(mixed.map(\.embedDropout) == [0.1, 0])
        let stated = try models("mamba\n    block: [transformer, mamba]\n    embed_dropout: [0.1, 0.2]")
        #expect(stated.map(\.embedDropout) == [0.1, 0.2, 0.1, 0.2])
        // A knob that the arrangement leaves idle makes no second configuration.
        #expect(
            try models("{preset: based, arrangement: [mqar, sliding-last], window: [8, 16]}").count == 3
        )
    }

    /// What a preset sets, a suite may set otherwise.
    @Test func aPresetsKeysGiveWay() throws {
        func model(_ text: String) throws -> ModelConfig {
            try #require(
                try suite(edited("[base-conv, {mixer: attention, heads: 2}]", text)).models[0].configurations
                    .first
            )
        }
        let preset = try #require(ModelPresets.preset("based-lm"))
        #expect(try model("based-lm") == preset.config(dModel: 16).resolved())
        let other = try model("{preset: based-lm, depth: 3}\n    norm: layer\n    state_mixer: mlp")
        #expect((other.norm, other.stateMixer, other.layers.count) == (.layer, .mlp, 3))
        let bare = try model("{preset: based-lm, depth: 3}\n    block: mamba")
        #expect((bare.norm, bare.stateMixer, bare.block) == (.layer, .none, .mamba))
        #expect(try model("{preset: based-lm, depth: 3}\n    block: mamba\n    norm: layer") == bare)
        // In a Mamba model it is the norm at the end.
        let stateSpaces = try model("mamba\n    norm: rms")
        #expect((stateSpaces.norm, stateSpaces.block, stateSpaces.embedDropout) == (.rms, .mamba, 0))
        #expect(try model("mamba\n    norm: layer") == model("mamba"))
        #expect(
            try model("[gated-conv]\n    norm: rms")
                == ModelConfig(dModel: 16, layers: [LayerConfig(mixer: "gated-conv")], norm: .rms).resolved()
        )
    }

    @Test func aGridOfMixedKinds() throws {
        let loaded = try suite(
            edited("[base-conv, {mixer: attention, heads: 2}]", "[{mixer: base-conv, kernel_size: [3, long]}]")
        )
        #expect(
            loaded.models[0].configurations.map { $0.layers[0].knobs["kernel_size"] } == [
                .integer(3), .text("long"),
            ]
        )
    }

    @Test func oneFormOneRun() throws {
        let ids = try suite(plainSuite).expand().map(\.runID)
        let same = [
            // Explicit defaults, in any order of keys.
            edited(
                "d_model: 16",
                "init: paper\n    norm: layer\n    norm_epsilon: 0.00001\n    embed_dropout: 0.1\n    d_model: 16"
            ),
            edited("epochs: 1", "weight_decay: 1e-1\n  schedule: cosine-epoch\n  precision: fp32\n  epochs: 1"),
            edited("heads: 2", "rope: false, dropout: 0, heads: 2"),
            edited("vocab_size: 64", "power_a: 0.01\n  fillers: any\n  data_seed: 123\n  vocab_size: 64"),
            edited("mixer: linear-attention", "mixer: linear-attention\n        feature_map: elu+1"),
        ]
        for yaml in same { #expect(try suite(yaml).expand().map(\.runID) == ids) }
        let window = edited("mixer: attention, heads: 2", "mixer: sliding-window")
        let unturned = edited("mixer: attention, heads: 2", "mixer: sliding-window, rope: false")
        #expect(try suite(window).expand().map(\.runID) == suite(unturned).expand().map(\.runID))
        let different = [
            edited("vocab_size: 64", "vocab_size: 66"), edited("epochs: 1", "epochs: 2"),
            edited("vocab_size: 64", "vocab_size: 64\n  data_seed: 1"), edited("heads: 2", "heads: 1"),
            edited("d_model: 16", "d_model: 18"),
            edited("d_model: 16", "d_model: 16\n    norm: rms"),
        ]
        for yaml in different { #expect(try suite(yaml).expand()[0].runID != ids[0]) }

        let taylor = edited("mixer: linear-attention", "mixer: linear-attention\n        feature_map: taylor-2")
        let alias = edited("mixer: linear-attention", "mixer: taylor-linear-attention")
        #expect(try suite(taylor).expand().map(\.runID) == suite(alias).expand().map(\.runID))
        #expect(try suite(taylor).expand().map(\.runID) != ids)
    }

    /// The two zeros are one number: one run, in every setting that may be 0.
    @Test(arguments: [
        ("heads: 2", "dropout: 0, heads: 2"), ("epochs: 1", "weight_decay: 0\n  epochs: 1"),
        ("epochs: 1", "stop_at_accuracy: 0\n  epochs: 1"), ("vocab_size: 64", "power_a: 0\n  vocab_size: 64"),
        ("d_model: 16", "d_model: 16\n    embed_dropout: 0"),
        ("d_model: 16", "d_model: 16\n    residual_dropout: 0"),
    ]) func theTwoZerosAreOne(_ old: String, _ new: String) throws {
        let ids = try suite(edited(old, new)).expand().map(\.runID)
        for zero in ["-0.0", "-0", "0.0", "-0e3", "+0"] {
            let other = new.replacing(": 0", with: ": \(zero)", maxReplacements: 1)
            #expect(try suite(edited(old, other)).expand().map(\.runID) == ids, "\(other)")
        }
    }

    /// A run that was stored with -0 keeps its identity.
    @Test func aStoredMinusZeroKeepsItsIdentity() throws {
        var run = try #require(try suite(plainSuite).expand().first)
        run.spec.training.weightDecay = -0.0
        let json = run.spec.canonicalJSON()
        #expect(json.contains(#""weight_decay":-0"#))
        let decoded = try JSONDecoder().decode(RunSpec.self, from: Data(json.utf8))
        #expect(decoded.canonicalJSON() == json)
        #expect(decoded.runID(taskHash: run.taskHash) == run.spec.runID(taskHash: run.taskHash))
    }

    @Test(arguments: ["0", "+5", "18446744073709551615", "9223372036854775808"])
    func anySeedOf64BitsIsTaken(_ seed: String) throws {
        let loaded = try suite(edited("vocab_size: 64", "vocab_size: 64\n  data_seed: \(seed)"))
        #expect(loaded.tasks[0].task.dataSeed == UInt64(seed))
    }

    @Test func aSpecificationSurvivesItsJSON() throws {
        for run in try suite(edited("heads: 2", "dropout: [0, 0.1], rope: true")).expand(seed: .max) {
            let json = run.spec.canonicalJSON()
            let decoded = try JSONDecoder().decode(RunSpec.self, from: Data(json.utf8))
            #expect(decoded.canonicalJSON() == json)
            #expect(decoded.runID(taskHash: run.taskHash) == run.runID)
        }
    }

    @Test func aliasesStandForWhatTheyName() throws {
        let yaml = edited(
            "validation: [{sequence_length: 32, kv_pairs: 4, examples: 10}]",
            "validation: *segments",
            in: edited("train: [{", "train: &segments [{")
        )
        #expect(try suite(yaml).expand().map(\.runID) == suite(plainSuite).expand().map(\.runID))
    }
}
