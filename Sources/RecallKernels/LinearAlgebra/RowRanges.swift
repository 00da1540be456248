/// Rows (or elements, or blocks) cut into contiguous ranges: a cut fixed by the numbers alone, whatever the number of
/// threads.
struct RowRanges {
    let total: Int
    /// Rows in each range; the last may have fewer.
    let size: Int

    /// How many ranges; 0 where there are no rows.
    var count: Int { (total + size - 1) / size }

    init(total: Int, size: Int) {
        (self.total, self.size) = (total, size)
    }

    /// At most `limit` (≥ 1) ranges, of `size` rows or a whole multiple of it.
    init(total: Int, size: Int, atMost limit: Int) {
        let blocks = (total + size - 1) / size
        self.init(total: total, size: size * max(1, (blocks + limit - 1) / limit))
    }

    subscript(index: Int) -> Range<Int> {
        index * size..<min(total, (index + 1) * size)
    }
}

/// y += x, for partial sums.
@inline(always)
func accumulate(_ count: Int, _ x: Floats, into y: MutableFloats) {
    for i in 0..<count { y[i] += x[i] }
}
