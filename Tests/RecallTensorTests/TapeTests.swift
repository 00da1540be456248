import RecallKernels
import RecallTensor
import TestSupport
import Testing

/// What a tape does besides its operations' mathematics: memory, failures, and gradients that meet.
struct TapeTests {
    // MARK: - Steady state

    /// A small network with every way to branch: addresses of its tensors, in order.
    private func trainStep(_ arena: Arena, _ layers: [Linear], _ norm: Norm, step: Int) throws
        -> [MutableFloats]
    {
        let tape = Tape(arena: arena, isTraining: true, seed: 1, step: step)
        let x = tape.tensor([2, 9, 16], randomFloats(2 * 9 * 16, seed: UInt64(step)))
        let hidden = tape.linear(x, layers[0])
        let mixed = tape.attention(
            hidden,
            heads: 2,
            window: nil,
            ropeBase: nil,
            dropoutProbability: 0.1,
            dropoutSite: 0
        )
        let (sum, y) = tape.addNorm(x, mixed, norm)
        let output = tape.addNorm(sum, tape.gelu(tape.linear(y, layers[1])), norm).y
        tape.setGradient(of: output, randomFloats(output.count, seed: 7))
        try tape.backward()
        return [x, hidden, mixed, sum, y, output].map(\.pointer)
    }

    @Test func laterStepsUseTheSameAddressesAndNoMoreMemory() throws {
        let arena = try Arena(backend: CPUBackend())
        let layers = [linearLayer("a", inputs: 16, outputs: 48), linearLayer("b", inputs: 16, outputs: 16)]
        let norm = Norm(
            kind: .layer,
            gain: parameter("n.weight", [16]),
            bias: parameter("n.bias", [16]),
            epsilon: 1e-5
        )
        let store = try ParameterStore(
            layers.flatMap(\.parameters) + norm.parameters,
            backend: arena.backend,
            seed: 1
        )
        var seen: [[MutableFloats]] = []
        var growths: [Int] = []
        for step in 0..<3 {
            store.beginStep()
            seen.append(try trainStep(arena, layers, norm, step: step))
            growths.append(arena.growths)
            #expect(arena.bytesInUse == 0)
        }
        #expect(seen[1] == seen[0] && seen[2] == seen[0])
        #expect(growths[0] > 0 && growths[1] == growths[0] && growths[2] == growths[0])
    }

    /// Evaluation keeps nothing: a chain's peak is two tensors, however long it is.
    @Test func evaluationFreesWhatNothingNeeds() throws {
        let arena = try Arena(backend: CPUBackend())
        do {
            let tape = Tape(arena: arena, isTraining: false)
            var x = tape.tensor([1008], randomFloats(1008, seed: 1))
            for _ in 0..<20 { x = tape.gelu(x) }
            try tape.check()
        }
        #expect(arena.peakBytes == 2 * 4032)
        #expect(arena.bytesInUse == 0)
    }

    /// In training an entry keeps the numbers that its backward reads, and no others.
    @Test func trainingFreesWhatBackwardDoesNotRead() throws {
        let arena = try Arena(backend: CPUBackend())
        let layer = linearLayer("a", inputs: 16, outputs: 16)
        let norm = Norm(kind: .layer, gain: parameter("n.weight", [16]), bias: nil, epsilon: 1e-5)
        let store = try ParameterStore([layer.weight, norm.gain], backend: arena.backend, seed: 1)
        store.beginStep()
        let rows = 63
        let tape = Tape(arena: arena, isTraining: true)
        func branch(_ x: Tensor) -> Tensor {
            tape.dropout(tape.linear(x, layer), probability: 0.5, site: 0)
        }
        let output = { () -> Tensor in
            let x = tape.tensor([rows, 16], randomFloats(rows * 16, seed: 1))
            return tape.addNorm(x, branch(x), norm).y
        }()
        // x, the sum, the norm's statistics and its output: the branch has gone, before and after its dropout.
        let tensor = rows * 16 * 4
        #expect(arena.bytesInUse == 3 * tensor + 2 * rows * 4 + 8)
        tape.setGradient(of: output, randomFloats(output.count, seed: 2))
        try tape.backward()
        #expect(store.read(layer.weight.gradient, count: 256).contains { $0 != 0 })
    }

    /// An element-wise gradient is written over the one that it reads, but not where that is another tensor's too.
    @Test func gradientsAreOverwrittenOnlyWhereNobodyElseReadsThem() throws {
        let arena = try Arena(backend: CPUBackend())
        let norm = Norm(kind: .rms, gain: parameter("n.weight", [6]), bias: nil, epsilon: 1e-5)
        let store = try ParameterStore([norm.gain], backend: arena.backend, seed: 1)
        store.beginStep()
        let (residual, x) = (Input([4, 6], seed: 2), Input([4, 6], seed: 3))
        let tape = Tape(arena: arena, isTraining: true)
        let (r, t) = (tape.tensor([4, 6], residual.numbers), tape.tensor([4, 6], x.numbers))
        let y = tape.addNorm(r, tape.gelu(tape.relu(t)), norm).y
        let dy = randomFloats(24, seed: 4)
        tape.setGradient(of: y, dy)
        arena.placements = []
        try tape.backward()
        // The norm's and, as the residual has the same, gelu's; relu writes over gelu's.
        #expect(arena.placements?.count == 2)
        // The sum's gradient reaches the residual and the branch; only the branch goes on through the functions.
        let branch = x.doubles.map { ElementwiseReference.gelu(max($0, 0)) }
        let dSum = NormalisationReference.backward(
            NormShape(kind: .rms, rows: 4, width: 6, epsilon: 1e-5),
            sum: sum(residual.doubles, branch),
            gain: doubles(store.read(norm.gain.value, count: 6)),
            dy: doubles(dy),
            dSum: nil
        ).dInput
        let dx = zip(x.doubles, dSum).map {
            $1 * ElementwiseReference.geluSlope(max($0, 0)) * ElementwiseReference.reluSlope($0)
        }
        #expect(relativeError(try #require(try tape.readGradient(r)), dSum) < 1e-5)
        #expect(relativeError(try #require(try tape.readGradient(t)), dx) < 1e-5)
    }

    /// A run that ends on NaN or a stop never runs backwards, and its memory must come back all the same.
    @Test func aTapeThatNeverRunsBackwardsIsReleased() throws {
        let arena = try Arena(backend: CPUBackend())
        weak var released: Tape?
        do {
            let tape = Tape(arena: arena, isTraining: true)
            released = tape
            let x = tape.tensor([8, 8], randomFloats(64, seed: 1))
            let layer = linearLayer("a", inputs: 8, outputs: 8)
            let store = try ParameterStore([layer.weight], backend: arena.backend, seed: 1)
            _ = tape.gelu(tape.dropout(tape.linear(x, layer), probability: 0.5, site: 0))
            try tape.check()
            withExtendedLifetime(store) {}
        }
        #expect(released == nil)
        #expect(arena.bytesInUse == 0)
    }

    // MARK: - Failures

    @Test func aStopBetweenEntriesStopsForwardAndBackward() throws {
        let arena = try Arena(backend: CPUBackend())
        let layer = linearLayer("a", inputs: 4, outputs: 4)
        let store = try ParameterStore([layer.weight], backend: arena.backend, seed: 1)
        store.write(Array(repeating: 123, count: 16), to: layer.weight.gradient)
        store.beginStep()
        let stop = StopRequest()
        let tape = Tape(arena: arena, isTraining: true, stop: stop)
        let x = tape.tensor([2, 4], randomFloats(8, seed: 1))
        let y = tape.linear(x, layer)
        let before = try tape.read(y)
        tape.setGradient(of: y, randomFloats(8, seed: 2))
        stop.raise()
        #expect(stop.isRaised)
        #expect(throws: TapeError.stopped) { try tape.backward() }
        #expect(store.read(layer.weight.gradient, count: 16) == Array(repeating: 123, count: 16))

        let other = Tape(arena: arena, isTraining: false, stop: stop)
        let z = other.tensor([2, 4])
        try other.check()
        let w = other.linear(z, layer)
        #expect(throws: TapeError.stopped) { try other.check() }
        #expect(throws: TapeError.stopped) { try other.read(w) }
        #expect(before.allSatisfy { $0.isFinite })
    }

    private func failure(
        x: [Float],
        dy: [Float] = [1, 1, 1, 1],
        weight: Float = 1,
        isDiagnosing: Bool = true
    ) throws -> TapeError? {
        let arena = try Arena(backend: CPUBackend())
        let layer = Linear(
            weight: Parameter(
                "head.weight",
                shape: [2, 2],
                initialiser: .constant(weight),
                isExemptFromDecay: false
            ),
            bias: nil
        )
        let store = try ParameterStore([layer.weight], backend: arena.backend, seed: 1)
        store.beginStep()
        let tape = Tape(arena: arena, isTraining: true, isDiagnosing: isDiagnosing)
        let y = tape.gelu(tape.linear(tape.relu(tape.tensor([2, 2], x)), layer))
        tape.setGradient(of: y, dy)
        do { try tape.backward() } catch { return error }
        return nil
    }

    @Test func diagnosingNamesTheFirstTensorThatIsNotFinite() throws {
        #expect(try failure(x: [1, 2, 3, 4]) == nil)
        #expect(try failure(x: [1, .infinity, 3, 4]) == .notFinite(tensor: "relu"))
        #expect(try failure(x: [1e30, 1, 1, 1], weight: 1e30) == .notFinite(tensor: "head"))
        #expect(try failure(x: [1, 2, 3, 4], dy: [1, .nan, 1, 1]) == .notFinite(tensor: "gradient at gelu"))
        // dW = dyᵀ x overflows where dx = dy W does not.
        #expect(
            try failure(x: [1e30, 1e30, 1e30, 1e30], dy: [1e20, 1, 1, 1], weight: 1e-30)
                == .notFinite(tensor: "gradient of head.weight")
        )
        #expect(try failure(x: [1, .infinity, 3, 4], isDiagnosing: false) == nil)
    }

    /// What has no parameters is named with the layer that it stands in.
    @Test func operationsWithoutParametersNameTheirLayer() throws {
        func failure(dy: Float, weight: Float, outer: String? = nil) throws -> TapeError? {
            let arena = try Arena(backend: CPUBackend())
            func layer(_ name: String) -> Linear {
                Linear(
                    weight: Parameter(
                        "\(name).weight",
                        shape: [2, 2],
                        initialiser: .constant(weight),
                        isExemptFromDecay: false
                    ),
                    bias: nil
                )
            }
            let layers = [layer("layers.3.mixer.q")] + (outer.map { [layer($0)] } ?? [])
            let store = try ParameterStore(layers.map(\.weight), backend: arena.backend, seed: 1)
            store.beginStep()
            let tape = Tape(arena: arena, isTraining: true, isDiagnosing: true)
            let x = layers.reduce(tape.tensor([1, 2], [1, 1])) { tape.linear($0, $1) }
            let y = tape.swiglu(x)
            tape.setGradient(of: y, [dy])
            do { try tape.backward() } catch { return error }
            return nil
        }
        #expect(try failure(dy: 1, weight: 1) == nil)
        #expect(
            try failure(dy: 1, weight: 1e25) == .notFinite(tensor: "swiglu of layers.3.mixer")
        )
        #expect(
            try failure(dy: .nan, weight: 1) == .notFinite(tensor: "gradient at swiglu of layers.3.mixer")
        )
        // After the head it is in no layer.
        #expect(try failure(dy: 1, weight: 1e15, outer: "head") == .notFinite(tensor: "swiglu"))
    }

    // MARK: - Gradients that meet

    @Test func aTensorUsedTwiceGetsBothGradients() throws {
        let (a, b) = (linearLayer("a", inputs: 5, outputs: 3), linearLayer("b", inputs: 5, outputs: 4))
        let x = Input([7, 5], seed: 1)
        let run = try Differentiated([x], [a.weight, b.weight]) { tape, inputs in
            [tape.linear(inputs[0], a), tape.linear(inputs[0], b)]
        }
        let parts = [a, b].enumerated().map { index, layer in
            LinearAlgebraReference.backward(
                LinearShape(rows: 7, inputs: 5, outputs: layer.outputs),
                x: x.doubles,
                weight: run.value(layer.weight),
                dy: run.dy[index]
            )
        }
        #expect(relativeError(run.dInputs[0], sum(parts[0].dx, parts[1].dx)) < 1e-5)
        #expect(relativeError(run.gradient(a.weight), parts[0].dWeight) < 1e-5)
        #expect(relativeError(run.gradient(b.weight), parts[1].dWeight) < 1e-5)
    }

    /// The second layer's gradient by x is added to the first's where that lies.
    @Test func aLinearLayerAddsToTheGradientThatIsThere() throws {
        let arena = try Arena(backend: CPUBackend())
        let (a, b) = (linearLayer("a", inputs: 5, outputs: 3), linearLayer("b", inputs: 5, outputs: 4))
        let store = try ParameterStore([a.weight, b.weight], backend: arena.backend, seed: 1)
        store.beginStep()
        let tape = Tape(arena: arena, isTraining: true)
        let x = tape.tensor([7, 5], Input([7, 5], seed: 1).numbers)
        for (y, seed) in [(tape.linear(x, a), 2), (tape.linear(x, b), 3)] as [(Tensor, UInt64)] {
            tape.setGradient(of: y, randomFloats(y.count, seed: seed))
        }
        arena.placements = []
        try tape.backward()
        #expect(arena.placements?.count == 1)
    }

    /// A norm's residual and branch have one gradient: a linear layer of the residual must not add to the branch's.
    @Test func aSharedGradientIsNotAddedTo() throws {
        let layer = linearLayer("a", inputs: 6, outputs: 3)
        let norm = Norm(kind: .rms, gain: parameter("n.weight", [6]), bias: nil, epsilon: 1e-5)
        let (residual, branch) = (Input([4, 6], seed: 2), Input([4, 6], seed: 3))
        let run = try Differentiated([residual, branch], [layer.weight, norm.gain]) { tape, inputs in
            [tape.linear(inputs[0], layer), tape.addNorm(inputs[0], inputs[1], norm).y]
        }
        let dSum = NormalisationReference.backward(
            NormShape(kind: .rms, rows: 4, width: 6, epsilon: 1e-5),
            sum: sum(residual.doubles, branch.doubles),
            gain: run.value(norm.gain),
            dy: run.dy[1],
            dSum: nil
        ).dInput
        let dx = LinearAlgebraReference.backward(
            LinearShape(rows: 4, inputs: 6, outputs: 3),
            x: residual.doubles,
            weight: run.value(layer.weight),
            dy: run.dy[0]
        ).dx
        #expect(relativeError(run.dInputs[0], sum(dSum, dx)) < 1e-5)
        #expect(relativeError(run.dInputs[1], dSum) < 1e-5)
    }

    /// The same tensor as residual and branch: a sum's gradient reaches it twice, from one buffer.
    @Test func aTensorAddedToItselfGetsTwiceTheGradient() throws {
        let norm = Norm(kind: .layer, gain: parameter("n.weight", [6]), bias: nil, epsilon: 1e-5)
        let x = Input([4, 6], seed: 2)
        let run = try Differentiated([x], [norm.gain]) { tape, inputs in
            let (sum, y) = tape.addNorm(inputs[0], inputs[0], norm)
            return [sum, y]
        }
        let shape = NormShape(kind: .layer, rows: 4, width: 6, epsilon: 1e-5)
        let once = NormalisationReference.backward(
            shape,
            sum: x.doubles.map { 2 * $0 },
            gain: run.value(norm.gain),
            dy: run.dy[1],
            dSum: run.dy[0]
        )
        #expect(relativeError(run.dInputs[0], once.dInput.map { 2 * $0 }) < 1e-5)
    }

    @Test func aParameterUsedTwiceGetsBothGradients() throws {
        let layer = linearLayer("a", inputs: 5, outputs: 5, bias: true)
        let x = Input([7, 5], seed: 3)
        let run = try Differentiated([x], layer.parameters) { tape, inputs in
            [tape.linear(tape.linear(inputs[0], layer), layer)]
        }
        let shape = LinearShape(rows: 7, inputs: 5, outputs: 5)
        let (weight, bias) = (run.value(layer.weight), run.value(layer.bias!))
        let hidden = LinearAlgebraReference.forward(shape, x: x.doubles, weight: weight, bias: bias)
        let outer = LinearAlgebraReference.backward(shape, x: hidden, weight: weight, dy: run.dy[0])
        let inner = LinearAlgebraReference.backward(shape, x: x.doubles, weight: weight, dy: outer.dx)
        #expect(relativeError(run.gradient(layer.weight), sum(outer.dWeight, inner.dWeight)) < 1e-5)
        #expect(relativeError(run.gradient(layer.bias!), sum(outer.dBias, inner.dBias)) < 1e-5)
        #expect(relativeError(run.dInputs[0], inner.dx) < 1e-5)
    }

    /// Two losses over one table: the second writes into a buffer of its own, which is added.
    @Test func twoHeadsOverOneTableAddUp() throws {
        let table = parameter("table", [11, 4])
        let labels: [[Int32]] = [[3, 0, 10], [7, 7, 1]]
        let (a, b) = (Input([3, 4], seed: 4), Input([3, 4], seed: 5))
        let run = try Differentiated([a, b], [table], seeds: [false, false]) { tape, inputs in
            zip(inputs, labels).map { tape.headLoss($0, table: table, labels: tape.integers($1)).losses }
        }
        let parts = zip([a, b], labels).map { input, labels in
            EmbeddingLossReference.headLossBackward(
                HeadShape(rows: 3, width: 4, vocabulary: 11),
                hidden: input.doubles,
                table: run.value(table),
                labels: labels,
                gradientScale: 1 / 3
            )
        }
        #expect(relativeError(run.gradient(table), sum(parts[0].dTable, parts[1].dTable)) < 1e-5)
        #expect(relativeError(run.dInputs[0], parts[0].dHidden) < 1e-5)
        #expect(relativeError(run.dInputs[1], parts[1].dHidden) < 1e-5)
    }

    /// The tied table: the head's gradient and then the embedding's, added.
    @Test func theTiedTableGetsTheHeadsAndTheEmbeddingsGradient() throws {
        let table = parameter("table", [9, 6])
        let tokens: [Int32] = [1, 4, 4, 8, 0, 1]
        let labels: [Int32] = [4, 2, 8, 0, 1, 3]
        let run = try Differentiated([], [table], seeds: [false]) { tape, _ in
            let x = tape.embedding(
                tape.integers(tokens),
                batch: 2,
                table: table,
                positions: nil,
                dropoutProbability: 0,
                dropoutSite: 0
            )
            return [tape.headLoss(x, table: table, labels: tape.integers(labels)).losses]
        }
        let embedding = EmbeddingShape(batch: 2, length: 3, width: 6, vocabulary: 9)
        let x = EmbeddingLossReference.embedding(
            embedding,
            tokens: tokens,
            table: run.value(table),
            positions: nil,
            mask: nil
        )
        let head = HeadShape(rows: 6, width: 6, vocabulary: 9)
        let forward = EmbeddingLossReference.headLoss(
            head,
            hidden: x,
            table: run.value(table),
            labels: labels
        )
        let backward = EmbeddingLossReference.headLossBackward(
            head,
            hidden: x,
            table: run.value(table),
            labels: labels,
            gradientScale: 1 / 6
        )
        let gathered = EmbeddingLossReference.embeddingBackward(
            embedding,
            tokens: tokens,
            mask: nil,
            dy: backward.dHidden
        )
        #expect(relativeError(run.y[0], forward.losses) < 1e-5)
        #expect(relativeError(run.gradient(table), sum(backward.dTable, gathered.dTable)) < 1e-5)
    }
}
