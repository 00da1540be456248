import RecallRandom

extension CPUBackend: SoftmaxAttentionKernels {
    public func attentionStep(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        cachedKeys: Floats,
        cachedValues: Floats,
        cached: Int,
        capacity: Int,
        out: MutableFloats
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

            let values = StepValues(
                cached: cachedValues + cache,
                count: cached,
                stride: rowWidth,
                own: v + own,
                probabilities: probabilities,
                inverse: inverse
            )
            values.writeSum(width: d, to: out + batch * rowWidth + head * d)
        }
    }
}

/// The values that one query of a step takes the mean of.
private struct StepValues {
    /// (count, width), `stride` apart.
    let cached: Floats
    let count: Int
    let stride: Int
    let own: Floats
    /// (count + 1), the own value's last, not divided by their sum.
    let probabilities: Floats
    /// 1 over that sum.
    let inverse: Float

    /// Every row of the cache once: where it is long, it is memory that the step waits for.
    func writeSum(width: Int, to target: MutableFloats) {
        var column = 0
        while column + 64 <= width {
            writeFourVectors(column, target)
            column += 64
        }
        while column < width {
            let lanes = min(AttentionTile.lanes, width - column)
            var sum = Vector.load(own + column, upTo: lanes) * probabilities[count]
            for j in 0..<count {
                let value = Vector.load(cached + j * stride + column, upTo: lanes)
                sum = sum.addingProduct(value, Vector(repeating: probabilities[j]))
            }
            (sum * inverse).store(target + column, upTo: lanes)
            column += lanes
        }
    }

    @inline(never)
    private func writeFourVectors(_ column: Int, _ target: MutableFloats) {
        let (own, target) = (own + column, target + column)
        var p = Vector(repeating: probabilities[count])
        var (s0, s1) = (Vector.load(own) * p, Vector.load(own + 16) * p)
        var (s2, s3) = (Vector.load(own + 32) * p, Vector.load(own + 48) * p)
        var value = cached + column
        for j in 0..<count {
            p = Vector(repeating: probabilities[j])
            s0 = s0.addingProduct(.load(value), p)
            s1 = s1.addingProduct(.load(value + 16), p)
            s2 = s2.addingProduct(.load(value + 32), p)
            s3 = s3.addingProduct(.load(value + 48), p)
            value += stride
        }
        (s0 * inverse).store(target)
        (s1 * inverse).store(target + 16)
        (s2 * inverse).store(target + 32)
        (s3 * inverse).store(target + 48)
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
