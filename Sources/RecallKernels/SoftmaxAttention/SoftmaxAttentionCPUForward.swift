import RecallRandom

extension CPUBackend {
    public func attentionForward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: MutableFloats,
        logSumExp: MutableFloats
    ) {
        workers.forEachBlock(shape.batch * shape.heads, floats: AttentionForward.floats(shape)) {
            block,
            worker in
            AttentionForward(AttentionHead(shape, block: block), dropout, workspace: workers.workspace(worker))
                .run(q: q, k: k, v: v, out: out, logSumExp: logSumExp, workers)
        }
    }
}

/// The forward pass of one (batch, head), tile by tile with an online softmax: m, the largest score so far, and
/// Σ e^(s - m) are kept for each query, and what is summed already is rescaled when m grows
/// (docs/math/attention.md, section 4).
private struct AttentionForward {
    let head: AttentionHead
    let dropout: Dropout?
    let window: CausalWindow
    let width: Int
    let stride: Int
    /// (slots, padded width, 64) and (slots · 64, padded width): keys transposed, and values, of the tiles in the window
    /// (`CausalWindow.slots`).
    let keys, values: MutableFloats
    /// (64, padded width): the query tile times 1/√d, and its unnormalised outputs.
    let queries, sums: MutableFloats
    /// (64, 64): scores, then probabilities.
    let scores: MutableFloats
    /// (64): m before and after a key tile, and by how much that scales what was summed.
    let maximum, newMaximum, rescaling: MutableFloats
    /// (64, 16): Σ e^(s - m), one partial sum a lane.
    let normalisers: MutableFloats
    /// (64): dropout multipliers of one row.
    let multipliers: MutableFloats

    static func floats(_ shape: AttentionShape) -> Int {
        let tile = AttentionTile.size * AttentionTile.padded(shape.headWidth)
        let size = AttentionTile.size
        return (2 * CausalWindow(shape).slots + 2) * tile + size * size + size * AttentionTile.lanes + 4 * size
    }

    init(_ head: AttentionHead, _ dropout: Dropout?, workspace: MutableFloats) {
        (self.head, self.dropout) = (head, dropout)
        window = CausalWindow(head.shape)
        width = head.shape.headWidth
        stride = AttentionTile.padded(width)
        let size = AttentionTile.size
        keys = workspace
        values = keys + window.slots * size * stride
        queries = values + window.slots * size * stride
        sums = queries + size * stride
        scores = sums + size * stride
        normalisers = scores + size * size
        maximum = normalisers + size * AttentionTile.lanes
        newMaximum = maximum + size
        rescaling = newMaximum + size
        multipliers = rescaling + size
    }

    func run(
        q: Floats,
        k: Floats,
        v: Floats,
        out: MutableFloats,
        logSumExp: MutableFloats,
        _ workers: Workers
    ) {
        let size = AttentionTile.size
        let (length, rowStride) = (head.shape.length, head.shape.rowStride)
        let scale = 1 / Float(width).squareRoot()
        // A long sequence is minutes of work.
        for tile in 0..<AttentionTile.tiles(length) where !workers.isCancelled {
            let (first, rows) = (tile * size, min(size, length - tile * size))
            let offset = head.packedOffset + first * rowStride
            // The key tile that no query tile before has seen; `sums` is not in use yet.
            let slot = window.slot(tile) * size * stride
            AttentionTile.packTransposed(
                k + offset,
                stride: rowStride,
                rows: rows,
                width: width,
                rowMajor: sums,
                into: keys + slot
            )
            AttentionTile.pack(v + offset, stride: rowStride, rows: rows, width: width, into: values + slot)
            AttentionTile.pack(
                q + offset,
                stride: rowStride,
                rows: rows,
                width: width,
                scale: scale,
                into: queries
            )
            sums.update(repeating: 0, count: size * stride)
            normalisers.update(repeating: 0, count: size * AttentionTile.lanes)
            // Finite, so that the difference of two of them is 0 and not NaN.
            maximum.update(repeating: -.greatestFiniteMagnitude, count: size)

            let keyTiles = window.keyTiles(ofQueryTile: tile)
            for keyTile in keyTiles {
                let slot = window.slot(keyTile) * size * stride
                AttentionTile.scores(
                    window,
                    queryTile: tile,
                    keyTile: keyTile,
                    a: queries,
                    bTransposed: keys + slot,
                    width: width,
                    scores
                )
                softmax(queryTile: tile, rows: rows, keyTile: keyTile, isFirst: keyTile == keyTiles.lowerBound)
                AttentionTile.addProduct(
                    window,
                    queryTile: tile,
                    keyTile: keyTile,
                    scores,
                    values + slot,
                    width: width,
                    sums
                )
            }
            for row in 0..<rows {
                let normaliser = AttentionTile.sum(.load(normalisers + row * AttentionTile.lanes))
                logSumExp[head.statisticsOffset + first + row] =
                    maximum[row] + AttentionTile.logarithm(normaliser)
                AttentionTile.unpackRow(
                    sums + row * stride,
                    scale: 1 / normaliser,
                    into: out + head.outputOffset + (first + row) * head.outputStride,
                    width: width
                )
            }
        }
    }

    /// Turns the tile's scores into e^(s - m) (times the dropout multipliers, which the normaliser does not see).
    private func softmax(queryTile: Int, rows: Int, keyTile: Int, isFirst: Bool) {
        let (size, lanes) = (AttentionTile.size, AttentionTile.lanes)
        let firstQuery = queryTile * size
        for row in 0..<rows {
            let seen = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
            let address = scores + row * size + seen.first
            AttentionTile.fill(address, with: -.infinity, count: seen.count, except: seen.columns)
            newMaximum[row] = Self.largest(address, count: seen.count, maximum[row])
        }
        Self.rescale(maximum, newMaximum, rescaling, rows: rows)
        for row in 0..<rows {
            let seen = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
            guard seen.count > 0 else { continue }
            let address = scores + row * size + seen.first
            Self.exponentials(
                address,
                count: seen.count,
                maximum[row],
                normalisers + row * lanes,
                rescaling[row]
            )
            if let dropout {
                head.multipliers(
                    dropout,
                    query: firstQuery + row,
                    key: keyTile * size + seen.first,
                    count: seen.count,
                    into: multipliers
                )
                for column in 0..<seen.count { address[column] *= multipliers[column] }
            }
            if !isFirst {
                let (sums, factor) = (sums + row * stride, rescaling[row])
                for column in 0..<stride { sums[column] *= factor }
            }
        }
    }

    // Loops over registers are functions of their own: in a large one the compiler stops inlining, and a
    // vector that crosses a call is taken apart.

    /// The largest of a row's scores and `maximum`.
    @inline(never)
    private static func largest(_ scores: Floats, count: Int, _ maximum: Float) -> Float {
        var largest = Vector(repeating: maximum)
        for first in Swift.stride(from: 0, to: count, by: AttentionTile.lanes) {
            largest = AttentionTile.larger(largest, .load(scores + first))
        }
        return AttentionTile.maximum(largest)
    }

    /// rescaling ← e^(maximum - newMaximum), maximum ← newMaximum.
    @inline(never)
    private static func rescale(
        _ maximum: MutableFloats,
        _ newMaximum: Floats,
        _ rescaling: MutableFloats,
        rows: Int
    ) {
        for row in Swift.stride(from: 0, to: rows, by: AttentionTile.lanes) {
            let new = Vector.load(newMaximum + row)
            AttentionTile.exponentialOrZero(.load(maximum + row) - new).store(rescaling + row)
            new.store(maximum + row)
        }
    }

    /// scores ← e^(scores - maximum); normaliser ← rescaling · normaliser + their sums.
    @inline(never)
    private static func exponentials(
        _ scores: MutableFloats,
        count: Int,
        _ maximum: Float,
        _ normaliser: MutableFloats,
        _ rescaling: Float
    ) {
        var total = Vector.load(normaliser) * rescaling
        for first in Swift.stride(from: 0, to: count, by: AttentionTile.lanes) {
            let p = AttentionTile.exponentialOrZero(.load(scores + first) - maximum)
            total += p
            p.store(scores + first)
        }
        total.store(normaliser)
    }
}
