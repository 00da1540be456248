import RecallKernels
import TestSupport
import Testing

private struct ShortCase: CustomStringConvertible {
    var shape: ShortConvolutionShape
    var u: [Float]
    var weight: [Float]
    var bias: [Float]
    var gate: [Float]
    var dy: [Float]

    var description: String { "\(shape)" }

    init(
        batch: Int,
        length: Int,
        channels: Int,
        taps: Int,
        extraStride: Int = 0,
        _ epilogue: ConvolutionEpilogue
    ) {
        shape = ShortConvolutionShape(
            batch: batch,
            length: length,
            channels: channels,
            taps: taps,
            inputStride: channels + extraStride,
            epilogue: epilogue
        )
        let count = batch * length * channels
        u = randomFloats(count, seed: 1)
        weight = randomFloats(channels * taps, seed: 2)
        bias = randomFloats(channels, seed: 3)
        gate = epilogue == .gatedWithSkip ? randomFloats(count, seed: 4) : []
        dy = randomFloats(count, seed: 5)
    }

    /// u with `inputStride` between tokens, the rest NaN: what lies between must not be read.
    var stridedInput: [Float] {
        var result = poisoned(shape.batch * shape.length * shape.inputStride)
        for i in u.indices {
            result[i / shape.channels * shape.inputStride + i % shape.channels] = u[i]
        }
        return result
    }

    func contiguous(_ strided: [Float]) -> [Float] {
        u.indices.map { strided[$0 / shape.channels * shape.inputStride + $0 % shape.channels] }
    }

    func forward(threads: Int) -> [Float] {
        var y = poisoned(u.count)
        y.withUnsafeMutableBufferPointer { y in
            gate.withUnsafeBufferPointer { gate in
                CPUBackend(threads: threads).shortConvolutionForward(
                    shape,
                    u: stridedInput,
                    weight: weight,
                    bias: bias,
                    gate: shape.epilogue == .silu ? nil : gate.baseAddress,
                    y: y.baseAddress!
                )
            }
        }
        return y
    }

    struct Gradients: Equatable {
        var u: [Float]
        var weight: [Float]
        var bias: [Float]
        var gate: [Float]
    }

    func backward(threads: Int, gateGradient: Bool = true) -> Gradients {
        let strided = stridedInput
        var du = poisoned(strided.count)
        var result = Gradients(
            u: [],
            weight: poisoned(weight.count),
            bias: poisoned(bias.count),
            gate: poisoned(gate.count)
        )
        let isGated = shape.epilogue == .gatedWithSkip
        gate.withUnsafeBufferPointer { gate in
            result.gate.withUnsafeMutableBufferPointer { dGate in
                CPUBackend(threads: threads).shortConvolutionBackward(
                    shape,
                    u: strided,
                    weight: weight,
                    bias: bias,
                    gate: isGated ? gate.baseAddress : nil,
                    dy: dy,
                    du: &du,
                    dWeight: &result.weight,
                    dBias: &result.bias,
                    dGate: isGated && gateGradient ? dGate.baseAddress : nil
                )
            }
        }
        result.u = contiguous(du)
        // What lies between the rows is somebody else's.
        for (i, value) in du.enumerated() where i % shape.inputStride >= shape.channels {
            #expect(value.isNaN)
        }
        return result
    }
}

private let cases: [ShortCase] = ConvolutionEpilogue.allCases.flatMap { epilogue in
    [
        ShortCase(batch: 1, length: 1, channels: 1, taps: 3, epilogue),
        ShortCase(batch: 3, length: 1, channels: 17, taps: 4, extraStride: 5, epilogue),
        ShortCase(batch: 3, length: 2, channels: 16, taps: 4, epilogue),
        ShortCase(batch: 3, length: 63, channels: 33, taps: 3, extraStride: 33, epilogue),
        ShortCase(batch: 1, length: 64, channels: 64, taps: 4, extraStride: 64, epilogue),
        ShortCase(batch: 35, length: 65, channels: 15, taps: 3, epilogue),
        ShortCase(batch: 3, length: 65, channels: 20, taps: 1, extraStride: 1, epilogue),
        ShortCase(batch: 3, length: 9, channels: 20, taps: 2, epilogue),
        ShortCase(batch: 3, length: 63, channels: 17, taps: 7, extraStride: 3, epilogue),
        ShortCase(batch: 2, length: 3, channels: 17, taps: 7, epilogue),
        // Long enough to be gone through some tokens at a time, the last channels apart.
        ShortCase(batch: 2, length: 1700, channels: 32, taps: 4, epilogue),
        ShortCase(batch: 1, length: 761, channels: 70, taps: 3, extraStride: 7, epilogue),
        ShortCase(batch: 2, length: 41, channels: 1305, taps: 4, extraStride: 2, epilogue),
    ]
}

@Suite struct ShortConvolutionTests {
    @Test(arguments: ConvolutionEpilogue.allCases, [1, 2, 3, 6])
    func referenceGradientsAreFiniteDifferences(epilogue: ConvolutionEpilogue, taps: Int) {
        let c = ShortCase(batch: 2, length: 5, channels: 3, taps: taps, epilogue)
        let (u, weight, bias, gate) = (doubles(c.u), doubles(c.weight), doubles(c.bias), doubles(c.gate))
        let dy = doubles(c.dy)
        func loss(_ u: [Double], _ weight: [Double], _ bias: [Double], _ gate: [Double]) -> Double {
            dot(ConvolutionReference.shortForward(c.shape, u: u, weight: weight, bias: bias, gate: gate), dy)
        }
        let gradients = ConvolutionReference.shortBackward(
            c.shape,
            u: u,
            weight: weight,
            bias: bias,
            gate: gate,
            dy: dy
        )
        let numeric = [
            (gradients.u, finiteDifferences(of: { loss($0, weight, bias, gate) }, at: u)),
            (gradients.weight, finiteDifferences(of: { loss(u, $0, bias, gate) }, at: weight)),
            (gradients.bias, finiteDifferences(of: { loss(u, weight, $0, gate) }, at: bias)),
            (gradients.gate, finiteDifferences(of: { loss(u, weight, bias, $0) }, at: gate)),
        ]
        for (analytic, difference) in numeric { #expect(relativeError(analytic, difference) < 1e-8) }
    }

    @Test(arguments: cases)
    fileprivate func forwardIsTheReference(c: ShortCase) {
        let expected = ConvolutionReference.shortForward(
            c.shape,
            u: doubles(c.u),
            weight: doubles(c.weight),
            bias: doubles(c.bias),
            gate: doubles(c.gate)
        )
        let y = c.forward(threads: 1)
        #expect(relativeError(y, expected) < 2e-6)
        #expect(c.forward(threads: 3) == y)
    }

    @Test(arguments: cases)
    fileprivate func backwardIsTheReference(c: ShortCase) {
        let expected = ConvolutionReference.shortBackward(
            c.shape,
            u: doubles(c.u),
            weight: doubles(c.weight),
            bias: doubles(c.bias),
            gate: doubles(c.gate),
            dy: doubles(c.dy)
        )
        let gradients = c.backward(threads: 1)
        #expect(relativeError(gradients.u, expected.u) < 2e-6)
        #expect(relativeError(gradients.weight, expected.weight) < 1e-5)
        #expect(relativeError(gradients.bias, expected.bias) < 1e-5)
        #expect(relativeError(gradients.gate, expected.gate) < 2e-6)
        #expect(c.backward(threads: 3) == gradients)
    }

    @Test(arguments: [3, 7])
    func gateGradientMayBeLeftOut(taps: Int) {
        let c = ShortCase(batch: 2, length: 5, channels: 18, taps: taps, .gatedWithSkip)
        let without = c.backward(threads: 1, gateGradient: false)
        let with = c.backward(threads: 1)
        #expect(without.u == with.u && without.weight == with.weight && without.bias == with.bias)
        let isUntouched = without.gate.allSatisfy { $0.isNaN }
        #expect(isUntouched)
    }

    @Test(arguments: ConvolutionEpilogue.allCases, [3, 4])
    func laterTokensDoNotReachEarlierOutputs(epilogue: ConvolutionEpilogue, taps: Int) {
        var c = ShortCase(batch: 2, length: 20, channels: 18, taps: taps, epilogue)
        let before = c.forward(threads: 1)
        c.u[12 * 18 + 3] += 1
        let after = c.forward(threads: 1)
        let changed = before.indices.filter { before[$0] != after[$0] }
        let reached = (12..<12 + taps).map { $0 * 18 + 3 }
        #expect(changed == reached)
    }

    @Test(arguments: cases)
    fileprivate func stepsAreTheParallelForm(c: ShortCase) {
        let (shape, backend) = (c.shape, CPUBackend(threads: 3))
        let (channels, strided) = (shape.channels, c.stridedInput)
        var stepShape = shape
        stepShape.length = 1
        var past = Array(repeating: Float(0), count: max(1, shape.batch * (shape.taps - 1) * channels))
        let expected = c.forward(threads: 1)
        for t in 0..<shape.length {
            func token(_ values: [Float], width: Int) -> [Float] {
                guard !values.isEmpty else { return [] }
                return (0..<shape.batch).flatMap { b in
                    let start = (b * shape.length + t) * width
                    return values[start..<start + width]
                }
            }
            var y = poisoned(shape.batch * channels)
            token(c.gate, width: channels).withUnsafeBufferPointer { gate in
                backend.shortConvolutionStep(
                    stepShape,
                    u: token(strided, width: shape.inputStride),
                    weight: c.weight,
                    bias: c.bias,
                    gate: shape.epilogue == .silu ? nil : gate.baseAddress,
                    past: &past,
                    y: &y
                )
            }
            #expect(relativeError(y, doubles(token(expected, width: channels))) < 1e-6)
        }
    }
}
