#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The pieces that softmax attention is made of: 64 × 64 tiles of scores, of which only what the causal window
/// leaves is computed, and the register-tile products on them.
///
/// Operands are packed into a worker's workspace first, with room for whole registers and whole groups of rows,
/// so that products need not know that a head's width or a sequence's length is odd. What lies in that room is
/// anything: it reaches only what nobody reads, and scores that are masked.
enum AttentionTile {
    /// Queries in a query tile, keys in a key tile.
    static let size = 64
    /// Rows that a product keeps in registers: what can be skipped is skipped in steps of this many rows.
    static let group = 4
    /// Float32 in a register.
    static let lanes = 16

    static func padded(_ count: Int) -> Int { (count + lanes - 1) / lanes * lanes }

    /// How many tiles cover `count` tokens.
    static func tiles(_ count: Int) -> Int { (count + size - 1) / size }
}

// MARK: - The causal window

/// Which keys each query sees: the last W up to its own.
struct CausalWindow {
    let length: Int
    let width: Int

    init(_ shape: AttentionShape) {
        length = shape.length
        width = min(shape.window ?? shape.length, shape.length)
    }

    /// How many tiles it takes to hold what a tile sees, and so also what sees a tile. So many are kept packed at a
    /// time, each in its slot: what a kernel works on then does not grow with the sequence, unless the window does.
    var slots: Int {
        min((width + AttentionTile.size - 2) / AttentionTile.size + 1, AttentionTile.tiles(length))
    }

    func slot(_ tile: Int) -> Int { tile % slots }

    /// The key tiles that any query of this tile sees.
    func keyTiles(ofQueryTile tile: Int) -> ClosedRange<Int> {
        max(0, tile * AttentionTile.size - width + 1) / AttentionTile.size...tile
    }

    /// The query tiles that see any key of this tile.
    func queryTiles(ofKeyTile tile: Int) -> ClosedRange<Int> {
        let lastQuery = min(length - 1, (tile + 1) * AttentionTile.size - 1 + width - 1)
        return tile...lastQuery / AttentionTile.size
    }

    /// What the queries `first ..< first + rows` see of a key tile, as columns of the tile; empty
    /// (upper ≤ lower) where they see nothing, and for queries beyond the sequence.
    @inline(__always)
    func columns(seenFrom first: Int, rows: Int = 1, keyTile: Int) -> (lower: Int, upper: Int) {
        let start = keyTile * AttentionTile.size
        guard first < length else { return (0, 0) }
        let lower = max(first - width + 1 - start, 0)
        let upper = min(first + rows - start, length - start, AttentionTile.size)
        return (lower, upper)
    }

    /// The queries that see any of the keys `first ..< first + count`, as rows of the query tile.
    @inline(__always)
    func rows(seeing first: Int, count: Int, queryTile: Int) -> (lower: Int, upper: Int) {
        let start = queryTile * AttentionTile.size
        let lower = max(first - start, 0)
        let upper = min(first + count - 1 + width - start, length - start, AttentionTile.size)
        return (lower, upper)
    }
}

// MARK: - Products

extension AttentionTile {
    /// A stretch of a row that a product keeps in registers.
    private protocol Stretch {
        static var count: Int { get }
        init()
        init(load address: Floats)
        func store(_ address: MutableFloats)
        mutating func add(_ factor: Float, _ other: Self)
    }

    private struct One: Stretch {
        static var count: Int { 1 }
        var x0 = Vector()

        @inline(__always) init() {}
        @inline(__always) init(load address: Floats) { x0 = .load(address) }
        @inline(__always) func store(_ address: MutableFloats) { x0.store(address) }
        @inline(__always) mutating func add(_ factor: Float, _ other: Self) {
            x0 = x0.addingProduct(Vector(repeating: factor), other.x0)
        }
    }

    /// Two stretches side by side.
    private struct Both<First: Stretch, Second: Stretch>: Stretch {
        static var count: Int { First.count + Second.count }
        var first = First()
        var second = Second()

        @inline(__always) init() {}
        @inline(__always) init(load address: Floats) {
            first = First(load: address)
            second = Second(load: address + First.count * AttentionTile.lanes)
        }
        @inline(__always) func store(_ address: MutableFloats) {
            first.store(address)
            second.store(address + First.count * AttentionTile.lanes)
        }
        @inline(__always) mutating func add(_ factor: Float, _ other: Self) {
            first.add(factor, other.first)
            second.add(factor, other.second)
        }
    }

    private typealias Two = Both<One, One>
    private typealias Three = Both<Two, One>
    private typealias Four = Both<Two, Two>

    /// C ← A B, or C ← C + A B, for four rows of C.
    ///
    /// - Parameters:
    ///   - a: element (row, step) is `a[row * rowStride + step * stepStride]`, so A may be read transposed.
    ///   - b: (steps, 16 · registers), `bStride` from row to row.
    ///   - c: (4, 16 · registers), `cStride` from row to row.
    @inline(never)
    static func fourRows(
        _ a: Floats,
        rowStride: Int,
        stepStride: Int,
        _ b: Floats,
        bStride: Int,
        steps: Int,
        registers: Int,
        adding: Bool,
        _ c: MutableFloats,
        cStride: Int
    ) {
        var done = 0
        while done < registers {
            let (b, c) = (b + done * lanes, c + done * lanes)
            switch registers - done {
            case 1: fourRows(One.self, a, rowStride, stepStride, b, bStride, steps, adding, c, cStride)
            case 2: fourRows(Two.self, a, rowStride, stepStride, b, bStride, steps, adding, c, cStride)
            case 3: fourRows(Three.self, a, rowStride, stepStride, b, bStride, steps, adding, c, cStride)
            default: fourRows(Four.self, a, rowStride, stepStride, b, bStride, steps, adding, c, cStride)
            }
            done += 4
        }
    }

    @inline(__always)
    private static func fourRows<Row: Stretch>(
        _: Row.Type,
        _ a: Floats,
        _ rowStride: Int,
        _ stepStride: Int,
        _ b: Floats,
        _ bStride: Int,
        _ steps: Int,
        _ adding: Bool,
        _ c: MutableFloats,
        _ cStride: Int
    ) {
        var (c0, c1, c2, c3) = (Row(), Row(), Row(), Row())
        if adding {
            (c0, c1) = (Row(load: c), Row(load: c + cStride))
            (c2, c3) = (Row(load: c + 2 * cStride), Row(load: c + 3 * cStride))
        }
        var (a, b) = (a, b)
        for _ in 0..<steps {
            let row = Row(load: b)
            c0.add(a[0], row)
            c1.add(a[rowStride], row)
            c2.add(a[2 * rowStride], row)
            c3.add(a[3 * rowStride], row)
            a += stepStride
            b += bStride
        }
        c0.store(c)
        c1.store(c + cStride)
        c2.store(c + 2 * cStride)
        c3.store(c + 3 * cStride)
    }

    /// The scores of a tile, S = A Bᵀ where they are seen: whole registers of each group of four rows.
    ///
    /// - Parameters:
    ///   - a: (queries of the tile, padded width) packed rows.
    ///   - bTransposed: (width, 64) packed columns of the key tile.
    ///   - scores: (64, 64).
    static func scores(
        _ window: CausalWindow,
        queryTile: Int,
        keyTile: Int,
        a: Floats,
        bTransposed: Floats,
        width: Int,
        _ scores: MutableFloats
    ) {
        let rows = min(size, window.length - queryTile * size)
        for row in stride(from: 0, to: rows, by: group) {
            let seen = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
            fourRows(
                a + row * padded(width),
                rowStride: padded(width),
                stepStride: 1,
                bTransposed + seen.first,
                bStride: size,
                steps: width,
                registers: seen.count / lanes,
                adding: false,
                scores + row * size + seen.first,
                cStride: size
            )
        }
    }

    /// C ← C + P B for the rows (queries) of a tile: P V, or dS K. B and C are packed rows.
    static func addProduct(
        _ window: CausalWindow,
        queryTile: Int,
        keyTile: Int,
        _ p: Floats,
        _ b: Floats,
        width: Int,
        _ c: MutableFloats
    ) {
        let stride = padded(width)
        let rows = min(size, window.length - queryTile * size)
        for row in Swift.stride(from: 0, to: rows, by: group) {
            let columns = window.columns(seenFrom: queryTile * size + row, rows: group, keyTile: keyTile)
            guard columns.lower < columns.upper else { continue }
            fourRows(
                p + row * size + columns.lower,
                rowStride: size,
                stepStride: 1,
                b + columns.lower * stride,
                bStride: stride,
                steps: columns.upper - columns.lower,
                registers: stride / lanes,
                adding: true,
                c + row * stride,
                cStride: stride
            )
        }
    }

    /// C ← C + Pᵀ B for the columns (keys) of a tile: Pᵀ dO, or dSᵀ Q. B and C are packed rows.
    static func addTransposedProduct(
        _ window: CausalWindow,
        queryTile: Int,
        keyTile: Int,
        _ p: Floats,
        _ b: Floats,
        width: Int,
        _ c: MutableFloats
    ) {
        let stride = padded(width)
        let keys = min(size, window.length - keyTile * size)
        for column in Swift.stride(from: 0, to: keys, by: group) {
            let rows = window.rows(seeing: keyTile * size + column, count: group, queryTile: queryTile)
            guard rows.lower < rows.upper else { continue }
            fourRows(
                p + rows.lower * size + column,
                rowStride: 1,
                stepStride: size,
                b + rows.lower * stride,
                bStride: stride,
                steps: rows.upper - rows.lower,
                registers: stride / lanes,
                adding: true,
                c + column * stride,
                cStride: stride
            )
        }
    }

    /// What a row sees of a key tile, and the whole registers that its group of four rows does. All of those
    /// are written for all rows (zero where unseen), so that products need not look at single rows.
    struct Seen {
        /// Where the registers begin in the row, and how many columns they hold; none where nothing is seen.
        let first, count: Int
        /// What the row itself sees, counted from `first`.
        let columns: (lower: Int, upper: Int)
    }

    @inline(__always)
    static func seen(_ window: CausalWindow, queryTile: Int, row: Int, keyTile: Int) -> Seen {
        let query = queryTile * size + row
        let all = window.columns(seenFrom: query / group * group, rows: group, keyTile: keyTile)
        guard all.lower < all.upper else { return Seen(first: 0, count: 0, columns: (0, 0)) }
        let first = all.lower / lanes * lanes
        let count = padded(all.upper) - first
        let own = window.columns(seenFrom: query, keyTile: keyTile)
        let lower = min(own.lower - first, count)
        return Seen(first: first, count: count, columns: (lower, max(own.upper - first, lower)))
    }

    /// Fills the columns that are not seen.
    @inline(__always)
    static func fill(
        _ row: MutableFloats,
        with value: Float,
        count: Int,
        except columns: (lower: Int, upper: Int)
    ) {
        for column in 0..<columns.lower { row[column] = value }
        for column in columns.upper..<count { row[column] = value }
    }
}

// MARK: - Packing

extension AttentionTile {
    /// Copies rows times `scale`, zero-padding them to whole registers.
    static func pack(
        _ source: Floats,
        stride: Int,
        rows: Int,
        width: Int,
        scale: Float = 1,
        into packed: MutableFloats
    ) {
        let paddedWidth = padded(width)
        for row in 0..<rows {
            let (from, to) = (source + row * stride, packed + row * paddedWidth)
            for column in Swift.stride(from: 0, to: width, by: lanes) {
                let x =
                    column + lanes <= width
                    ? Vector.load(from + column) : .load(from + column, count: width - column)
                (x * scale).store(to + column)
            }
        }
    }

    /// Copies packed rows back, times `scale`.
    static func unpack(
        _ packed: Floats,
        scale: Float = 1,
        into target: MutableFloats,
        stride: Int,
        rows: Int,
        width: Int
    ) {
        for row in 0..<rows {
            unpackRow(packed + row * padded(width), scale: scale, into: target + row * stride, width: width)
        }
    }

    @inline(__always)
    static func unpackRow(_ from: Floats, scale: Float, into to: MutableFloats, width: Int) {
        for column in Swift.stride(from: 0, to: width, by: lanes) {
            let x = Vector.load(from + column) * scale
            if column + lanes <= width {
                x.store(to + column)
            } else {
                x.store(to + column, count: width - column)
            }
        }
    }

    /// Packs a key tile's rows transposed: (width, 64) with one row for each of a head's dimensions.
    ///
    /// - Parameter rowMajor: workspace of (64, padded width); holds the packed rows afterwards.
    static func packTransposed(
        _ source: Floats,
        stride: Int,
        rows: Int,
        width: Int,
        rowMajor: MutableFloats,
        into packed: MutableFloats
    ) {
        pack(source, stride: stride, rows: rows, width: width, into: rowMajor)
        let paddedWidth = padded(width)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * lanes * lanes) { blocks in
            let one = blocks.baseAddress.unsafelyUnwrapped
            let other = one + lanes * lanes
            for column in Swift.stride(from: 0, to: paddedWidth, by: lanes) {
                for row in Swift.stride(from: 0, to: rows, by: lanes) {
                    // Four perfect shuffles of sixteen rows transpose them.
                    shuffle(
                        rowMajor + row * paddedWidth + column,
                        stride: paddedWidth,
                        into: one,
                        stride: lanes
                    )
                    shuffle(one, stride: lanes, into: other, stride: lanes)
                    shuffle(other, stride: lanes, into: one, stride: lanes)
                    shuffle(one, stride: lanes, into: packed + column * size + row, stride: size)
                }
            }
        }
    }

    /// a_0 b_0 a_1 b_1 …
    @inline(__always)
    private static func zip(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> Vector {
        var result = Vector()
        result.evenHalf = a
        result.oddHalf = b
        return result
    }

    /// Rows r and r + 8 of a 16 × 16 block, element by element in turn, become rows 2r and 2r + 1. (Not
    /// inlined: two of them in one function are merged into something slower.)
    @inline(never)
    private static func shuffle(_ from: Floats, stride: Int, into to: MutableFloats, stride toStride: Int) {
        for row in 0..<8 {
            let a = Vector.load(from + row * stride)
            let b = Vector.load(from + (row + 8) * stride)
            zip(a.lowHalf, b.lowHalf).store(to + 2 * row * toStride)
            zip(a.highHalf, b.highHalf).store(to + (2 * row + 1) * toStride)
        }
    }
}

// MARK: - Registers

extension AttentionTile {
    /// eˣ of a score less its row's largest (or logSumExp), and zero below e⁻⁶⁰, far below what a sum can show:
    /// arithmetic on subnormal numbers takes a hundred times longer.
    @inline(__always)
    static func exponentialOrZero(_ x: Vector) -> Vector {
        let vanishes = x .< -60
        return exponential(x.replacing(with: -60, where: vanishes)).replacing(with: 0, where: vanishes)
    }

    @inline(__always)
    static func larger(_ a: Vector, _ b: Vector) -> Vector { a.replacing(with: b, where: b .> a) }

    @inline(__always)
    static func maximum(_ x: Vector) -> Float {
        let eight = x.lowHalf.replacing(with: x.highHalf, where: x.highHalf .> x.lowHalf)
        let four = eight.lowHalf.replacing(with: eight.highHalf, where: eight.highHalf .> eight.lowHalf)
        let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
        return two[1] > two[0] ? two[1] : two[0]
    }

    @inline(__always)
    static func sum(_ x: Vector) -> Float {
        let eight = x.lowHalf + x.highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two[0] + two[1]
    }

    /// Σ a_i b_i.
    @inline(__always)
    static func dot(_ a: Floats, _ b: Floats, width: Int) -> Float {
        var total = Vector()
        var column = 0
        while column + lanes <= width {
            total = total.addingProduct(.load(a + column), .load(b + column))
            column += lanes
        }
        if column < width {
            let rest = width - column
            total = total.addingProduct(.load(a + column, count: rest), .load(b + column, count: rest))
        }
        return sum(total)
    }

    /// ln x for a sum of exponentials.
    @inline(__always)
    static func logarithm(_ x: Float) -> Float { Float(log(Double(x))) }
}
