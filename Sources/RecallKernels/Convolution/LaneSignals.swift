/// What a transform reads: a number of each of sixteen channels at a time.
protocol LaneSource {
    func number(_ time: Int) -> Vector
}

/// What a transform's result goes to.
protocol LaneSink {
    func take(_ number: Vector, _ time: Int)
}

/// Sixteen neighbouring channels of the rows of one sequence.
///
/// Transforms read and write them where they are. Each line of a row is of one group's channels alone, so that nothing is
/// fetched twice, and to pack a group's numbers first would cost memory two passes more.
struct LaneRows {
    let lanes: ConvolutionLanes
    /// Elements from one row to the next, and rows.
    let channels, length: Int

    @inline(__always)
    func load(_ matrix: Floats, _ time: Int) -> Vector { lanes.load(matrix + time * channels) }

    @inline(__always)
    func store(_ value: Vector, _ matrix: MutableFloats, _ time: Int) {
        lanes.store(value, matrix + time * channels)
    }

    /// The same time counted from the end.
    @inline(__always)
    func reversed(_ time: Int) -> Int { length - 1 - time }
}

/// A matrix's rows.
struct RowSource: LaneSource {
    let rows: LaneRows
    let matrix: Floats

    @inline(__always)
    func number(_ time: Int) -> Vector { rows.load(matrix, time) }
}

/// a ⊙ b, the last row first.
struct ReversedProductSource: LaneSource {
    let rows: LaneRows
    let a, b: Floats

    @inline(__always)
    func number(_ time: Int) -> Vector {
        let time = rows.reversed(time)
        return rows.load(a, time) * rows.load(b, time)
    }
}

/// y = scale c ⊙ gate + u, c being what comes.
struct GatedSink: LaneSink {
    let rows: LaneRows
    let scale: Float
    let u, gate: Floats
    let y: MutableFloats

    @inline(__always)
    func take(_ c: Vector, _ time: Int) {
        rows.store(rows.load(u, time).addingProduct(c * scale, rows.load(gate, time)), y, time)
    }
}

/// out = scale c ⊙ factor.
struct ProductSink: LaneSink {
    let rows: LaneRows
    let scale: Float
    let factor: Floats
    let out: MutableFloats

    @inline(__always)
    func take(_ c: Vector, _ time: Int) { rows.store(rows.load(factor, time) * c * scale, out, time) }
}

/// out = scale r + term, r coming in reverse order of time.
struct ReversedSumSink: LaneSink {
    let rows: LaneRows
    let scale: Float
    let term: Floats
    let out: MutableFloats

    @inline(__always)
    func take(_ r: Vector, _ time: Int) {
        let time = rows.reversed(time)
        rows.store(rows.load(term, time).addingProduct(r, Vector(repeating: scale)), out, time)
    }
}

/// out = scale r, r coming in reverse order of time.
struct ReversedSink: LaneSink {
    let rows: LaneRows
    let scale: Float
    let out: MutableFloats

    @inline(__always)
    func take(_ r: Vector, _ time: Int) { rows.store(r * scale, out, rows.reversed(time)) }
}
