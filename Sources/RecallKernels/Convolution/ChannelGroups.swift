/// The rows (length, channels) of one sequence, and the same numbers packed by groups of sixteen channels as (groups,
/// length, 16), in which a transform runs along memory.
///
/// Everything goes row by row: walking down a few channels of long rows touches a part of every page, which memory and
/// caches serve at a fraction of their speed.
struct ChannelGroups {
    let channels: Int
    let length: Int

    var count: Int { ConvolutionLanes.groups(channels: channels) }

    /// Elements from one group's packed numbers to the next's: a line more than they fill, or groups of a power of two of
    /// tokens would all fall on the same lines of a cache.
    var stride: Int { length * 16 + 16 }

    /// Elements of a packed matrix.
    var floats: Int { count * stride }

    /// Where a group's channels of a token lie.
    private struct Place {
        let lanes: ConvolutionLanes
        /// Where the row begins.
        let row: Int
        /// Among packed numbers, and among packed numbers in reverse order of time.
        let packed, reversed: Int
    }

    /// Calls `body` with the groups of each row.
    @inline(__always)
    private func forEach(_ tokens: Range<Int>, _ body: (Place) -> Void) {
        let whole = channels / 16
        for t in tokens {
            let (row, packed, reversed) = (t * channels, 16 * t, 16 * (length - 1 - t))
            for group in 0..<whole {
                body(
                    Place(
                        lanes: ConvolutionLanes(first: 16 * group, count: 16), row: row,
                        packed: packed + group * stride, reversed: reversed + group * stride))
            }
            if whole < count {
                body(
                    Place(
                        lanes: ConvolutionLanes(group: whole, channels: channels), row: row,
                        packed: packed + whole * stride, reversed: reversed + whole * stride))
            }
        }
    }

    func pack(_ matrix: Floats, _ tokens: Range<Int>, into packed: MutableFloats) {
        @inline(__always) func pack(_ place: Place) {
            place.lanes.load(matrix + place.row).store(packed + place.packed)
        }
        forEach(tokens, pack)
    }

    /// a ⊙ b, the last token first.
    func packReversedProduct(_ a: Floats, _ b: Floats, _ tokens: Range<Int>, into packed: MutableFloats) {
        @inline(__always) func pack(_ place: Place) {
            let product = place.lanes.load(a + place.row) * place.lanes.load(b + place.row)
            product.store(packed + place.reversed)
        }
        forEach(tokens, pack)
    }

    /// y = scale c ⊙ gate + u, c packed.
    func writeForward(
        _ c: Floats, scale: Float, u: Floats, gate: Floats, _ tokens: Range<Int>, y: MutableFloats
    ) {
        @inline(__always) func write(_ place: Place) {
            let (lanes, row) = (place.lanes, place.row)
            let c = Vector.load(c + place.packed) * scale
            lanes.store(lanes.load(u + row).addingProduct(c, lanes.load(gate + row)), y + row)
        }
        forEach(tokens, write)
    }

    /// dGate = scale dy ⊙ c, c packed; du = scale r + dy, r packed in reverse order.
    func writeBackward(
        _ c: Floats, _ r: Floats, scale: Float, dy: Floats, _ tokens: Range<Int>, du: MutableFloats,
        dGate: MutableFloats
    ) {
        @inline(__always) func write(_ place: Place) {
            let (lanes, row) = (place.lanes, place.row)
            let dy = lanes.load(dy + row)
            lanes.store(dy * .load(c + place.packed) * scale, dGate + row)
            let r = Vector.load(r + place.reversed)
            lanes.store(dy.addingProduct(r, Vector(repeating: scale)), du + row)
        }
        forEach(tokens, write)
    }

    /// matrix = scale x, x packed in reverse order.
    func writeReversed(_ x: Floats, scale: Float, _ tokens: Range<Int>, _ matrix: MutableFloats) {
        @inline(__always) func write(_ place: Place) {
            place.lanes.store(.load(x + place.reversed) * scale, matrix + place.row)
        }
        forEach(tokens, write)
    }
}
