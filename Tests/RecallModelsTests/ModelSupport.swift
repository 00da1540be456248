import RecallKernels
import RecallModels
import RecallRandom
import RecallTensor
import TestSupport
import Testing

/// One model to hold to the rules that every model keeps.
struct ModelCase: Sendable, CustomTestStringConvertible {
    let name: String
    let config: ModelConfig

    var testDescription: String { name }

    /// D of all cases: not a multiple of a vector's width, and with a projection of Mamba's step size of rank 2.
    static let width = 24

    private init(_ name: String, _ config: ModelConfig) throws {
        self.name = name
        self.config = try config.resolved()
    }

    /// Some knobs besides the defaults for each mixer that is known here; one that is not has its defaults tested.
    private static func variants(of mixer: String) -> [[String: KnobValue]] {
        switch mixer {
        case "attention":
            [
                ["heads": .integer(2)], ["rope": .flag(true)], ["rope": .flag(true), "heads": .integer(3)],
                ["dropout": .number(0.2)],
            ]
        case "sliding-window":
            [
                ["window": .integer(1)], ["window": .integer(2)],
                ["window": .integer(9), "heads": .integer(2)],
                ["window": .integer(33)], ["window": .integer(34)], ["window": .integer(500)],
                ["rope": .flag(true)], ["rope": .flag(true), "window": .integer(2)],
                ["rope": .flag(true), "window": .integer(9), "heads": .integer(3)],
            ]
        case "linear-attention":
            FeatureMap.allCases.flatMap { map in
                [(1, 1), (5, 1), (8, 2), (16, 3)].map {
                    [
                        "feature_map": .text(map.rawValue), "feature_dim": .integer($0.0),
                        "heads": .integer($0.1),
                    ]
                }
            }
        case "base-conv":
            [
                ["kernel_size": .integer(1)], ["kernel_size": .integer(2)], ["kernel_size": .integer(7)],
                ["kernel_size": .text("long")],
            ]
        case "gated-conv":
            [["kernel_size": .integer(1)], ["kernel_size": .integer(2)], ["kernel_size": .integer(7)]]
        case "mamba":
            [
                ["expand": .integer(1)], ["state_size": .integer(1)],
                ["kernel_size": .integer(1), "state_size": .integer(3), "expand": .integer(3)],
            ]
        default: []
        }
    }

    /// Every mixer of the registry, with its defaults and variants, and every alias; blocks, state mixers, positions
    /// and initialisations take turns.
    static let layers: [ModelCase] = {
        var cases: [ModelCase] = []
        for mixer in MixerRegistry.mixers.map(\.name) + MixerRegistry.aliases.keys.sorted() {
            for knobs in [[:]] + variants(of: mixer) {
                let turn = cases.count
                let layer = LayerConfig(mixer: mixer, knobs: knobs)
                // RMSNorm has no bias that could keep features positive.
                let isMambaBlock = turn % 5 == 4 && mixer != "linear-attention"
                let config = ModelConfig(
                    dModel: width,
                    layers: [layer, layer],
                    block: isMambaBlock ? .mamba : .transformer,
                    stateMixer: isMambaBlock ? .none : StateMixerKind.allCases[turn % 4],
                    positions: PositionKind.allCases[turn % 2],
                    residualDropout: isMambaBlock ? 0 : 0.1,
                    norm: turn % 3 == 2 && mixer != "linear-attention" ? .rms : .layer,
                    initialisation: InitialisationKind.allCases[turn % 2]
                )
                let label = knobs.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
                guard let made = try? ModelCase("\(mixer)\(label)", config) else {
                    preconditionFailure("\(mixer) refuses \(knobs) at width \(width)")
                }
                cases.append(made)
            }
        }
        return cases
    }()

    /// Every preset, and Based's other arrangements.
    static let presets: [ModelCase] = {
        var cases: [ModelCase] = []
        var variants: [(ModelPreset, [String: KnobValue])] = ModelPresets.presets.map { ($0, [:]) }
        if let based = ModelPresets.preset("based") {
            for arrangement in ["sliding-last", "sliding-first"] {
                variants.append(
                    (
                        based,
                        ["arrangement": .text(arrangement), "window": .integer(5), "feature_dim": .integer(6)]
                    )
                )
            }
        }
        for (preset, knobs) in variants {
            let label = knobs["arrangement"].map { " \($0)" } ?? ""
            guard
                let made = try? ModelCase(
                    "preset \(preset.name)\(label)",
                    ModelConfig(
                        dModel: width,
                        layers: preset.layers(knobs),
                        block: preset.block,
                        stateMixer: preset.block == .mamba ? .none : preset.stateMixer ?? .identity,
                        norm: preset.norm ?? .layer
                    )
                )
            else { preconditionFailure("the preset \(preset.name) refuses \(knobs)") }
            cases.append(made)
        }
        return cases
    }()

    static var all: [ModelCase] { layers + presets }

    /// Whether a denominator may come near zero unless queries and keys are positive.
    var needsPositiveFeatures: Bool {
        config.layers.contains {
            [.text("identity"), .text("relu")].contains($0.knobs["feature_map"] ?? .flag(false))
        }
    }

    /// The model with every parameter moved away from its start, so that all of its parts matter.
    func stirredModel(vocabulary: Int = 31, maximumLength: Int, backend: CPUBackend = CPUBackend()) throws
        -> LanguageModel
    {
        let model = try LanguageModel(
            config,
            vocabulary: vocabulary,
            maximumLength: maximumLength,
            backend: backend,
            seed: 1
        )
        for (index, parameter) in model.store.parameters.enumerated() {
            var values = model.store.read(parameter.value, count: parameter.count)
            // Mamba's B and C are a product of two small numbers: without more its state would hardly count.
            let scale: Float = parameter.name.hasSuffix("selection.weight") ? 4 : 1
            let bound = parameter.shape.count == 2 ? scale / Float(parameter.shape[1]).squareRoot() : 0.2
            for (i, moved) in randomFloats(values.count, seed: UInt64(index) + 50).enumerated() {
                values[i] += bound * moved
            }
            let name = parameter.name
            if name.hasSuffix("delta.bias") {
                // Steps so large that what a state forgets shows within a short sequence.
                values = values.map { $0 + 3 }
            }
            if needsPositiveFeatures {
                if name.hasSuffix("mixer.q.weight") || name.hasSuffix("mixer.k.weight") {
                    values = values.map(abs)
                } else if name.hasSuffix("norm1.bias") {
                    values = values.map { $0 + 1.5 }
                }
            }
            model.store.write(values, to: parameter.value)
        }
        return model
    }
}

/// A batch of random tokens with some labelled rows.
struct TokenBatch {
    let batch: Int
    let length: Int
    var tokens: [Int32]
    var rows: [Int32]
    var labels: [Int32]

    init(batch: Int, length: Int, vocabulary: Int = 31, rows: [Int32]? = nil, seed: UInt64 = 9) {
        (self.batch, self.length) = (batch, length)
        tokens = Self.draw(batch * length, vocabulary, seed: seed)
        self.rows = rows ?? Array(0..<Int32(batch * length))
        labels = Self.draw(self.rows.count, vocabulary, seed: seed + 1)
    }

    private static func draw(_ count: Int, _ vocabulary: Int, seed: UInt64) -> [Int32] {
        var stream = RandomStream(seed: seed, purpose: .test)
        return (0..<count).map { _ in Int32(stream.below(UInt32(vocabulary))) }
    }

    func input(_ tape: Tape) -> ModelInput {
        ModelInput(batch: batch, tokens: tape.integers(tokens), labelledRows: tape.integers(rows))
    }

    /// The tokens at one position of all sequences.
    func column(_ position: Int) -> [Int32] { (0..<batch).map { tokens[$0 * length + position] } }
}

extension LanguageModel {
    /// Logits at the labelled rows, in evaluation.
    func logits(_ batch: TokenBatch, _ arena: Arena) throws -> [Float] {
        let tape = Tape(arena: arena, isTraining: false)
        return try tape.read(logits(batch.input(tape), tape))
    }

    /// One decoding step's logits.
    func step(_ tokens: [Int32], _ states: inout [MixerState], _ arena: Arena) throws -> [Float] {
        let tape = Tape(arena: arena, isTraining: false)
        return try tape.read(step(tokens, &states, tape))
    }

    /// The value of a parameter.
    func values(_ name: String) throws -> [Float] {
        let parameter = try #require(store.parameters.first { $0.name == name }, "no parameter \(name)")
        return store.read(parameter.value, count: parameter.count)
    }
}
