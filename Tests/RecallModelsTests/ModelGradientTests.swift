import RecallKernels
import RecallModels
import RecallRandom
import RecallTensor
import TestSupport
import Testing

/// The gradient of a whole model's loss in each of its parameters, by finite differences.
///
/// All arithmetic is Float32, so what is compared is the derivative along a direction with every entry ±1, to which all
/// entries of a gradient contribute alike: its size is about the gradient's norm ‖g‖ (its deviation over random signs).
/// Four evaluations cancel the error of third order. Where steps are small, rounding and the kinks of a ReLU cost up to a
/// hundredth.
struct ModelGradientTests {
    /// Such that the loss changes by some 1e-4, a thousand times its rounding error, where 5e-3 does for that.
    private static func step(norm: Double) -> Float { Float(min(5e-3, 1e-4 / norm)) }
    private static let roundingError = 5e-5
    private static let tolerance = 0.02

    /// Dropout is on: its masks are the same in every evaluation of one optimiser step.
    private func meanLoss(_ model: LanguageModel, _ batch: TokenBatch, _ arena: Arena, backward: Bool = false)
        throws
        -> Double
    {
        model.store.beginStep()
        let tape = Tape(arena: arena, isTraining: true, seed: 3, step: 7)
        let head = model.loss(batch.input(tape), labels: tape.integers(batch.labels), tape)
        let losses = try tape.read(head.losses)
        if backward { try tape.backward() }
        return losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
    }

    @Test(arguments: ModelCase.all) func everyParametersGradient(_ modelCase: ModelCase) throws {
        let length = 12
        let model = try modelCase.stirredModel(maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        let batch = TokenBatch(batch: 2, length: length, rows: [2, 7, 11, 12, 17, 20, 23])
        _ = try meanLoss(model, batch, arena, backward: true)
        let gradients = model.store.parameters.map { doubles(model.store.read($0.gradient, count: $0.count)) }
        for (parameter, gradient) in zip(model.store.parameters, gradients) {
            let values = model.store.read(parameter.value, count: parameter.count)
            let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
            let step = Self.step(norm: norm)
            let signs = randomFloats(values.count, seed: 77).map { $0 < 0 ? Float(-1) : 1 }
            func loss(_ steps: Float) throws -> Double {
                model.store.write(
                    zip(values, signs).map { $0 + steps * step * $1 },
                    to: parameter.value
                )
                return try meanLoss(model, batch, arena)
            }
            let near = try loss(1) - loss(-1)
            let far = try loss(2) - loss(-2)
            let difference = (8 * near - far) / (12 * Double(step))
            let expected = dot(gradient, signs.map(Double.init))
            let allowed = Self.tolerance * norm + Self.roundingError
            #expect(
                abs(difference - expected) < allowed,
                "\(parameter.name): \(difference) by differences, \(expected) by the tape, ‖g‖ = \(norm)"
            )
            // Else nothing was shown. With one feature that is a product the query cancels out of linear attention.
            let cancels =
                parameter.name.hasSuffix("mixer.q.weight") && modelCase.name.contains("feature_dim=1 ")
            #expect(cancels || norm > 4 * Self.roundingError, "\(parameter.name): ‖g‖ = \(norm)")
            model.store.write(values, to: parameter.value)
        }
    }

    /// The loss goes down along the negative gradient of all parameters at once, as fast as ‖g‖² says.
    @Test(arguments: ModelCase.presets) func theLossFallsAlongTheGradient(_ modelCase: ModelCase) throws {
        let model = try modelCase.stirredModel(maximumLength: 12)
        let arena = try Arena(backend: model.store.backend)
        let batch = TokenBatch(batch: 2, length: 12)
        let before = try meanLoss(model, batch, arena, backward: true)
        var squares = 0.0
        let rate: Float = 1e-3
        for parameter in model.store.parameters {
            let gradient = model.store.read(parameter.gradient, count: parameter.count)
            squares += gradient.reduce(0) { $0 + Double($1 * $1) }
            let values = model.store.read(parameter.value, count: parameter.count)
            model.store.write(zip(values, gradient).map { $0 - rate * $1 }, to: parameter.value)
        }
        let fall = try before - meanLoss(model, batch, arena)
        #expect(abs(fall / (Double(rate) * squares) - 1) < 0.05)
    }

    /// After the first, steps of one shape take no more memory and leave none behind.
    @Test(arguments: ModelCase.presets) func stepsAllocateTheSame(_ modelCase: ModelCase) throws {
        let model = try modelCase.stirredModel(maximumLength: 20)
        let arena = try Arena(backend: model.store.backend)
        var growths: [Int] = []
        for step in 0..<3 {
            _ = try meanLoss(model, TokenBatch(batch: 3, length: 20, seed: UInt64(step)), arena, backward: true)
            growths.append(arena.growths)
            #expect(arena.bytesInUse == 0)
        }
        #expect(growths[0] > 0 && growths[1] == growths[0] && growths[2] == growths[0])
    }
}
