extension CPUBackend {
    /// The sums c_t = Σ_{τ≤t} f_τ u_{t-τ} as they stand.
    func directForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        let blocks = LongConvolutionBlocks(shape)
        let direct = DirectConvolution(length: shape.length)
        let filters = workers.sharedWorkspace(floats: blocks.groups * direct.rows * 16)
        gatherFilters(blocks, direct, filter: filter, filters)
        workers.forEachBlock(blocks.count, floats: (shape.length + direct.padded) * 32) { block, worker in
            let signal = workers.workspace(worker)
            let sums = signal + shape.length * 32
            let group = blocks.group(block)
            for index in blocks.pairs(block) {
                let pair = blocks.pair(index, group: group)
                for t in 0..<shape.length { pair.load(u, t).store(signal + 32 * t) }
                direct.convolve(filter: filters + group * direct.rows * 16, signal: signal, sums)
                for t in 0..<shape.length {
                    let ut = LaneComplex.load(signal + 32 * t)
                    pair.store((.load(sums + 32 * t) + ut).timesEach(pair.load(gate, t)) + ut, y, t)
                }
            }
        }
    }

    /// With v the gradient dc = dy ⊙ gate in reverse order of time, what the backward needs are causal convolutions
    /// too: du_t has (f * v)_{L-1-t}, and df_τ is Σ (v * u)_{L-1-τ} over the batch.
    func directBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        let blocks = LongConvolutionBlocks(shape)
        let (length, groups) = (shape.length, blocks.groups)
        let direct = DirectConvolution(length: length)
        let partialSize = direct.padded * 16
        let filters = workers.sharedWorkspace(floats: groups * direct.rows * 16 + blocks.count * partialSize)
        let partials = filters + groups * direct.rows * 16
        gatherFilters(blocks, direct, filter: filter, filters)
        workers.forEachBlock(blocks.count, floats: (length + direct.padded + direct.rows) * 32) {
            block, worker in
            let signal = workers.workspace(worker)
            let sums = signal + length * 32
            let reversed = sums + direct.padded * 32
            let group = blocks.group(block)
            let filter = filters + group * direct.rows * 16
            let partial = partials + block * partialSize
            partial.update(repeating: 0, count: partialSize)
            direct.clearPadding(reversed, width: 32)
            let reversedStart = reversed + DirectConvolution.tile * 32
            for index in blocks.pairs(block) {
                let pair = blocks.pair(index, group: group)
                for t in 0..<length {
                    pair.load(u, t).store(signal + 32 * t)
                    let dc = pair.load(dy, t).timesEach(pair.load(gate, t))
                    dc.store(reversedStart + 32 * (length - 1 - t))
                }
                direct.convolve(filter: filter, signal: signal, sums)
                for t in 0..<length {
                    let c = LaneComplex.load(sums + 32 * t) + .load(signal + 32 * t)
                    pair.store(pair.load(dy, t).timesEach(c), dGate, t)
                }
                direct.convolve(filter: filter, signal: reversedStart, sums)
                for t in 0..<length {
                    let (r, dyt) = (length - 1 - t, pair.load(dy, t))
                    pair.store(.load(sums + 32 * r) + .load(reversedStart + 32 * r) + dyt, du, t)
                }
                direct.accumulateProducts(reversed, signal: signal, partial)
            }
        }
        workers.forEachBlock(groups) { group, _ in
            let lanes = blocks.lanes(group: group)
            for t in 0..<length {
                var sum = Vector.zero
                for chunk in 0..<blocks.chunks {
                    sum += .load(partials + (chunk * groups + group) * partialSize + 16 * (length - 1 - t))
                }
                lanes.store(sum, dFilter + t * shape.channels)
            }
        }
    }

    /// Every group's filter by itself, between zeros.
    private func gatherFilters(
        _ blocks: LongConvolutionBlocks, _ direct: DirectConvolution, filter: Floats, _ filters: MutableFloats
    ) {
        for group in 0..<blocks.groups {
            let lanes = blocks.lanes(group: group)
            let rows = filters + group * direct.rows * 16
            direct.clearPadding(rows, width: 16)
            for t in 0..<blocks.shape.length {
                lanes.load(filter + t * blocks.shape.channels).store(rows + 16 * (DirectConvolution.tile + t))
            }
        }
    }
}

/// Causal convolutions of sixteen channels at once in tiles of eight tokens.
///
/// What plays the filter lies between zeros, a tile of them before it and as many after it as complete its last tile:
/// so the triangle's edge needs no cases.
private struct DirectConvolution {
    static let tile = 8

    let length: Int

    /// The length in whole tiles.
    var padded: Int { (length + Self.tile - 1) / Self.tile * Self.tile }

    /// Rows of a padded filter.
    var rows: Int { Self.tile + padded }

    /// Zeros around a filter of rows of `width`.
    func clearPadding(_ filter: MutableFloats, width: Int) {
        filter.update(repeating: 0, count: Self.tile * width)
        let end = Self.tile + length
        (filter + end * width).update(repeating: 0, count: (rows - end) * width)
    }

    /// sums_t = Σ_{s≤t} filter_{t-s} signal_s for the two sequences of a pair.
    ///
    /// - Parameters:
    ///   - filter: (rows, 16). signal: (length, 32). sums: (padded, 32), written.
    func convolve(filter: Floats, signal: Floats, _ sums: MutableFloats) {
        for start in stride(from: 0, to: length, by: Self.tile) {
            var (first, second) = (TokenTile(), TokenTile())
            for s in 0..<min(start + Self.tile, length) {
                let taps = filter + 16 * (Self.tile + start - s)
                let (a, b) = (Vector.load(signal + 32 * s), Vector.load(signal + 32 * s + 16))
                first.add(a, taps, stride: 16)
                second.add(b, taps, stride: 16)
            }
            first.store(sums + 32 * start, stride: 32)
            second.store(sums + 32 * start + 16, stride: 32)
        }
    }

    /// sums_t += Σ_{s≤t} a_{t-s} signal_s, both sequences of the pair together.
    ///
    /// - Parameters:
    ///   - a: (rows, 32), padded. signal: (length, 32). sums: (padded, 16), added to.
    func accumulateProducts(_ a: Floats, signal: Floats, _ sums: MutableFloats) {
        for start in stride(from: 0, to: length, by: Self.tile) {
            var tile = TokenTile()
            for s in 0..<min(start + Self.tile, length) {
                let taps = a + 32 * (Self.tile + start - s)
                tile.add(.load(signal + 32 * s), taps, stride: 32)
                tile.add(.load(signal + 32 * s + 16), taps + 16, stride: 32)
            }
            tile.add(Vector(repeating: 1), sums + 16 * start, stride: 16)
            tile.store(sums + 16 * start, stride: 16)
        }
    }
}

/// The sums of eight tokens, in registers.
private struct TokenTile {
    private var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    private var (s4, s5, s6, s7) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)

    @inline(__always)
    init() {}

    /// Adds x ⊙ each of eight rows.
    @inline(__always)
    mutating func add(_ x: Vector, _ rows: Floats, stride: Int) {
        s0 = s0.addingProduct(x, .load(rows))
        s1 = s1.addingProduct(x, .load(rows + stride))
        s2 = s2.addingProduct(x, .load(rows + 2 * stride))
        s3 = s3.addingProduct(x, .load(rows + 3 * stride))
        s4 = s4.addingProduct(x, .load(rows + 4 * stride))
        s5 = s5.addingProduct(x, .load(rows + 5 * stride))
        s6 = s6.addingProduct(x, .load(rows + 6 * stride))
        s7 = s7.addingProduct(x, .load(rows + 7 * stride))
    }

    @inline(__always)
    func store(_ rows: MutableFloats, stride: Int) {
        s0.store(rows)
        s1.store(rows + stride)
        s2.store(rows + 2 * stride)
        s3.store(rows + 3 * stride)
        s4.store(rows + 4 * stride)
        s5.store(rows + 5 * stride)
        s6.store(rows + 6 * stride)
        s7.store(rows + 7 * stride)
    }
}
