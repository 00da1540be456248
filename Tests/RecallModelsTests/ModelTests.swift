import Foundation
import RecallKernels
import RecallModels
import RecallTensor
import TestSupport
import Testing

/// What holds for whole models: causality, and equalities between them.
struct ModelTests {
    /// A changed token leaves everything before it, and every other sequence, bit for bit the same: all but long
    /// convolutions, whose Fourier transforms round over a whole sequence at once.
    @Test(arguments: ModelCase.all) func nothingSeesTheFuture(_ modelCase: ModelCase) throws {
        let (length, vocabulary, changed) = (33, 31, 17)
        let model = try modelCase.stirredModel(vocabulary: vocabulary, maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        var batch = TokenBatch(batch: 2, length: length, vocabulary: vocabulary)
        let before = try model.logits(batch, arena)
        batch.tokens[changed] = (batch.tokens[changed] + 1) % Int32(vocabulary)
        let after = try model.logits(batch, arena)
        let (past, present) = (changed * vocabulary, length * vocabulary)
        if modelCase.config.layers.contains(where: { $0.knobs["kernel_size"] == .text("long") }) {
            #expect(relativeError(Array(after[..<past]), doubles(Array(before[..<past]))) < 1e-5)
        } else {
            #expect(before[..<past] == after[..<past])
        }
        #expect(before[present...] == after[present...])
        #expect(before[past..<past + vocabulary] != after[past..<past + vocabulary])
        #expect(before.allSatisfy { $0.isFinite } && after.allSatisfy { $0.isFinite })
    }

    @Test func longConvolutionsSeeTheFutureInRoundingOnly() throws {
        let (length, vocabulary, changed) = (200, 31, 100)
        let long = try #require(
            ModelCase.layers.first { $0.config.layers[0].knobs["kernel_size"] == .text("long") }
        )
        let model = try long.stirredModel(vocabulary: vocabulary, maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        var batch = TokenBatch(batch: 1, length: length, vocabulary: vocabulary)
        let before = try model.logits(batch, arena)
        batch.tokens[changed] = (batch.tokens[changed] + 1) % Int32(vocabulary)
        let after = try model.logits(batch, arena)
        let past = changed * vocabulary
        #expect(relativeError(Array(after[..<past]), doubles(Array(before[..<past]))) < 1e-5)
        #expect(relativeError(after, doubles(before)) > 1e-3)
    }

    /// Losses, right answers and logits at a few rows are those of the full forward's rows.
    @Test(arguments: ModelCase.presets) func labelledRowsAreTheFullForwards(_ modelCase: ModelCase) throws {
        let (length, vocabulary) = (20, 31)
        let model = try modelCase.stirredModel(vocabulary: vocabulary, maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        let full = try model.logits(TokenBatch(batch: 2, length: length, vocabulary: vocabulary), arena)
        let rows: [Int32] = [0, 7, 19, 20, 33, 39]
        var batch = TokenBatch(batch: 2, length: length, vocabulary: vocabulary, rows: rows)
        let picked = rows.map { full[Int($0) * vocabulary..<(Int($0) + 1) * vocabulary].map(Double.init) }
        #expect(relativeError(try model.logits(batch, arena), picked.flatMap { $0 }) < 1e-5)
        // One right answer for certain.
        batch.labels[2] = Int32(picked[2].firstIndex(of: picked[2].max() ?? 0) ?? 0)
        let tape = Tape(arena: arena, isTraining: false)
        let output = model.loss(batch.input(tape), labels: tape.integers(batch.labels), tape)
        let losses = zip(picked, batch.labels).map { logits, label in
            logSumExp(logits) - logits[Int(label)]
        }
        let correct = zip(picked, batch.labels).map { logits, label in
            logits.firstIndex(of: logits.max() ?? 0) == Int(label) ? 1.0 : 0
        }
        #expect(relativeError(try tape.read(output.losses), losses) < 1e-5)
        #expect(doubles(try tape.read(output.correct)) == correct)
        #expect(correct[2] == 1)
    }

    /// A window of at least the sequence is no window (docs/math/identities.md, section 2).
    @Test(arguments: [(1, false), (2, false), (1, true), (2, true)], [33, 34, 1000])
    func aWideWindowIsFullAttention(attention: (heads: Int, rope: Bool), window: Int) throws {
        func logits(_ mixer: String, _ window: Int? = nil) throws -> [Float] {
            var layer = LayerConfig(
                mixer: mixer,
                knobs: ["heads": .integer(attention.heads), "rope": .flag(attention.rope)]
            )
            layer.knobs["window"] = window.map { .integer($0) }
            let config = try ModelConfig(dModel: 24, layers: [layer]).resolved()
            let model = try LanguageModel(
                config,
                vocabulary: 31,
                maximumLength: 33,
                backend: CPUBackend(),
                seed: 4
            )
            for parameter in model.store.parameters where parameter.name.contains("qkv") {
                model.store.write(randomFloats(parameter.count, seed: 8), to: parameter.value)
            }
            return try model.logits(TokenBatch(batch: 2, length: 33), Arena(backend: model.store.backend))
        }
        let full = try logits("attention")
        let windowed = try logits("sliding-window", window)
        let narrow = try logits("sliding-window", 32)
        #expect(relativeError(windowed, doubles(full)) < 1e-5)
        #expect(narrow != full)
        // Only the last token of each sequence has a key out of a window of L - 1.
        #expect(relativeError(Array(narrow[..<(32 * 31)]), doubles(Array(full[..<(32 * 31)]))) < 1e-5)
    }

    /// The identity state mixer adds LayerNorm₂(r) to the residual, `none` adds nothing
    /// (docs/math/identities.md, section 5).
    ///
    /// The table is the identity matrix, so the residual starts as a unit vector and logits are the final norm's
    /// output; attention's output weight is zero, so its branch is its output bias.
    @Test(arguments: [StateMixerKind.identity, .none]) func identityAddsTheNormalisedResidual(
        _ kind: StateMixerKind
    )
        throws
    {
        let width = 12
        let config = try ModelConfig(
            dModel: width,
            layers: [LayerConfig(mixer: "attention")],
            stateMixer: kind
        ).resolved()
        let model = try LanguageModel(
            config,
            vocabulary: width,
            maximumLength: 4,
            backend: CPUBackend(),
            seed: 1
        )
        var set: [String: [Float]] = [:]
        for (index, parameter) in model.store.parameters.enumerated() {
            var values = randomFloats(parameter.count, seed: UInt64(index) + 20)
            if parameter.name == "embedding.weight" {
                values = values.indices.map { $0 / width == $0 % width ? 1 : 0 }
            } else if parameter.name.hasSuffix("mixer.out.weight") {
                values = values.map { _ in 0 }
            }
            model.store.write(values, to: parameter.value)
            set[parameter.name] = values
        }
        func norm(_ x: [Double], _ name: String) throws -> [Double] {
            let (gain, bias) = (try #require(set["\(name).weight"]), try #require(set["\(name).bias"]))
            let mean = x.reduce(0, +) / Double(width)
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            return x.indices.map {
                (x[$0] - mean) / (variance + 1e-5).squareRoot() * Double(gain[$0]) + Double(bias[$0])
            }
        }
        var batch = TokenBatch(batch: 1, length: 4, vocabulary: width)
        batch.tokens = [3, 0, 11, 3]
        let outBias = try #require(set["layers.0.mixer.out.bias"])
        let expected = try batch.tokens.flatMap { token -> [Double] in
            var residual = (0..<width).map { Double(outBias[$0]) + ($0 == Int(token) ? 1 : 0) }
            if kind == .identity {
                residual = zip(residual, try norm(residual, "layers.0.norm2")).map { $0 + $1 }
            }
            return try norm(residual, "norm")
        }
        #expect(relativeError(try model.logits(batch, Arena(backend: model.store.backend)), expected) < 1e-5)
        #expect((set["layers.0.norm2.weight"] == nil) == (kind == .none))
    }

    /// Dropout is training's: evaluation does not depend on it, training's masks on the step.
    @Test func dropoutIsForTrainingOnly() throws {
        func losses(embed: Double, residual: Double, isTraining: Bool, step: Int = 0) throws -> [Float] {
            let config = try ModelConfig(
                dModel: 24,
                layers: [LayerConfig(mixer: "attention")],
                embedDropout: embed,
                residualDropout: residual
            ).resolved()
            let model = try LanguageModel(
                config,
                vocabulary: 31,
                maximumLength: 33,
                backend: CPUBackend(),
                seed: 4
            )
            let tape = Tape(
                arena: try Arena(backend: model.store.backend),
                isTraining: isTraining,
                seed: 1,
                step: step
            )
            let batch = TokenBatch(batch: 2, length: 33)
            return try tape.read(
                model.loss(batch.input(tape), labels: tape.integers(batch.labels), tape).losses
            )
        }
        let plain = try losses(embed: 0, residual: 0, isTraining: false)
        #expect(try losses(embed: 0.5, residual: 0.5, isTraining: false) == plain)
        #expect(try losses(embed: 0.5, residual: 0, isTraining: true) != plain)
        #expect(try losses(embed: 0, residual: 0.5, isTraining: true) != plain)
        #expect(
            try losses(embed: 0.5, residual: 0, isTraining: true, step: 1)
                != losses(embed: 0.5, residual: 0, isTraining: true)
        )
    }
}

/// ln Σ exp.
private func logSumExp(_ x: [Double]) -> Double {
    let largest = x.max() ?? 0
    return largest + log(x.reduce(0) { $0 + exp($1 - largest) })
}
