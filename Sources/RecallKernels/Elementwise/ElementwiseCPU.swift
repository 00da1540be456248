import RecallRandom

/// Numbers in a block: a multiple of 8, as dropout masks ask for.
private let blockSize = 1 << 15

extension CPUBackend: ElementwiseKernels {
    public func fillZero(_ count: Int, y: MutableFloats) {
        forEachRange(count) { range, _ in (y + range.lowerBound).update(repeating: 0, count: range.count) }
    }

    public func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        forEachRange(count) { range, _ in map(Sum.self, range, a, b, y) }
    }

    public func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        forEachRange(count) { range, _ in map(Product.self, range, a, b, y) }
    }

    public func applyDropout(_ count: Int, x: Floats, dropout: Dropout, y: MutableFloats) {
        // A mask in pieces that stay in the first-level cache.
        let piece = 1024
        forEachRange(count, floats: piece) { range, worker in
            let mask = workers.workspace(worker)
            var first = range.lowerBound
            while first < range.upperBound {
                let pieceCount = min(piece, range.upperBound - first)
                dropout.multipliers(first: first, count: pieceCount, into: mask)
                map(Product.self, 0..<pieceCount, x + first, mask, y + first)
                first += pieceCount
            }
        }
    }

    public func reluForward(_ count: Int, x: Floats, y: MutableFloats) {
        forEachRange(count) { range, _ in map(ReLU.self, range, x, x, y) }
    }

    public func reluBackward(_ count: Int, y: Floats, dy: Floats, dx: MutableFloats) {
        forEachRange(count) { range, _ in map(ReLUGradient.self, range, y, dy, dx) }
    }

    public func geluForward(_ count: Int, x: Floats, y: MutableFloats) {
        forEachRange(count) { range, _ in map(GELU.self, range, x, x, y) }
    }

    public func geluBackward(_ count: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        forEachRange(count) { range, _ in map(GELUGradient.self, range, x, dy, dx) }
    }

    public func swigluForward(rows: Int, width: Int, x: Floats, y: MutableFloats) {
        forEachRow(rows, width: 2 * width) { row in
            let value = x + row * 2 * width
            map(SwiGLU.self, 0..<width, value, value + width, y + row * width)
        }
    }

    public func swigluBackward(rows: Int, width: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        forEachRow(rows, width: 2 * width) { row in
            let value = x + row * 2 * width
            let gate = value + width
            let d = dy + row * width
            let dValue = dx + row * 2 * width
            // Both halves are read before either is written: dx may be x itself.
            var i = 0
            while i + 16 <= width {
                let (dv, dg) = swigluGradient(.load(value + i), .load(gate + i), .load(d + i))
                dv.store(dValue + i)
                dg.store(dValue + width + i)
                i += 16
            }
            let lanes = width - i
            if lanes > 0 {
                let (dv, dg) = swigluGradient(
                    .load(value + i, count: lanes),
                    .load(gate + i, count: lanes),
                    .load(d + i, count: lanes)
                )
                dv.store(dValue + i, count: lanes)
                dg.store(dValue + width + i, count: lanes)
            }
        }
    }

    public func allFinite(_ count: Int, x: Floats) -> Bool {
        let blocks = RowRanges(total: count, size: blockSize)
        guard let sums = workers.sharedWorkspace(floats: blocks.count) else { return false }
        workers.forEachBlock(blocks.count) { block, _ in
            // 0 · x is 0, or NaN where x is not finite, and NaN stays in a sum.
            var (s0, s1) = (Vector.zero, Vector.zero)
            let range = blocks[block]
            var i = range.lowerBound
            while i + 32 <= range.upperBound {
                s0.addProduct(.load(x + i), Vector.zero)
                s1.addProduct(.load(x + i + 16), Vector.zero)
                i += 32
            }
            var sum = (s0 + s1).treeSum
            while i < range.upperBound {
                sum += x[i] * 0
                i += 1
            }
            sums[block] = sum
        }
        return (0..<blocks.count).allSatisfy { sums[$0] == 0 }
    }

    /// Calls `body` for each fixed range of `count` numbers.
    @inline(always)
    private func forEachRange(
        _ count: Int,
        floats: Int = 0,
        _ body: (_ range: Range<Int>, _ worker: Int) -> Void
    ) {
        let blocks = RowRanges(total: count, size: blockSize)
        workers.forEachBlock(blocks.count, floats: floats) { block, worker in body(blocks[block], worker) }
    }

    /// Calls `body` for each row, some `blockSize` numbers to a block.
    @inline(always)
    private func forEachRow(_ rows: Int, width: Int, _ body: (_ row: Int) -> Void) {
        let blocks = RowRanges(total: rows, size: max(1, blockSize / max(width, 1)))
        workers.forEachBlock(blocks.count) { block, _ in
            for row in blocks[block] { body(row) }
        }
    }
}

/// A function of two numbers, sixteen at a time. A type and not a closure, so that it is inlined wherever it is used.
private protocol PairFunction {
    static func of(_ a: Vector, _ b: Vector) -> Vector
}

private enum Sum: PairFunction {
    @inline(always) static func of(_ a: Vector, _ b: Vector) -> Vector { a + b }
}

private enum Product: PairFunction {
    @inline(always) static func of(_ a: Vector, _ b: Vector) -> Vector { a * b }
}

private enum ReLU: PairFunction {
    @inline(always) static func of(_ x: Vector, _: Vector) -> Vector { x.replacing(with: 0, where: x .< 0) }
}

private enum ReLUGradient: PairFunction {
    @inline(always) static func of(_ y: Vector, _ dy: Vector) -> Vector {
        Vector.zero.replacing(with: dy, where: y .> 0)
    }
}

private enum GELU: PairFunction {
    @inline(always) static func of(_ x: Vector, _: Vector) -> Vector { x * normalDistribution(x) }
}

private enum GELUGradient: PairFunction {
    @inline(always) static func of(_ x: Vector, _ dy: Vector) -> Vector {
        dy * normalDistribution(x).addingProduct(x, normalDensity(x))
    }
}

private enum SwiGLU: PairFunction {
    @inline(always) static func of(_ value: Vector, _ gate: Vector) -> Vector { value * silu(gate) }
}

/// y[i] = F(a[i], b[i]) for each i of a range.
@inline(always)
private func map<F: PairFunction>(_: F.Type, _ range: Range<Int>, _ a: Floats, _ b: Floats, _ y: MutableFloats)
{
    var i = range.lowerBound
    while i + 16 <= range.upperBound {
        F.of(.load(a + i), .load(b + i)).store(y + i)
        i += 16
    }
    let lanes = range.upperBound - i
    if lanes > 0 {
        F.of(.load(a + i, count: lanes), .load(b + i, count: lanes)).store(y + i, count: lanes)
    }
}

/// dvalue = dy silu(gate), dgate = dy value σ(gate)(1 + gate(1 - σ(gate))).
@inline(always)
private func swigluGradient(_ value: Vector, _ gate: Vector, _ dy: Vector) -> (value: Vector, gate: Vector) {
    let logistic = sigmoid(gate)
    let slope = logistic * Vector.one.addingProduct(gate, 1 - logistic)
    return (dy * gate * logistic, dy * value * slope)
}
