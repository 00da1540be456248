import RecallRandom

extension CPUBackend {
    public func attentionForward(
        _ shape: AttentionShape, q: Floats, k: Floats, v: Floats, dropout: Dropout?, out: MutableFloats,
        logSumExp: MutableFloats
    ) {
        workers.forEachBlock(shape.batch * shape.heads, floats: AttentionForward.floats(shape)) {
            block, worker in
            AttentionForward(AttentionHead(shape, block: block), dropout, workspace: workers.workspace(worker))
                .run(q: q, k: k, v: v, out: out, logSumExp: logSumExp)
        }
    }
}

/// The forward pass of one (batch, head), tile by tile with an online softmax: m, the largest score so far, and
/// Σ e^(s - m) are kept for each query, and what is summed already is rescaled when m grows (MODELS.md D.1).
private struct AttentionForward {
    let head: AttentionHead
    let dropout: Dropout?
    let window: CausalWindow
    let width: Int
    let stride: Int
    /// (tiles, padded width, 64) and (tiles · 64, padded width): this head's keys transposed, and its values.
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
        return (2 * AttentionTile.tiles(shape.length) + 2) * tile + size * size + size * AttentionTile.lanes + 4
            * size
    }

    init(_ head: AttentionHead, _ dropout: Dropout?, workspace: MutableFloats) {
        (self.head, self.dropout) = (head, dropout)
        window = CausalWindow(head.shape)
        width = head.shape.headWidth
        stride = AttentionTile.padded(width)
        let size = AttentionTile.size
        let tiles = AttentionTile.tiles(head.shape.length)
        keys = workspace
        values = keys + tiles * size * stride
        queries = values + tiles * size * stride
        sums = queries + size * stride
        scores = sums + size * stride
        normalisers = scores + size * size
        maximum = normalisers + size * AttentionTile.lanes
        newMaximum = maximum + size
        rescaling = newMaximum + size
        multipliers = rescaling + size
    }

    func run(q: Floats, k: Floats, v: Floats, out: MutableFloats, logSumExp: MutableFloats) {
        let size = AttentionTile.size
        let (length, rowStride) = (head.shape.length, head.shape.rowStride)
        let scale = 1 / Float(width).squareRoot()
        let tiles = AttentionTile.tiles(length)
        for tile in 0..<tiles {
            let (first, rows) = (tile * size, min(size, length - tile * size))
            let offset = head.packedOffset + first * rowStride
            // `sums` is not in use yet.
            AttentionTile.packTransposed(
                k + offset, stride: rowStride, rows: rows, width: width, rowMajor: sums,
                into: keys + first * stride)
            AttentionTile.pack(
                v + offset, stride: rowStride, rows: rows, width: width, into: values + first * stride)
        }
        for tile in 0..<tiles {
            let (first, rows) = (tile * size, min(size, length - tile * size))
            AttentionTile.pack(
                q + head.packedOffset + first * rowStride, stride: rowStride, rows: rows, width: width,
                scale: scale,
                into: queries)
            sums.update(repeating: 0, count: size * stride)
            normalisers.update(repeating: 0, count: size * AttentionTile.lanes)
            // Finite, so that the difference of two of them is 0 and not NaN.
            maximum.update(repeating: -.greatestFiniteMagnitude, count: size)

            let keyTiles = window.keyTiles(ofQueryTile: tile)
            for keyTile in keyTiles {
                AttentionTile.scores(
                    window, queryTile: tile, keyTile: keyTile, a: queries,
                    bTransposed: keys + keyTile * size * stride,
                    width: width, scores)
                softmax(queryTile: tile, rows: rows, keyTile: keyTile, isFirst: keyTile == keyTiles.lowerBound)
                AttentionTile.addProduct(
                    window, queryTile: tile, keyTile: keyTile, scores, values + keyTile * size * stride,
                    width: width,
                    sums)
            }
            for row in 0..<rows {
                let normaliser = AttentionTile.sum(.load(normalisers + row * AttentionTile.lanes))
                logSumExp[head.statisticsOffset + first + row] =
                    maximum[row] + AttentionTile.logarithm(normaliser)
                AttentionTile.unpackRow(
                    sums + row * stride, scale: 1 / normaliser,
                    into: out + head.outputOffset + (first + row) * head.outputStride, width: width)
            }
        }
    }

    /// Turns the tile's scores into e^(s - m) (times the dropout multipliers, which the normaliser does not see).
    private func softmax(queryTile: Int, rows: Int, keyTile: Int, isFirst: Bool) {
        let (size, lanes) = (AttentionTile.size, AttentionTile.lanes)
        let firstQuery = queryTile * size
        for row in 0..<rows {
            let columns = window.columns(seenFrom: firstQuery + row, keyTile: keyTile)
            let registers = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
                .registers
            var largest = Vector(repeating: maximum[row])
            for register in registers.lower..<registers.upper {
                let address = scores + row * size + register * lanes
                let x = AttentionTile.masked(
                    .load(address), first: register * lanes, columns, unseen: -.infinity)
                x.store(address)
                largest = AttentionTile.larger(largest, x)
            }
            newMaximum[row] = AttentionTile.maximum(largest)
        }
        for row in Swift.stride(from: 0, to: rows, by: lanes) {
            let new = Vector.load(newMaximum + row)
            exponential(.load(maximum + row) - new).store(rescaling + row)
            new.store(maximum + row)
        }
        // Rows beyond the sequence are zero, so that the last group of four adds nothing of them.
        let allRows = (rows + AttentionTile.group - 1) / AttentionTile.group * AttentionTile.group
        for row in 0..<allRows {
            let registers = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
                .registers
            guard registers.lower < registers.upper else { continue }
            let first = registers.lower * lanes
            let count = (registers.upper - registers.lower) * lanes
            let address = scores + row * size + first
            guard row < rows else {
                address.update(repeating: 0, count: count)
                continue
            }
            let subtracted = maximum[row]
            var total = Vector.load(normalisers + row * lanes) * rescaling[row]
            for lane in Swift.stride(from: 0, to: count, by: lanes) {
                let p = exponential(.load(address + lane) - subtracted)
                total += p
                p.store(address + lane)
            }
            total.store(normalisers + row * lanes)
            if let dropout {
                head.multipliers(
                    dropout, query: firstQuery + row, key: keyTile * size + first, count: count,
                    into: multipliers)
                for lane in Swift.stride(from: 0, to: count, by: lanes) {
                    (Vector.load(address + lane) * .load(multipliers + lane)).store(address + lane)
                }
            }
            if !isFirst {
                for column in Swift.stride(from: 0, to: stride, by: lanes) {
                    (Vector.load(sums + row * stride + column) * rescaling[row]).store(
                        sums + row * stride + column)
                }
            }
        }
    }
}
