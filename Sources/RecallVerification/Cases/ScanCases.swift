import RecallKernels

/// The selective scan: lengths around checkpoints, odd channels and states; B, C and z among other numbers, as they are in
/// a mixer's projections; gradients in place of what they may replace; inputs that under- and overflow; decoding.
enum ScanCases {
    static let all: [KernelCase] =
        shapes.flatMap { [forward($0), backward($0)] }
        + [
            forward(shape(2, 33, 20, 5), keeps: false), forward(shape(1, 40, 16, 3), isExtreme: true),
            backward(shape(1, 40, 16, 3), isExtreme: true), backward(shape(3, 65, 33, 16), inPlace: true),
            backward(shape(1, 64, 48, 16), inPlace: true),
            backward(shape(2, 41, 44, 16, inQuads: true), inPlace: true),
        ]
        + [(1, 1, 0), (3, 1, 0), (1, 1, 19), (3, 1, 36), (3, 37, 0), (3, 30, 7), (1, 65, 64)].flatMap {
            batch,
            tokens,
            earlier in
            [(16, 16), (21, 13)].map {
                step(shape(batch, tokens + earlier, $0.0, $0.1), earlier: earlier)
            }
        }

    /// Numbers of other tensors before B in a projection's row.
    private static let offset = 3

    /// - Parameter inQuads: whether the gates' rows lie whole fours apart, so that they may be read by fours.
    private static func shape(
        _ batch: Int,
        _ length: Int,
        _ channels: Int,
        _ states: Int,
        inQuads: Bool = false
    ) -> ScanShape {
        ScanShape(
            batch: batch,
            length: length,
            channels: channels,
            states: states,
            stateStride: 2 * states + offset,
            gateStride: 2 * channels + (inQuads ? 0 : 1)
        )
    }

    private static let shapes = [
        shape(1, 1, 1, 1), shape(3, 1, 16, 16), shape(1, 15, 17, 13), shape(2, 16, 32, 1), shape(1, 17, 5, 61),
        shape(3, 63, 24, 13), shape(1, 64, 48, 16), shape(3, 65, 33, 16), shape(35, 18, 7, 3),
        shape(2, 200, 128, 16),
        // By fours, with more channels than a block takes, and with more states than a pass does.
        shape(2, 35, 20, 16, inQuads: true), shape(3, 33, 68, 8, inQuads: true),
        shape(1, 19, 300, 16, inQuads: true), shape(1, 18, 263, 7), shape(1, 37, 140, 24, inQuads: true),
        shape(2, 17, 30, 20), shape(1, 34, 36, 70, inQuads: true),
    ]

    private static func sizes(_ shape: ScanShape) -> [CaseSize] {
        [.batch(shape.batch), .length(shape.length), .channels(shape.channels), .states(shape.states)]
    }

    private static func forward(_ shape: ScanShape, keeps: Bool = true, isExtreme: Bool = false) -> KernelCase {
        let words = [keeps ? "" : "no checkpoints", isExtreme ? "extremes" : ""]
        return KernelCase("scanForward", sizes(shape), words.joined()) { p in
            let data = ScanData(shape, isExtreme: isExtreme)
            let at = ScanOperands(data, shape, &p)
            let out = p.output("out", data.x.count, bound: isExtreme ? 1e-5 : 2e-6)
            let checkpoints =
                keeps ? p.output("checkpoints", shape.checkpointCount, bound: isExtreme ? 1e-5 : 2e-6) : nil
            p.call = {
                $0.scanForward(
                    shape,
                    x: $1[at.x],
                    delta: $1[at.delta],
                    deltaBias: $1[at.deltaBias],
                    aLog: $1[at.aLog],
                    b: $1[at.b],
                    c: $1[at.c],
                    skip: $1[at.skip],
                    z: $1[at.z],
                    out: $1[out],
                    checkpoints: $1[ifAny: checkpoints]
                )
            }
            p.reference = { _ in
                let forward = Expectation(out, ScanReference.forward(data.shape, data.inputs))
                guard let checkpoints else { return [forward] }
                return [forward, Expectation(checkpoints, data.checkpoints)]
            }
        }
    }

    private static func backward(
        _ shape: ScanShape,
        inPlace: Bool = false,
        isExtreme: Bool = false
    ) -> KernelCase {
        let words = [inPlace ? "dx over dOut, dDelta over delta" : "", isExtreme ? "extremes" : ""]
        return KernelCase("scanBackward", sizes(shape), words.joined()) { p in
            let data = ScanData(shape, isExtreme: isExtreme)
            let bound = isExtreme ? 1e-4 : 1e-5
            let at = ScanOperands(data, shape, &p, deltaBound: inPlace ? bound : nil)
            let checkpoints = p.input("checkpoints", floats(data.checkpoints))
            let dOut = inPlace ? p.update("dx over dOut", data.dOut, bound: bound) : p.input("dOut", data.dOut)
            let dx = inPlace ? dOut : p.output("dx", data.x.count, bound: bound)
            let dDelta = inPlace ? at.delta : p.output("dDelta", data.x.count, bound: bound)
            let dDeltaBias = p.output("dDeltaBias", shape.channels, bound: bound)
            let dALog = p.output("dALog", data.aLog.count, bound: bound)
            let projection = p.buffer(shape.batch * shape.length * shape.stateStride)
            let db = p.output("db", in: projection, ScanOperands.states(shape, offset), bound: bound)
            let dc = p.output(
                "dc",
                in: projection,
                ScanOperands.states(shape, offset + shape.states),
                bound: bound
            )
            let dSkip = p.output("dSkip", shape.channels, bound: bound)
            let gates = p.buffer(shape.batch * shape.length * shape.gateStride)
            let dz = p.output("dz", in: gates, ScanOperands.gates(shape), bound: bound)
            p.call = {
                $0.scanBackward(
                    shape,
                    x: $1[at.x],
                    delta: $1[at.delta],
                    deltaBias: $1[at.deltaBias],
                    aLog: $1[at.aLog],
                    b: $1[at.b],
                    c: $1[at.c],
                    skip: $1[at.skip],
                    z: $1[at.z],
                    checkpoints: $1[checkpoints],
                    dOut: $1[dOut],
                    dx: $1[dx],
                    dDelta: $1[dDelta],
                    dDeltaBias: $1[dDeltaBias],
                    dALog: $1[dALog],
                    db: $1[db],
                    dc: $1[dc],
                    dSkip: $1[dSkip],
                    dz: $1[dz]
                )
            }
            p.reference = { _ in
                let d = ScanReference.backward(data.shape, data.inputs, dOut: doubles(data.dOut))
                return [
                    (dx, d.x), (dDelta, d.delta), (dDeltaBias, d.deltaBias), (dALog, d.aLog), (db, d.b),
                    (dc, d.c), (dSkip, d.skip), (dz, d.z),
                ].map { Expectation($0.0, $0.1) }
            }
        }
    }

    /// Takes the state that `earlier` tokens left through the rest of them.
    private static func step(_ whole: ScanShape, earlier: Int) -> KernelCase {
        let shape = ScanShape(
            batch: whole.batch,
            length: whole.length - earlier,
            channels: whole.channels,
            states: whole.states,
            stateStride: whole.stateStride,
            gateStride: whole.gateStride
        )
        return KernelCase("scanStep", sizes(shape), "\(earlier) tokens before") { p in
            let all = ScanData(whole, isExtreme: false)
            let rest = all.tokens(earlier..<whole.length)
            let at = ScanOperands(rest, shape, &p)
            let before = all.tokens(0..<earlier)
            let state = p.update(
                "state",
                floats(ScanReference.finalStates(before.shape, before.inputs)),
                bound: 2e-6
            )
            let out = p.output("out", rest.x.count, bound: 2e-6)
            p.call = {
                $0.scanStep(
                    shape,
                    x: $1[at.x],
                    delta: $1[at.delta],
                    deltaBias: $1[at.deltaBias],
                    aLog: $1[at.aLog],
                    b: $1[at.b],
                    c: $1[at.c],
                    skip: $1[at.skip],
                    z: $1[at.z],
                    state: $1[state],
                    out: $1[out]
                )
            }
            p.reference = { _ in
                let outputs = ScanReference.forward(all.shape, all.inputs)
                let last = suffix(
                    outputs,
                    from: earlier,
                    batch: whole.batch,
                    length: whole.length,
                    width: whole.channels
                )
                return [
                    Expectation(state, ScanReference.finalStates(all.shape, all.inputs)),
                    Expectation(out, last),
                ]
            }
        }
    }

    /// The operands of a scan's inputs.
    private struct ScanOperands {
        let x, delta, deltaBias, aLog, b, c, skip, z: Operand

        /// - Parameter deltaBound: where the gradient of delta is to replace it.
        init(_ data: ScanData, _ shape: ScanShape, _ p: inout Problem, deltaBound: Double? = nil) {
            let tokens = shape.batch * shape.length
            x = p.input("x", data.x)
            delta =
                deltaBound.map { p.update("dDelta over delta", data.delta, bound: $0) }
                ?? p.input("delta", data.delta)
            deltaBias = p.input("deltaBias", data.deltaBias)
            aLog = p.input("aLog", data.aLog)
            let projection = p.buffer(tokens * shape.stateStride)
            b = p.input("b", data.b, in: projection, Self.states(shape, offset))
            c = p.input("c", data.c, in: projection, Self.states(shape, offset + shape.states))
            skip = p.input("skip", data.skip)
            z = p.input("z", data.z, in: p.buffer(tokens * shape.gateStride), Self.gates(shape))
        }

        static func states(_ shape: ScanShape, _ offset: Int) -> Rows {
            Rows(
                count: shape.batch * shape.length,
                width: shape.states,
                stride: shape.stateStride,
                offset: offset
            )
        }

        static func gates(_ shape: ScanShape) -> Rows {
            Rows(
                count: shape.batch * shape.length,
                width: shape.channels,
                stride: shape.gateStride,
                offset: 0
            )
        }
    }
}

/// The numbers of one scan, everything contiguous.
private struct ScanData {
    let shape: ScanShape
    var x, delta, deltaBias, aLog, b, c, skip, z, dOut: [Float]

    /// - Parameter isExtreme: whether decays are so strong that they underflow, steps so small that they round away, and
    ///   gates shut.
    init(_ strided: ScanShape, isExtreme: Bool) {
        shape = Self.contiguous(strided)
        let tokens = shape.batch * shape.length
        x = numbers(tokens * shape.channels, 1)
        delta = numbers(tokens * shape.channels, 2, in: -3...2)
        deltaBias = numbers(shape.channels, 3, in: -2...0)
        aLog = numbers(shape.channels * shape.states, 4, in: -2...2)
        b = numbers(tokens * shape.states, 5)
        c = numbers(tokens * shape.states, 6)
        skip = numbers(shape.channels, 7)
        z = numbers(tokens * shape.channels, 8, in: -3...3)
        dOut = numbers(tokens * shape.channels, 9)
        guard isExtreme else { return }
        func spread(_ values: inout [Float], _ centres: [Float]) {
            for index in values.indices { values[index] += centres[index % centres.count] }
        }
        spread(&delta, [-200, -30, 0, 30, 500])
        spread(&aLog, [-20, 0, 8])
        spread(&z, [-200, 0, 200])
    }

    private static func contiguous(_ shape: ScanShape) -> ScanShape {
        ScanShape(
            batch: shape.batch,
            length: shape.length,
            channels: shape.channels,
            states: shape.states,
            stateStride: shape.states,
            gateStride: shape.channels
        )
    }

    private init(_ shape: ScanShape, of whole: ScanData, _ part: ([Float], Int) -> [Float]) {
        self.shape = shape
        (deltaBias, aLog, skip) = (whole.deltaBias, whole.aLog, whole.skip)
        (x, delta) = (part(whole.x, shape.channels), part(whole.delta, shape.channels))
        (b, c) = (part(whole.b, shape.states), part(whole.c, shape.states))
        (z, dOut) = (part(whole.z, shape.channels), part(whole.dOut, shape.channels))
    }

    /// Some tokens of each sequence.
    func tokens(_ range: Range<Int>) -> ScanData {
        var part = shape
        part.length = range.count
        return ScanData(part, of: self) {
            RecallVerification.tokens(range, of: $0, batch: shape.batch, length: shape.length, width: $1)
        }
    }

    var inputs: ScanReference.Inputs {
        ScanReference.Inputs(
            x: doubles(x),
            delta: doubles(delta),
            deltaBias: doubles(deltaBias),
            aLog: doubles(aLog),
            b: doubles(b),
            c: doubles(c),
            skip: doubles(skip),
            z: doubles(z)
        )
    }

    /// The states before each chunk: (batch, chunks, states, channels).
    var checkpoints: [Double] {
        let count = shape.states * shape.channels
        let chunks = stride(from: 0, to: shape.length, by: ScanShape.checkpointInterval).map { first in
            let before = tokens(0..<first)
            return ScanReference.finalStates(before.shape, before.inputs)
        }
        return (0..<shape.batch).flatMap { row in chunks.flatMap { $0[row * count..<(row + 1) * count] } }
    }
}
