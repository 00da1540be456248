import RecallKernels
import RecallVerification
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
            sum: poisoned(input.dy.count),
            y: poisoned(input.dy.count),
            statistics: poisoned(2 * shape.rows),
            dInput: poisoned(input.dy.count),
            dGain: poisoned(shape.width),
            dBias: poisoned(shape.width)
        )
        backend.addNormForward(
            shape,
            residual: input.residual,
            branch: input.branch,
            gain: input.gain,
            bias: input.bias,
            sum: &out.sum,
            y: &out.y,
            statistics: &out.statistics
        )
        backend.addNormBackward(
            shape,
            sum: out.sum,
            gain: input.gain,
            statistics: out.statistics,
            dy: input.dy,
            dSum: input.dSum,
            dInput: &out.dInput,
            dGain: &out.dGain,
            dBias: &out.dBias
        )
        return out
    }

    /// Forward and backward, with all inputs and with those that may be absent.
    @Test(arguments: KernelCase.all.filter { $0.kernel.hasPrefix("addNorm") }) func agreesWithReference(
        kernelCase: KernelCase
    ) throws {
        #expect(try kernelCase.verify(on: CPUBackend(threads: 2)).problems == [])
    }

    /// A LayerNorm of width one is its bias, without one zero.
    @Test func layerNormOfWidthOneIsZero() {
        let shape = NormShape(kind: .layer, rows: 1, width: 1, epsilon: 1e-5)
        let input = Inputs(shape)
        var (y, statistics) = (poisoned(1), poisoned(2))
        CPUBackend().addNormForward(
            shape,
            residual: input.residual,
            branch: nil,
            gain: input.gain,
            bias: nil,
            sum: nil,
            y: &y,
            statistics: &statistics
        )
        #expect(y == [0])
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
                shape,
                residual: residual,
                branch: branch,
                gain: gain,
                bias: bias
            )
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
