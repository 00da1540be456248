import RecallKernels
import TestSupport
import Testing

@Suite struct NormalisationTests {
    static let shapes = NormKind.allCases.flatMap { kind in
        [(1, 1), (5, 15), (3, 64), (63, 65), (300, 16), (5000, 33)].map {
            NormShape(kind: kind, rows: $0.0, width: $0.1, epsilon: 1e-5)
        }
    }

    struct Outputs: Equatable {
        var sum: [Float], y: [Float], statistics: [Float], dInput: [Float], dGain: [Float], dBias: [Float]
    }

    struct Inputs {
        var residual: [Float], branch: [Float], gain: [Float], bias: [Float], dy: [Float], dSum: [Float]

        init(_ shape: NormShape) {
            let count = shape.rows * shape.width
            residual = randomFloats(count, seed: 1, in: 0...2)
            branch = randomFloats(count, seed: 2)
            gain = randomFloats(shape.width, seed: 3, in: 0.5...2)
            bias = randomFloats(shape.width, seed: 4)
            dy = randomFloats(count, seed: 5)
            dSum = randomFloats(count, seed: 6)
        }
    }

    /// Forward with a branch and a bias, and backward with a dSum.
    static func run(_ shape: NormShape, threads: Int) -> Outputs {
        let input = Inputs(shape)
        let backend = CPUBackend(threads: threads)
        var out = Outputs(
            sum: poisoned(input.dy.count), y: poisoned(input.dy.count), statistics: poisoned(2 * shape.rows),
            dInput: poisoned(input.dy.count), dGain: poisoned(shape.width), dBias: poisoned(shape.width))
        backend.addNormForward(
            shape, residual: input.residual, branch: input.branch, gain: input.gain, bias: input.bias,
            sum: &out.sum, y: &out.y, statistics: &out.statistics)
        backend.addNormBackward(
            shape, sum: out.sum, gain: input.gain, statistics: out.statistics, dy: input.dy, dSum: input.dSum,
            dInput: &out.dInput, dGain: &out.dGain, dBias: &out.dBias)
        return out
    }

    @Test(arguments: shapes) func agreesWithReference(shape: NormShape) {
        let input = Inputs(shape)
        let actual = Self.run(shape, threads: 1)
        let gain = doubles(input.gain)
        let forward = NormalisationReference.forward(
            shape, residual: doubles(input.residual), branch: doubles(input.branch), gain: gain,
            bias: doubles(input.bias))
        #expect(relativeError(actual.sum, forward.sum) < 1e-6)
        #expect(relativeError(actual.y, forward.y) < 1e-5)
        let means = Array(actual.statistics[..<shape.rows])
        if shape.kind == .rms { #expect(means.allSatisfy { $0 == 0 }) }
        #expect(relativeError(means, forward.means) < 1e-6)
        #expect(relativeError(Array(actual.statistics[shape.rows...]), forward.reciprocals) < 1e-5)

        // From the sum that the kernel rounded: a row of one has a deviation of nothing but rounding.
        let backward = NormalisationReference.backward(
            shape, sum: doubles(actual.sum), gain: gain, dy: doubles(input.dy), dSum: doubles(input.dSum))
        #expect(relativeError(actual.dInput, backward.dInput) < 1e-4)
        #expect(relativeError(actual.dGain, backward.dGain) < 1e-4)
        #expect(relativeError(actual.dBias, backward.dBias) < 1e-4)
    }

    @Test(arguments: shapes) func absentInputsAreZero(shape: NormShape) {
        let input = Inputs(shape)
        let backend = CPUBackend(threads: 2)
        var (y, statistics) = (poisoned(input.dy.count), poisoned(2 * shape.rows))
        backend.addNormForward(
            shape, residual: input.residual, branch: nil, gain: input.gain, bias: nil, sum: nil, y: &y,
            statistics: &statistics)
        let (residual, gain) = (doubles(input.residual), doubles(input.gain))
        let forward = NormalisationReference.forward(
            shape, residual: residual, branch: nil, gain: gain, bias: nil)
        if shape.kind == .rms || shape.width > 1 { #expect(relativeError(y, forward.y) < 1e-5) }
        if shape.kind == .layer && shape.width == 1 { #expect(y.allSatisfy { $0 == 0 }) }

        var (dInput, dGain) = (poisoned(input.dy.count), poisoned(shape.width))
        backend.addNormBackward(
            shape, sum: input.residual, gain: input.gain, statistics: statistics, dy: input.dy, dSum: nil,
            dInput: &dInput, dGain: &dGain, dBias: nil)
        let backward = NormalisationReference.backward(
            shape, sum: residual, gain: gain, dy: doubles(input.dy), dSum: nil)
        // A LayerNorm of width one has no gradient at all.
        if shape.kind == .layer && shape.width == 1 {
            #expect((dInput + dGain).allSatisfy { abs($0) < 1e-4 })
        } else {
            // RMSNorm of width one cancels all but a part in 1e5.
            #expect(relativeError(dInput, backward.dInput) < (shape.width == 1 ? 0.05 : 1e-4))
            #expect(relativeError(dGain, backward.dGain) < 1e-4)
        }
    }

    @Test(arguments: shapes) func threadsDoNotChangeBits(shape: NormShape) {
        #expect(Self.run(shape, threads: 1) == Self.run(shape, threads: 3))
    }

    @Test(arguments: NormKind.allCases) func noRows(kind: NormKind) {
        let result = Self.run(NormShape(kind: kind, rows: 0, width: 3, epsilon: 1e-5), threads: 2)
        #expect(result.dGain == [0, 0, 0])
        #expect(result.dBias == [0, 0, 0])
    }

    @Test(arguments: NormKind.allCases) func referenceGradients(kind: NormKind) {
        let shape = NormShape(kind: kind, rows: 3, width: 5, epsilon: 1e-3)
        let input = Inputs(shape)
        let (residual, branch) = (doubles(input.residual), doubles(input.branch))
        let (gain, bias) = (doubles(input.gain), doubles(input.bias))
        let (dy, dSum) = (doubles(input.dy), doubles(input.dSum))
        func objective(_ residual: [Double], _ branch: [Double], _ gain: [Double], _ bias: [Double]) -> Double {
            let out = NormalisationReference.forward(
                shape, residual: residual, branch: branch, gain: gain, bias: bias)
            return dot(out.y, dy) + dot(out.sum, dSum)
        }
        let sum = zip(residual, branch).map(+)
        let gradients = NormalisationReference.backward(shape, sum: sum, gain: gain, dy: dy, dSum: dSum)
        let byResidual = finiteDifferences(of: { objective($0, branch, gain, bias) }, at: residual)
        let byBranch = finiteDifferences(of: { objective(residual, $0, gain, bias) }, at: branch)
        let byGain = finiteDifferences(of: { objective(residual, branch, $0, bias) }, at: gain)
        let byBias = finiteDifferences(of: { objective(residual, branch, gain, $0) }, at: bias)
        #expect(relativeError(gradients.dInput, byResidual) < 1e-7)
        #expect(relativeError(gradients.dInput, byBranch) < 1e-7)
        #expect(relativeError(gradients.dGain, byGain) < 1e-7)
        #expect(relativeError(gradients.dBias, byBias) < 1e-7)
    }
}
