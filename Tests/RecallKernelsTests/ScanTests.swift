import RecallKernels
import TestSupport
import Testing

/// Where B, C and z lie among other numbers, as they do in a mixer's projections.
private let offset = 3

private func scanShape(_ batch: Int, _ length: Int, _ channels: Int, _ states: Int) -> ScanShape {
    ScanShape(
        batch: batch,
        length: length,
        channels: channels,
        states: states,
        stateStride: 2 * states + offset,
        gateStride: 2 * channels + 1
    )
}

private struct ScanCase {
    let shape: ScanShape
    var x, delta, deltaBias, aLog, projection, skip, gates, dOut: [Float]

    init(_ shape: ScanShape, seed: UInt64 = 1) {
        self.shape = shape
        let tokens = shape.batch * shape.length
        x = randomFloats(tokens * shape.channels, seed: seed)
        delta = randomFloats(tokens * shape.channels, seed: seed + 1, in: -3...2)
        deltaBias = randomFloats(shape.channels, seed: seed + 2, in: -2...0)
        aLog = randomFloats(shape.channels * shape.states, seed: seed + 3, in: -2...2)
        projection = randomFloats(tokens * shape.stateStride, seed: seed + 4)
        skip = randomFloats(shape.channels, seed: seed + 5)
        gates = randomFloats(tokens * shape.gateStride, seed: seed + 6, in: -3...3)
        dOut = randomFloats(tokens * shape.channels, seed: seed + 7)
    }

    var cOffset: Int { offset + shape.states }

    var inputs: ScanReference.Inputs {
        ScanReference.Inputs(
            x: doubles(x),
            delta: doubles(delta),
            deltaBias: doubles(deltaBias),
            aLog: doubles(aLog),
            b: doubles(Array(projection[offset...])),
            c: doubles(Array(projection[cOffset...])),
            skip: doubles(skip),
            z: doubles(gates)
        )
    }

    func forward(threads: Int = 1) -> (out: [Float], checkpoints: [Float]) {
        var out = poisoned(dOut.count)
        var checkpoints = poisoned(shape.checkpointCount)
        projection.withUnsafeBufferPointer { p in
            CPUBackend(threads: threads).scanForward(
                shape,
                x: x,
                delta: delta,
                deltaBias: deltaBias,
                aLog: aLog,
                b: p.baseAddress! + offset,
                c: p.baseAddress! + cOffset,
                skip: skip,
                z: gates,
                out: &out,
                checkpoints: &checkpoints
            )
        }
        return (out, checkpoints)
    }

    func backward(checkpoints: [Float], threads: Int = 1) -> ScanGradients {
        var d = ScanGradients(
            x: poisoned(x.count),
            delta: poisoned(x.count),
            deltaBias: poisoned(skip.count),
            aLog: poisoned(aLog.count),
            projection: poisoned(projection.count),
            skip: poisoned(skip.count),
            gates: poisoned(gates.count)
        )
        projection.withUnsafeBufferPointer { p in
            d.projection.withUnsafeMutableBufferPointer { dp in
                CPUBackend(threads: threads).scanBackward(
                    shape,
                    x: x,
                    delta: delta,
                    deltaBias: deltaBias,
                    aLog: aLog,
                    b: p.baseAddress! + offset,
                    c: p.baseAddress! + cOffset,
                    skip: skip,
                    z: gates,
                    checkpoints: checkpoints,
                    dOut: dOut,
                    dx: &d.x,
                    dDelta: &d.delta,
                    dDeltaBias: &d.deltaBias,
                    dALog: &d.aLog,
                    db: dp.baseAddress! + offset,
                    dc: dp.baseAddress! + cOffset,
                    dSkip: &d.skip,
                    dz: &d.gates
                )
            }
        }
        return d
    }
}

private struct ScanGradients {
    var x, delta, deltaBias, aLog, projection, skip, gates: [Float]

    var bits: [[UInt32]] {
        [x, delta, deltaBias, aLog, projection, skip, gates].map { $0.map(\.bitPattern) }
    }
}

/// Part of every row of a strided tensor: `width` numbers from `offset`.
private func unpack<T>(
    _ values: [T],
    width: Int,
    stride: Int,
    offset: Int = 0,
    rows: Int
) -> [T] {
    (0..<rows).flatMap { row in (0..<width).map { values[row * stride + offset + $0] } }
}

private let scanShapes = [
    scanShape(1, 1, 1, 1), scanShape(3, 1, 16, 16), scanShape(1, 15, 17, 13), scanShape(2, 16, 32, 1),
    scanShape(1, 17, 5, 61), scanShape(3, 63, 24, 13), scanShape(1, 64, 48, 16), scanShape(3, 65, 33, 16),
    scanShape(35, 18, 7, 3),
]

@Suite struct ScanTests {
    @Test func referenceGradientsMatchFiniteDifferences() {
        let shape = scanShape(2, 5, 3, 4)
        let scan = ScanCase(shape, seed: 40)
        let inputs = scan.inputs
        let dOut = doubles(scan.dOut)
        let gradients = ScanReference.backward(shape, inputs, dOut: dOut)
        let paths: [(String, WritableKeyPath<ScanReference.Inputs, [Double]>)] = [
            ("x", \.x), ("delta", \.delta), ("deltaBias", \.deltaBias), ("aLog", \.aLog), ("b", \.b),
            ("c", \.c),
            ("skip", \.skip), ("z", \.z),
        ]
        for (name, path) in paths {
            let expected = finiteDifferences(
                of: { point in
                    var moved = inputs
                    moved[keyPath: path] = point
                    return dot(ScanReference.forward(shape, moved), dOut)
                },
                at: inputs[keyPath: path]
            )
            #expect(relativeError(gradients[keyPath: path], expected) < 1e-8, "\(name)")
        }
    }

    @Test(arguments: scanShapes)
    func forwardMatchesReference(_ shape: ScanShape) {
        let scan = ScanCase(shape)
        #expect(relativeError(scan.forward().out, ScanReference.forward(shape, scan.inputs)) < 2e-6)
    }

    @Test(arguments: scanShapes)
    func gradientsMatchReference(_ shape: ScanShape) {
        let scan = ScanCase(shape)
        let actual = scan.backward(checkpoints: scan.forward().checkpoints)
        let expected = ScanReference.backward(shape, scan.inputs, dOut: doubles(scan.dOut))
        #expect(relativeError(actual.x, expected.x) < 1e-5)
        #expect(relativeError(actual.delta, expected.delta) < 1e-5)
        #expect(relativeError(actual.deltaBias, expected.deltaBias) < 1e-5)
        #expect(relativeError(actual.aLog, expected.aLog) < 1e-5)
        #expect(relativeError(actual.skip, expected.skip) < 1e-5)
        let (tokens, states) = (shape.batch * shape.length, shape.states)
        for (at, gradient) in [(offset, expected.b), (scan.cOffset, expected.c)] {
            #expect(
                relativeError(
                    unpack(
                        actual.projection,
                        width: states,
                        stride: shape.stateStride,
                        offset: at,
                        rows: tokens
                    ),
                    unpack(gradient, width: states, stride: shape.stateStride, rows: tokens)
                ) < 1e-5
            )
        }
        #expect(
            relativeError(
                unpack(actual.gates, width: shape.channels, stride: shape.gateStride, rows: tokens),
                unpack(expected.z, width: shape.channels, stride: shape.gateStride, rows: tokens)
            ) < 1e-5
        )
        // The gaps between strided gradients belong to others.
        let gaps =
            unpack(actual.projection, width: offset, stride: shape.stateStride, rows: tokens)
            + unpack(
                actual.gates,
                width: shape.gateStride - shape.channels,
                stride: shape.gateStride,
                offset: shape.channels,
                rows: tokens
            )
        let untouched = gaps.allSatisfy(\.isNaN)
        #expect(untouched)
    }

    @Test(arguments: scanShapes)
    func threadsChangeNoBit(_ shape: ScanShape) {
        let scan = ScanCase(shape)
        let (one, three) = (scan.forward(), scan.forward(threads: 3))
        #expect(one.out.map(\.bitPattern) == three.out.map(\.bitPattern))
        #expect(one.checkpoints.map(\.bitPattern) == three.checkpoints.map(\.bitPattern))
        #expect(
            scan.backward(checkpoints: one.checkpoints).bits
                == scan.backward(checkpoints: one.checkpoints, threads: 3).bits
        )
    }

    @Test func forwardWithoutCheckpointsIsTheSame() {
        let scan = ScanCase(scanShape(2, 33, 20, 5))
        var out = poisoned(scan.dOut.count)
        scan.projection.withUnsafeBufferPointer { p in
            CPUBackend().scanForward(
                scan.shape,
                x: scan.x,
                delta: scan.delta,
                deltaBias: scan.deltaBias,
                aLog: scan.aLog,
                b: p.baseAddress! + offset,
                c: p.baseAddress! + scan.cOffset,
                skip: scan.skip,
                z: scan.gates,
                out: &out,
                checkpoints: nil
            )
        }
        #expect(out == scan.forward().out)
    }

    /// Steps give the parallel forward's output bit for bit, and before each chunk its checkpoint.
    @Test(arguments: [scanShape(1, 20, 16, 16), scanShape(3, 37, 21, 13)])
    func stepsMatchForward(_ shape: ScanShape) {
        let scan = ScanCase(shape)
        let parallel = scan.forward()
        var step = shape
        step.length = 1
        let (batch, length, channels) = (shape.batch, shape.length, shape.channels)
        let stateCount = shape.states * channels
        let chunks = shape.checkpointCount / (batch * stateCount)
        var state = Array(repeating: Float(0), count: batch * stateCount)
        let backend = CPUBackend(threads: 2)
        for t in 0..<length {
            func token(_ values: [Float], _ width: Int) -> [Float] {
                unpack(values, width: width, stride: length * width, offset: t * width, rows: batch)
            }
            if t % ScanShape.checkpointInterval == 0 {
                for row in 0..<batch {
                    let at = (row * chunks + t / ScanShape.checkpointInterval) * stateCount
                    let checkpoint = Array(parallel.checkpoints[at..<at + stateCount])
                    let current = Array(state[row * stateCount..<(row + 1) * stateCount])
                    #expect(checkpoint == current)
                }
            }
            var out = poisoned(batch * channels)
            token(scan.projection, shape.stateStride).withUnsafeBufferPointer { p in
                backend.scanStep(
                    step,
                    x: token(scan.x, channels),
                    delta: token(scan.delta, channels),
                    deltaBias: scan.deltaBias,
                    aLog: scan.aLog,
                    b: p.baseAddress! + offset,
                    c: p.baseAddress! + scan.cOffset,
                    skip: scan.skip,
                    z: token(scan.gates, shape.gateStride),
                    state: &state,
                    out: &out
                )
            }
            let expected = token(parallel.out, channels)
            #expect(out == expected)
        }
    }

    /// Prompts in one call, cut anywhere, leave the states of the reference and give forward's output.
    @Test(arguments: scanShapes)
    func statesGoThroughWholePrompts(_ shape: ScanShape) {
        let scan = ScanCase(shape)
        let (batch, length, channels) = (shape.batch, shape.length, shape.channels)
        let expected = scan.forward().out
        for cut in Set([0, length / 2, length]) {
            var state = Array(repeating: Float(0), count: batch * shape.states * channels)
            for tokens in [0..<cut, cut..<length] where !tokens.isEmpty {
                var part = shape
                part.length = tokens.count
                func columns(_ values: [Float], _ width: Int) -> [Float] {
                    unpack(
                        values,
                        width: tokens.count * width,
                        stride: length * width,
                        offset: tokens.lowerBound * width,
                        rows: batch
                    )
                }
                var out = poisoned(batch * tokens.count * channels)
                columns(scan.projection, shape.stateStride).withUnsafeBufferPointer { p in
                    CPUBackend(threads: 2).scanStep(
                        part,
                        x: columns(scan.x, channels),
                        delta: columns(scan.delta, channels),
                        deltaBias: scan.deltaBias,
                        aLog: scan.aLog,
                        b: p.baseAddress! + offset,
                        c: p.baseAddress! + scan.cOffset,
                        skip: scan.skip,
                        z: columns(scan.gates, shape.gateStride),
                        state: &state,
                        out: &out
                    )
                }
                #expect(relativeError(out, doubles(columns(expected, channels))) < 1e-6)
            }
            #expect(relativeError(state, ScanReference.finalStates(shape, scan.inputs)) < 2e-6)
        }
    }

    /// The last token's gradient reaches the first ones through all chunks between, where it may become tiny.
    @Test func distantGradientsArrive() {
        let shape = scanShape(1, 100, 16, 8)
        var scan = ScanCase(shape)
        let last = (shape.length - 1) * shape.channels
        for index in 0..<last { scan.dOut[index] = 0 }
        let actual = scan.backward(checkpoints: scan.forward().checkpoints)
        let expected = ScanReference.backward(shape, scan.inputs, dOut: doubles(scan.dOut))
        for token in stride(from: 0, to: shape.length, by: 11) {
            let elements = token * shape.channels..<(token + 1) * shape.channels
            #expect(relativeError(Array(actual.x[elements]), Array(expected.x[elements])) < 1e-5)
            #expect(relativeError(Array(actual.delta[elements]), Array(expected.delta[elements])) < 1e-5)
        }
        // Weak decays only: with strong ones there would be nothing left to compare.
        #expect(expected.x[..<shape.channels].map(abs).max()! > 1e-12)
    }

    /// Decays so strong that e^{ΔA} underflows, steps so small that it rounds to 1, and gates shut.
    @Test func extremeInputsStayFinite() {
        let shape = scanShape(1, 40, 16, 3)
        var scan = ScanCase(shape)
        func spread(_ values: inout [Float], _ centres: [Float]) {
            for index in values.indices { values[index] += centres[index % centres.count] }
        }
        spread(&scan.delta, [-200, -30, 0, 30, 500])
        spread(&scan.aLog, [-20, 0, 8])
        spread(&scan.gates, [-200, 0, 200])
        let forward = scan.forward()
        #expect(relativeError(forward.out, ScanReference.forward(shape, scan.inputs)) < 1e-5)
        let actual = scan.backward(checkpoints: forward.checkpoints)
        let expected = ScanReference.backward(shape, scan.inputs, dOut: doubles(scan.dOut))
        #expect(relativeError(actual.x, expected.x) < 1e-5)
        #expect(relativeError(actual.delta, expected.delta) < 1e-5)
        #expect(relativeError(actual.aLog, expected.aLog) < 1e-4)
    }
}
