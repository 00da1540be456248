import RecallKernels
import TestSupport
import Testing

private struct LongCase: CustomStringConvertible {
    var shape: LongConvolutionShape
    var u: [Float]
    var filter: [Float]
    var gate: [Float]
    var dy: [Float]

    var description: String { "\(shape)" }

    init(batch: Int, length: Int, channels: Int) {
        shape = LongConvolutionShape(batch: batch, length: length, channels: channels)
        let count = batch * length * channels
        u = randomFloats(count, seed: 1)
        filter = randomFloats(length * channels, seed: 2)
        gate = randomFloats(count, seed: 3)
        dy = randomFloats(count, seed: 4)
    }

    func forward(threads: Int = 1) -> [Float] {
        var y = poisoned(u.count)
        CPUBackend(threads: threads).longConvolutionForward(shape, u: u, filter: filter, gate: gate, y: &y)
        return y
    }

    struct Gradients: Equatable {
        var u: [Float]
        var filter: [Float]
        var gate: [Float]
    }

    func backward(threads: Int = 1) -> Gradients {
        var result = Gradients(
            u: poisoned(u.count),
            filter: poisoned(filter.count),
            gate: poisoned(gate.count)
        )
        CPUBackend(threads: threads).longConvolutionBackward(
            shape,
            u: u,
            filter: filter,
            gate: gate,
            dy: dy,
            du: &result.u,
            dFilter: &result.filter,
            dGate: &result.gate
        )
        return result
    }
}

private let cases: [LongCase] =
    [1, 2, 63, 64, 65, 200].flatMap { length in
        [1, 16, 17, 64].map { LongCase(batch: length == 64 ? 1 : 3, length: length, channels: $0) }
    } + [
        // Passes of the root over 2, 4, 8 and 16 rows, with none, one and two levels of nodes below; single sequences, whose
        // filter has no spectrum to share; runs of sequences, one or several to a run.
        LongCase(batch: 2, length: 3, channels: 5), LongCase(batch: 1, length: 8, channels: 5),
        LongCase(batch: 5, length: 9, channels: 5), LongCase(batch: 1, length: 15, channels: 33),
        LongCase(batch: 70, length: 17, channels: 18), LongCase(batch: 16, length: 33, channels: 5),
        LongCase(batch: 1, length: 65, channels: 20), LongCase(batch: 17, length: 130, channels: 2),
        LongCase(batch: 2, length: 257, channels: 5), LongCase(batch: 1, length: 512, channels: 3),
        LongCase(batch: 1, length: 1000, channels: 17), LongCase(batch: 2, length: 1024, channels: 3),
        LongCase(batch: 1, length: 1030, channels: 17), LongCase(batch: 3, length: 2048, channels: 2),
    ]

@Suite struct LongConvolutionTests {
    @Test func referenceGradientsAreFiniteDifferences() {
        let c = LongCase(batch: 2, length: 6, channels: 3)
        let (u, filter, gate, dy) = (doubles(c.u), doubles(c.filter), doubles(c.gate), doubles(c.dy))
        func loss(_ u: [Double], _ filter: [Double], _ gate: [Double]) -> Double {
            dot(ConvolutionReference.longForward(c.shape, u: u, filter: filter, gate: gate), dy)
        }
        let gradients = ConvolutionReference.longBackward(c.shape, u: u, filter: filter, gate: gate, dy: dy)
        let numeric = [
            (gradients.u, finiteDifferences(of: { loss($0, filter, gate) }, at: u)),
            (gradients.filter, finiteDifferences(of: { loss(u, $0, gate) }, at: filter)),
            (gradients.gate, finiteDifferences(of: { loss(u, filter, $0) }, at: gate)),
        ]
        for (analytic, difference) in numeric { #expect(relativeError(analytic, difference) < 1e-8) }
    }

    @Test(arguments: cases)
    fileprivate func forwardIsTheReference(c: LongCase) {
        let expected = ConvolutionReference.longForward(
            c.shape,
            u: doubles(c.u),
            filter: doubles(c.filter),
            gate: doubles(c.gate)
        )
        let y = c.forward()
        #expect(relativeError(y, expected) < 2e-6)
        #expect(c.forward(threads: 3) == y)
    }

    @Test(arguments: cases)
    fileprivate func backwardIsTheReference(c: LongCase) {
        let expected = ConvolutionReference.longBackward(
            c.shape,
            u: doubles(c.u),
            filter: doubles(c.filter),
            gate: doubles(c.gate),
            dy: doubles(c.dy)
        )
        let gradients = c.backward()
        #expect(relativeError(gradients.u, expected.u) < 2e-6)
        #expect(relativeError(gradients.filter, expected.filter) < 5e-6)
        #expect(relativeError(gradients.gate, expected.gate) < 2e-6)
        #expect(c.backward(threads: 3) == gradients)
    }

    /// But for rounding, which reaches tokens of the same sequence and channel only.
    @Test(arguments: [1, 2, 16])
    func laterTokensDoNotReachEarlierOutputs(batch: Int) {
        var c = LongCase(batch: batch, length: 100, channels: 18)
        let (token, channel) = (60, 3)
        let before = c.forward()
        c.u[token * 18 + channel] += 1
        let after = c.forward()
        for i in before.indices {
            let isNear = i < 100 * 18 && i % 18 == channel
            let isReached = isNear && i / 18 >= token
            let change = abs(after[i] - before[i])
            #expect(isReached || change <= (isNear ? 1e-6 * 20 : 0))
        }
        let largest = zip(after, before).map { abs($0 - $1) }.max() ?? 0
        #expect(largest > 0.1)
    }

    /// What one sequence gives does not depend on how many others there are.
    @Test func sequencesAreAloneInTheirBatch() {
        let many = LongCase(batch: 19, length: 70, channels: 17)
        let count = 70 * 17
        let all = many.forward()
        for b in [0, 7, 18] {
            var one = LongCase(batch: 1, length: 70, channels: 17)
            let part = b * count..<(b + 1) * count
            (one.u, one.filter, one.gate) = (Array(many.u[part]), many.filter, Array(many.gate[part]))
            #expect(relativeError(one.forward(), doubles(Array(all[part]))) < 2e-6)
        }
    }

    /// A workspace that larger calls have left full of NaN must not show through.
    @Test(arguments: [1, 3, 16])
    func aUsedWorkspaceDoesNotMatter(batch: Int) {
        let backend = CPUBackend()
        let used = LongCase(batch: 20, length: 300, channels: 40)
        let nan = poisoned(used.u.count)
        var (y, dFilter, other) = (nan, nan, nan)
        backend.longConvolutionForward(used.shape, u: nan, filter: used.filter, gate: nan, y: &y)
        backend.longConvolutionBackward(
            used.shape,
            u: nan,
            filter: nan,
            gate: nan,
            dy: nan,
            du: &y,
            dFilter: &dFilter,
            dGate: &other
        )
        let c = LongCase(batch: batch, length: 67, channels: 18)
        var result = LongCase.Gradients(
            u: poisoned(c.u.count),
            filter: poisoned(c.filter.count),
            gate: poisoned(c.gate.count)
        )
        var forward = poisoned(c.u.count)
        backend.longConvolutionForward(c.shape, u: c.u, filter: c.filter, gate: c.gate, y: &forward)
        backend.longConvolutionBackward(
            c.shape,
            u: c.u,
            filter: c.filter,
            gate: c.gate,
            dy: c.dy,
            du: &result.u,
            dFilter: &result.filter,
            dGate: &result.gate
        )
        #expect(forward == c.forward())
        #expect(result == c.backward())
    }

    @Test(arguments: [1, 16, 17, 64])
    func stepsAreTheParallelForm(channels: Int) {
        let (batch, length, capacity) = (3, 67, 70)
        let c = LongCase(batch: batch, length: length, channels: channels)
        let expected = c.forward()
        let backend = CPUBackend(threads: 3)
        let stepShape = LongConvolutionShape(batch: batch, length: 1, channels: channels)
        var past = poisoned(batch * capacity * channels)
        for t in 0..<length {
            func token(_ values: [Float]) -> [Float] {
                (0..<batch).flatMap { b in
                    let start = (b * length + t) * channels
                    return values[start..<start + channels]
                }
            }
            var y = poisoned(batch * channels)
            let u = token(c.u)
            backend.longConvolutionStep(
                stepShape,
                u: u,
                filter: c.filter,
                gate: token(c.gate),
                past: past,
                position: t,
                capacity: capacity,
                y: &y
            )
            #expect(relativeError(y, doubles(token(expected))) < 5e-6)
            for b in 0..<batch {
                for i in 0..<channels { past[(b * capacity + t) * channels + i] = u[b * channels + i] }
            }
        }
    }
}
