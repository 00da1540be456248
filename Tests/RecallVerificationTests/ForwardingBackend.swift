import RecallExamples
import RecallKernels
import RecallRandom

/// A backend that does everything on the CPU, for tests to break a kernel of.
class ForwardingBackend: Backend {
    let cpu = CPUBackend()

    var deviceDescription: String { cpu.deviceDescription }
    var workspaceBytes: Int { cpu.workspaceBytes }
    var workspaceGrowths: Int { cpu.workspaceGrowths }
    var failure: BackendError? { cpu.failure }
    func cancellable(by isCancelled: @escaping @Sendable () -> Bool, _ body: () -> Void) {
        cpu.cancellable(by: isCancelled, body)
    }
    func reserve(bytes: Int) throws -> UnsafeMutableRawPointer { try cpu.reserve(bytes: bytes) }
    func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool { cpu.commit(address, bytes: bytes) }
    func release(_ address: UnsafeMutableRawPointer, bytes: Int) { cpu.release(address, bytes: bytes) }
    func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        cpu.copyToHost(source, destination, bytes: bytes)
    }
    func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        cpu.copyFromHost(source, destination, bytes: bytes)
    }

    func copyOnDevice(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        cpu.copyOnDevice(source, destination, bytes: bytes)
    }
    func withHostNumbers(
        _ numbers: UnsafeMutableBufferPointer<Float>,
        isWritten: Bool,
        _ body: (_ address: MutableFloats) -> Void
    ) {
        cpu.withHostNumbers(numbers, isWritten: isWritten, body)
    }
    func withNumbersOnHost(_ source: Floats, count: Int, _ body: (_ numbers: Floats) -> Void) {
        cpu.withNumbersOnHost(source, count: count, body)
    }
    var stepsAhead: Int { cpu.stepsAhead }
    func mark() -> Int { cpu.mark() }
    func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        after mark: Int
    ) {
        cpu.copyToHost(source, destination, bytes: bytes, after: mark)
    }
    func step(_ key: StepKey, _ scalars: StepScalars, _ body: () throws -> Void) rethrows {
        try cpu.step(key, scalars, body)
    }

    // MARK: The kernels

    func makeExamples(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int,
        tokens: MutableIntegers,
        positions: MutableIntegers,
        labels: MutableIntegers
    ) {
        cpu.makeExamples(
            recipe,
            first: first,
            count: count,
            tokens: tokens,
            positions: positions,
            labels: labels
        )
    }

    func gatherBatch(
        _ shape: BatchShape,
        tokens: MutableIntegers,
        rows: MutableIntegers,
        labels: MutableIntegers
    ) {
        cpu.gatherBatch(shape, tokens: tokens, rows: rows, labels: labels)
    }
    func recordCorrect(_ count: Int, correct: Floats) { cpu.recordCorrect(count, correct: correct) }
    func recordLoss(_ count: Int, losses: Floats) -> Bool { cpu.recordLoss(count, losses: losses) }

    func linearForward(_ layers: [LinearLayerForward], x: Floats) {
        cpu.linearForward(layers, x: x)
    }

    func linearBackward(_ layers: [LinearLayerBackward], x: Floats, dx: MutableFloats?, addsToDx: Bool) {
        cpu.linearBackward(layers, x: x, dx: dx, addsToDx: addsToDx)
    }

    func addNormForward(
        _ shape: NormShape,
        residual: Floats,
        branch: Floats?,
        gain: Floats,
        bias: Floats?,
        sum: MutableFloats?,
        y: MutableFloats,
        statistics: MutableFloats
    ) {
        cpu.addNormForward(
            shape,
            residual: residual,
            branch: branch,
            gain: gain,
            bias: bias,
            sum: sum,
            y: y,
            statistics: statistics
        )
    }

    func addNormBackward(
        _ shape: NormShape,
        sum: Floats,
        gain: Floats,
        statistics: Floats,
        dy: Floats,
        dSum: Floats?,
        dInput: MutableFloats,
        dGain: MutableFloats,
        dBias: MutableFloats?
    ) {
        cpu.addNormBackward(
            shape,
            sum: sum,
            gain: gain,
            statistics: statistics,
            dy: dy,
            dSum: dSum,
            dInput: dInput,
            dGain: dGain,
            dBias: dBias
        )
    }

    func attentionForward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: MutableFloats,
        logSumExp: MutableFloats
    ) {
        cpu.attentionForward(shape, q: q, k: k, v: v, dropout: dropout, out: out, logSumExp: logSumExp)
    }

    func attentionBackward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: Floats,
        logSumExp: Floats,
        dOut: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        cpu.attentionBackward(
            shape,
            q: q,
            k: k,
            v: v,
            dropout: dropout,
            out: out,
            logSumExp: logSumExp,
            dOut: dOut,
            dq: dq,
            dk: dk,
            dv: dv
        )
    }

    func attentionStep(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        cachedKeys: Floats,
        cachedValues: Floats,
        cached: Int,
        capacity: Int,
        out: MutableFloats
    ) {
        cpu.attentionStep(
            shape,
            q: q,
            k: k,
            v: v,
            cachedKeys: cachedKeys,
            cachedValues: cachedValues,
            cached: cached,
            capacity: capacity,
            out: out
        )
    }

    func rotary(_ shape: AttentionShape, x: MutableFloats, base: Float, firstPosition: Int, direction: Float) {
        cpu.rotary(shape, x: x, base: base, firstPosition: firstPosition, direction: direction)
    }

    func linearAttentionForward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    ) {
        cpu.linearAttentionForward(shape, q: q, k: k, v: v, y: y, normaliser: normaliser)
    }

    func linearAttentionBackward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        cpu.linearAttentionBackward(
            shape,
            q: q,
            k: k,
            v: v,
            y: y,
            normaliser: normaliser,
            dy: dy,
            dq: dq,
            dk: dk,
            dv: dv
        )
    }

    func linearAttentionPrefill(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats,
        state: MutableFloats
    ) {
        cpu.linearAttentionPrefill(shape, q: q, k: k, v: v, y: y, normaliser: normaliser, state: state)
    }

    func linearAttentionStep(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        state: MutableFloats,
        y: MutableFloats
    ) {
        cpu.linearAttentionStep(shape, q: q, k: k, v: v, state: state, y: y)
    }

    func scanForward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        out: MutableFloats,
        checkpoints: MutableFloats?
    ) {
        cpu.scanForward(
            shape,
            x: x,
            delta: delta,
            deltaBias: deltaBias,
            aLog: aLog,
            b: b,
            c: c,
            skip: skip,
            z: z,
            out: out,
            checkpoints: checkpoints
        )
    }

    func scanBackward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        checkpoints: Floats,
        dOut: Floats,
        dx: MutableFloats,
        dDelta: MutableFloats,
        dDeltaBias: MutableFloats,
        dALog: MutableFloats,
        db: MutableFloats,
        dc: MutableFloats,
        dSkip: MutableFloats,
        dz: MutableFloats
    ) {
        cpu.scanBackward(
            shape,
            x: x,
            delta: delta,
            deltaBias: deltaBias,
            aLog: aLog,
            b: b,
            c: c,
            skip: skip,
            z: z,
            checkpoints: checkpoints,
            dOut: dOut,
            dx: dx,
            dDelta: dDelta,
            dDeltaBias: dDeltaBias,
            dALog: dALog,
            db: db,
            dc: dc,
            dSkip: dSkip,
            dz: dz
        )
    }

    func scanStep(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        state: MutableFloats,
        out: MutableFloats
    ) {
        cpu.scanStep(
            shape,
            x: x,
            delta: delta,
            deltaBias: deltaBias,
            aLog: aLog,
            b: b,
            c: c,
            skip: skip,
            z: z,
            state: state,
            out: out
        )
    }

    func shortConvolutionForward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        y: MutableFloats
    ) {
        cpu.shortConvolutionForward(shape, u: u, weight: weight, bias: bias, gate: gate, y: y)
    }

    func shortConvolutionBackward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        dWeight: MutableFloats,
        dBias: MutableFloats,
        dGate: MutableFloats?
    ) {
        cpu.shortConvolutionBackward(
            shape,
            u: u,
            weight: weight,
            bias: bias,
            gate: gate,
            dy: dy,
            du: du,
            dWeight: dWeight,
            dBias: dBias,
            dGate: dGate
        )
    }

    func shortConvolutionStep(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        past: MutableFloats,
        y: MutableFloats
    ) {
        cpu.shortConvolutionStep(shape, u: u, weight: weight, bias: bias, gate: gate, past: past, y: y)
    }

    func longConvolutionForward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        y: MutableFloats
    ) {
        cpu.longConvolutionForward(shape, u: u, filter: filter, gate: gate, y: y)
    }

    func longConvolutionBackward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        dy: Floats,
        du: MutableFloats,
        dFilter: MutableFloats,
        dGate: MutableFloats
    ) {
        cpu.longConvolutionBackward(
            shape,
            u: u,
            filter: filter,
            gate: gate,
            dy: dy,
            du: du,
            dFilter: dFilter,
            dGate: dGate
        )
    }

    func longConvolutionStep(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        past: Floats,
        position: Int,
        capacity: Int,
        y: MutableFloats
    ) {
        cpu.longConvolutionStep(
            shape,
            u: u,
            filter: filter,
            gate: gate,
            past: past,
            position: position,
            capacity: capacity,
            y: y
        )
    }

    func embeddingForward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        table: Floats,
        positions: Floats?,
        firstPosition: Int,
        dropout: Dropout?,
        y: MutableFloats
    ) {
        cpu.embeddingForward(
            shape,
            tokens: tokens,
            table: table,
            positions: positions,
            firstPosition: firstPosition,
            dropout: dropout,
            y: y
        )
    }

    func embeddingBackward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        dropout: Dropout?,
        dy: Floats,
        dTable: MutableFloats,
        dPositions: MutableFloats?
    ) {
        cpu.embeddingBackward(
            shape,
            tokens: tokens,
            dropout: dropout,
            dy: dy,
            dTable: dTable,
            dPositions: dPositions
        )
    }

    func gatherRows(count: Int, width: Int, x: Floats, rows: Integers, y: MutableFloats) {
        cpu.gatherRows(count: count, width: width, x: x, rows: rows, y: y)
    }

    func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats) {
        cpu.scatterRows(total: total, count: count, width: width, dy: dy, rows: rows, dx: dx)
    }

    func headLoss(
        _ shape: HeadShape,
        hidden: Floats,
        table: Floats,
        labels: Integers,
        gradientScale: Float,
        losses: MutableFloats,
        correct: MutableFloats,
        dHidden: MutableFloats?,
        dTable: MutableFloats?
    ) {
        cpu.headLoss(
            shape,
            hidden: hidden,
            table: table,
            labels: labels,
            gradientScale: gradientScale,
            losses: losses,
            correct: correct,
            dHidden: dHidden,
            dTable: dTable
        )
    }

    func fillZero(_ count: Int, y: MutableFloats) {
        cpu.fillZero(count, y: y)
    }

    func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        cpu.add(count, a: a, b: b, y: y)
    }

    func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        cpu.multiply(count, a: a, b: b, y: y)
    }

    func applyDropout(_ count: Int, x: Floats, dropout: Dropout, y: MutableFloats) {
        cpu.applyDropout(count, x: x, dropout: dropout, y: y)
    }

    func reluForward(_ count: Int, x: Floats, y: MutableFloats) {
        cpu.reluForward(count, x: x, y: y)
    }

    func reluBackward(_ count: Int, y: Floats, dy: Floats, dx: MutableFloats) {
        cpu.reluBackward(count, y: y, dy: dy, dx: dx)
    }

    func geluForward(_ count: Int, x: Floats, y: MutableFloats) {
        cpu.geluForward(count, x: x, y: y)
    }

    func geluBackward(_ count: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        cpu.geluBackward(count, x: x, dy: dy, dx: dx)
    }

    func swigluForward(rows: Int, width: Int, x: Floats, y: MutableFloats) {
        cpu.swigluForward(rows: rows, width: width, x: x, y: y)
    }

    func swigluBackward(rows: Int, width: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        cpu.swigluBackward(rows: rows, width: width, x: x, dy: dy, dx: dx)
    }

    func allFinite(_ count: Int, x: Floats) -> Bool {
        cpu.allFinite(count, x: x)
    }

    func adamW(
        _ count: Int,
        _ step: AdamWStep,
        gradient: Floats,
        parameter: MutableFloats,
        firstMoment: MutableFloats,
        secondMoment: MutableFloats
    ) {
        cpu.adamW(
            count,
            step,
            gradient: gradient,
            parameter: parameter,
            firstMoment: firstMoment,
            secondMoment: secondMoment
        )
    }
}
