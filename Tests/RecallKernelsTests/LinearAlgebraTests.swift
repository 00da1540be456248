import RecallKernels
import TestSupport
import Testing

@Suite struct LinearAlgebraTests {
    /// Rows of one block, of several, of several blocks a group, and no rows at all.
    static let shapes = [
        LinearShape(rows: 1, inputs: 1, outputs: 1), LinearShape(rows: 3, inputs: 15, outputs: 7),
        LinearShape(rows: 63, inputs: 64, outputs: 65), LinearShape(rows: 65, inputs: 33, outputs: 130),
        LinearShape(rows: 1025, inputs: 17, outputs: 66), LinearShape(rows: 9300, inputs: 5, outputs: 19),
    ]

    struct Outputs: Equatable {
        var y: [Float], dx: [Float], dWeight: [Float], dBias: [Float]
    }

    static func inputs(_ shape: LinearShape) -> (x: [Float], weight: [Float], bias: [Float], dy: [Float]) {
        (
            randomFloats(shape.rows * shape.inputs, seed: 1),
            randomFloats(shape.outputs * shape.inputs, seed: 2),
            randomFloats(shape.outputs, seed: 3), randomFloats(shape.rows * shape.outputs, seed: 4)
        )
    }

    static func run(_ shape: LinearShape, threads: Int, bias hasBias: Bool = true) -> Outputs {
        let backend = CPUBackend(threads: threads)
        let (x, weight, bias, dy) = inputs(shape)
        var result = Outputs(
            y: poisoned(dy.count),
            dx: poisoned(x.count),
            dWeight: poisoned(weight.count),
            dBias: poisoned(bias.count)
        )
        if hasBias {
            backend.linearForward(shape, x: x, weight: weight, bias: bias, y: &result.y)
        } else {
            backend.linearForward(shape, x: x, weight: weight, bias: nil, y: &result.y)
        }
        backend.linearBackward(
            shape,
            x: x,
            weight: weight,
            dy: dy,
            dx: &result.dx,
            dWeight: &result.dWeight,
            dBias: &result.dBias
        )
        return result
    }

    @Test(arguments: shapes) func agreesWithReference(shape: LinearShape) {
        let (x, weight, bias, dy) = Self.inputs(shape)
        let (xs, weights, biases, dys) = (doubles(x), doubles(weight), doubles(bias), doubles(dy))
        let actual = Self.run(shape, threads: 1)
        let y = LinearAlgebraReference.forward(shape, x: xs, weight: weights, bias: biases)
        let expected = LinearAlgebraReference.backward(shape, x: xs, weight: weights, dy: dys)
        #expect(relativeError(actual.y, y) < 1e-5)
        #expect(relativeError(actual.dx, expected.dx) < 1e-5)
        #expect(relativeError(actual.dWeight, expected.dWeight) < 1e-4)
        #expect(relativeError(actual.dBias, expected.dBias) < 1e-4)

        let plain = LinearAlgebraReference.forward(shape, x: xs, weight: weights, bias: nil)
        #expect(relativeError(Self.run(shape, threads: 1, bias: false).y, plain) < 1e-5)
    }

    @Test(arguments: shapes) func threadsDoNotChangeBits(shape: LinearShape) {
        #expect(Self.run(shape, threads: 1) == Self.run(shape, threads: 3))
    }

    /// Layers of the same x, side by side: the same bits as one by one, and dx their sum. The last bias' gradient is not
    /// asked for.
    @Test(arguments: [1, 1025, 9300]) func layersOfOneInputGoTogether(rows: Int) {
        let shapes = [7, 33].map { LinearShape(rows: rows, inputs: 17, outputs: $0) }
        let alone = shapes.map { Self.run($0, threads: 1) }
        let inputs = shapes.map(Self.inputs)
        for threads in [1, 3] {
            let backend = CPUBackend(threads: threads)
            let memory = inputs.map { (weight: Memory($0.weight), bias: Memory($0.bias), dy: Memory($0.dy)) }
            let written = alone.map {
                (
                    y: Memory(poisoned($0.y.count)), dWeight: Memory(poisoned($0.dWeight.count)),
                    dBias: Memory(poisoned($0.dBias.count))
                )
            }
            let dx = Memory(poisoned(alone[0].dx.count))
            backend.linearForward(
                shapes.indices.map {
                    LinearLayerForward(
                        shapes[$0],
                        weight: memory[$0].weight.values,
                        bias: memory[$0].bias.values,
                        y: written[$0].y.address
                    )
                },
                x: inputs[0].x
            )
            backend.linearBackward(
                shapes.indices.map {
                    LinearLayerBackward(
                        shapes[$0],
                        weight: memory[$0].weight.values,
                        dy: memory[$0].dy.values,
                        dWeight: written[$0].dWeight.address,
                        dBias: $0 == 0 ? written[$0].dBias.address : nil
                    )
                },
                x: inputs[0].x,
                dx: dx.address,
                addsToDx: false
            )
            for index in shapes.indices {
                #expect(written[index].y.numbers == alone[index].y)
                #expect(written[index].dWeight.numbers == alone[index].dWeight)
            }
            #expect(written[0].dBias.numbers == alone[0].dBias)
            #expect(written[1].dBias.numbers.allSatisfy { $0.isNaN })
            let sum = zip(alone[0].dx, alone[1].dx).map { Double($0) + Double($1) }
            #expect(relativeError(dx.numbers, sum) < 1e-5)
            // The kernels have only its addresses.
            withExtendedLifetime(memory) {}
        }
    }

    @Test func gradientsAreOptional() {
        let shape = LinearShape(rows: 2100, inputs: 5, outputs: 9)
        let (x, weight, _, dy) = Self.inputs(shape)
        let all = Self.run(shape, threads: 1)
        let backend = CPUBackend(threads: 2)
        var (dx, dWeight, dBias) = (poisoned(x.count), poisoned(weight.count), poisoned(shape.outputs))
        backend.linearBackward(shape, x: x, weight: weight, dy: dy, dx: &dx, dWeight: nil, dBias: nil)
        backend.linearBackward(shape, x: x, weight: weight, dy: dy, dx: nil, dWeight: &dWeight, dBias: nil)
        backend.linearBackward(shape, x: x, weight: weight, dy: dy, dx: nil, dWeight: nil, dBias: &dBias)
        #expect(dx == all.dx)
        #expect(dWeight == all.dWeight)
        #expect(dBias == all.dBias)
    }

    @Test func noRowsGiveZeroParameterGradients() {
        let shape = LinearShape(rows: 0, inputs: 5, outputs: 9)
        let result = Self.run(shape, threads: 2)
        #expect(result.dWeight == Array(repeating: 0, count: 45))
        #expect(result.dBias == Array(repeating: 0, count: 9))
    }

    @Test func referenceGradients() {
        let shape = LinearShape(rows: 3, inputs: 4, outputs: 2)
        let (x, weight, bias, dy) = Self.inputs(shape)
        let (xs, weights, biases, dys) = (doubles(x), doubles(weight), doubles(bias), doubles(dy))
        let gradients = LinearAlgebraReference.backward(shape, x: xs, weight: weights, dy: dys)
        let byX = finiteDifferences(
            of: { dot(LinearAlgebraReference.forward(shape, x: $0, weight: weights, bias: biases), dys) },
            at: xs
        )
        let byWeight = finiteDifferences(
            of: { dot(LinearAlgebraReference.forward(shape, x: xs, weight: $0, bias: biases), dys) },
            at: weights
        )
        let byBias = finiteDifferences(
            of: { dot(LinearAlgebraReference.forward(shape, x: xs, weight: weights, bias: $0), dys) },
            at: biases
        )
        #expect(relativeError(gradients.dx, byX) < 1e-8)
        #expect(relativeError(gradients.dWeight, byWeight) < 1e-8)
        #expect(relativeError(gradients.dBias, byBias) < 1e-8)
    }
}
