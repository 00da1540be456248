/// The rows (length, channels) of one sequence, and the same numbers packed by groups of sixteen channels as (groups,
/// length, 16), in which a transform runs along memory.
///
/// Everything goes row by row: walking down a few channels of long rows touches a part of every page, which memory and
/// caches serve at a fraction of their speed.
struct ChannelGroups {
    let channels: Int
    let length: Int

    var count: Int { ConvolutionLanes.groups(channels: channels) }

    /// Elements from one group's packed numbers to the next's.
    var stride: Int { length * 16 }

    /// Elements of a packed matrix.
    var floats: Int { count * stride }

    /// Calls `body` with the groups of each row: where the row begins, and where the group lies among the packed
    /// numbers of a time in order and in reverse order.
    @inline(__always)
    private func forEach(
        _ tokens: Range<Int>,
        _ body: (_ lanes: ConvolutionLanes, _ row: Int, _ packed: Int, _ reversed: Int) -> Void
    ) {
        for t in tokens {
            for group in 0..<count {
                let start = group * stride
                body(
                    ConvolutionLanes(group: group, channels: channels), t * channels, start + 16 * t,
                    start + 16 * (length - 1 - t))
            }
        }
    }

    func pack(_ matrix: Floats, _ tokens: Range<Int>, into packed: MutableFloats) {
        forEach(tokens) { lanes, row, at, _ in lanes.load(matrix + row).store(packed + at) }
    }

    /// a ⊙ b, the last token first.
    func packReversedProduct(_ a: Floats, _ b: Floats, _ tokens: Range<Int>, into packed: MutableFloats) {
        forEach(tokens) { lanes, row, _, reversed in
            (lanes.load(a + row) * lanes.load(b + row)).store(packed + reversed)
        }
    }

    /// y = scale c ⊙ gate + u, c packed.
    func writeForward(
        _ c: Floats, scale: Float, u: Floats, gate: Floats, _ tokens: Range<Int>, y: MutableFloats
    ) {
        forEach(tokens) { lanes, row, at, _ in
            let c = Vector.load(c + at) * scale
            lanes.store(lanes.load(u + row).addingProduct(c, lanes.load(gate + row)), y + row)
        }
    }

    /// dGate = scale dy ⊙ c, c packed; du = scale r + dy, r packed in reverse order.
    func writeBackward(
        _ c: Floats, _ r: Floats, scale: Float, dy: Floats, _ tokens: Range<Int>, du: MutableFloats,
        dGate: MutableFloats
    ) {
        forEach(tokens) { lanes, row, at, reversed in
            let dy = lanes.load(dy + row)
            lanes.store(dy * .load(c + at) * scale, dGate + row)
            lanes.store(dy.addingProduct(.load(r + reversed), Vector(repeating: scale)), du + row)
        }
    }

    /// matrix = scale x, x packed in reverse order.
    func writeReversed(_ x: Floats, scale: Float, _ tokens: Range<Int>, _ matrix: MutableFloats) {
        forEach(tokens) { lanes, row, _, reversed in
            lanes.store(.load(x + reversed) * scale, matrix + row)
        }
    }
}
