import RecallKernels
import TestSupport
import Testing

@Suite struct LinearAttentionTests {
    private static let lengths = [1, 2, 15, 31, 32, 33, 63, 64, 65, 130]

    @Test(arguments: FeatureMap.allCases, lengths)
    func quadraticMatchesReference(map: FeatureMap, length: Int) {
        for (f, e) in [(16, 64), (9, 20), (3, 33), (20, 16), (2, 1)] {
            let problem = LinearAttentionCase(map, length: length, featureWidth: f, valueWidth: e)
            let (forward, gradient) = problem.errors(of: problem.run(.quadratic))
            #expect(forward < 1e-5, "\(problem)")
            #expect(gradient < 1e-4, "\(problem)")
        }
    }

    @Test(arguments: FeatureMap.allCases, lengths)
    func chunkedMatchesReference(map: FeatureMap, length: Int) {
        for (f, e, chunk) in [(16, 64, 64), (9, 20, 16), (3, 33, 7), (20, 16, 48), (2, 1, 1)] {
            let problem = LinearAttentionCase(map, length: length, featureWidth: f, valueWidth: e)
            let (forward, gradient) = problem.errors(of: problem.run(.chunked(chunk)))
            #expect(forward < 1e-5, "\(problem) C\(chunk)")
            #expect(gradient < 1e-4, "\(problem) C\(chunk)")
        }
    }

    @Test(arguments: FeatureMap.allCases)
    func batchesAndHeadsMatchReference(map: FeatureMap) {
        for (batch, heads) in [(3, 1), (1, 3), (3, 2)] {
            let problem = LinearAttentionCase(
                map,
                length: 65,
                batch: batch,
                heads: heads,
                featureWidth: 9,
                valueWidth: 20
            )
            for form in [LinearAttentionForm.quadratic, .chunked(32)] {
                let (forward, gradient) = problem.errors(of: problem.run(form))
                #expect(forward < 1e-5, "\(problem) \(form)")
                #expect(gradient < 1e-4, "\(problem) \(form)")
            }
        }
    }

    /// Longer than a score tile is wide, so that a query's keys lie in several.
    @Test(arguments: FeatureMap.allCases)
    func longSequencesMatchReference(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 600, featureWidth: 8, valueWidth: 16)
        for form in [LinearAttentionForm.quadratic, .chunked(64), .chunked(300)] {
            let (forward, gradient) = problem.errors(of: problem.run(form))
            #expect(forward < 1e-5, "\(problem) \(form)")
            #expect(gradient < 1e-4, "\(problem) \(form)")
        }
    }

    @Test(arguments: FeatureMap.allCases)
    func resultsDoNotDependOnThreads(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 65, batch: 3, heads: 2, featureWidth: 9, valueWidth: 20)
        for form in [LinearAttentionForm.quadratic, .chunked(16)] {
            #expect(
                problem.run(form, on: CPUBackend(threads: 1)) == problem.run(form, on: CPUBackend(threads: 3))
            )
        }
    }

    @Test(arguments: FeatureMap.allCases)
    func scratchMemoryLeavesNoTrace(map: FeatureMap) {
        let backend = CPUBackend()
        var broken = LinearAttentionCase(map, length: 300, featureWidth: 20, valueWidth: 40)
        broken.q = poisoned(broken.q.count)
        broken.k = poisoned(broken.k.count)
        broken.v = poisoned(broken.v.count)
        let problem = LinearAttentionCase(map, length: 37, featureWidth: 5, valueWidth: 7)
        for form in [LinearAttentionForm.quadratic, .chunked(10)] {
            #expect(broken.run(form, on: backend).y[0].isNaN)
            #expect(problem.run(form, on: backend) == problem.run(form))
        }
    }

    @Test(arguments: FeatureMap.allCases)
    func epsilonIsPartOfTheNormaliser(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 20, featureWidth: 6, valueWidth: 8, epsilon: 3)
        for form in [LinearAttentionForm.quadratic, .chunked(8)] {
            let (forward, gradient) = problem.errors(of: problem.run(form))
            #expect(forward < 1e-5, "\(problem) \(form)")
            #expect(gradient < 1e-4, "\(problem) \(form)")
        }
    }

    @Test func protocolMethodsTakeTheCheapestForm() {
        let backend = CPUBackend()
        for length in [40, 200] {
            let problem = LinearAttentionCase(.relu, length: length, featureWidth: 4, valueWidth: 16)
            let shape = problem.shape
            #expect(LinearAttentionForm.cheapest(for: shape) == (length == 40 ? .quadratic : .chunked(64)))
            let expected = problem.run()
            var out = expected
            out.y = poisoned(out.y.count)
            out.dq = poisoned(out.dq.count)
            backend.linearAttentionForward(
                shape,
                q: problem.q,
                k: problem.k,
                v: problem.v,
                y: &out.y,
                normaliser: &out.normaliser
            )
            backend.linearAttentionBackward(
                shape,
                q: problem.q,
                k: problem.k,
                v: problem.v,
                y: out.y,
                normaliser: out.normaliser,
                dy: problem.dy,
                dq: &out.dq,
                dk: &out.dk,
                dv: &out.dv
            )
            #expect(out == expected)
        }
    }

    /// Taylor, f = 16, e = 64: chunks pay from 64 + 4·153·65/81 = 555 tokens on
    /// (docs/math/linear-attention.md, section 7).
    @Test func formChangesAtTheCrossover() {
        var shape = LinearAttentionShape(
            batch: 1,
            length: 555,
            heads: 1,
            featureWidth: 16,
            valueWidth: 64,
            map: .taylor2
        )
        #expect(LinearAttentionForm.cheapest(for: shape) == .quadratic)
        shape.length = 556
        #expect(LinearAttentionForm.cheapest(for: shape) == .chunked(64))
    }

    @Test(arguments: FeatureMap.allCases)
    func laterTokensDoNotReachBack(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 70, featureWidth: 5, valueWidth: 7)
        let (shape, changed) = (problem.shape, 37)
        var (k, v) = (problem.k, problem.v)
        for token in changed..<70 {
            for c in 0..<5 { k[token * 5 + c] *= 2 }
            for c in 0..<7 { v[token * 7 + c] = 9 }
        }
        for form in [LinearAttentionForm.quadratic, .chunked(16)] {
            let before = problem.run(form)
            var (y, normaliser) = (poisoned(v.count), poisoned(70))
            CPUBackend().linearAttentionForward(
                shape,
                form: form,
                q: problem.q,
                k: k,
                v: v,
                y: &y,
                normaliser: &normaliser
            )
            #expect(y.prefix(changed * 7) == before.y.prefix(changed * 7))
            #expect(normaliser.prefix(changed) == before.normaliser.prefix(changed))
            #expect(y.suffix(7) != before.y.suffix(7))
        }
    }

    /// Queries that relu clamps altogether leave a normaliser of the size of ε.
    @Test func clampedReluHasNoGradient() {
        let problem = LinearAttentionCase(.relu, length: 40, featureWidth: 3, valueWidth: 4)
        let out = problem.run(.chunked(16))
        #expect(problem.q.min() ?? 0 < 0)
        for index in problem.q.indices where problem.q[index] < 0 { #expect(out.dq[index] == 0) }
        for index in problem.k.indices where problem.k[index] < 0 { #expect(out.dk[index] == 0) }
        #expect(problem.errors(of: out).gradient < 1e-4)
    }
}

@Suite struct LinearAttentionStepTests {
    @Test(arguments: FeatureMap.allCases)
    func decodingMatchesTheParallelForward(map: FeatureMap) {
        for (f, e, heads) in [(16, 64, 1), (9, 20, 2), (3, 1, 1), (20, 130, 1)] {
            let problem = LinearAttentionCase(
                map,
                length: 70,
                batch: 3,
                heads: heads,
                featureWidth: f,
                valueWidth: e
            )
            let expected = LinearAttentionReference.forward(
                problem.shape,
                q: doubles(problem.q),
                k: doubles(problem.k),
                v: doubles(problem.v)
            ).y
            for threads in [1, 3] {
                let decoded = decode(problem, CPUBackend(threads: threads))
                #expect(relativeError(decoded.y, expected) < 1e-5, "\(problem)")
            }
            #expect(decode(problem, CPUBackend(threads: 1)) == decode(problem, CPUBackend(threads: 3)))
        }
    }

    @Test(arguments: FeatureMap.allCases)
    func stateAndOutputMatchTheReferenceStep(map: FeatureMap) {
        let problem = LinearAttentionCase(
            map,
            length: 1,
            batch: 2,
            heads: 3,
            featureWidth: 5,
            valueWidth: 18,
            epsilon: 2
        )
        let rows = map.stateRows(featureWidth: 5)
        // An earlier state whose normaliser cannot vanish.
        var state = randomFloats(6 * rows * 19, seed: 7, in: 0.5...1)
        var expectedState = doubles(state)
        let expected = LinearAttentionReference.step(
            problem.shape,
            q: doubles(problem.q),
            k: doubles(problem.k),
            v: doubles(problem.v),
            state: &expectedState
        )
        var y = poisoned(problem.v.count)
        CPUBackend().linearAttentionStep(
            problem.shape,
            q: problem.q,
            k: problem.k,
            v: problem.v,
            state: &state,
            y: &y
        )
        #expect(relativeError(state, expectedState) < 1e-6)
        #expect(relativeError(y, expected) < 1e-5)
    }

    /// A prompt gives forward's output and normaliser, and the state that steps would have left.
    @Test(arguments: FeatureMap.allCases, [1, 2, 63, 64, 65, 130, 200])
    func prefillMatchesTheReference(map: FeatureMap, length: Int) {
        for (f, e, heads) in [(16, 64, 1), (9, 20, 2), (3, 33, 1), (1, 1, 3)] {
            let problem = LinearAttentionCase(
                map,
                length: length,
                batch: 2,
                heads: heads,
                featureWidth: f,
                valueWidth: e
            )
            let forward = LinearAttentionReference.forward(
                problem.shape,
                q: doubles(problem.q),
                k: doubles(problem.k),
                v: doubles(problem.v)
            )
            let state = LinearAttentionReference.finalState(
                problem.shape,
                k: doubles(problem.k),
                v: doubles(problem.v)
            )
            let one = prefill(problem, CPUBackend(threads: 1))
            #expect(relativeError(one.y, forward.y) < 1e-5, "\(problem)")
            #expect(relativeError(one.normaliser, forward.normaliser) < 1e-5, "\(problem)")
            #expect(relativeError(one.state, state) < 1e-5, "\(problem)")
            #expect(one == prefill(problem, CPUBackend(threads: 3)))
        }
    }

    private func prefill(_ problem: LinearAttentionCase, _ backend: CPUBackend) -> Prefilled {
        let shape = problem.shape
        let states: Int = shape.batch * shape.stateCount
        var result = Prefilled(
            y: poisoned(problem.v.count),
            normaliser: poisoned(shape.batch * shape.heads * shape.length),
            state: poisoned(states)
        )
        backend.linearAttentionPrefill(
            shape,
            q: problem.q,
            k: problem.k,
            v: problem.v,
            y: &result.y,
            normaliser: &result.normaliser,
            state: &result.state
        )
        return result
    }

    /// The reference's final state is where its own steps end.
    @Test(arguments: FeatureMap.allCases)
    func referenceFinalStateIsWhereItsStepsEnd(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 5, featureWidth: 4, valueWidth: 3)
        let (q, k, v) = (doubles(problem.q), doubles(problem.k), doubles(problem.v))
        var one = problem.shape
        one.length = 1
        var state = [Double](repeating: 0, count: problem.shape.stateCount)
        for t in 0..<5 {
            _ = LinearAttentionReference.step(
                one,
                q: Array(q[t * 4..<t * 4 + 4]),
                k: Array(k[t * 4..<t * 4 + 4]),
                v: Array(v[t * 3..<t * 3 + 3]),
                state: &state
            )
        }
        #expect(
            relativeError(LinearAttentionReference.finalState(problem.shape, k: k, v: v), state) < 1e-12
        )
    }

    /// The reference's own steps are its parallel forward.
    @Test(arguments: FeatureMap.allCases)
    func referenceStepsMatchReferenceForward(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 9, featureWidth: 4, valueWidth: 3)
        let (q, k, v) = (doubles(problem.q), doubles(problem.k), doubles(problem.v))
        var one = problem.shape
        one.length = 1
        var state = [Double](repeating: 0, count: map.stateRows(featureWidth: 4) * 4)
        var y: [Double] = []
        for t in 0..<9 {
            y += LinearAttentionReference.step(
                one,
                q: Array(q[t * 4..<t * 4 + 4]),
                k: Array(k[t * 4..<t * 4 + 4]),
                v: Array(v[t * 3..<t * 3 + 3]),
                state: &state
            )
        }
        let expected = LinearAttentionReference.forward(problem.shape, q: q, k: k, v: v).y
        #expect(relativeError(y, expected) < 1e-12)
    }

    /// Decodes a whole problem from an empty state.
    private func decode(_ problem: LinearAttentionCase, _ backend: CPUBackend) -> Decoded {
        var shape = problem.shape
        let (length, rows) = (shape.length, shape.map.stateRows(featureWidth: shape.featureWidth))
        shape.length = 1
        let stateCount: Int = shape.batch * shape.heads * rows * (shape.valueWidth + 1)
        var state = [Float](repeating: 0, count: stateCount)
        var y = poisoned(problem.v.count)
        for t in 0..<length {
            func token(_ x: [Float], _ width: Int) -> [Float] {
                (0..<shape.batch).flatMap { b in x[((b * length + t) * width)...].prefix(width) }
            }
            let (inputs, values) = (shape.heads * shape.featureWidth, shape.heads * shape.valueWidth)
            var row = poisoned(shape.batch * values)
            backend.linearAttentionStep(
                shape,
                q: token(problem.q, inputs),
                k: token(problem.k, inputs),
                v: token(problem.v, values),
                state: &state,
                y: &row
            )
            for b in 0..<shape.batch {
                let start: Int = (b * length + t) * values
                y.replaceSubrange(start..<start + values, with: row[(b * values)...].prefix(values))
            }
        }
        return Decoded(y: y, state: state)
    }
}

private struct Prefilled: Equatable {
    var y, normaliser, state: [Float]
}

private struct Decoded: Equatable {
    let y: [Float]
    let state: [Float]
}
