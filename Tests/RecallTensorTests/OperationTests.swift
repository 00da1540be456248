import RecallKernels
import RecallTensor
import TestSupport
import Testing

/// Every operation of the tape that is not a mixer's: outputs and all gradients against the Float64 references.
struct OperationTests {
    @Test(arguments: [false, true]) func linear(bias: Bool) throws {
        let layer = linearLayer("a", inputs: 6, outputs: 5, bias: bias)
        let x = Input([2, 3, 6], seed: 1)
        let run = try Differentiated([x], layer.parameters) { tape, inputs in [tape.linear(inputs[0], layer)] }
        let shape = LinearShape(rows: 6, inputs: 6, outputs: 5)
        let weight = run.value(layer.weight)
        let expected = LinearAlgebraReference.forward(
            shape,
            x: x.doubles,
            weight: weight,
            bias: layer.bias.map(run.value)
        )
        let backward = LinearAlgebraReference.backward(shape, x: x.doubles, weight: weight, dy: run.dy[0])
        #expect(relativeError(run.y[0], expected) < 1e-5)
        #expect(relativeError(run.dInputs[0], backward.dx) < 1e-5)
        #expect(relativeError(run.gradient(layer.weight), backward.dWeight) < 1e-5)
        if let bias = layer.bias { #expect(relativeError(run.gradient(bias), backward.dBias) < 1e-5) }
    }

    /// Two layers that read the two parts of one tensor: each writes its columns of one gradient.
    @Test func columnsMakeUpOneGradient() throws {
        let (a, b) = (linearLayer("a", inputs: 2, outputs: 3), linearLayer("b", inputs: 5, outputs: 4))
        let x = Input([6, 7], seed: 2)
        let run = try Differentiated([x], [a.weight, b.weight]) { tape, inputs in
            [tape.linear(inputs[0].columns(0..<2), a), tape.linear(inputs[0].columns(2..<7), b)]
        }
        for (index, (layer, range)) in [(a, 0..<2), (b, 2..<7)].enumerated() {
            let shape = LinearShape(rows: 6, inputs: range.count, outputs: layer.outputs)
            let part = x.columns(range)
            let weight = run.value(layer.weight)
            let backward = LinearAlgebraReference.backward(shape, x: part, weight: weight, dy: run.dy[index])
            #expect(
                relativeError(
                    run.y[index],
                    LinearAlgebraReference.forward(shape, x: part, weight: weight, bias: nil)
                ) < 1e-5
            )
            #expect(relativeError(run.gradient(layer.weight), backward.dWeight) < 1e-5)
            #expect(
                relativeError(pick(doubles(run.dInputs[0]), width: 7, range), backward.dx) < 1e-5
            )
        }
    }

    @Test(arguments: [NormKind.layer, .rms], [false, true])
    func addNorm(kind: NormKind, hasBranch: Bool) throws {
        let norm = Norm(
            kind: kind,
            gain: parameter("n.weight", [9]),
            bias: kind == .layer ? parameter("n.bias", [9]) : nil,
            epsilon: 1e-5
        )
        let inputs = [Input([2, 4, 9], seed: 3)] + (hasBranch ? [Input([2, 4, 9], seed: 4)] : [])
        let run = try Differentiated(inputs, norm.parameters) { tape, tensors in
            let (sum, y) = tape.addNorm(tensors[0], hasBranch ? tensors[1] : nil, norm)
            return [sum, y]
        }
        let shape = NormShape(kind: kind, rows: 8, width: 9, epsilon: 1e-5)
        let (gain, bias) = (run.value(norm.gain), norm.bias.map(run.value))
        let forward = NormalisationReference.forward(
            shape,
            residual: inputs[0].doubles,
            branch: hasBranch ? inputs[1].doubles : nil,
            gain: gain,
            bias: bias
        )
        let backward = NormalisationReference.backward(
            shape,
            sum: forward.sum,
            gain: gain,
            dy: run.dy[1],
            dSum: run.dy[0]
        )
        #expect(relativeError(run.y[0], forward.sum) < 1e-6)
        #expect(relativeError(run.y[1], forward.y) < 1e-5)
        for dInput in run.dInputs { #expect(relativeError(dInput, backward.dInput) < 1e-5) }
        #expect(run.dInputs.count == inputs.count)
        #expect(relativeError(run.gradient(norm.gain), backward.dGain) < 1e-5)
        if let bias = norm.bias { #expect(relativeError(run.gradient(bias), backward.dBias) < 1e-5) }
    }

    /// Where nothing uses the norm, the sum's gradient reaches both terms all the same.
    @Test func addNormPassesTheSumsGradientOnAlone() throws {
        let norm = Norm(kind: .layer, gain: parameter("n.weight", [5]), bias: nil, epsilon: 1e-5)
        let inputs = [Input([3, 5], seed: 5), Input([3, 5], seed: 6)]
        let run = try Differentiated(inputs, norm.parameters) { tape, tensors in
            [tape.addNorm(tensors[0], tensors[1], norm).sum]
        }
        for dInput in run.dInputs { #expect(doubles(dInput) == run.dy[0]) }
    }

    @Test func reluAndGelu() throws {
        let x = Input([5, 7], seed: 7, in: -3...3)
        let run = try Differentiated([x, x]) { tape, inputs in [tape.relu(inputs[0]), tape.gelu(inputs[1])] }
        #expect(relativeError(run.y[0], x.doubles.map(ElementwiseReference.relu)) < 1e-6)
        #expect(relativeError(run.y[1], x.doubles.map(ElementwiseReference.gelu)) < 1e-5)
        let slopes = [ElementwiseReference.reluSlope, ElementwiseReference.geluSlope]
        for (index, slope) in slopes.enumerated() {
            let expected = zip(run.dy[index], x.doubles).map { $0 * slope($1) }
            #expect(relativeError(run.dInputs[index], expected) < 1e-5)
        }
    }

    @Test func swiglu() throws {
        let x = Input([3, 2, 10], seed: 8, in: -3...3)
        let run = try Differentiated([x]) { tape, inputs in [tape.swiglu(inputs[0])] }
        let expected = ElementwiseReference.swigluBackward(rows: 6, width: 5, x: x.doubles, dy: run.dy[0])
        #expect(relativeError(run.y[0], ElementwiseReference.swiglu(rows: 6, width: 5, x: x.doubles)) < 1e-5)
        #expect(relativeError(run.dInputs[0], expected) < 1e-5)
    }

    @Test func multiply() throws {
        let (a, b) = (Input([2, 3, 5], seed: 11), Input([2, 3, 5], seed: 12))
        let run = try Differentiated([a, b]) { tape, inputs in [tape.multiply(inputs[0], inputs[1])] }
        func product(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map { $0 * $1 } }
        #expect(relativeError(run.y[0], product(a.doubles, b.doubles)) < 1e-6)
        #expect(relativeError(run.dInputs[0], product(run.dy[0], b.doubles)) < 1e-6)
        #expect(relativeError(run.dInputs[1], product(run.dy[0], a.doubles)) < 1e-6)
        // Both factors one tensor: 2 a dy.
        let square = try Differentiated([a]) { tape, inputs in [tape.multiply(inputs[0], inputs[0])] }
        #expect(relativeError(square.dInputs[0], product(run.dy[0], a.doubles).map { 2 * $0 }) < 1e-6)
    }

    /// The backward mask is the forward's: gradients are zero exactly where outputs are.
    @Test func dropoutHasOneMaskForBothDirections() throws {
        let x = Input([40, 25], seed: 9, in: 0.5...1)
        func run(seed: UInt64) throws -> Differentiated {
            try Differentiated([x], dropoutSeed: seed) { tape, inputs in
                [tape.dropout(inputs[0], probability: 0.3, site: 2)]
            }
        }
        let first = try run(seed: 1)
        let scales = zip(first.y[0], x.numbers).map { $0 / $1 }
        let dropped = scales.count { $0 == 0 }
        // 1000 draws with p = 0.3: five standard deviations are 0.072.
        #expect(abs(Double(dropped) / 1000 - 0.3) < 0.072)
        for (scale, (dx, dy)) in zip(scales, zip(first.dInputs[0], first.dy[0])) {
            #expect((scale == 0) == (dx == 0))
            #expect(scale == 0 || abs(scale - 1 / 0.7) < 1e-3)
            #expect(abs(Double(dx) - Double(scale) * dy) < 1e-5)
        }
        #expect(try run(seed: 1).y == first.y)
        #expect(try run(seed: 2).y != first.y)
    }

    @Test func dropoutDoesNothingOutsideTraining() throws {
        let tape = Tape(arena: try poisonedArena(), isTraining: false)
        let x = tape.tensor([4], [1, 2, 3, 4])
        #expect(tape.dropout(x, probability: 0.9, site: 0) === x)
    }

    @Test(arguments: [false, true], [0, 0.4])
    func embedding(hasPositions: Bool, probability: Double) throws {
        let table = parameter("table", [7, 5])
        let positions = hasPositions ? parameter("positions", [4, 5]) : nil
        let parameters = [table] + (positions.map { [$0] } ?? [])
        let tokens: [Int32] = [6, 1, 1, 0, 3, 1]
        let run = try Differentiated([], parameters, dropoutSeed: 3) { tape, _ in
            [
                tape.embedding(
                    tape.integers(tokens),
                    batch: 2,
                    table: table,
                    positions: positions,
                    dropoutProbability: probability,
                    dropoutSite: 1
                )
            ]
        }
        let shape = EmbeddingShape(batch: 2, length: 3, width: 5, vocabulary: 7)
        var plain = EmbeddingLossReference.embedding(
            shape,
            tokens: tokens,
            table: run.value(table),
            positions: positions.map(run.value),
            mask: nil
        )
        let mask: [Double]? = probability > 0 ? zip(run.y[0], plain).map { (Double($0) / $1).rounded(3) } : nil
        if let mask {
            plain = zip(plain, mask).map { $0 * $1 }
            #expect(mask.contains(0) && mask.contains { abs($0 - 1 / 0.6) < 2e-3 })
        }
        let backward = EmbeddingLossReference.embeddingBackward(
            shape,
            tokens: tokens,
            mask: mask,
            dy: run.dy[0]
        )
        #expect(relativeError(run.y[0], plain) < 1e-3)
        #expect(relativeError(run.gradient(table), backward.dTable) < 1e-3)
        if let positions {
            // The last of four learned positions was not used.
            #expect(
                relativeError(run.gradient(positions), backward.dPositions + Array(repeating: 0, count: 5))
                    < 1e-3
            )
        }
    }

    @Test func gatherRows() throws {
        let x = Input([2, 4, 3], seed: 10)
        let rows: [Int32] = [0, 3, 6]
        let run = try Differentiated([x]) { tape, inputs in
            [tape.gatherRows(inputs[0], rows: tape.integers(rows))]
        }
        #expect(doubles(run.y[0]) == EmbeddingLossReference.gather(width: 3, x: x.doubles, rows: rows))
        #expect(
            doubles(run.dInputs[0])
                == EmbeddingLossReference.scatter(total: 8, width: 3, dy: run.dy[0], rows: rows)
        )
    }

    @Test func headLossOfTheMean() throws {
        let table = parameter("table", [13, 6])
        let hidden = Input([5, 6], seed: 11, in: -2...2)
        let labels: [Int32] = [0, 12, 5, 5, 7]
        let run = try Differentiated([hidden], [table], seeds: [false]) { tape, inputs in
            [tape.headLoss(inputs[0], table: table, labels: tape.integers(labels)).losses]
        }
        let shape = HeadShape(rows: 5, width: 6, vocabulary: 13)
        let forward = EmbeddingLossReference.headLoss(
            shape,
            hidden: hidden.doubles,
            table: run.value(table),
            labels: labels
        )
        let backward = EmbeddingLossReference.headLossBackward(
            shape,
            hidden: hidden.doubles,
            table: run.value(table),
            labels: labels,
            gradientScale: 0.2
        )
        #expect(relativeError(run.y[0], forward.losses) < 1e-5)
        #expect(relativeError(run.dInputs[0], backward.dHidden) < 1e-5)
        #expect(relativeError(run.gradient(table), backward.dTable) < 1e-5)
    }

    /// Evaluation gives the losses, the right answers and the logits that training's loss is made of.
    @Test func evaluationAgreesWithTraining() throws {
        let arena = try poisonedArena()
        let table = parameter("table", [13, 6])
        let store = try ParameterStore([table], backend: arena.backend, seed: 2)
        let hidden = Input([5, 6], seed: 12, in: -2...2)
        let labels: [Int32] = [1, 12, 5, 5, 7]
        let tape = Tape(arena: arena, isTraining: false)
        let x = tape.tensor(hidden.shape, hidden.numbers)
        let output = tape.headLoss(x, table: table, labels: tape.integers(labels))
        let logits = tape.logits(x, table: table)
        let values = doubles(store.read(table.value, count: table.count))
        let shape = HeadShape(rows: 5, width: 6, vocabulary: 13)
        let expected = EmbeddingLossReference.headLoss(
            shape,
            hidden: hidden.doubles,
            table: values,
            labels: labels
        )
        #expect(relativeError(try tape.read(output.losses), expected.losses) < 1e-5)
        #expect(doubles(try tape.read(output.correct)) == expected.correct)
        #expect(
            relativeError(
                try tape.read(logits),
                LinearAlgebraReference.forward(
                    LinearShape(rows: 5, inputs: 6, outputs: 13),
                    x: hidden.doubles,
                    weight: values,
                    bias: nil
                )
            )
                < 1e-5
        )
    }
}

extension Double {
    /// To so many decimals.
    fileprivate func rounded(_ decimals: Int) -> Double {
        let scale = (0..<decimals).reduce(1.0) { product, _ in product * 10 }
        return (self * scale).rounded() / scale
    }
}
