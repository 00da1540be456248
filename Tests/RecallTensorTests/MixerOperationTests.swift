import RecallKernels
import RecallTensor
import TestSupport
import Testing

/// The mixers' operations: the tape hands every kernel its inputs where they lie and every gradient to its owner.
struct MixerOperationTests {
    @Test(arguments: [(nil, false), (3, false), (nil, true), (1, false)] as [(Int?, Bool)])
    func attention(window: Int?, rope: Bool) throws {
        let (batch, length, heads, headWidth) = (2, 11, 2, 6)
        let width = heads * headWidth
        let qkv = Input([batch, length, 3 * width], seed: 1)
        let run = try Differentiated([qkv]) { tape, inputs in
            [
                tape.attention(
                    inputs[0],
                    heads: heads,
                    window: window,
                    ropeBase: rope ? 100 : nil,
                    dropoutProbability: 0,
                    dropoutSite: 0
                )
            ]
        }
        let shape = AttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            headWidth: headWidth,
            rowStride: width,
            window: window
        )
        func turned(_ x: [Double], _ direction: Double) -> [Double] {
            rope
                ? SoftmaxAttentionReference.rotary(
                    shape,
                    x: x,
                    base: 100,
                    firstPosition: 0,
                    direction: direction
                )
                : x
        }
        let q = turned(qkv.columns(0..<width), 1)
        let k = turned(qkv.columns(width..<2 * width), 1)
        let v = qkv.columns(2 * width..<3 * width)
        let forward = SoftmaxAttentionReference.forward(shape, q: q, k: k, v: v)
        let backward = SoftmaxAttentionReference.backward(shape, q: q, k: k, v: v, dOut: run.dy[0])
        #expect(relativeError(run.y[0], forward.out) < 1e-5)
        let dx = doubles(run.dInputs[0])
        let parts = (0..<3).flatMap { pick(dx, width: 3 * width, $0 * width..<($0 + 1) * width) }
        // Of the largest of all three: a window of one token leaves dq and dk zero but for rounding.
        #expect(relativeError(parts, turned(backward.dq, -1) + turned(backward.dk, -1) + backward.dv) < 1e-5)
    }

    @Test(arguments: FeatureMap.allCases) func linearAttention(map: FeatureMap) throws {
        let (batch, length, heads, feature, value) = (2, 9, 2, 4, 5)
        // Positive, so that no denominator comes near zero.
        let q = Input([batch, length, heads * feature], seed: 2, in: 0.1...1)
        let k = Input([batch, length, heads * feature], seed: 3, in: 0.1...1)
        let v = Input([batch, length, heads * value], seed: 4)
        let run = try Differentiated([q, k, v]) { tape, inputs in
            [tape.linearAttention(inputs[0], inputs[1], inputs[2], heads: heads, map: map)]
        }
        let shape = LinearAttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            featureWidth: feature,
            valueWidth: value,
            map: map
        )
        let forward = LinearAttentionReference.forward(shape, q: q.doubles, k: k.doubles, v: v.doubles)
        let backward = LinearAttentionReference.backward(
            shape,
            q: q.doubles,
            k: k.doubles,
            v: v.doubles,
            dy: run.dy[0]
        )
        #expect(relativeError(run.y[0], forward.y) < 1e-5)
        #expect(relativeError(run.dInputs[0], backward.dq) < 5e-5)
        #expect(relativeError(run.dInputs[1], backward.dk) < 5e-5)
        #expect(relativeError(run.dInputs[2], backward.dv) < 5e-5)
    }

    @Test(arguments: [1, 3, 4]) func gatedShortConvolution(taps: Int) throws {
        let (batch, length, channels) = (2, 7, 5)
        let (weight, bias) = (parameter("w", [channels, taps]), parameter("b", [channels]))
        let inputs = [Input([batch, length, channels], seed: 5), Input([batch, length, channels], seed: 6)]
        let run = try Differentiated(inputs, [weight, bias]) { tape, tensors in
            [
                tape.shortConvolution(
                    tensors[0],
                    weight: weight,
                    bias: bias,
                    gate: tensors[1],
                    epilogue: .gatedWithSkip
                )
            ]
        }
        let shape = ShortConvolutionShape(
            batch: batch,
            length: length,
            channels: channels,
            taps: taps,
            inputStride: channels,
            epilogue: .gatedWithSkip
        )
        let (u, gate) = (inputs[0].doubles, inputs[1].doubles)
        let forward = ConvolutionReference.shortForward(
            shape,
            u: u,
            weight: run.value(weight),
            bias: run.value(bias),
            gate: gate
        )
        let backward = ConvolutionReference.shortBackward(
            shape,
            u: u,
            weight: run.value(weight),
            bias: run.value(bias),
            gate: gate,
            dy: run.dy[0]
        )
        #expect(relativeError(run.y[0], forward) < 1e-5)
        #expect(relativeError(run.dInputs[0], backward.u) < 1e-5)
        #expect(relativeError(run.dInputs[1], backward.gate) < 1e-5)
        #expect(relativeError(run.gradient(weight), backward.weight) < 1e-5)
        #expect(relativeError(run.gradient(bias), backward.bias) < 1e-5)
    }

    /// Without a bias: as with one of zeros, which gets no gradient.
    @Test(arguments: [1, 3]) func shortConvolutionWithoutBias(taps: Int) throws {
        let (batch, length, channels) = (2, 7, 5)
        let (weight, u) = (parameter("w", [channels, taps]), Input([batch, length, channels], seed: 5))
        let run = try Differentiated([u], [weight]) { tape, tensors in
            [tape.shortConvolution(tensors[0], weight: weight, bias: nil, gate: nil, epilogue: .silu)]
        }
        let shape = ShortConvolutionShape(
            batch: batch,
            length: length,
            channels: channels,
            taps: taps,
            inputStride: channels,
            epilogue: .silu
        )
        let zeros = Array(repeating: 0.0, count: channels)
        let forward = ConvolutionReference.shortForward(
            shape,
            u: u.doubles,
            weight: run.value(weight),
            bias: zeros,
            gate: []
        )
        let backward = ConvolutionReference.shortBackward(
            shape,
            u: u.doubles,
            weight: run.value(weight),
            bias: zeros,
            gate: [],
            dy: run.dy[0]
        )
        #expect(relativeError(run.y[0], forward) < 1e-5)
        #expect(relativeError(run.dInputs[0], backward.u) < 1e-5)
        #expect(relativeError(run.gradient(weight), backward.weight) < 1e-5)
    }

    @Test func longConvolution() throws {
        let (batch, length, channels) = (2, 10, 5)
        let inputs = [
            Input([batch, length, channels], seed: 7), Input([length, channels], seed: 8),
            Input([batch, length, channels], seed: 9),
        ]
        let run = try Differentiated(inputs) { tape, tensors in
            [tape.longConvolution(tensors[0], filter: tensors[1], gate: tensors[2])]
        }
        let shape = LongConvolutionShape(batch: batch, length: length, channels: channels)
        let numbers = inputs.map(\.doubles)
        let forward = ConvolutionReference.longForward(
            shape,
            u: numbers[0],
            filter: numbers[1],
            gate: numbers[2]
        )
        let backward = ConvolutionReference.longBackward(
            shape,
            u: numbers[0],
            filter: numbers[1],
            gate: numbers[2],
            dy: run.dy[0]
        )
        #expect(relativeError(run.y[0], forward) < 1e-5)
        for (actual, expected) in zip(run.dInputs, [backward.u, backward.filter, backward.gate]) {
            #expect(relativeError(actual, expected) < 1e-5)
        }
    }

    /// The scan with its operands where Mamba has them: x and z of one projection, B and C of another.
    @Test func selectiveScanFromColumns() throws {
        let (batch, length, channels, states) = (2, 19, 4, 3)
        let (xz, bc) = (2 * channels, 2 * states)
        let inputs = [
            Input([batch, length, xz], seed: 10), Input([batch, length, channels], seed: 11),
            Input([batch, length, bc], seed: 12),
        ]
        let scan = ScanParameters(
            aLog: parameter("aLog", [channels, states]),
            deltaBias: parameter("deltaBias", [channels]),
            skip: parameter("skip", [channels])
        )
        let convolution = (weight: parameter("conv", [channels, 2]), bias: parameter("bias", [channels]))
        let parameters = [scan.aLog, scan.deltaBias, scan.skip, convolution.weight, convolution.bias]
        let run = try Differentiated(inputs, parameters) { tape, tensors in
            let x = tape.shortConvolution(
                tensors[0].columns(0..<channels),
                weight: convolution.weight,
                bias: convolution.bias,
                gate: nil,
                epilogue: .silu
            )
            return [
                tape.selectiveScan(
                    x: x,
                    delta: tensors[1],
                    b: tensors[2].columns(0..<states),
                    c: tensors[2].columns(states..<bc),
                    z: tensors[0].columns(channels..<xz),
                    scan
                )
            ]
        }
        let convolutionShape = ShortConvolutionShape(
            batch: batch,
            length: length,
            channels: channels,
            taps: 2,
            inputStride: channels,
            epilogue: .silu
        )
        let u = inputs[0].columns(0..<channels)
        let x = ConvolutionReference.shortForward(
            convolutionShape,
            u: u,
            weight: run.value(convolution.weight),
            bias: run.value(convolution.bias),
            gate: []
        )
        let shape = ScanShape(
            batch: batch,
            length: length,
            channels: channels,
            states: states,
            stateStride: states,
            gateStride: channels
        )
        let scanInputs = ScanReference.Inputs(
            x: x,
            delta: inputs[1].doubles,
            deltaBias: run.value(scan.deltaBias),
            aLog: run.value(scan.aLog),
            b: inputs[2].columns(0..<states),
            c: inputs[2].columns(states..<bc),
            skip: run.value(scan.skip),
            z: inputs[0].columns(channels..<xz)
        )
        let backward = ScanReference.backward(shape, scanInputs, dOut: run.dy[0])
        let convolutionBackward = ConvolutionReference.shortBackward(
            convolutionShape,
            u: u,
            weight: run.value(convolution.weight),
            bias: run.value(convolution.bias),
            gate: [],
            dy: backward.x
        )
        #expect(relativeError(run.y[0], ScanReference.forward(shape, scanInputs)) < 2e-5)
        let dxz = doubles(run.dInputs[0])
        let dbc = doubles(run.dInputs[2])
        #expect(relativeError(pick(dxz, width: xz, 0..<channels), convolutionBackward.u) < 5e-5)
        #expect(relativeError(pick(dxz, width: xz, channels..<xz), backward.z) < 5e-5)
        #expect(relativeError(run.dInputs[1], backward.delta) < 5e-5)
        #expect(relativeError(pick(dbc, width: bc, 0..<states), backward.b) < 5e-5)
        #expect(relativeError(pick(dbc, width: bc, states..<bc), backward.c) < 5e-5)
        #expect(relativeError(run.gradient(scan.aLog), backward.aLog) < 5e-5)
        #expect(relativeError(run.gradient(scan.deltaBias), backward.deltaBias) < 5e-5)
        #expect(relativeError(run.gradient(scan.skip), backward.skip) < 5e-5)
        #expect(relativeError(run.gradient(convolution.weight), convolutionBackward.weight) < 5e-5)
        #expect(relativeError(run.gradient(convolution.bias), convolutionBackward.bias) < 5e-5)
    }
}
