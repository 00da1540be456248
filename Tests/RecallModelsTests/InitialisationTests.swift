import Foundation
import RecallKernels
import RecallModels
import RecallTensor
import Testing

/// How parameters start (docs/math/backbone.md, section 7), Mamba's own among them
/// (docs/math/selective-scan.md, section 5).
struct InitialisationTests {
    private func model(
        _ layers: [String],
        dModel: Int = 64,
        block: BlockKind = .transformer,
        stateMixer: StateMixerKind = .none,
        positions: PositionKind = .none,
        _ initialisation: InitialisationKind = .paper,
        seed: UInt64 = 1
    ) throws -> LanguageModel {
        let config = try ModelConfig(
            dModel: dModel,
            layers: layers.map { LayerConfig(mixer: $0) },
            block: block,
            stateMixer: stateMixer,
            positions: positions,
            initialisation: initialisation
        ).resolved()
        return try LanguageModel(config, vocabulary: 256, maximumLength: 32, backend: CPUBackend(), seed: seed)
    }

    private func deviation(_ values: [Float]) -> Double {
        let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
        return (values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count))
            .squareRoot()
    }

    private func all(_ model: LanguageModel) throws -> [String: [UInt32]] {
        var values: [String: [UInt32]] = [:]
        for parameter in model.store.parameters {
            #expect(values[parameter.name] == nil, "\(parameter.name) twice")
            values[parameter.name] = model.store.read(parameter.value, count: parameter.count).map(\.bitPattern)
        }
        return values
    }

    @Test(arguments: ModelCase.all) func theSeedFixesEveryBit(_ modelCase: ModelCase) throws {
        func start(_ seed: UInt64) throws -> [String: [UInt32]] {
            try all(
                LanguageModel(
                    modelCase.config,
                    vocabulary: 31,
                    maximumLength: 16,
                    backend: CPUBackend(),
                    seed: seed
                )
            )
        }
        let first = try start(7)
        #expect(try start(7) == first)
        #expect(try start(8)["embedding.weight"] != first["embedding.weight"])
        // No two random arrays of a model are alike.
        let drawn = first.values.filter { Set($0).count > $0.count / 2 && $0.count > 100 }
        #expect(Set(drawn.map { Array($0.prefix(16)) }).count >= drawn.count - modelCase.sharedStarts)
    }

    /// A parameter is keyed by its name: what other layers there are does not matter.
    @Test func aParameterStartsTheSameWhateverElseThereIs() throws {
        let a = try all(model(["base-conv", "attention"]))
        let b = try all(model(["base-conv", "linear-attention"], stateMixer: .mlp, positions: .learned))
        let shared = Set(a.keys).intersection(b.keys)
        #expect(shared.contains("layers.0.mixer.conv.weight") && shared.contains("embedding.weight"))
        for name in shared where !name.contains("layers.1.mixer") { #expect(a[name] == b[name], "\(name)") }
    }

    @Test(arguments: InitialisationKind.allCases)
    func linearsAndEmbeddingsAreNormal(_ kind: InitialisationKind) throws {
        let made = try model(
            ["base-conv", "attention", "linear-attention"],
            stateMixer: .mlp,
            positions: .learned,
            kind
        )
        for name in [
            "embedding.weight", "positions.weight", "layers.0.mixer.projection.weight",
            "layers.1.mixer.qkv.weight", "layers.2.mixer.v.weight", "layers.0.state_mixer.fc1.weight",
        ] {
            let values = try made.values(name)
            // The deviation's own is 1/√(2 count).
            let slack = 5 / Double(2 * values.count).squareRoot()
            #expect(abs(deviation(values) / 0.02 - 1) < slack, "\(name)")
            let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
            #expect(abs(mean) < 5 * 0.02 / Double(values.count).squareRoot(), "\(name)")
            // Not uniform: some lie beyond two deviations.
            #expect(values.contains { abs($0) > 0.05 }, "\(name)")
        }
        for name in ["layers.1.mixer.qkv.bias", "layers.1.mixer.out.bias", "norm.bias", "layers.0.norm1.bias"] {
            #expect(try made.values(name).allSatisfy { $0 == 0 }, "\(name)")
        }
        for name in ["norm.weight", "layers.0.norm1.weight", "layers.2.norm2.weight"] {
            #expect(try made.values(name).allSatisfy { $0 == 1 }, "\(name)")
        }
        // PyTorch's Conv1d: ±1/√K.
        for name in ["layers.0.mixer.conv.weight", "layers.0.mixer.conv.bias"] {
            let values = try made.values(name)
            let bound = 1 / Float(3).squareRoot()
            #expect(values.allSatisfy { abs($0) <= bound }, "\(name)")
            #expect(values.contains { $0 > 0.8 * bound } && values.contains { $0 < -0.8 * bound }, "\(name)")
        }
    }

    /// Which output projections start at 0.02/√(2·layers): by the papers all, by the published harness those whose
    /// name there its rule matches.
    @Test func outputProjectionsAreScaledDown() throws {
        let expected: [(name: String, paper: Bool, zoology: Bool)] = [
            ("layers.0.mixer.projection.weight", false, false), ("layers.1.mixer.out.weight", true, true),
            ("layers.2.mixer.out.weight", true, false), ("layers.3.mixer.out.weight", true, true),
            ("layers.4.mixer.out.weight", true, true), ("layers.5.mixer.out.weight", true, true),
            ("layers.5.mixer.in.weight", false, false), ("layers.5.mixer.gate.weight", false, false),
            ("layers.0.state_mixer.fc1.weight", false, false),
            ("layers.0.state_mixer.fc2.weight", true, true),
        ]
        for kind in InitialisationKind.allCases {
            let made = try model(
                ["base-conv", "attention", "linear-attention", "sliding-window", "mamba", "gated-conv"],
                stateMixer: .mlp,
                kind
            )
            for (name, paper, zoology) in expected {
                let isScaled = kind == .paper ? paper : zoology
                let wanted = isScaled ? 0.02 / 12.0.squareRoot() : 0.02
                let values = try made.values(name)
                let slack = 5 / Double(2 * values.count).squareRoot()
                #expect(abs(deviation(values) / wanted - 1) < slack, "\(kind) \(name)")
            }
        }
        let gated = try model(["attention"], stateMixer: .swiglu)
        let second = try gated.values("layers.0.state_mixer.fc2.weight")
        #expect(abs(deviation(second) / (0.02 / 2.0.squareRoot()) - 1) < 0.05)
    }

    @Test func mambasBlockKeepsItsOwnStart() throws {
        let made = try model(["mamba", "mamba"], block: .mamba)
        func isUniform(_ name: String, bound: Double) throws {
            let values = try made.values(name).map { abs(Double($0)) }
            #expect(values.allSatisfy { $0 <= bound * (1 + 1e-6) }, "\(name)")
            #expect(values.max() ?? 0 > 0.97 * bound, "\(name)")
        }
        try isUniform("layers.0.mixer.in.weight", bound: 1 / 8)
        try isUniform("layers.0.mixer.selection.weight", bound: 1 / 128.0.squareRoot())
        try isUniform("layers.0.mixer.out.weight", bound: 1 / 256.0.squareRoot())
        try isUniform("layers.0.mixer.delta.weight", bound: 1 / 2)
        try isUniform("layers.0.mixer.conv.weight", bound: 1 / 2)
        #expect(abs(deviation(try made.values("embedding.weight")) / 0.02 - 1) < 0.03)
        #expect(!made.store.parameters.contains { $0.name == "layers.0.norm1.bias" })
        try stepSizes(made)
        try stepSizes(model(["mamba"], .paper))

        let zoology = try model(["mamba"], .zoology)
        #expect(try zoology.values("layers.0.mixer.delta.bias").allSatisfy { $0 == 0 })
        #expect(abs(deviation(try zoology.values("layers.0.mixer.delta.weight")) / 0.02 - 1) < 0.2)
        try decay(zoology)
    }

    /// softplus(bias) in [0.001, 0.1], log-uniformly; A_log = ln(1..N).
    private func stepSizes(_ model: LanguageModel) throws {
        let steps = try model.values("layers.0.mixer.delta.bias").map { log1p(exp(Double($0))) }
        #expect(steps.count == 128)
        #expect(steps.allSatisfy { $0 > 0.001 * 0.999 && $0 < 0.1 * 1.001 })
        // The median of the law is 0.01: some two thirds of a decade beside it at most.
        let median = steps.sorted()[64]
        #expect(median > 0.005 && median < 0.02)
        try decay(model)
    }

    private func decay(_ model: LanguageModel) throws {
        let aLog = try model.values("layers.0.mixer.a_log")
        #expect(aLog.count == 128 * 16)
        for (index, value) in aLog.enumerated() {
            #expect(abs(Double(value) - log(Double(index % 16 + 1))) < 1e-6)
        }
        #expect(try model.values("layers.0.mixer.skip").allSatisfy { $0 == 1 })
    }

    /// Exempt from weight decay: biases, norm gains, A_log, D and the step size's bias, nothing else.
    @Test(arguments: ModelCase.all) func exemptionsFromDecay(_ modelCase: ModelCase) throws {
        let made = try LanguageModel(
            modelCase.config,
            vocabulary: 31,
            maximumLength: 16,
            backend: CPUBackend(),
            seed: 1
        )
        for parameter in made.store.parameters {
            let name = parameter.name
            let isNorm = name.hasPrefix("norm.") || name.contains(".norm1.") || name.contains(".norm2.")
            let expected =
                isNorm || name.hasSuffix(".bias") || name.hasSuffix(".a_log") || name.hasSuffix(".skip")
            #expect(parameter.isExemptFromDecay == expected, "\(name)")
        }
    }

    @Test func theTableCountsOnce() throws {
        let made = try model(["attention"], dModel: 8)
        #expect(made.parameterCount == 256 * 8 + 2 * 8 + (3 * 8 * 8 + 3 * 8) + (8 * 8 + 8) + 2 * 8)
        #expect(Set(made.store.parameters.map(\.name)).count == made.store.parameters.count)
    }
}

extension ModelCase {
    /// Arrays that start from the same rule without randomness (A_log, a layer each).
    fileprivate var sharedStarts: Int { config.layers.count }
}
