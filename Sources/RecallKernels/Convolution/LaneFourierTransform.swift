import Foundation

/// Sixteen complex numbers, one a channel. In memory 16 real parts, then 16 imaginary parts.
struct LaneComplex {
    var re: Vector
    var im: Vector

    @inline(__always)
    init(re: Vector, im: Vector) {
        self.re = re
        self.im = im
    }

    @inline(__always)
    static func load(_ address: Floats) -> LaneComplex {
        LaneComplex(re: .load(address), im: .load(address + 16))
    }

    @inline(__always)
    func store(_ address: MutableFloats) {
        re.store(address)
        im.store(address + 16)
    }

    @inline(__always)
    static func + (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(re: a.re + b.re, im: a.im + b.im)
    }

    @inline(__always)
    static func - (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(re: a.re - b.re, im: a.im - b.im)
    }

    @inline(__always)
    static func * (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(
            re: (a.re * b.re).addingProduct(-a.im, b.im), im: (a.re * b.im).addingProduct(a.im, b.re))
    }

    @inline(__always)
    static func * (a: LaneComplex, scale: Float) -> LaneComplex {
        LaneComplex(re: a.re * scale, im: a.im * scale)
    }

    @inline(__always)
    var conjugate: LaneComplex { LaneComplex(re: re, im: -im) }

    @inline(__always)
    var timesI: LaneComplex { LaneComplex(re: -im, im: re) }
}

/// Discrete Fourier transforms of sixteen sequences at once, one a SIMD lane, for convolving.
///
/// Radix 4, decimation in frequency forward and in time backward, so the spectrum stays in the order in which the
/// forward transform leaves it and nothing is ever reordered: only spectra of the same size meet. Signals fill at
/// most half of the points (the rest is the padding that keeps a causal convolution from wrapping around), so the
/// first forward pass reads two of each four points and the last backward pass makes two. Between these passes the
/// four quarters of the array are independent of one another, which is how they stay in the first-level cache.
///
/// The backward transform does not scale: backward(forward(x)) = size · x.
struct LaneFourierTransform {
    /// n, a power of two of at least 4.
    let size: Int
    /// For each pass, largest first, w, w², w³ as (re, im) for every j below a quarter of the pass's size m, where w =
    /// exp(-2πi j / m).
    private let twiddles: Floats

    /// The least size in which two sequences of a length convolve without wrapping around.
    static func size(length: Int) -> Int {
        var size = 4
        while size < 2 * length { size *= 2 }
        return size
    }

    /// Elements of the table that `init` fills.
    static func tableFloats(size: Int) -> Int { 2 * size }

    /// Elements of an array of `size` points.
    static func arrayFloats(size: Int) -> Int { 32 * size }

    /// - Parameter table: `tableFloats(size:)` elements, written; must outlive this value.
    init(size: Int, table: MutableFloats) {
        self.size = size
        var next = table
        var m = size
        while m >= 8 {
            for j in 0..<m / 4 {
                for power in 1...3 {
                    let angle = -2 * Double.pi * Double(j * power) / Double(m)
                    next[0] = Float(cos(angle))
                    next[1] = Float(sin(angle))
                    next += 2
                }
            }
            m /= 4
        }
        if m == 4 {
            for i in 0..<6 { next[i] = i % 2 == 0 ? 1 : 0 }
        }
        twiddles = Floats(table)
    }

    private var quarter: Int { size / 4 }

    @inline(__always)
    private func twiddle(_ table: Floats, _ j: Int, _ power: Int) -> LaneComplex {
        let w = table + 6 * j + 2 * (power - 1)
        return LaneComplex(re: Vector(repeating: w[0]), im: Vector(repeating: w[1]))
    }

    // MARK: Whole transforms

    /// The first pass of the forward transform; `forwardQuarter` of all four quarters completes it.
    ///
    /// - Parameters:
    ///   - x: the array, written.
    ///   - length: L ≤ size / 2, the points that are not padding.
    ///   - load: the point at t < L.
    @inline(__always)
    func forwardFirstPass(_ x: MutableFloats, length: Int, load: (_ t: Int) -> LaneComplex) {
        let q = quarter
        for j in 0..<q {
            let a = j < length ? load(j) : LaneComplex(re: .zero, im: .zero)
            let b = j + q < length ? load(j + q) : LaneComplex(re: .zero, im: .zero)
            let ib = b.timesI
            let point = x + 32 * j
            (a + b).store(point)
            ((a - ib) * twiddle(twiddles, j, 1)).store(point + 32 * q)
            ((a - b) * twiddle(twiddles, j, 2)).store(point + 64 * q)
            ((a + ib) * twiddle(twiddles, j, 3)).store(point + 96 * q)
        }
    }

    /// Completes the forward transform on one quarter of the array, given where that quarter begins.
    func forwardQuarter(_ x: MutableFloats) {
        forward(x, quarter, twiddles + 6 * quarter)
    }

    /// Begins the backward transform on one quarter of the array.
    func backwardQuarter(_ x: MutableFloats) {
        backward(x, quarter, twiddles + 6 * quarter)
    }

    /// The last pass of the backward transform, after `backwardQuarter` of all four quarters.
    ///
    /// - Parameter store: called once with each t < L and its point, in no order.
    @inline(__always)
    func backwardLastPass(_ x: Floats, length: Int, store: (_ t: Int, _ point: LaneComplex) -> Void) {
        let q = quarter
        for j in 0..<min(q, length) {
            let point = x + 32 * j
            let y0 = LaneComplex.load(point)
            let y1 = LaneComplex.load(point + 32 * q) * twiddle(twiddles, j, 1).conjugate
            let y2 = LaneComplex.load(point + 64 * q) * twiddle(twiddles, j, 2).conjugate
            let y3 = LaneComplex.load(point + 96 * q) * twiddle(twiddles, j, 3).conjugate
            store(j, (y0 + y2) + (y1 + y3))
            if j + q < length { store(j + q, (y0 - y2) + (y1 - y3).timesI) }
        }
    }

    // MARK: Passes on a part of the array

    private func forward(_ x: MutableFloats, _ m: Int, _ table: Floats) {
        switch m {
        case 1: break
        case 2: radix2(x)
        case 4: forwardRadix4(x)
        case 8:
            forwardPass(x, 2, table)
            for k in 0..<4 { radix2(x + 64 * k) }
        case 16:
            forwardPass(x, 4, table)
            for k in 0..<4 { forwardRadix4(x + 128 * k) }
        default:
            let q = m / 4
            forwardPass(x, q, table)
            for k in 0..<4 { forward(x + 32 * q * k, q, table + 6 * q) }
        }
    }

    private func backward(_ x: MutableFloats, _ m: Int, _ table: Floats) {
        switch m {
        case 1: break
        case 2: radix2(x)
        case 4: backwardRadix4(x)
        case 8:
            for k in 0..<4 { radix2(x + 64 * k) }
            backwardPass(x, 2, table)
        case 16:
            for k in 0..<4 { backwardRadix4(x + 128 * k) }
            backwardPass(x, 4, table)
        default:
            let q = m / 4
            for k in 0..<4 { backward(x + 32 * q * k, q, table + 6 * q) }
            backwardPass(x, q, table)
        }
    }

    @inline(__always)
    private func forwardPass(_ x: MutableFloats, _ q: Int, _ table: Floats) {
        for j in 0..<q {
            let point = x + 32 * j
            let (y0, y1, y2, y3) = forwardButterfly(point, q)
            y0.store(point)
            (y1 * twiddle(table, j, 1)).store(point + 32 * q)
            (y2 * twiddle(table, j, 2)).store(point + 64 * q)
            (y3 * twiddle(table, j, 3)).store(point + 96 * q)
        }
    }

    @inline(__always)
    private func forwardRadix4(_ x: MutableFloats) {
        let (y0, y1, y2, y3) = forwardButterfly(x, 1)
        y0.store(x)
        y1.store(x + 32)
        y2.store(x + 64)
        y3.store(x + 96)
    }

    @inline(__always)
    private func forwardButterfly(
        _ x: MutableFloats, _ q: Int
    ) -> (LaneComplex, LaneComplex, LaneComplex, LaneComplex) {
        let (a, b) = (LaneComplex.load(x), LaneComplex.load(x + 32 * q))
        let (c, d) = (LaneComplex.load(x + 64 * q), LaneComplex.load(x + 96 * q))
        let (sum0, sum1, difference0) = (a + c, b + d, a - c)
        let difference1 = (b - d).timesI
        return (sum0 + sum1, difference0 - difference1, sum0 - sum1, difference0 + difference1)
    }

    @inline(__always)
    private func backwardPass(_ x: MutableFloats, _ q: Int, _ table: Floats) {
        for j in 0..<q {
            let point = x + 32 * j
            backwardButterfly(
                point, q, .load(point), .load(point + 32 * q) * twiddle(table, j, 1).conjugate,
                .load(point + 64 * q) * twiddle(table, j, 2).conjugate,
                .load(point + 96 * q) * twiddle(table, j, 3).conjugate)
        }
    }

    @inline(__always)
    private func backwardRadix4(_ x: MutableFloats) {
        backwardButterfly(x, 1, .load(x), .load(x + 32), .load(x + 64), .load(x + 96))
    }

    @inline(__always)
    private func backwardButterfly(
        _ x: MutableFloats, _ q: Int, _ y0: LaneComplex, _ y1: LaneComplex, _ y2: LaneComplex, _ y3: LaneComplex
    ) {
        let (sum0, sum1, difference0) = (y0 + y2, y1 + y3, y0 - y2)
        let difference1 = (y1 - y3).timesI
        (sum0 + sum1).store(x)
        (difference0 + difference1).store(x + 32 * q)
        (sum0 - sum1).store(x + 64 * q)
        (difference0 - difference1).store(x + 96 * q)
    }

    @inline(__always)
    private func radix2(_ x: MutableFloats) {
        let (a, b) = (LaneComplex.load(x), LaneComplex.load(x + 32))
        (a + b).store(x)
        (a - b).store(x + 32)
    }
}
