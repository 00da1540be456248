extension CPUBackend {
    public func longConvolutionStep(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        past: Floats,
        position: Int,
        capacity: Int,
        y: MutableFloats
    ) {
        let channels = shape.channels
        workers.forEachBlock(shape.batch) { b, _ in
            let row = b * channels
            let terms = LongConvolutionTerms(
                past: past + b * capacity * channels,
                filter: filter,
                position: position,
                channels: channels
            )
            var channel = 0
            while channel + 64 <= channels {
                terms.writeSums(of64: channel, to: y + row)
                channel += 64
            }
            while channel < channels {
                let lanes = min(16, channels - channel)
                terms.sum(channel, lanes: lanes).store(y + row + channel, upTo: lanes)
                channel += lanes
            }
            for group in 0..<ConvolutionLanes.groups(channels: channels) {
                let lanes = ConvolutionLanes(group: group, channels: channels)
                let current = lanes.load(u + row)
                let sum = lanes.load(y + row) + current.addingProduct(current, lanes.load(filter))
                lanes.store(current.addingProduct(sum, lanes.load(gate + row)), y + row)
            }
        }
    }
}

/// Σ filter[position - s] ⊙ past[s] over the tokens before the current one of one sequence.
///
/// Every row of the past and of the filter is read once, all its channels together: where the past is long, it is memory
/// that the step waits for.
private struct LongConvolutionTerms {
    /// (position, channels).
    let past: Floats
    /// (position + 1, channels) at least.
    let filter: Floats
    let position: Int
    let channels: Int

    @inline(never)
    func writeSums(of64 channel: Int, to y: MutableFloats) {
        var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var (u, f) = (past + channel, filter + position * channels + channel)
        for _ in 0..<position {
            s0 = s0.addingProduct(.load(u), .load(f))
            s1 = s1.addingProduct(.load(u + 16), .load(f + 16))
            s2 = s2.addingProduct(.load(u + 32), .load(f + 32))
            s3 = s3.addingProduct(.load(u + 48), .load(f + 48))
            u += channels
            f -= channels
        }
        s0.store(y + channel)
        s1.store(y + channel + 16)
        s2.store(y + channel + 32)
        s3.store(y + channel + 48)
    }

    /// At most sixteen channels.
    @inline(never)
    func sum(_ channel: Int, lanes: Int) -> Vector {
        var sum = Vector.zero
        for s in 0..<position {
            sum = sum.addingProduct(
                .load(past + s * channels + channel, upTo: lanes),
                .load(filter + (position - s) * channels + channel, upTo: lanes)
            )
        }
        return sum
    }
}
