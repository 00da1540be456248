#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The fewest columns of the vocabulary worth a product of their own, and into how many parts it is cut at most.
private let (leastSlice, mostSlices) = (128, 8)

extension CPUBackend {
    public func headLoss(
        _ shape: HeadShape,
        hidden: Floats,
        table: Floats,
        labels: Integers,
        gradientScale: Float,
        losses: MutableFloats,
        correct: MutableFloats,
        dHidden: MutableFloats?,
        dTable: MutableFloats?
    ) {
        let head = HeadBlocks(shape, hidden: hidden, table: table)
        guard let memory = workers.sharedWorkspace(floats: head.floats) else { return }
        // Block after block of rows, each shared out by slices of the vocabulary where that is the long side: so the
        // table's gradient needs no partial sums as large as the table.
        for index in 0..<head.blocks.count where !workers.isCancelled {
            let block = head.block(index, memory: memory)
            workers.forEachBlock(head.slices.count) { slice, _ in block.logits(head.slices[slice]) }
            let groups = RowRanges(total: block.rows.count, size: 16)
            workers.forEachBlock(groups.count) { group, _ in
                for row in groups[group] {
                    block.softmax(
                        row,
                        labels: labels,
                        gradientScale: dHidden == nil && dTable == nil ? nil : gradientScale,
                        losses: losses,
                        correct: correct
                    )
                }
            }
            guard dHidden != nil || dTable != nil else { continue }
            block.scaleHidden()
            workers.forEachBlock(head.slices.count) { slice, _ in
                if dHidden != nil { block.hiddenGradient(slice, head.slices[slice]) }
                if let dTable { block.tableGradient(head.slices[slice], isFirst: index == 0, into: dTable) }
            }
            if let dHidden { block.sumHiddenGradients(slices: head.slices.count, into: dHidden) }
        }
        if let dTable, head.blocks.count == 0 {
            dTable.update(repeating: 0, count: shape.vocabulary * shape.width)
        }
    }
}

/// How the head's work is cut, by its shape alone.
private struct HeadBlocks {
    let shape: HeadShape
    let hidden: Floats
    let table: Floats
    let blocks: RowRanges
    let slices: RowRanges
    let stride: Int

    init(_ shape: HeadShape, hidden: Floats, table: Floats) {
        (self.shape, self.hidden, self.table) = (shape, hidden, table)
        blocks = RowRanges(total: shape.rows, size: rowsPerHeadBlock(shape))
        slices = RowRanges(total: shape.vocabulary, size: leastSlice, atMost: mostSlices)
        stride = logitStride(shape.vocabulary)
    }

    /// Logits, factors, scaled rows of `hidden`, and for each slice its part of their gradient.
    var floats: Int { blocks.size * (stride + 1 + (1 + slices.count) * shape.width) }

    func block(_ index: Int, memory: MutableFloats) -> HeadBlock {
        let factors = memory + blocks.size * stride
        let scaled = factors + blocks.size
        return HeadBlock(
            rows: blocks[index],
            width: shape.width,
            vocabulary: shape.vocabulary,
            stride: stride,
            hidden: hidden + blocks[index].lowerBound * shape.width,
            table: table,
            logits: memory,
            factors: factors,
            scaledHidden: scaled,
            partials: scaled + blocks.size * shape.width
        )
    }
}

/// A block of rows on its way through the head. Rows of `softmax` are counted from the block's first.
private struct HeadBlock {
    let rows: Range<Int>
    let width: Int
    let vocabulary: Int
    let stride: Int
    /// The block's first row.
    let hidden: Floats
    let table: Floats
    /// (rows, stride): logits, then softmax - onehot less each row's factor.
    let logits: MutableFloats
    let factors: MutableFloats
    /// (rows, width): factors ⊙ hidden.
    let scaledHidden: MutableFloats
    /// (slices, rows, width): what each slice adds to dHidden, less the factors.
    let partials: MutableFloats

    func logits(_ columns: Range<Int>) {
        matrixProduct(
            m: rows.count,
            n: columns.count,
            k: width,
            hidden,
            stride: width,
            transposed: false,
            table + columns.lowerBound * width,
            stride: width,
            transposed: true,
            logits + columns.lowerBound,
            stride: stride
        )
    }

    /// - Parameter gradientScale: nil where no gradient is wanted.
    func softmax(
        _ row: Int,
        labels: Integers,
        gradientScale: Float?,
        losses: MutableFloats,
        correct: MutableFloats
    ) {
        let at = rows.lowerBound + row
        let outcome = softmaxLoss(
            logits + row * stride,
            vocabulary,
            label: Int(labels[at]),
            hasGradient: gradientScale != nil
        )
        losses[at] = outcome.loss
        correct[at] = outcome.correct ? 1 : 0
        if let gradientScale { factors[row] = gradientScale / outcome.normaliser }
    }

    func scaleHidden() { scaleRows(rows.count, width, hidden, factors, into: scaledHidden) }

    func hiddenGradient(_ slice: Int, _ columns: Range<Int>) {
        matrixProduct(
            m: rows.count,
            n: width,
            k: columns.count,
            logits + columns.lowerBound,
            stride: stride,
            table + columns.lowerBound * width,
            stride: width,
            partials + slice * rows.count * width,
            stride: width
        )
    }

    func tableGradient(_ columns: Range<Int>, isFirst: Bool, into dTable: MutableFloats) {
        matrixProduct(
            m: columns.count,
            n: width,
            k: rows.count,
            logits + columns.lowerBound,
            stride: stride,
            transposed: true,
            scaledHidden,
            stride: width,
            beta: isFirst ? 0 : 1,
            dTable + columns.lowerBound * width,
            stride: width
        )
    }

    func sumHiddenGradients(slices: Int, into dHidden: MutableFloats) {
        let size = rows.count * width
        for slice in 1..<max(slices, 1) { accumulate(size, partials + slice * size, into: partials) }
        scaleRows(rows.count, width, partials, factors, into: dHidden + rows.lowerBound * width)
    }
}

/// Rows whose logits take some 8 MiB, 32 at least: enough that packing the table for each product costs little.
private func rowsPerHeadBlock(_ shape: HeadShape) -> Int {
    let rows = max(32, min(256, (1 << 21) / logitStride(shape.vocabulary) / 32 * 32))
    return max(1, min(rows, shape.rows))
}

/// Whole vectors, and not a power of two apart: columns of a block would all fall into a few sets of the cache.
private func logitStride(_ vocabulary: Int) -> Int {
    (vocabulary + 15) / 16 * 16 + 16
}

/// y[row] = factors[row] · x[row].
private func scaleRows(_ rows: Int, _ width: Int, _ x: Floats, _ factors: Floats, into y: MutableFloats) {
    for row in 0..<rows {
        for i in row * width..<(row + 1) * width { y[i] = x[i] * factors[row] }
    }
}

/// The cross-entropy of one row of logits; if asked, writes softmax - onehot times the normaliser over them: the row's
/// gradient less a factor, which its products with narrower rows take up at less cost than this wide one.
///
/// The largest term is kept out of the sum: with `rest` the sum of the others' e^(x - max), the normaliser is 1 + rest, the
/// loss log1p(rest) + max - x[label], and the gradient at a label that has the largest logit -rest/(1 + rest), both exact
/// to rounding however sure the model is.
///
/// - Parameter logits: room for `vocabulary` rounded up to whole vectors.
@inline(always)
private func softmaxLoss(
    _ logits: MutableFloats,
    _ vocabulary: Int,
    label: Int,
    hasGradient: Bool
) -> (loss: Float, correct: Bool, normaliser: Float) {
    let padded = (vocabulary + 15) / 16 * 16
    for i in vocabulary..<padded { logits[i] = -.infinity }
    let labelLogit = logits[label]

    var largests = Vector(repeating: -.infinity)
    var i = 0
    while i < padded {
        let x = Vector.load(logits + i)
        largests = largests.replacing(with: x, where: x .> largests)
        i += 16
    }
    let largest = largests.max()
    let shift = Vector(repeating: largest)
    var best = 0
    while best < padded && !any(Vector.load(logits + best) .== shift) { best += 16 }
    while best < vocabulary && logits[best] != largest { best += 1 }
    // Nothing equals the largest where all is NaN.
    guard best < vocabulary else {
        if hasGradient { logits.update(repeating: .nan, count: vocabulary) }
        return (.nan, false, .nan)
    }

    logits[best] = -.infinity
    var (sum0, sum1) = (Vector(repeating: 0), Vector(repeating: 0))
    i = 0
    while i + 32 <= padded {
        let (e0, e1) = (exponential(.load(logits + i) - shift), exponential(.load(logits + i + 16) - shift))
        sum0 += e0
        sum1 += e1
        if hasGradient {
            e0.store(logits + i)
            e1.store(logits + i + 16)
        }
        i += 32
    }
    if i < padded {
        let e = exponential(.load(logits + i) - shift)
        sum0 += e
        if hasGradient { e.store(logits + i) }
    }
    let rest = (sum0 + sum1).treeSum
    let loss = Float(log1p(Double(rest)) + (Double(largest) - Double(labelLogit)))

    if hasGradient {
        if best == label {
            logits[best] = -rest
        } else {
            logits[best] = 1
            logits[label] -= 1 + rest
        }
    }
    return (loss, best == label && !loss.isNaN, 1 + rest)
}
