/// Rows in one product: enough for OpenBLAS to run at full speed, few enough to share out and to stay in cache.
private let rowsPerProduct = 1024

/// Bounds the partial sums of a weight gradient.
private let mostGradientGroups = 8

extension CPUBackend: LinearAlgebraKernels {
    public func linearForward(_ shape: LinearShape, x: Floats, weight: Floats, bias: Floats?, y: MutableFloats)
    {
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        let blocks = RowRanges(total: shape.rows, size: rowsPerProduct)
        workers.forEachBlock(blocks.count) { block, _ in
            let rows = blocks[block]
            let yBlock = y + rows.lowerBound * outputs
            if let bias {
                // OpenBLAS clears C before it adds to it, so a C that starts as the bias costs nothing more.
                for row in 0..<rows.count { (yBlock + row * outputs).update(from: bias, count: outputs) }
            }
            matrixProduct(
                m: rows.count, n: outputs, k: inputs, x + rows.lowerBound * shape.inputStride,
                stride: shape.inputStride, transposed: false, weight, stride: inputs, transposed: true,
                beta: bias == nil ? 0 : 1, yBlock,
                stride: outputs)
        }
    }

    public func linearBackward(
        _ shape: LinearShape, x: Floats, weight: Floats, dy: Floats, dx: MutableFloats?,
        dWeight: MutableFloats?,
        dBias: MutableFloats?
    ) {
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        let weights = inputs * outputs
        // A group of rows sums its own gradients block after block, while dy is in cache for dx too. The first
        // group sums in the outputs themselves, the others in partials that are then added in order.
        let groups = RowRanges(total: shape.rows, size: rowsPerProduct, atMost: mostGradientGroups)
        let partials = workers.sharedWorkspace(floats: max(0, groups.count - 1) * (weights + outputs))
        workers.forEachBlock(groups.count) { group, _ in
            let partial = partials + (group - 1) * (weights + outputs)
            let groupWeight = dWeight.map { group == 0 ? $0 : partial }
            let groupBias = dBias.map { group == 0 ? $0 : partial + weights }
            if let groupBias { groupBias.update(repeating: 0, count: outputs) }
            let groupRows = groups[group]
            var first = groupRows.lowerBound
            while first < groupRows.upperBound, !workers.isCancelled {
                let count = min(rowsPerProduct, groupRows.upperBound - first)
                let dyBlock = dy + first * outputs
                if let dx {
                    matrixProduct(
                        m: count, n: inputs, k: outputs, dyBlock, stride: outputs, weight, stride: inputs,
                        dx + first * shape.inputStride, stride: shape.inputStride)
                }
                if let groupWeight {
                    matrixProduct(
                        m: outputs, n: inputs, k: count, dyBlock, stride: outputs, transposed: true,
                        x + first * shape.inputStride, stride: shape.inputStride,
                        beta: first == groupRows.lowerBound ? 0 : 1, groupWeight, stride: inputs)
                }
                if let groupBias { addColumnSums(rows: count, columns: outputs, dyBlock, into: groupBias) }
                first += count
            }
        }
        if groups.count == 0 {
            dWeight?.update(repeating: 0, count: weights)
            dBias?.update(repeating: 0, count: outputs)
        }
        for group in 1..<max(groups.count, 1) {
            let partial = partials + (group - 1) * (weights + outputs)
            if let dWeight { accumulate(weights, partial, into: dWeight) }
            if let dBias { accumulate(outputs, partial + weights, into: dBias) }
        }
    }
}

/// sums[c] += Σ_rows x[row, c], 64 columns at a time in registers.
@inline(always)
private func addColumnSums(rows: Int, columns: Int, _ x: Floats, into sums: MutableFloats) {
    var column = 0
    while column + 64 <= columns {
        var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var from = x + column
        for _ in 0..<rows {
            s0 += .load(from)
            s1 += .load(from + 16)
            s2 += .load(from + 32)
            s3 += .load(from + 48)
            from += columns
        }
        let to = sums + column
        (.load(to) + s0).store(to)
        (.load(to + 16) + s1).store(to + 16)
        (.load(to + 32) + s2).store(to + 32)
        (.load(to + 48) + s3).store(to + 48)
        column += 64
    }
    while column < columns {
        let lanes = min(16, columns - column)
        var sum = Vector.zero
        var from = x + column
        for _ in 0..<rows {
            sum += lanes == 16 ? .load(from) : .load(from, count: lanes)
            from += columns
        }
        for lane in 0..<lanes { sums[column + lane] += sum[lane] }
        column += lanes
    }
}
