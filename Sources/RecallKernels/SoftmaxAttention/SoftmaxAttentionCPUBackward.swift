import RecallRandom

extension CPUBackend {
    public func attentionBackward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: Floats,
        logSumExp: Floats,
        dOut: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        workers.forEachBlock(shape.batch * shape.heads, floats: AttentionBackward.floats(shape)) {
            block,
            worker in
            AttentionBackward(
                AttentionHead(shape, block: block),
                dropout,
                workspace: workers.workspace(worker),
                logSumExp: logSumExp
            ).run(q: q, k: k, v: v, out: out, dOut: dOut, dq: dq, dk: dk, dv: dv, workers)
        }
    }
}

/// The backward pass of one (batch, head): key tile by key tile, probabilities recomputed from logSumExp. With
/// δ_i = dO_i·O_i and M the dropout multipliers (docs/math/attention.md, section 5),
/// dV = (P⊙M)ᵀ dO, dS = P⊙(M⊙(dO Vᵀ) - δ), dQ = dS K/√d, dK = dSᵀ Q/√d.
private struct AttentionBackward {
    let head: AttentionHead
    let dropout: Dropout?
    let window: CausalWindow
    let width: Int
    let stride: Int
    /// (batch, heads, length), as given.
    let logSumExp: Floats
    /// (slots · 64, padded width): queries times 1/√d, dOut, and Σ dS K of the tiles that see the key tile
    /// (`CausalWindow.slots`).
    let queries, dOutputs, dQueries: MutableFloats
    /// (slots · 64): δ.
    let deltas: MutableFloats
    /// (64, padded width): the key tile, and its gradients.
    let keys, dKeys, dValues: MutableFloats
    /// (padded width, 64): the key tile and its values transposed.
    let keysTransposed, valuesTransposed: MutableFloats
    /// (64, 64): scores, then P⊙M; and dO Vᵀ, then dS.
    let scores, dScores: MutableFloats
    /// (64): dropout multipliers of one row.
    let multipliers: MutableFloats

    static func floats(_ shape: AttentionShape) -> Int {
        let size = AttentionTile.size
        let tile = size * AttentionTile.padded(shape.headWidth)
        let slots = CausalWindow(shape).slots
        return (3 * slots + 5) * tile + slots * size + 2 * size * size + size
    }

    init(_ head: AttentionHead, _ dropout: Dropout?, workspace: MutableFloats, logSumExp: Floats) {
        (self.head, self.dropout, self.logSumExp) = (head, dropout, logSumExp)
        window = CausalWindow(head.shape)
        width = head.shape.headWidth
        stride = AttentionTile.padded(width)
        let size = AttentionTile.size
        let tile = size * stride
        queries = workspace
        dOutputs = queries + window.slots * tile
        dQueries = dOutputs + window.slots * tile
        keys = dQueries + window.slots * tile
        dKeys = keys + tile
        dValues = dKeys + tile
        keysTransposed = dValues + tile
        valuesTransposed = keysTransposed + tile
        scores = valuesTransposed + tile
        dScores = scores + size * size
        multipliers = dScores + size * size
        deltas = multipliers + size
    }

    func run(
        q: Floats,
        k: Floats,
        v: Floats,
        out: Floats,
        dOut: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats,
        _ workers: Workers
    ) {
        let size = AttentionTile.size
        let (length, rowStride) = (head.shape.length, head.shape.rowStride)
        let scale = 1 / Float(width).squareRoot()
        let packed = head.packedOffset
        var packedTiles = 0
        for tile in 0..<AttentionTile.tiles(length) where !workers.isCancelled {
            let queryTiles = window.queryTiles(ofKeyTile: tile)
            while packedTiles <= queryTiles.upperBound {
                pack(queryTile: packedTiles, scale: scale, q: q, out: out, dOut: dOut)
                packedTiles += 1
            }
            let rows = min(size, length - tile * size)
            let offset = packed + tile * size * rowStride
            // `keys` holds the rows of v for a moment, then those of k.
            AttentionTile.packTransposed(
                v + offset,
                stride: rowStride,
                rows: rows,
                width: width,
                rowMajor: keys,
                into: valuesTransposed
            )
            AttentionTile.packTransposed(
                k + offset,
                stride: rowStride,
                rows: rows,
                width: width,
                rowMajor: keys,
                into: keysTransposed
            )
            dKeys.update(repeating: 0, count: size * stride)
            dValues.update(repeating: 0, count: size * stride)
            for queryTile in queryTiles { add(queryTile: queryTile, keyTile: tile) }
            AttentionTile.unpack(dKeys, into: dk + offset, stride: rowStride, rows: rows, width: width)
            AttentionTile.unpack(dValues, into: dv + offset, stride: rowStride, rows: rows, width: width)
            // These queries see no later key.
            AttentionTile.unpack(
                dQueries + window.slot(tile) * size * stride,
                scale: scale,
                into: dq + offset,
                stride: rowStride,
                rows: rows,
                width: width
            )
        }
    }

    /// Fills a query tile's slot.
    private func pack(queryTile: Int, scale: Float, q: Floats, out: Floats, dOut: Floats) {
        let (size, slot) = (AttentionTile.size, window.slot(queryTile))
        let (first, tile) = (queryTile * size, slot * size * stride)
        let rows = min(size, window.length - first)
        AttentionTile.pack(
            q + head.packedOffset + first * head.shape.rowStride,
            stride: head.shape.rowStride,
            rows: rows,
            width: width,
            scale: scale,
            into: queries + tile
        )
        let output = head.outputOffset + first * head.outputStride
        AttentionTile.pack(
            dOut + output,
            stride: head.outputStride,
            rows: rows,
            width: width,
            into: dOutputs + tile
        )
        for row in 0..<rows {
            let offset = output + row * head.outputStride
            deltas[slot * size + row] = AttentionTile.dot(dOut + offset, out + offset, width: width)
        }
        (dQueries + tile).update(repeating: 0, count: size * stride)
    }

    /// Adds what one pair of tiles contributes to the three gradients.
    private func add(queryTile: Int, keyTile: Int) {
        let first = window.slot(queryTile) * AttentionTile.size * stride
        AttentionTile.scores(
            window,
            queryTile: queryTile,
            keyTile: keyTile,
            a: queries + first,
            bTransposed: keysTransposed,
            width: width,
            scores
        )
        AttentionTile.scores(
            window,
            queryTile: queryTile,
            keyTile: keyTile,
            a: dOutputs + first,
            bTransposed: valuesTransposed,
            width: width,
            dScores
        )
        differentiateSoftmax(queryTile: queryTile, keyTile: keyTile)
        AttentionTile.addTransposedProduct(
            window,
            queryTile: queryTile,
            keyTile: keyTile,
            scores,
            dOutputs + first,
            width: width,
            dValues
        )
        AttentionTile.addTransposedProduct(
            window,
            queryTile: queryTile,
            keyTile: keyTile,
            dScores,
            queries + first,
            width: width,
            dKeys
        )
        AttentionTile.addProduct(
            window,
            queryTile: queryTile,
            keyTile: keyTile,
            dScores,
            keys,
            width: width,
            dQueries + first
        )
    }

    /// scores ← P⊙M, dScores ← P⊙(M⊙dScores - δ), zero where unseen.
    private func differentiateSoftmax(queryTile: Int, keyTile: Int) {
        let size = AttentionTile.size
        let firstQuery = queryTile * size
        let rows = min(size, window.length - firstQuery)
        for row in 0..<rows {
            let seen = AttentionTile.seen(window, queryTile: queryTile, row: row, keyTile: keyTile)
            guard seen.count > 0 else { continue }
            let (s, ds) = (scores + row * size + seen.first, dScores + row * size + seen.first)
            if let dropout {
                head.multipliers(
                    dropout,
                    query: firstQuery + row,
                    key: keyTile * size + seen.first,
                    count: seen.count,
                    into: multipliers
                )
            }
            Self.differentiate(
                s,
                ds,
                count: seen.count,
                logSumExp: logSumExp[head.statisticsOffset + firstQuery + row],
                delta: deltas[window.slot(queryTile) * size + row],
                multipliers: dropout == nil ? nil : Floats(multipliers)
            )
            AttentionTile.fill(s, with: 0, count: seen.count, except: seen.columns)
            AttentionTile.fill(ds, with: 0, count: seen.count, except: seen.columns)
        }
    }

    /// One row of it, unseen columns too. (A function of its own so that everything in it is inlined: a vector
    /// that crosses a call is taken apart.)
    @inline(never)
    private static func differentiate(
        _ scores: MutableFloats,
        _ dScores: MutableFloats,
        count: Int,
        logSumExp: Float,
        delta: Float,
        multipliers: Floats?
    ) {
        for first in Swift.stride(from: 0, to: count, by: AttentionTile.lanes) {
            let p = AttentionTile.exponentialOrZero(.load(scores + first) - logSumExp)
            var dp = Vector.load(dScores + first)
            var dropped = p
            if let multipliers {
                let multiplier = Vector.load(multipliers + first)
                dp *= multiplier
                dropped *= multiplier
            }
            dropped.store(scores + first)
            (p * (dp - delta)).store(dScores + first)
        }
    }
}
