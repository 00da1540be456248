import RecallRandom

/// Numbers in a block: a multiple of 8, as dropout masks ask for.
private let blockSize = 1 << 15

extension CPUBackend: ElementwiseKernels {
    public func fillZero(_ count: Int, y: MutableFloats) {
        forEachRange(count) { range, _ in (y + range.lowerBound).update(repeating: 0, count: range.count) }
    }

    public func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        map(count, a, b, y) { $0 + $1 }
    }

    public func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        map(count, a, b, y) { $0 * $1 }
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
                mapVectors(pieceCount, x + first, mask, y + first) { $0 * $1 }
                first += pieceCount
            }
        }
    }

    public func reluForward(_ count: Int, x: Floats, y: MutableFloats) {
        map(count, x, y) { $0.replacing(with: 0, where: $0 .< 0) }
    }

    public func reluBackward(_ count: Int, y: Floats, dy: Floats, dx: MutableFloats) {
        map(count, y, dy, dx) { y, dy in Vector.zero.replacing(with: dy, where: y .> 0) }
    }

    public func geluForward(_ count: Int, x: Floats, y: MutableFloats) {
        map(count, x, y) { $0 * normalDistribution($0) }
    }

    public func geluBackward(_ count: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        map(count, x, dy, dx) { x, dy in
            dy * normalDistribution(x).addingProduct(x, normalDensity(x))
        }
    }

    public func swigluForward(rows: Int, width: Int, x: Floats, y: MutableFloats) {
        forEachRow(rows, width: 2 * width) { row in
            let value = x + row * 2 * width
            mapVectors(width, value, value + width, y + row * width) { value, gate in
                value * gate * sigmoid(gate)
            }
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
            while i < width {
                let lanes = min(16, width - i)
                let (v, g, dyLanes) = (load(value + i, lanes), load(gate + i, lanes), load(d + i, lanes))
                let logistic = sigmoid(g)
                let slope = logistic * Vector.one.addingProduct(g, 1 - logistic)
                store(dyLanes * g * logistic, dValue + i, lanes)
                store(dyLanes * v * slope, dValue + width + i, lanes)
                i += 16
            }
        }
    }

    public func allFinite(_ count: Int, x: Floats) -> Bool {
        let blocks = RowRanges(total: count, size: blockSize)
        let sums = workers.sharedWorkspace(floats: blocks.count)
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
    @inline(__always)
    private func forEachRange(
        _ count: Int, floats: Int = 0, _ body: (_ range: Range<Int>, _ worker: Int) -> Void
    ) {
        let blocks = RowRanges(total: count, size: blockSize)
        workers.forEachBlock(blocks.count, floats: floats) { block, worker in body(blocks[block], worker) }
    }

    /// Calls `body` for each row, some `blockSize` numbers to a block.
    @inline(__always)
    private func forEachRow(_ rows: Int, width: Int, _ body: (_ row: Int) -> Void) {
        let blocks = RowRanges(total: rows, size: max(1, blockSize / max(width, 1)))
        workers.forEachBlock(blocks.count) { block, _ in
            for row in blocks[block] { body(row) }
        }
    }

    @inline(__always)
    private func map(_ count: Int, _ x: Floats, _ y: MutableFloats, _ function: (Vector) -> Vector) {
        forEachRange(count) { range, _ in
            let (x, y) = (x + range.lowerBound, y + range.lowerBound)
            var i = 0
            while i + 16 <= range.count {
                function(.load(x + i)).store(y + i)
                i += 16
            }
            if i < range.count {
                function(.load(x + i, count: range.count - i)).store(y + i, count: range.count - i)
            }
        }
    }

    @inline(__always)
    private func map(
        _ count: Int, _ a: Floats, _ b: Floats, _ y: MutableFloats, _ function: (Vector, Vector) -> Vector
    ) {
        forEachRange(count) { range, _ in
            let first = range.lowerBound
            mapVectors(range.count, a + first, b + first, y + first, function)
        }
    }
}

@inline(__always)
private func mapVectors(
    _ count: Int, _ a: Floats, _ b: Floats, _ y: MutableFloats, _ function: (Vector, Vector) -> Vector
) {
    var i = 0
    while i + 16 <= count {
        function(.load(a + i), .load(b + i)).store(y + i)
        i += 16
    }
    if i < count {
        let lanes = count - i
        function(.load(a + i, count: lanes), .load(b + i, count: lanes)).store(y + i, count: lanes)
    }
}

@inline(__always)
private func load(_ x: Floats, _ lanes: Int) -> Vector {
    lanes == 16 ? .load(x) : .load(x, count: lanes)
}

@inline(__always)
private func store(_ value: Vector, _ y: MutableFloats, _ lanes: Int) {
    if lanes == 16 { value.store(y) } else { value.store(y, count: lanes) }
}
