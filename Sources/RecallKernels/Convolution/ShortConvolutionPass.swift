/// A short convolution over one sequence of sixteen channels, some tokens at a time.
///
/// Pointers are to these channels of the first token; a pass reads inputs before its own tokens, too. The methods that do
/// the work are not inlined and know no partial vectors: in a function grown large the compiler no longer makes one
/// instruction of a SIMD operation.
struct ShortConvolutionPass {
    let length: Int
    /// At least 4.
    let taps: Int
    /// (taps, 16), the oldest first, then the bias.
    let filter: Floats
    /// Elements from one token to the next in u and du.
    let inputStride: Int
    /// The same in all else.
    let stride: Int

    /// The same pass over rows that hold these channels alone.
    var packed: ShortConvolutionPass {
        ShortConvolutionPass(length: length, taps: taps, filter: filter, inputStride: 16, stride: 16)
    }

    /// y = c ⊙ gate + u, or silu(c) where there is no gate.
    func forward(_ tokens: Range<Int>, u: Floats, gate: Floats?, y: MutableFloats) {
        if taps == 4 {
            forwardFourTaps(tokens, u: u, gate: gate, y: y)
        } else {
            forwardManyTaps(tokens, u: u, gate: gate, y: y)
        }
    }

    /// - Parameters:
    ///   - tokens: with four taps, the last of those that are left; with more, all.
    ///   - sums: (taps + 1, 16), the gradients of the taps and of the bias; added to.
    ///   - dc: with four taps (3, 16), zero for the last tokens and left for those before; with more (length, 16), scratch.
    func backward(
        _ tokens: Range<Int>,
        u: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        sums: MutableFloats,
        dGate: MutableFloats?,
        dc: MutableFloats
    ) {
        if taps == 4 {
            backwardFourTaps(tokens, u: u, gate: gate, dy: dy, du: du, sums: sums, dGate: dGate, later: dc)
        } else {
            backwardManyTaps(u: u, gate: gate, dy: dy, du: du, sums: sums, dGate: dGate, dc: dc)
        }
    }

    /// c ⊙ gate + skip, or silu(c) without a gate, as a product: `silu` itself takes longer.
    @inline(__always)
    static func epilogue(_ c: Vector, gate: Vector?, skip: Vector) -> Vector {
        if let gate { skip.addingProduct(c, gate) } else { c * sigmoid(c) }
    }

    /// d silu(c) / dc.
    @inline(__always)
    private static func siluDerivative(_ c: Vector) -> Vector {
        let s = sigmoid(c)
        return s.addingProduct(s * c, 1 - s)
    }

    // MARK: Four taps

    /// Zero before the first token.
    @inline(__always)
    private func input(_ u: Floats, _ t: Int) -> Vector { t >= 0 ? .load(u + t * inputStride) : .zero }

    /// The three inputs before the current one stay in registers.
    @inline(never)
    private func forwardFourTaps(_ tokens: Range<Int>, u: Floats, gate: Floats?, y: MutableFloats) {
        let (w0, w1) = (Vector.load(filter), Vector.load(filter + 16))
        let (w2, w3) = (Vector.load(filter + 32), Vector.load(filter + 48))
        let bias = Vector.load(filter + 64)
        let first = tokens.lowerBound
        var (u0, u1, u2) = (input(u, first - 3), input(u, first - 2), input(u, first - 1))
        for t in tokens {
            let u3 = Vector.load(u + t * inputStride)
            let c = bias.addingProduct(u0, w0).addingProduct(u1, w1).addingProduct(u2, w2).addingProduct(u3, w3)
            let gate = gate.map { Vector.load($0 + t * stride) }
            Self.epilogue(c, gate: gate, skip: u3).store(y + t * stride)
            (u0, u1, u2) = (u1, u2, u3)
        }
    }

    /// Backwards in time, so that du_t = Σ_j w_j dc_{t+3-j} is complete when dc_t is: the three later dc stay in
    /// registers, and in `later` in between. c is computed again rather than kept from the forward pass.
    @inline(never)
    private func backwardFourTaps(
        _ tokens: Range<Int>,
        u: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        sums: MutableFloats,
        dGate: MutableFloats?,
        later: MutableFloats
    ) {
        let (w0, w1) = (Vector.load(filter), Vector.load(filter + 16))
        let (w2, w3) = (Vector.load(filter + 32), Vector.load(filter + 48))
        let bias = Vector.load(filter + 64)
        var (dw0, dw1) = (Vector.load(sums), Vector.load(sums + 16))
        var (dw2, dw3) = (Vector.load(sums + 32), Vector.load(sums + 48))
        var dBias = Vector.load(sums + 64)
        var (later1, later2, later3) = (Vector.load(later), Vector.load(later + 16), Vector.load(later + 32))
        var t = tokens.upperBound - 1
        var (u3, u2, u1) = (input(u, t), input(u, t - 1), input(u, t - 2))
        while t >= tokens.lowerBound {
            let u0 = input(u, t - 3)
            let c = bias.addingProduct(u0, w0).addingProduct(u1, w1).addingProduct(u2, w2).addingProduct(u3, w3)
            let dyt = Vector.load(dy + t * stride)
            let dc: Vector
            var dut = Vector.zero
            if let gate {
                dc = dyt * .load(gate + t * stride)
                dut = dyt
                if let dGate { (dyt * c).store(dGate + t * stride) }
            } else {
                dc = dyt * Self.siluDerivative(c)
            }
            dut = dut.addingProduct(later3, w0).addingProduct(later2, w1).addingProduct(later1, w2)
                .addingProduct(dc, w3)
            dut.store(du + t * inputStride)
            dw0 = dw0.addingProduct(dc, u0)
            dw1 = dw1.addingProduct(dc, u1)
            dw2 = dw2.addingProduct(dc, u2)
            dw3 = dw3.addingProduct(dc, u3)
            dBias += dc
            (u3, u2, u1) = (u2, u1, u0)
            (later3, later2, later1) = (later2, later1, dc)
            t -= 1
        }
        dw0.store(sums)
        dw1.store(sums + 16)
        dw2.store(sums + 32)
        dw3.store(sums + 48)
        dBias.store(sums + 64)
        later1.store(later)
        later2.store(later + 16)
        later3.store(later + 32)
    }

    // MARK: Any number of taps

    /// c_t; each output reads its inputs again.
    @inline(__always)
    private func convolution(_ u: Floats, at t: Int) -> Vector {
        var c = Vector.load(filter + taps * 16)
        for tap in max(0, taps - 1 - t)..<taps {
            c = c.addingProduct(.load(u + (t - (taps - 1) + tap) * inputStride), .load(filter + tap * 16))
        }
        return c
    }

    @inline(never)
    private func forwardManyTaps(_ tokens: Range<Int>, u: Floats, gate: Floats?, y: MutableFloats) {
        for t in tokens {
            let gate = gate.map { Vector.load($0 + t * stride) }
            let skip = Vector.load(u + t * inputStride)
            Self.epilogue(convolution(u, at: t), gate: gate, skip: skip).store(y + t * stride)
        }
    }

    @inline(never)
    private func backwardManyTaps(
        u: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        sums: MutableFloats,
        dGate: MutableFloats?,
        dc: MutableFloats
    ) {
        var dBias = Vector.load(sums + taps * 16)
        for t in 0..<length {
            let c = convolution(u, at: t)
            var dct = Vector.load(dy + t * stride)
            if let gate {
                if let dGate { (dct * c).store(dGate + t * stride) }
                dct *= .load(gate + t * stride)
            } else {
                dct *= Self.siluDerivative(c)
            }
            dct.store(dc + t * 16)
            dBias += dct
        }
        dBias.store(sums + taps * 16)
        for t in 0..<length {
            var dut = gate == nil ? Vector.zero : .load(dy + t * stride)
            for lag in 0..<min(taps, length - t) {
                dut = dut.addingProduct(.load(dc + (t + lag) * 16), .load(filter + (taps - 1 - lag) * 16))
            }
            dut.store(du + t * inputStride)
        }
        for tap in 0..<taps {
            let lag = taps - 1 - tap
            var dw = Vector.load(sums + tap * 16)
            for t in lag..<max(lag, length) {
                dw = dw.addingProduct(.load(dc + t * 16), .load(u + (t - lag) * inputStride))
            }
            dw.store(sums + tap * 16)
        }
    }
}
