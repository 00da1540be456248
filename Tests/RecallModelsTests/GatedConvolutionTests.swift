import Foundation
import RecallKernels
import RecallModels
import RecallTensor
import TestSupport
import Testing

/// One layer of the language model's gated convolution (docs/math/convolutions.md, section 7) and the norms
/// around it (docs/math/backbone.md, section 3), written out in Float64.
struct GatedConvolutionTests {
    private static let width = 12
    private static let tokens: [Int32] = [3, 0, 11, 3, 5, 7, 0]

    /// A model whose table is the identity matrix: the residual starts as a unit vector and logits are the final norm's
    /// output. All else is random.
    private func model(taps: Int, norm: NormChoice) throws -> (LanguageModel, [String: [Double]]) {
        let layer = LayerConfig(mixer: "gated-conv", knobs: ["kernel_size": .integer(taps)])
        let config = try ModelConfig(
            dModel: Self.width,
            layers: [layer],
            stateMixer: .identity,
            norm: norm
        ).resolved()
        let model = try LanguageModel(
            config,
            vocabulary: Self.width,
            maximumLength: Self.tokens.count,
            backend: CPUBackend(),
            seed: 1
        )
        var set: [String: [Double]] = [:]
        for parameter in model.store.parameters {
            // Keyed by name, so that models with and without norms' biases share the rest.
            let seed = parameter.name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) }
            var values = randomFloats(parameter.count, seed: seed)
            if parameter.name == "embedding.weight" {
                values = values.indices.map { $0 / Self.width == $0 % Self.width ? 1 : 0 }
            }
            model.store.write(values, to: parameter.value)
            set[parameter.name] = doubles(values)
        }
        return (model, set)
    }

    private func logits(_ model: LanguageModel) throws -> [Float] {
        var batch = TokenBatch(batch: 1, length: Self.tokens.count, vocabulary: Self.width)
        batch.tokens = Self.tokens
        return try model.logits(batch, Arena(backend: model.store.backend))
    }

    @Test(arguments: [1, 3, 4], NormChoice.allCases) func isTheFormula(taps: Int, kind: NormChoice) throws {
        let (model, set) = try model(taps: taps, norm: kind)
        let width = Self.width
        func values(_ name: String) throws -> [Double] { try #require(set[name], "no \(name)") }
        func norm(_ x: [Double], _ name: String) throws -> [Double] {
            let gain = try values("\(name).weight")
            #expect((set["\(name).bias"] == nil) == (kind == .rms))
            let bias = set["\(name).bias"] ?? Array(repeating: 0, count: width)
            // RMSNorm takes no mean away.
            let mean = kind == .rms ? 0 : x.reduce(0, +) / Double(width)
            let square = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            return x.indices.map { (x[$0] - mean) / (square + 1e-5).squareRoot() * gain[$0] + bias[$0] }
        }
        func linear(_ x: [Double], _ name: String) throws -> [Double] {
            let (weight, bias) = (try values("\(name).weight"), try values("\(name).bias"))
            return bias.indices.map { row in
                bias[row] + x.indices.reduce(0) { $0 + weight[row * x.count + $1] * x[$1] }
            }
        }
        let filter = try values("layers.0.mixer.conv.weight")
        #expect(filter.count == 2 * width * taps && set["layers.0.mixer.conv.bias"] == nil)

        let residuals = Self.tokens.map { token in (0..<width).map { $0 == Int(token) ? 1.0 : 0 } }
        let normed = try residuals.map { try norm($0, "layers.0.norm1") }
        let u1 = try normed.map { try linear($0, "layers.0.mixer.in") }
        let u2 = try normed.map { try linear($0, "layers.0.mixer.gate") }
        let expected = try residuals.indices.flatMap { t -> [Double] in
            let gated = (0..<2 * width).map { channel in
                var c = 0.0
                for tap in 0..<taps where t - (taps - 1) + tap >= 0 {
                    c += filter[channel * taps + tap] * u1[t - (taps - 1) + tap][channel]
                }
                return c / (1 + exp(-c)) * u2[t][channel]
            }
            var residual = zip(residuals[t], try linear(gated, "layers.0.mixer.out")).map { $0 + $1 }
            residual = zip(residual, try norm(residual, "layers.0.norm2")).map { $0 + $1 }
            return try norm(residual, "norm")
        }
        #expect(relativeError(try logits(model), expected) < 1e-5)
    }

    @Test func theNormsDiffer() throws {
        let layer = try logits(try model(taps: 3, norm: .layer).0)
        let rms = try logits(try model(taps: 3, norm: .rms).0)
        #expect(relativeError(rms, doubles(layer)) > 0.01)
    }
}
