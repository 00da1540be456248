extension CPUBackend: NormalisationKernels {
    public func addNormForward(
        _ shape: NormShape,
        residual: Floats,
        branch: Floats?,
        gain: Floats,
        bias: Floats?,
        sum: MutableFloats?,
        y: MutableFloats,
        statistics: MutableFloats
    ) {
        let (rows, width) = (shape.rows, shape.width)
        let blocks = RowRanges(total: rows, size: 256)
        workers.forEachBlock(blocks.count) { block, _ in
            for row in blocks[block] {
                let at = row * width
                var x = residual + at
                if let branch, let sum {
                    addRow(width, x, branch + at, into: sum + at)
                    x = Floats(sum + at)
                }
                let mean = shape.kind == .layer ? rowSum(width, x) / Float(width) : 0
                let variance = squaredDistance(width, x, from: mean) / Float(width)
                let reciprocal = 1 / (variance + shape.epsilon).squareRoot()
                normaliseRow(width, x, mean, reciprocal, gain: gain, bias: bias, into: y + at)
                statistics[row] = mean
                statistics[rows + row] = reciprocal
            }
        }
    }

    public func addNormBackward(
        _ shape: NormShape,
        sum: Floats,
        gain: Floats,
        statistics: Floats,
        dy: Floats,
        dSum: Floats?,
        dInput: MutableFloats,
        dGain: MutableFloats,
        dBias: MutableFloats?
    ) {
        let (rows, width) = (shape.rows, shape.width)
        let blocks = RowRanges(total: rows, size: 128, atMost: 32)
        guard let partials = workers.sharedWorkspace(floats: blocks.count * 2 * width) else { return }
        workers.forEachBlock(blocks.count) { block, _ in
            let gainPartial = partials + block * 2 * width
            let biasPartial = gainPartial + width
            gainPartial.update(repeating: 0, count: 2 * width)
            for row in blocks[block] {
                let at = row * width
                let statistic = (mean: statistics[row], reciprocal: statistics[rows + row])
                let sums = addParameterGradients(
                    width,
                    sum + at,
                    statistic,
                    gain: gain,
                    dy: dy + at,
                    dGain: gainPartial,
                    dBias: biasPartial
                )
                let meanGradient = shape.kind == .layer ? sums.gradient / Float(width) : 0
                inputGradient(
                    width,
                    sum + at,
                    statistic,
                    gain: gain,
                    dy: dy + at,
                    dSum: dSum.map { $0 + at },
                    meanGradient: meanGradient,
                    meanProduct: sums.product / Float(width),
                    into: dInput + at
                )
            }
        }
        dGain.update(repeating: 0, count: width)
        dBias?.update(repeating: 0, count: width)
        for block in 0..<blocks.count {
            let gainPartial = partials + block * 2 * width
            accumulate(width, gainPartial, into: dGain)
            if let dBias { accumulate(width, gainPartial + width, into: dBias) }
        }
    }
}

// Each pass over a row: whole vectors, then the last few numbers one by one.

@inline(always)
private func addRow(_ width: Int, _ a: Floats, _ b: Floats, into y: MutableFloats) {
    var i = 0
    while i + 16 <= width {
        (Vector.load(a + i) + .load(b + i)).store(y + i)
        i += 16
    }
    while i < width {
        y[i] = a[i] + b[i]
        i += 1
    }
}

@inline(always)
private func rowSum(_ width: Int, _ x: Floats) -> Float {
    var sums = Vector.zero
    var i = 0
    while i + 16 <= width {
        sums += .load(x + i)
        i += 16
    }
    var sum = sums.treeSum
    while i < width {
        sum += x[i]
        i += 1
    }
    return sum
}

/// Σ (x_i - centre)².
@inline(always)
private func squaredDistance(_ width: Int, _ x: Floats, from centre: Float) -> Float {
    let centres = Vector(repeating: centre)
    var sums = Vector.zero
    var i = 0
    while i + 16 <= width {
        let distance = .load(x + i) - centres
        sums.addProduct(distance, distance)
        i += 16
    }
    var sum = sums.treeSum
    while i < width {
        sum += (x[i] - centre) * (x[i] - centre)
        i += 1
    }
    return sum
}

@inline(always)
private func normaliseRow(
    _ width: Int,
    _ x: Floats,
    _ mean: Float,
    _ reciprocal: Float,
    gain: Floats,
    bias: Floats?,
    into y: MutableFloats
) {
    let (means, reciprocals) = (Vector(repeating: mean), Vector(repeating: reciprocal))
    var i = 0
    while i + 16 <= width {
        let normalised = (Vector.load(x + i) - means) * reciprocals
        let offset = bias.map { Vector.load($0 + i) } ?? .zero
        offset.addingProduct(normalised, .load(gain + i)).store(y + i)
        i += 16
    }
    while i < width {
        y[i] = (x[i] - mean) * reciprocal * gain[i] + (bias?[i] ?? 0)
        i += 1
    }
}

/// dGain += dy ⊙ x̂, dBias += dy; returns Σ ĝ and Σ ĝ ⊙ x̂ with ĝ = dy ⊙ gain.
@inline(always)
private func addParameterGradients(
    _ width: Int,
    _ x: Floats,
    _ statistic: (mean: Float, reciprocal: Float),
    gain: Floats,
    dy: Floats,
    dGain: MutableFloats,
    dBias: MutableFloats
) -> (gradient: Float, product: Float) {
    let (mean, reciprocal) = statistic
    let (means, reciprocals) = (Vector(repeating: mean), Vector(repeating: reciprocal))
    var (gradients, products) = (Vector.zero, Vector.zero)
    var i = 0
    while i + 16 <= width {
        let normalised = (Vector.load(x + i) - means) * reciprocals
        let d = Vector.load(dy + i)
        let scaled = d * .load(gain + i)
        gradients += scaled
        products.addProduct(scaled, normalised)
        Vector.load(dGain + i).addingProduct(d, normalised).store(dGain + i)
        (.load(dBias + i) + d).store(dBias + i)
        i += 16
    }
    var (gradient, product) = (gradients.treeSum, products.treeSum)
    while i < width {
        let normalised = (x[i] - mean) * reciprocal
        gradient += dy[i] * gain[i]
        product += dy[i] * gain[i] * normalised
        dGain[i] += dy[i] * normalised
        dBias[i] += dy[i]
        i += 1
    }
    return (gradient, product)
}

/// dSum + r(ĝ - mean ĝ - x̂ mean(ĝ ⊙ x̂)).
@inline(always)
private func inputGradient(
    _ width: Int,
    _ x: Floats,
    _ statistic: (mean: Float, reciprocal: Float),
    gain: Floats,
    dy: Floats,
    dSum: Floats?,
    meanGradient: Float,
    meanProduct: Float,
    into dInput: MutableFloats
) {
    let (mean, reciprocal) = statistic
    let (means, reciprocals) = (Vector(repeating: mean), Vector(repeating: reciprocal))
    let (meanGradients, meanProducts) = (Vector(repeating: meanGradient), Vector(repeating: -meanProduct))
    var i = 0
    while i + 16 <= width {
        let normalised = (Vector.load(x + i) - means) * reciprocals
        let centred = (-meanGradients).addingProduct(.load(dy + i), .load(gain + i))
        let offset = dSum.map { Vector.load($0 + i) } ?? .zero
        offset.addingProduct(centred.addingProduct(normalised, meanProducts), reciprocals).store(dInput + i)
        i += 16
    }
    while i < width {
        let normalised = (x[i] - mean) * reciprocal
        dInput[i] =
            (dSum?[i] ?? 0) + reciprocal * (dy[i] * gain[i] - meanGradient - normalised * meanProduct)
        i += 1
    }
}
