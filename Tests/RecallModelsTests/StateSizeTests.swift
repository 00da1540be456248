import RecallKernels
import RecallModels
import RecallTensor
import Testing

/// The published harness's state sizes, and ours beside them (docs/math/state.md, section 2).
struct StateSizeTests {
    private func model(_ dModel: Int, _ layers: [LayerConfig], block: BlockKind = .transformer) throws
        -> LanguageModel
    {
        let config = try ModelConfig(dModel: dModel, layers: layers, block: block).resolved()
        return try LanguageModel(config, vocabulary: 4, maximumLength: 1024, backend: CPUBackend(), seed: 0)
    }

    private func withConv(_ mixer: String, _ knobs: [String: KnobValue] = [:]) -> [LayerConfig] {
        [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: mixer, knobs: knobs)]
    }

    /// Bytes by the harness's formula at L = 1024, [BaseConv K=3, X] unless the model is Mamba's.
    @Test(arguments: [(64, 525_056), (128, 1_050_112)]) func attention(dModel: Int, bytes: Int) throws {
        #expect(try model(dModel, withConv("attention")).zoologyStateBytes(length: 1024) == bytes)
    }

    @Test(arguments: [
        (48, 8, 9_396), (48, 16, 30_564), (48, 24, 64_276), (64, 8, 12_468), (64, 16, 40_548), (64, 24, 85_268),
        (128, 8, 24_756), (128, 16, 80_484), (128, 24, 169_236),
    ]) func based(dModel: Int, featureWidth: Int, bytes: Int) throws {
        let layers = withConv("taylor-linear-attention", ["feature_dim": .integer(featureWidth)])
        #expect(try model(dModel, layers).zoologyStateBytes(length: 1024) == bytes)
    }

    /// The published block of w is a window of w + 1 here.
    @Test(arguments: [
        (8, 9_728), (16, 17_920), (32, 34_304), (64, 67_072), (128, 132_608), (256, 263_680), (512, 525_824),
        (1024, 1_050_112),
    ]) func slidingWindow(block: Int, bytes: Int) throws {
        let layers = withConv("sliding-window", ["window": .integer(block + 1)])
        #expect(try model(128, layers).zoologyStateBytes(length: 1024) == bytes)
    }

    @Test(arguments: [64, 128, 256], [8, 16, 24]) func mamba(dModel: Int, states: Int) throws {
        let layer = LayerConfig(mixer: "mamba", knobs: ["state_size": .integer(states)])
        let mamba = try model(dModel, [layer, layer], block: .mamba)
        #expect(mamba.zoologyStateBytes(length: 1024) == 1024 * dModel / 64 * states)
    }

    /// The language model's gated convolution: K columns of 2 D by the published allocation, K - 1 needed.
    @Test(arguments: [1, 3, 5]) func gatedConvolution(taps: Int) throws {
        let layer = LayerConfig(mixer: "gated-conv", knobs: ["kernel_size": .integer(taps)])
        let made = try model(64, [layer])
        #expect(made.zoologyStateBytes(length: 1024) == 4 * 2 * 64 * taps)
        let measured = try made.measureStateBytes(length: 9, arena: Arena(backend: made.store.backend))
        #expect(measured == 4 * 2 * 64 * (taps - 1))
    }

    @Test func longConvolution() throws {
        let layers = [
            LayerConfig(mixer: "base-conv"),
            LayerConfig(mixer: "base-conv", knobs: ["kernel_size": .text("long")]),
        ]
        #expect(try model(64, layers).zoologyStateBytes(length: 1024) == 4 * (64 * 3 + 64 * 1024))
    }

    /// Measured: Based with what it needs and no more, a window that stops growing, attention that does not.
    @Test func measuredSizesGrowAsTheyShould() throws {
        func bytes(_ layers: [LayerConfig], _ length: Int) throws -> Int {
            let made = try model(48, layers)
            return try made.measureStateBytes(length: length, arena: Arena(backend: made.store.backend))
        }
        let based = withConv("taylor-linear-attention", ["feature_dim": .integer(8)])
        #expect(try bytes(based, 1) == 4 * (48 * 2 + 45 * 49))
        #expect(try bytes(based, 100) == bytes(based, 1))
        let window = withConv("sliding-window", ["window": .integer(9)])
        #expect(try bytes(window, 3) == 4 * (48 * 2 + 2 * 48 * 3))
        #expect(try bytes(window, 100) == 4 * (48 * 2 + 2 * 48 * 8))
        #expect(try bytes(withConv("attention"), 100) == 4 * (48 * 2 + 2 * 48 * 100))
    }
}
