import RecallKernels

/// A kernel with everything that it reads and writes at hand, at one sequence length.
protocol KernelCase: AnyObject {
    var work: KernelWork { get }
    func forward(_ backend: CPUBackend)
    /// After `forward`.
    func backward(_ backend: CPUBackend)
    /// The largest difference of any output from the Float64 reference's, as a part of the reference's largest number.
    ///
    /// After `backward`.
    func errors() -> (forward: Double, backward: Double)
}

private func doubles(_ numbers: KernelArray) -> [Double] { numbers.array.map(Double.init) }

/// The largest error of some outputs.
private func largestError(_ pairs: [(kernel: KernelArray, reference: [Double])]) -> Double {
    largestError(pairs.map { ($0.kernel.array, $0.reference) })
}

/// The largest difference between what a kernel wrote and what it should have, each output's as a part of its own
/// largest number; of one that should be zero, but for rounding, as a part of the largest number of them all.
package func largestError(_ pairs: [(kernel: [Float], reference: [Double])]) -> Double {
    func largest(_ numbers: [Double]) -> Double { numbers.reduce(0) { max($0, abs($1)) } }
    let largestOfAll = pairs.map { largest($0.reference) }.max() ?? 0
    return pairs.reduce(0) { worst, pair in
        precondition(pair.kernel.count == pair.reference.count)
        let own = largest(pair.reference)
        let scale = own > 1e-9 * largestOfAll ? own : largestOfAll
        return zip(pair.kernel, pair.reference).reduce(worst) {
            // NaN, a number never written, must not pass for small, nor be forgotten.
            let error = abs(Double($1.0) - $1.1) / scale
            return $0.isNaN || error <= $0 ? $0 : error
        }
    }
}

/// Softmax attention of one sequence and head, full or in a window.
final class AttentionCase: KernelCase {
    private let shape: AttentionShape
    private let q, k, v, dOut: KernelArray
    private let out, logSumExp, dq, dk, dv: KernelArray

    init(in memory: KernelMemory, length: Int, width: Int = 64, window: Int? = nil) {
        shape = AttentionShape(
            batch: 1,
            length: length,
            heads: 1,
            headWidth: width,
            rowStride: width,
            window: window
        )
        let count = length * width
        (q, k, v, dOut) = (
            memory.numbers(count, 1), memory.numbers(count, 2), memory.numbers(count, 3),
            memory.numbers(count, 4)
        )
        (out, logSumExp) = (memory.fresh(count), memory.fresh(length))
        (dq, dk, dv) = (memory.fresh(count), memory.fresh(count), memory.fresh(count))
    }

    var work: KernelWork { shape.work }

    func forward(_ backend: CPUBackend) {
        backend.attentionForward(
            shape,
            q: q.values,
            k: k.values,
            v: v.values,
            dropout: nil,
            out: out.pointer,
            logSumExp: logSumExp.pointer
        )
    }

    func backward(_ backend: CPUBackend) {
        backend.attentionBackward(
            shape,
            q: q.values,
            k: k.values,
            v: v.values,
            dropout: nil,
            out: out.values,
            logSumExp: logSumExp.values,
            dOut: dOut.values,
            dq: dq.pointer,
            dk: dk.pointer,
            dv: dv.pointer
        )
    }

    func errors() -> (forward: Double, backward: Double) {
        typealias Reference = SoftmaxAttentionReference
        let (q, k, v) = (doubles(q), doubles(k), doubles(v))
        let forward = Reference.forward(shape, q: q, k: k, v: v)
        let backward = Reference.backward(shape, q: q, k: k, v: v, dOut: doubles(dOut))
        return (
            largestError([(out, forward.out), (logSumExp, forward.logSumExp)]),
            largestError([(dq, backward.dq), (dk, backward.dk), (dv, backward.dv)])
        )
    }
}

/// Taylor linear attention of one sequence and head.
final class TaylorCase: KernelCase {
    private let shape: LinearAttentionShape
    private let q, k, v, dy: KernelArray
    private let y, normaliser, dq, dk, dv: KernelArray

    init(in memory: KernelMemory, length: Int, featureWidth: Int = 16, width: Int = 64) {
        shape = LinearAttentionShape(
            batch: 1,
            length: length,
            heads: 1,
            featureWidth: featureWidth,
            valueWidth: width,
            map: .taylor2
        )
        let (features, values) = (length * featureWidth, length * width)
        (q, k, v, dy) = (
            memory.numbers(features, 1), memory.numbers(features, 2), memory.numbers(values, 3),
            memory.numbers(values, 4)
        )
        (y, normaliser) = (memory.fresh(values), memory.fresh(length))
        (dq, dk, dv) = (memory.fresh(features), memory.fresh(features), memory.fresh(values))
    }

    var work: KernelWork { shape.work }

    /// The length from which on the state between chunks is the cheaper way.
    static func crossover(featureWidth: Int = 16, width: Int = 64) -> Int {
        (1...).first {
            let shape = LinearAttentionShape(
                batch: 1,
                length: $0,
                heads: 1,
                featureWidth: featureWidth,
                valueWidth: width,
                map: .taylor2
            )
            return LinearAttentionForm.cheapest(for: shape) != .quadratic
        }!
    }

    func forward(_ backend: CPUBackend) {
        backend.linearAttentionForward(
            shape,
            q: q.values,
            k: k.values,
            v: v.values,
            y: y.pointer,
            normaliser: normaliser.pointer
        )
    }

    func backward(_ backend: CPUBackend) {
        backend.linearAttentionBackward(
            shape,
            q: q.values,
            k: k.values,
            v: v.values,
            y: y.values,
            normaliser: normaliser.values,
            dy: dy.values,
            dq: dq.pointer,
            dk: dk.pointer,
            dv: dv.pointer
        )
    }

    func errors() -> (forward: Double, backward: Double) {
        let (q, k, v) = (doubles(q), doubles(k), doubles(v))
        let forward = LinearAttentionReference.forward(shape, q: q, k: k, v: v)
        let backward = LinearAttentionReference.backward(shape, q: q, k: k, v: v, dy: doubles(dy))
        return (
            largestError([(y, forward.y), (normaliser, forward.normaliser)]),
            largestError([(dq, backward.dq), (dk, backward.dk), (dv, backward.dv)])
        )
    }
}

/// The selective scan with its gate.
final class ScanCase: KernelCase {
    private let shape: ScanShape
    private let x, delta, deltaBias, aLog, b, c, skip, z, dOut: KernelArray
    private let out, checkpoints, dx, dDelta, dDeltaBias, dALog, db, dc, dSkip, dz: KernelArray

    init(in memory: KernelMemory, length: Int, channels: Int = 128, states: Int = 16) {
        shape = ScanShape(
            batch: 1,
            length: length,
            channels: channels,
            states: states,
            stateStride: states,
            gateStride: channels
        )
        let (tokens, small) = (length * channels, length * states)
        (x, z, dOut) = (memory.numbers(tokens, 1), memory.numbers(tokens, 2), memory.numbers(tokens, 3))
        // Steps as Mamba starts with: between 0.001 and 0.1.
        (delta, deltaBias) = (memory.numbers(tokens, 4), memory.numbers(channels, 5, in: -6.9 ... -2.2))
        aLog = memory.numbers(channels * states, 6, in: 0...2.8)
        (b, c, skip) = (memory.numbers(small, 7), memory.numbers(small, 8), memory.numbers(channels, 9))
        (out, checkpoints) = (memory.fresh(tokens), memory.fresh(shape.checkpointCount))
        (dx, dDelta, dz) = (memory.fresh(tokens), memory.fresh(tokens), memory.fresh(tokens))
        (db, dc) = (memory.fresh(small), memory.fresh(small))
        (dDeltaBias, dSkip, dALog) = (
            memory.fresh(channels), memory.fresh(channels), memory.fresh(channels * states)
        )
    }

    var work: KernelWork { shape.work }

    func forward(_ backend: CPUBackend) {
        backend.scanForward(
            shape,
            x: x.values,
            delta: delta.values,
            deltaBias: deltaBias.values,
            aLog: aLog.values,
            b: b.values,
            c: c.values,
            skip: skip.values,
            z: z.values,
            out: out.pointer,
            checkpoints: checkpoints.pointer
        )
    }

    func backward(_ backend: CPUBackend) {
        backend.scanBackward(
            shape,
            x: x.values,
            delta: delta.values,
            deltaBias: deltaBias.values,
            aLog: aLog.values,
            b: b.values,
            c: c.values,
            skip: skip.values,
            z: z.values,
            checkpoints: checkpoints.values,
            dOut: dOut.values,
            dx: dx.pointer,
            dDelta: dDelta.pointer,
            dDeltaBias: dDeltaBias.pointer,
            dALog: dALog.pointer,
            db: db.pointer,
            dc: dc.pointer,
            dSkip: dSkip.pointer,
            dz: dz.pointer
        )
    }

    func errors() -> (forward: Double, backward: Double) {
        let inputs = ScanReference.Inputs(
            x: doubles(x),
            delta: doubles(delta),
            deltaBias: doubles(deltaBias),
            aLog: doubles(aLog),
            b: doubles(b),
            c: doubles(c),
            skip: doubles(skip),
            z: doubles(z)
        )
        let gradients = ScanReference.backward(shape, inputs, dOut: doubles(dOut))
        return (
            largestError([(out, ScanReference.forward(shape, inputs))]),
            largestError([
                (dx, gradients.x), (dDelta, gradients.delta), (dDeltaBias, gradients.deltaBias),
                (dALog, gradients.aLog), (db, gradients.b), (dc, gradients.c), (dSkip, gradients.skip),
                (dz, gradients.z),
            ])
        )
    }
}

/// The gated convolution with a filter as long as the sequence.
final class LongConvolutionCase: KernelCase {
    private let shape: LongConvolutionShape
    private let u, filter, gate, dy: KernelArray
    private let y, du, dFilter, dGate: KernelArray

    init(in memory: KernelMemory, length: Int, channels: Int = 64) {
        shape = LongConvolutionShape(batch: 1, length: length, channels: channels)
        let count = length * channels
        (u, filter, gate, dy) = (
            memory.numbers(count, 1), memory.numbers(count, 2), memory.numbers(count, 3),
            memory.numbers(count, 4)
        )
        (y, du, dFilter, dGate) = (
            memory.fresh(count), memory.fresh(count), memory.fresh(count), memory.fresh(count)
        )
    }

    var work: KernelWork { shape.work }

    func forward(_ backend: CPUBackend) {
        backend.longConvolutionForward(
            shape,
            u: u.values,
            filter: filter.values,
            gate: gate.values,
            y: y.pointer
        )
    }

    func backward(_ backend: CPUBackend) {
        backend.longConvolutionBackward(
            shape,
            u: u.values,
            filter: filter.values,
            gate: gate.values,
            dy: dy.values,
            du: du.pointer,
            dFilter: dFilter.pointer,
            dGate: dGate.pointer
        )
    }

    func errors() -> (forward: Double, backward: Double) {
        let (u, filter, gate) = (doubles(u), doubles(filter), doubles(gate))
        let gradients = ConvolutionReference.longBackward(
            shape,
            u: u,
            filter: filter,
            gate: gate,
            dy: doubles(dy)
        )
        return (
            largestError([(y, ConvolutionReference.longForward(shape, u: u, filter: filter, gate: gate))]),
            largestError([(du, gradients.u), (dFilter, gradients.filter), (dGate, gradients.gate)])
        )
    }
}

/// The gated convolution of three taps.
final class ShortConvolutionCase: KernelCase {
    private let shape: ShortConvolutionShape
    private let u, weight, bias, gate, dy: KernelArray
    private let y, du, dWeight, dBias, dGate: KernelArray

    init(in memory: KernelMemory, length: Int, channels: Int = 64, taps: Int = 3) {
        shape = ShortConvolutionShape(
            batch: 1,
            length: length,
            channels: channels,
            taps: taps,
            inputStride: channels,
            epilogue: .gatedWithSkip
        )
        let count = length * channels
        (u, gate, dy) = (memory.numbers(count, 1), memory.numbers(count, 2), memory.numbers(count, 3))
        (weight, bias) = (memory.numbers(channels * taps, 4), memory.numbers(channels, 5))
        (y, du, dGate) = (memory.fresh(count), memory.fresh(count), memory.fresh(count))
        (dWeight, dBias) = (memory.fresh(channels * taps), memory.fresh(channels))
    }

    var work: KernelWork { shape.work }

    func forward(_ backend: CPUBackend) {
        backend.shortConvolutionForward(
            shape,
            u: u.values,
            weight: weight.values,
            bias: bias.values,
            gate: gate.values,
            y: y.pointer
        )
    }

    func backward(_ backend: CPUBackend) {
        backend.shortConvolutionBackward(
            shape,
            u: u.values,
            weight: weight.values,
            bias: bias.values,
            gate: gate.values,
            dy: dy.values,
            du: du.pointer,
            dWeight: dWeight.pointer,
            dBias: dBias.pointer,
            dGate: dGate.pointer
        )
    }

    func errors() -> (forward: Double, backward: Double) {
        let (u, weight, bias, gate) = (doubles(u), doubles(weight), doubles(bias), doubles(gate))
        let forward = ConvolutionReference.shortForward(shape, u: u, weight: weight, bias: bias, gate: gate)
        let gradients = ConvolutionReference.shortBackward(
            shape,
            u: u,
            weight: weight,
            bias: bias,
            gate: gate,
            dy: doubles(dy)
        )
        return (
            largestError([(y, forward)]),
            largestError([
                (du, gradients.u), (dWeight, gradients.weight), (dBias, gradients.bias),
                (dGate, gradients.gate),
            ])
        )
    }
}
