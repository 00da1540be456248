import RecallKernels
import RecallRandom
import TestSupport
import Testing

@Suite struct SoftmaxAttentionTests {
    @Test(arguments: [
        AttentionCase(batch: 2, length: 5, heads: 2, headWidth: 3),
        AttentionCase(batch: 1, length: 7, headWidth: 2, window: 3),
        AttentionCase(batch: 1, length: 6, heads: 2, headWidth: 2, dropout: AttentionCase.someDropout),
    ])
    func referenceGradientsAreFiniteDifferences(_ problem: AttentionCase) {
        let shape = problem.shape
        let (q, k, v) = (doubles(problem.inputs.q), doubles(problem.inputs.k), doubles(problem.inputs.v))
        let dOut = doubles(problem.inputs.dOut)
        func loss(_ q: [Double], _ k: [Double], _ v: [Double]) -> Double {
            dot(SoftmaxAttentionReference.forward(shape, q: q, k: k, v: v, dropout: problem.dropout).out, dOut)
        }
        let (dq, dk, dv) = problem.referenceBackward()
        #expect(relativeError(dq, finiteDifferences(of: { loss($0, k, v) }, at: q)) < 1e-8)
        #expect(relativeError(dk, finiteDifferences(of: { loss(q, $0, v) }, at: k)) < 1e-8)
        #expect(relativeError(dv, finiteDifferences(of: { loss(q, k, $0) }, at: v)) < 1e-8)
    }

    @Test(arguments: AttentionCase.all)
    func forwardIsTheReference(_ problem: AttentionCase) {
        let actual = problem.forward(CPUBackend())
        let expected = problem.referenceForward()
        // Scores of 100s carry 1e-5 of rounding themselves.
        let tolerance = problem.sharpness > 1 ? 5e-5 : 2e-6
        #expect(relativeError(actual.out, expected.out) < tolerance)
        #expect(relativeError(actual.logSumExp, expected.logSumExp) < 2e-6)
    }

    @Test(arguments: AttentionCase.all)
    func gradientsAreTheReferences(_ problem: AttentionCase) {
        let actual = problem.backward(CPUBackend())
        let expected = problem.referenceBackward()
        let tolerance = problem.sharpness > 1 ? 1e-4 : 1e-5
        // With one key the gradient of the scores is zero but for rounding: what cancels sets the scale.
        func error(_ part: Int, _ reference: [Double]) -> Double {
            relativeError(problem.unpacked(actual, part: part) + [0.1], reference + [0.1])
        }
        #expect(error(0, expected.dq) < tolerance)
        #expect(error(1, expected.dk) < tolerance)
        #expect(error(2, expected.dv) < tolerance)
    }

    @Test func gapsBetweenRowsAreLeftAlone() {
        let problem = AttentionCase(batch: 2, length: 66, heads: 2, headWidth: 9)
        let gradient = problem.backward(CPUBackend())
        let (stride, width) = (problem.shape.rowStride, problem.width)
        for index in gradient.indices { #expect(gradient[index].isNaN == (index % stride >= 3 * width)) }
    }

    @Test(arguments: [
        AttentionCase(batch: 3, length: 70, heads: 2, headWidth: 24),
        AttentionCase(batch: 2, length: 200, headWidth: 64, window: 50, dropout: AttentionCase.someDropout),
    ])
    func threadsDoNotMatter(_ problem: AttentionCase) {
        let (one, three) = (CPUBackend(threads: 1), CPUBackend(threads: 3))
        #expect(problem.forward(one) == problem.forward(three))
        #expect(bits(problem.backward(one)) == bits(problem.backward(three)))
    }

    /// A workspace that larger calls have left full of numbers, or of NaN, must not show through.
    @Test(arguments: [50, .nan] as [Float])
    func aUsedWorkspaceDoesNotMatter(sharpness: Float) {
        let used = CPUBackend()
        _ = AttentionCase(length: 300, headWidth: 64, sharpness: sharpness).backward(used)
        let problem = AttentionCase(batch: 2, length: 67, headWidth: 40, window: 30)
        #expect(problem.forward(used) == problem.forward(CPUBackend()))
        #expect(bits(problem.backward(used)) == bits(problem.backward(CPUBackend())))
    }

    @Test(arguments: [150, 151, Int.max])
    func aWindowOfTheWholeLengthIsFullAttention(window: Int) {
        let full = AttentionCase(batch: 2, length: 150, headWidth: 32)
        var windowed = full
        windowed.window = window
        let backend = CPUBackend()
        #expect(windowed.forward(backend) == full.forward(backend))
        #expect(bits(windowed.backward(backend)) == bits(full.backward(backend)))
    }

    @Test(arguments: [nil, 20] as [Int?], [3, 64, 100])
    func laterTokensDoNotChangeEarlierOutputs(window: Int?, token: Int) {
        let problem = AttentionCase(length: 140, heads: 2, headWidth: 24, window: window)
        let backend = CPUBackend()
        var (q, k, v, _) = problem.inputs
        let before = problem.forward(backend, q: q, k: k, v: v).out
        for index in token * problem.width..<(token + 1) * problem.width {
            (q[index], k[index], v[index]) = (q[index] - 5, k[index] + 5, v[index] + 5)
        }
        let after = problem.forward(backend, q: q, k: k, v: v).out
        #expect(before[..<(token * problem.width)] == after[..<(token * problem.width)])
        #expect(before[token * problem.width] != after[token * problem.width])
        // And what the window has left behind cannot see it either.
        if let window {
            let first = (token + window) * problem.width
            #expect(before[first...] == after[first...])
        }
    }

    @Test func dropoutKeepsTheNormaliser() {
        var problem = AttentionCase(batch: 2, length: 80, headWidth: 16)
        let plain = problem.forward(CPUBackend())
        problem.dropout = AttentionCase.someDropout
        let dropped = problem.forward(CPUBackend())
        #expect(plain.logSumExp == dropped.logSumExp)
        #expect(plain.out != dropped.out)
    }

    @Test(arguments: [
        AttentionCase(batch: 3, length: 70, heads: 2, headWidth: 20),
        AttentionCase(batch: 1, length: 33, headWidth: 64),
    ])
    func stepsAreTheParallelForward(_ problem: AttentionCase) {
        let backend = CPUBackend(threads: 3)
        let (batch, length, width) = (problem.batch, problem.length, problem.width)
        let (q, k, v, _) = problem.inputs
        let parallel = problem.forward(backend).out
        let capacity = length + 3
        var (keys, values) = (poisoned(batch * capacity * width), poisoned(batch * capacity * width))
        var shape = problem.shape
        (shape.length, shape.rowStride) = (1, width + 5)
        for t in 0..<length {
            func token(_ x: [Float], gap: Int) -> [Float] {
                (0..<batch).flatMap { x[(($0 * length + t) * width)...].prefix(width) + poisoned(gap) }
            }
            var out = poisoned(batch * width)
            backend.attentionStep(
                shape,
                q: token(q, gap: 5),
                k: token(k, gap: 5),
                v: token(v, gap: 5),
                cachedKeys: keys,
                cachedValues: values,
                cached: t,
                capacity: capacity,
                out: &out
            )
            #expect(relativeError(out, doubles(token(parallel, gap: 0))) < 2e-6)
            // The newest goes first and what was there last: the order in the cache does not matter.
            for b in 0..<batch {
                for column in 0..<width {
                    let (first, last) = (b * capacity * width + column, (b * capacity + t) * width + column)
                    (keys[last], values[last]) = (keys[first], values[first])
                    let new = (b * length + t) * width + column
                    (keys[first], values[first]) = (k[new], v[new])
                }
            }
        }
    }

    private func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }
}
