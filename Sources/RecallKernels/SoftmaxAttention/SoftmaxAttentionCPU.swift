import RecallRandom

extension CPUBackend: SoftmaxAttentionKernels {
    public func attentionStep(
        _ shape: AttentionShape, q: Floats, k: Floats, v: Floats, cachedKeys: Floats, cachedValues: Floats,
        cached: Int, capacity: Int, out: MutableFloats
    ) {
        let (d, rowWidth) = (shape.headWidth, shape.heads * shape.headWidth)
        let scale = 1 / Float(d).squareRoot()
        // Sized by the capacity, so that it does not grow from token to token.
        let floats = AttentionTile.padded(capacity + 1)
        workers.forEachBlock(shape.batch * shape.heads, floats: floats) { block, worker in
            let (batch, head) = (block / shape.heads, block % shape.heads)
            let probabilities = workers.workspace(worker)
            let own = batch * shape.rowStride + head * d
            let cache = batch * capacity * rowWidth + head * d
            for j in 0..<cached {
                probabilities[j] =
                    scale * AttentionTile.dot(q + own, cachedKeys + cache + j * rowWidth, width: d)
            }
            probabilities[cached] = scale * AttentionTile.dot(q + own, k + own, width: d)
            let inverse = 1 / exponentials(probabilities, count: cached + 1)

            let target = out + batch * rowWidth + head * d
            for column in stride(from: 0, to: d, by: AttentionTile.lanes) {
                let count = min(AttentionTile.lanes, d - column)
                let whole = count == AttentionTile.lanes
                let ownValue = v + own + column
                var total =
                    (whole ? Vector.load(ownValue) : .load(ownValue, count: count)) * probabilities[cached]
                var value = cachedValues + cache + column
                for j in 0..<cached {
                    let x = whole ? Vector.load(value) : .load(value, count: count)
                    total = total.addingProduct(x, Vector(repeating: probabilities[j]))
                    value += rowWidth
                }
                total *= inverse
                if whole { total.store(target + column) } else { total.store(target + column, count: count) }
            }
        }
    }
}

/// scores ← e^(scores - their maximum); returns the sum. The scores are padded to whole registers.
@inline(never)
private func exponentials(_ scores: MutableFloats, count: Int) -> Float {
    let padded = AttentionTile.padded(count)
    for j in count..<padded { scores[j] = -.infinity }
    var largest = Vector(repeating: -.greatestFiniteMagnitude)
    for j in stride(from: 0, to: padded, by: AttentionTile.lanes) {
        largest = AttentionTile.larger(largest, .load(scores + j))
    }
    let maximum = AttentionTile.maximum(largest)
    var sums = Vector()
    for j in stride(from: 0, to: padded, by: AttentionTile.lanes) {
        let p = AttentionTile.exponentialOrZero(.load(scores + j) - maximum)
        p.store(scores + j)
        sums += p
    }
    return AttentionTile.sum(sums)
}

/// One (batch, head) of a call: where its rows lie and which elements of the dropout mask are its own.
struct AttentionHead {
    let shape: AttentionShape
    let batch: Int
    let head: Int

    init(_ shape: AttentionShape, block: Int) {
        self.shape = shape
        (batch, head) = (block / shape.heads, block % shape.heads)
    }

    /// Where this head's first token begins in q, k, v and their gradients.
    var packedOffset: Int { batch * shape.length * shape.rowStride + head * shape.headWidth }
    /// Where it begins in out and dOut.
    var outputOffset: Int { (batch * shape.length * shape.heads + head) * shape.headWidth }
    /// From token to token in out and dOut.
    var outputStride: Int { shape.heads * shape.headWidth }
    /// Where its first token is in logSumExp.
    var statisticsOffset: Int { (batch * shape.heads + head) * shape.length }

    /// The dropout multipliers of a query and the keys `key ..< key + count`; key is a multiple of 8.
    @inline(__always)
    func multipliers(_ dropout: Dropout, query: Int, key: Int, count: Int, into multipliers: MutableFloats) {
        let paddedLength = (shape.length + 7) / 8 * 8
        let first = (statisticsOffset + query) * paddedLength + key
        dropout.multipliers(first: first, count: count, into: multipliers)
    }
}
