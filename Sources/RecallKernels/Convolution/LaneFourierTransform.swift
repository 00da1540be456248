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
/// A pass over an array that outgrows a cache costs more than its arithmetic, so a pass splits twice, sixteen ways in
/// all: column by column, the second split finds what the first has left in the nearest cache.
///
/// The backward transform does not scale: backward(forward(x)) = size · x.
struct LaneFourierTransform {
    /// n, a power of two of at least 8.
    let size: Int
    /// How many rows of the array the root's pass works on, 2, 4, 8 or 16, such that 4 · 16ᵏ points are left in each.
    private let rootRows: Int
    /// Into how many factors the root xⁿ - i is split. With eight or sixteen rows these are split into four once more.
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
    static func arrayFloats(size: Int) -> Int { place(size) }

    /// Where a point lies in an array: two lines of a cache more after every 64 points, or the rows of a pass, a power of
    /// two apart, would all fall on the same lines of a cache.
    @inline(__always)
    private static func place(_ point: Int) -> Int { 32 * (point + point / 64) }

    /// Points of a row that a pass does at a time: divides 4.
    private static let columnsAtOnce = 2

    /// - Parameter table: `tableFloats(size:)` elements, written; must outlive this value.
    init(size: Int, table: MutableFloats) {
        self.size = size
        rootRows = 2 << ((size.trailingZeroBitCount + 1) % 4)
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

    // MARK: The root

    /// Calls `body` with a few of the columns of the root's pass at a time, or with all where there is but one array.
    ///
    /// Who splits, or joins, several arrays of the same rows takes them in turn: what they read or write of a row lies
    /// side by side, and comes from memory faster than a line here and a line there.
    @inline(__always)
    func forEachColumns(arrays: Int, _ body: (_ columns: Range<Int>) -> Void) {
        let some = arrays > 1 ? 4 : columns.count
        for first in Swift.stride(from: 0, to: columns.count, by: some) { body(first..<first + some) }
    }

    /// All columns of the root's pass: how many there are is a multiple of 4.
    var columns: Range<Int> { 0..<size / rootRows }

    /// Splits sequences into the residues modulo the factors that the root's pass comes to.
    ///
    /// - Parameters:
    ///   - columns: of the pass, those that are done.
    ///   - length: at most `size`.
    ///   - x: the array, written.
    ///   - source: asked for times below `length` only.
    func splitRoot(
        _ source: some LaneSource,
        length: Int,
        columns: Range<Int>,
        into x: MutableFloats
    ) {
        let step = size / rootRows
        let (row, q) = (Self.place(step), size / rootRadix)
        let alpha = twiddles(1)
        @inline(__always) func point(_ t: Int) -> Vector { t < length ? source.number(t) : .zero }
        for first in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: Self.columnsAtOnce) {
            let x = x + Self.place(first)
            for k in 0..<rootRows / rootRadix {
                for j in 0..<Self.columnsAtOnce {
                    let (t, x) = (first + j + k * step, x + 32 * j + k * row)
                    if rootRadix == 2 {
                        let (real, b) = (LaneComplex(re: point(t), im: .zero), alpha.two.times(point(t + q)))
                        (real + b).store(x)
                        (real - b).store(x + row * rootRows / 2)
                    } else {
                        LaneQuartet.forward(point(t), point(t + q), point(t + 2 * q), point(t + 3 * q), alpha)
                            .store(x, stride: row * rootRows / 4)
                    }
                }
            }
            guard rootRows > rootRadix else { continue }
            for k in 0..<rootRadix { splitColumns(x + 4 * k * row, stride: row, node: rootRadix + k) }
        }
    }

    /// The reverse of `splitRoot`, times `rootRows`.
    ///
    /// - Parameters:
    ///   - columns: of the pass, those that are done.
    ///   - x: the array, overwritten.
    ///   - sink: given the sequences' numbers at each time below `length`, in any order.
    func joinRoot(
        _ x: MutableFloats,
        length: Int,
        columns: Range<Int>,
        into sink: some LaneSink
    ) {
        let step = size / rootRows
        let (row, q) = (Self.place(step), size / rootRadix)
        let alpha = twiddles(1)
        @inline(__always) func keep(_ value: Vector, _ t: Int) { if t < length { sink.take(value, t) } }
        for first in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: Self.columnsAtOnce) {
            let x = x + Self.place(first)
            if rootRows > rootRadix {
                for k in 0..<rootRadix { joinColumns(x + 4 * k * row, stride: row, node: rootRadix + k) }
            }
            for k in 0..<rootRows / rootRadix {
                for j in 0..<Self.columnsAtOnce {
                    let (t, x) = (first + j + k * step, x + 32 * j + k * row)
                    if rootRadix == 2 {
                        let (y0, y1) = (LaneComplex.load(x), LaneComplex.load(x + row * rootRows / 2))
                        keep(y0.re + y1.re, t)
                        keep((y0 - y1).realTimesConjugate(of: alpha.two), t + q)
                    } else {
                        let points = LaneQuartet.load(x, stride: row * rootRows / 4).realBackward(alpha)
                        keep(points.0, t)
                        keep(points.1, t + q)
                        keep(points.2, t + 2 * q)
                        keep(points.3, t + 3 * q)
                    }
                }
            }
        }
    }

    /// Adds the sequence 1, 0, 0, …, whose residues are all 1, to one that `splitRoot` has split.
    func addImpulse(_ x: MutableFloats) {
        for k in 0..<rootRows {
            let first = x + k * Self.place(size / rootRows)
            (Vector.load(first) + 1).store(first)
        }
    }

    // MARK: Below the root

    /// Transforms what `splitRoot` made, does the work, and transforms back what `joinRoot` will take.
    func run(_ work: some SpectralWork) {
        let size = size / rootRows
        for k in 0..<rootRows { run(work, offset: Self.place(size) * k, size: size, node: rootRows + k) }
    }

    private func run<Work: SpectralWork>(_ work: Work, offset: Int, size: Int, node: Int) {
        guard size > 4 else { return work.leaf(offset, twiddles(node)) }
        split(work, offset: offset, size: size, node)
        if size == 64 {
            for k in 0..<16 { work.leaf(offset + 128 * k, twiddles(16 * node + k)) }
        } else {
            let row = Self.place(size / 16)
            for k in 0..<16 { run(work, offset: offset + row * k, size: size / 16, node: 16 * node + k) }
        }
        join(work, offset: offset, size: size, node)
    }

    /// A node into four factors and those into four each.
    private func split<Work: SpectralWork>(_ work: Work, offset: Int, size: Int, _ node: Int) {
        let row = Self.place(size / 16)
        for array in 0..<Work.forwards {
            let x = work.x + array * work.spacing + offset
            for first in Swift.stride(from: 0, to: size / 16, by: Self.columnsAtOnce) {
                let x = x + Self.place(first)
                for k in 0..<4 { splitColumns(x + k * row, stride: 4 * row, node: node) }
                for k in 0..<4 { splitColumns(x + 4 * k * row, stride: row, node: 4 * node + k) }
            }
        }
    }

    private func join<Work: SpectralWork>(_ work: Work, offset: Int, size: Int, _ node: Int) {
        let row = Self.place(size / 16)
        for array in 0..<Work.backwards {
            let x = work.x + array * work.spacing + offset
            for first in Swift.stride(from: 0, to: size / 16, by: Self.columnsAtOnce) {
                let x = x + Self.place(first)
                for k in 0..<4 { joinColumns(x + 4 * k * row, stride: row, node: 4 * node + k) }
                for k in 0..<4 { joinColumns(x + k * row, stride: 4 * row, node: node) }
            }
        }
    }

    @inline(__always)
    private func splitColumns(_ x: MutableFloats, stride: Int, node: Int) {
        let alpha = twiddles(node)
        for j in 0..<Self.columnsAtOnce {
            LaneQuartet.load(x + 32 * j, stride: stride).forward(alpha).store(x + 32 * j, stride: stride)
        }
    }

    @inline(__always)
    private func joinColumns(_ x: MutableFloats, stride: Int, node: Int) {
        let alpha = twiddles(node)
        for j in 0..<Self.columnsAtOnce {
            LaneQuartet.load(x + 32 * j, stride: stride).backward(alpha).store(x + 32 * j, stride: stride)
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
        _ a: (re: Double, im: Double),
        _ b: (re: Double, im: Double)
    ) -> (re: Double, im: Double) {
        (a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
    }
}
