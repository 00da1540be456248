/// Up to sixteen neighbouring channels, one a SIMD lane: what the convolution kernels work on at a time.
struct ConvolutionLanes {
    /// The first channel.
    let first: Int
    /// 16, or fewer at the end of the row.
    let count: Int

    @inline(__always)
    init(first: Int, count: Int) {
        self.first = first
        self.count = count
    }

    @inline(__always)
    init(group: Int, channels: Int) {
        self.init(first: 16 * group, count: min(16, channels - 16 * group))
    }

    /// How many groups make up a row.
    @inline(__always)
    static func groups(channels: Int) -> Int { (channels + 15) / 16 }

    /// These channels of a row; lanes past the last channel are 0.
    @inline(__always)
    func load(_ row: Floats) -> Vector {
        count == 16 ? .load(row + first) : .load(row + first, count: count)
    }

    @inline(__always)
    func store(_ value: Vector, _ row: MutableFloats) {
        if count == 16 { value.store(row + first) } else { value.store(row + first, count: count) }
    }

    /// These channels of every row, as (length, 16).
    func gather(_ rows: Floats, stride: Int, length: Int, into packed: MutableFloats) {
        for t in 0..<length { load(rows + t * stride).store(packed + 16 * t) }
    }

    /// The reverse of `gather`.
    func scatter(_ packed: Floats, length: Int, into rows: MutableFloats, stride: Int) {
        for t in 0..<length { store(.load(packed + 16 * t), rows + t * stride) }
    }
}
