import Foundation

/// Causal convolutions of sixteen sequences at once, one a SIMD lane, by Fourier transforms without padding.
///
/// A sequence is the polynomial of its numbers, and a product modulo xⁿ - i of two real ones of degree below n has the
/// first n numbers of the convolution as its real part and the rest, which nobody wants, as its imaginary part: one
/// complex transform of n points where padding would need one of 2n ("right-angle convolution": Crandall and Fagin,
/// Discrete weighted transforms and large-integer arithmetic, 1994). The first pass forward so reads real numbers and
/// the last pass backward makes only them.
///
/// xⁿ - i is split into factors, four at a time: the residues modulo those of x⁴ᵐ - α⁴ need the constants α, α² and α³
/// alone, not a table. Forward goes from the whole to single points, backward the same way up: the spectrum stays in the
/// order in which it falls out, and as everything is done with a factor before the next is begun, all but the largest
/// factors stay in the nearer caches, at any n.
///
/// The backward transform does not scale: backward(forward(x)) = size · x.
struct LaneFourierTransform {
    /// n, a power of two of at least 8.
    let size: Int
    /// Into how many factors the root xⁿ - i is split; every other node is split into four.
    private let rootRadix: Int
    /// α, α², α³ of each node, the root being number 1 and the children of node k number radix · k and on.
    private let table: Floats

    /// The least size that holds a length.
    static func size(length: Int) -> Int {
        var size = 8
        while size < length { size *= 2 }
        return size
    }

    /// Elements of the table that `init` fills.
    static func tableFloats(size: Int) -> Int { 3 * size }

    /// Elements of an array of `size` points.
    static func arrayFloats(size: Int) -> Int { 32 * size }

    /// - Parameter table: `tableFloats(size:)` elements, written; must outlive this value.
    init(size: Int, table: MutableFloats) {
        self.size = size
        rootRadix = size.trailingZeroBitCount % 2 == 0 ? 4 : 2
        var nodes = 1
        while nodes <= size / 4 {
            Self.fill(table + 6 * nodes, nodes: nodes)
            nodes *= nodes == 1 ? rootRadix : 4
        }
        self.table = Floats(table)
    }

    @inline(__always)
    private func twiddles(_ node: Int) -> NodeTwiddles { NodeTwiddles(table + 6 * node) }

    // MARK: Whole transforms

    /// The spectrum of real sequences (length, 16).
    func spectrum(_ signal: Floats, length: Int, into x: MutableFloats) {
        splitRoot(signal, length: length, into: x)
        run(ForwardWork(x: x))
    }

    /// The sequences of a spectrum, which is overwritten, times `size`.
    func signal(_ x: MutableFloats, length: Int, into signal: MutableFloats) {
        run(BackwardWork(x: x))
        joinRoot(x, length: length, into: signal)
    }

    // MARK: The root

    /// Splits sequences into the residues modulo the root's factors.
    ///
    /// - Parameters:
    ///   - signal: (length, 16), at most `size` long.
    ///   - x: the array, written.
    func splitRoot(_ signal: Floats, length: Int, into x: MutableFloats) {
        let q = size / rootRadix
        let alpha = twiddles(1)
        @inline(__always) func point(_ t: Int) -> Vector { t < length ? .load(signal + 16 * t) : .zero }
        let filled = min(q, length)
        if rootRadix == 2 {
            for j in 0..<filled {
                let (real, b) = (LaneComplex(re: point(j), im: .zero), alpha.two.times(point(j + q)))
                (real + b).store(x + 32 * j)
                (real - b).store(x + 32 * (j + q))
            }
        } else {
            for j in 0..<filled {
                LaneQuartet.forward(point(j), point(j + q), point(j + 2 * q), point(j + 3 * q), alpha)
                    .store(x + 32 * j, stride: q)
            }
        }
        for k in 0..<rootRadix {
            (x + 32 * (k * q + filled)).update(repeating: 0, count: 32 * (q - filled))
        }
    }

    /// The reverse of `splitRoot`, times the root's radix.
    func joinRoot(_ x: Floats, length: Int, into signal: MutableFloats) {
        let q = size / rootRadix
        let alpha = twiddles(1)
        @inline(__always) func store(_ value: Vector, _ t: Int) {
            if t < length { value.store(signal + 16 * t) }
        }
        if rootRadix == 2 {
            for j in 0..<min(q, length) {
                let (y0, y1) = (LaneComplex.load(x + 32 * j), LaneComplex.load(x + 32 * (j + q)))
                store(y0.re + y1.re, j)
                store((y0 - y1).realTimesConjugate(of: alpha.two), j + q)
            }
        } else {
            for j in 0..<min(q, length) {
                let (p0, p1, p2, p3) = LaneQuartet.load(x + 32 * j, stride: q).realBackward(alpha)
                store(p0, j)
                store(p1, j + q)
                store(p2, j + 2 * q)
                store(p3, j + 3 * q)
            }
        }
    }

    // MARK: Below the root

    /// Transforms what `splitRoot` made, does the work, and transforms back what `joinRoot` will take.
    func run(_ work: some SpectralWork) {
        let q = size / rootRadix
        for k in 0..<rootRadix { run(work, offset: 32 * q * k, size: q, node: rootRadix + k) }
    }

    private func run<Work: SpectralWork>(_ work: Work, offset: Int, size: Int, node: Int) {
        switch size {
        case 4: work.leaf(offset, twiddles(node))
        case 16: runSixteen(work, offset: offset, node: node)
        default:
            let q = size / 4
            split(work, offset: offset, q, node)
            for k in 0..<4 { run(work, offset: offset + 32 * q * k, size: q, node: 4 * node + k) }
            join(work, offset: offset, q, node)
        }
    }

    @inline(never)
    private func runSixteen<Work: SpectralWork>(_ work: Work, offset: Int, node: Int) {
        split(work, offset: offset, 4, node)
        for k in 0..<4 { work.leaf(offset + 128 * k, twiddles(4 * node + k)) }
        join(work, offset: offset, 4, node)
    }

    /// - Parameter q: a quarter of the node's size.
    @inline(__always)
    private func split<Work: SpectralWork>(_ work: Work, offset: Int, _ q: Int, _ node: Int) {
        let alpha = twiddles(node)
        for array in 0..<Work.forwards {
            let x = work.x + array * work.spacing + offset
            for j in 0..<q {
                LaneQuartet.load(x + 32 * j, stride: q).forward(alpha).store(x + 32 * j, stride: q)
            }
        }
    }

    @inline(__always)
    private func join<Work: SpectralWork>(_ work: Work, offset: Int, _ q: Int, _ node: Int) {
        let alpha = twiddles(node)
        for array in 0..<Work.backwards {
            let x = work.x + array * work.spacing + offset
            for j in 0..<q {
                LaneQuartet.load(x + 32 * j, stride: q).backward(alpha).store(x + 32 * j, stride: q)
            }
        }
    }

    // MARK: The table

    /// Writes α, α² and α³ of a level of the tree with so many nodes.
    ///
    /// The node that is reached by taking the factors k₁, …, k_d has α = exp(2πi (1/(16 nodes) + Σ k_j / (4 · the number
    /// of nodes to choose among at j and after it))), so a level is made of its first node by one product for each.
    private static func fill(_ table: MutableFloats, nodes: Int) {
        withUnsafeTemporaryAllocation(of: (re: Double, im: Double).self, capacity: nodes) { alpha in
            alpha[0] = turn(1 / (16 * Double(nodes)))
            var known = 1
            while known < nodes {
                let radix = min(4, nodes / known)
                for k in 1..<radix {
                    let w = turn(Double(k) / Double(4 * known * radix))
                    for i in 0..<known { alpha[k * known + i] = multiply(alpha[i], w) }
                }
                known *= radix
            }
            for (i, one) in alpha.enumerated() {
                let two = multiply(one, one)
                let row = table + 6 * i
                for (power, value) in [one, two, multiply(two, one)].enumerated() {
                    (row[2 * power], row[2 * power + 1]) = (Float(value.re), Float(value.im))
                }
            }
        }
    }

    /// exp(2πi x).
    private static func turn(_ x: Double) -> (re: Double, im: Double) {
        (cos(2 * Double.pi * x), sin(2 * Double.pi * x))
    }

    private static func multiply(
        _ a: (re: Double, im: Double), _ b: (re: Double, im: Double)
    ) -> (re: Double, im: Double) {
        (a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
    }
}
