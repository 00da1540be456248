#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bounds the partial gradients of the table, each as large as the table.
private let mostTableGroups = 4

extension CPUBackend {
    public func headLoss(
        _ shape: HeadShape, hidden: Floats, table: Floats, labels: Integers, gradientScale: Float,
        losses: MutableFloats, correct: MutableFloats, dHidden: MutableFloats?, dTable: MutableFloats?
    ) {
        let (width, vocabulary) = (shape.width, shape.vocabulary)
        let stride = logitStride(vocabulary)
        let blocks = RowRanges(total: shape.rows, size: rowsPerHeadBlock(shape))
        // Groups of blocks sum the table's gradient, the first of them in dTable itself, the others in partials
        // that are then added in order. Without that gradient every block is its own group.
        let groups = RowRanges(
            total: blocks.count, size: 1, atMost: dTable == nil ? max(1, blocks.count) : mostTableGroups)
        let partials = workers.sharedWorkspace(
            floats: dTable == nil ? 0 : max(0, groups.count - 1) * vocabulary * width)
        let hasGradients = dHidden != nil || dTable != nil
        workers.forEachBlock(groups.count, floats: blocks.size * (stride + width + 1)) { group, worker in
            let logits = workers.workspace(worker)
            let scaledHidden = logits + blocks.size * stride
            let factors = scaledHidden + blocks.size * width
            let tableSum = dTable.map { group == 0 ? $0 : partials + (group - 1) * vocabulary * width }
            // A group of a large batch can be seconds of work.
            for block in groups[group] where !workers.isCancelled {
                let (first, count) = (blocks[block].lowerBound, blocks[block].count)
                let hiddenBlock = hidden + first * width
                matrixProduct(
                    m: count, n: vocabulary, k: width, hiddenBlock, stride: width, transposed: false, table,
                    stride: width, transposed: true, logits, stride: stride)
                for row in first..<first + count {
                    let outcome = softmaxLoss(
                        logits + (row - first) * stride, vocabulary, label: Int(labels[row]),
                        hasGradient: hasGradients)
                    losses[row] = outcome.loss
                    correct[row] = outcome.correct ? 1 : 0
                    factors[row - first] = gradientScale / outcome.normaliser
                }
                if let dHidden {
                    matrixProduct(
                        m: count, n: width, k: vocabulary, logits, stride: stride, table, stride: width,
                        dHidden + first * width, stride: width)
                    scaleRows(count, width, dHidden + first * width, factors, into: dHidden + first * width)
                }
                if let tableSum {
                    scaleRows(count, width, hiddenBlock, factors, into: scaledHidden)
                    matrixProduct(
                        m: vocabulary, n: width, k: count, logits, stride: stride, transposed: true,
                        scaledHidden, stride: width, beta: block == groups[group].lowerBound ? 0 : 1, tableSum,
                        stride: width)
                }
            }
        }
        guard let dTable else { return }
        if groups.count == 0 { dTable.update(repeating: 0, count: vocabulary * width) }
        for group in 1..<max(groups.count, 1) {
            accumulate(vocabulary * width, partials + (group - 1) * vocabulary * width, into: dTable)
        }
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

/// y[row] = factors[row] · x[row]; y may be x.
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
    _ logits: MutableFloats, _ vocabulary: Int, label: Int, hasGradient: Bool
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
