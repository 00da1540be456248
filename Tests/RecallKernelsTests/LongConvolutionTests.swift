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

    func forward(_ form: LongConvolutionForm? = nil, threads: Int = 1) -> [Float] {
        let backend = CPUBackend(threads: threads)
        var y = poisoned(u.count)
        if let form {
            backend.longConvolutionForward(shape, form: form, u: u, filter: filter, gate: gate, y: &y)
        } else {
            backend.longConvolutionForward(shape, u: u, filter: filter, gate: gate, y: &y)
        }
        return y
    }

    struct Gradients: Equatable {
        var u: [Float]
        var filter: [Float]
        var gate: [Float]
    }

    func backward(_ form: LongConvolutionForm? = nil, threads: Int = 1) -> Gradients {
        let backend = CPUBackend(threads: threads)
        var result = Gradients(
            u: poisoned(u.count), filter: poisoned(filter.count), gate: poisoned(gate.count))
        if let form {
            backend.longConvolutionBackward(
                shape, form: form, u: u, filter: filter, gate: gate, dy: dy, du: &result.u,
                dFilter: &result.filter, dGate: &result.gate)
        } else {
            backend.longConvolutionBackward(
                shape, u: u, filter: filter, gate: gate, dy: dy, du: &result.u, dFilter: &result.filter,
                dGate: &result.gate)
        }
        return result
    }
}

private let cases: [LongCase] =
    [1, 2, 63, 64, 65, 200].flatMap { length in
        [1, 16, 17, 64].map { LongCase(batch: length == 64 ? 1 : 3, length: length, channels: $0) }
    } + [
        // Every residue of log₂ n in the transform, several runs of pairs, and both forms' last tiles.
        LongCase(batch: 2, length: 3, channels: 5), LongCase(batch: 4, length: 8, channels: 5),
        LongCase(batch: 5, length: 9, channels: 5), LongCase(batch: 70, length: 17, channels: 18),
        LongCase(batch: 2, length: 33, channels: 5), LongCase(batch: 2, length: 257, channels: 5),
        LongCase(batch: 1, length: 512, channels: 3),
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

    @Test(arguments: cases, LongConvolutionForm.allCases)
    fileprivate func forwardIsTheReference(c: LongCase, form: LongConvolutionForm) {
        let expected = ConvolutionReference.longForward(
            c.shape, u: doubles(c.u), filter: doubles(c.filter), gate: doubles(c.gate))
        let y = c.forward(form)
        #expect(relativeError(y, expected) < 2e-6)
        #expect(c.forward(form, threads: 3) == y)
    }

    @Test(arguments: cases, LongConvolutionForm.allCases)
    fileprivate func backwardIsTheReference(c: LongCase, form: LongConvolutionForm) {
        let expected = ConvolutionReference.longBackward(
            c.shape, u: doubles(c.u), filter: doubles(c.filter), gate: doubles(c.gate), dy: doubles(c.dy))
        let gradients = c.backward(form)
        #expect(relativeError(gradients.u, expected.u) < 2e-6)
        #expect(relativeError(gradients.filter, expected.filter) < 5e-6)
        #expect(relativeError(gradients.gate, expected.gate) < 2e-6)
        #expect(c.backward(form, threads: 3) == gradients)
    }

    /// The two sides of the lengths at which the choice could change.
    @Test(arguments: [1, 32, 64, 128, 129, 256, 512])
    func theChosenFormIsOneOfTheTwo(length: Int) {
        let c = LongCase(batch: 2, length: length, channels: 5)
        let form = LongConvolutionForm.chosen(length: length)
        #expect(c.forward() == c.forward(form))
        #expect(c.backward() == c.backward(form))
    }

    @Test(arguments: LongConvolutionForm.allCases)
    func laterTokensDoNotReachEarlierOutputs(form: LongConvolutionForm) {
        var c = LongCase(batch: 2, length: 100, channels: 18)
        let (token, channel) = (60, 3)
        let before = c.forward(form)
        c.u[token * 18 + channel] += 1
        let after = c.forward(form)
        for i in before.indices {
            let isReached = i / 18 >= token && i / 18 < 100 && i % 18 == channel
            let change = abs(after[i] - before[i])
            #expect(isReached || change <= (form == .direct ? 0 : 1e-6 * 100))
        }
        let largest = zip(after, before).map { abs($0 - $1) }.max() ?? 0
        #expect(largest > 0.1)
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
                stepShape, u: u, filter: c.filter, gate: token(c.gate), past: past, position: t,
                capacity: capacity, y: &y)
            #expect(relativeError(y, doubles(token(expected))) < 5e-6)
            for b in 0..<batch {
                for i in 0..<channels { past[(b * capacity + t) * channels + i] = u[b * channels + i] }
            }
        }
    }
}
