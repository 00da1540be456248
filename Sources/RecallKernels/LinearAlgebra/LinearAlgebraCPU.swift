/// Rows in one product: enough for OpenBLAS to run at full speed, few enough to share out and to stay in cache.
private let rowsPerProduct = 1024

/// Bounds the partial sums of a weight gradient.
private let mostGradientGroups = 8

extension CPUBackend: LinearAlgebraKernels {
    public func linearForward(_ layers: [LinearLayerForward], x: Floats) {
        let shape = layers[0].shape
        let blocks = RowRanges(total: shape.rows, size: rowsPerProduct)
        workers.forEachBlock(blocks.count) { block, _ in
            let rows = blocks[block]
            for layer in layers { layer.run(rows, x: x + rows.lowerBound * shape.inputStride) }
        }
    }

    public func linearBackward(_ layers: [LinearLayerBackward], x: Floats, dx: MutableFloats?, addsToDx: Bool) {
        let shape = layers[0].shape
        // A group of rows sums its own gradients block after block, while dy is in cache for dx too. The first
        // group sums in the outputs themselves, the others in partials that are then added in order.
        let groups = RowRanges(total: shape.rows, size: rowsPerProduct, atMost: mostGradientGroups)
        let partialSize = layers.reduce(0) { $0 + $1.gradientSize }
        let floats = max(0, groups.count - 1) * partialSize
        guard let partials = workers.sharedWorkspace(floats: floats) else { return }
        workers.forEachBlock(groups.count) { group, _ in
            let rows = groups[group]
            for first in stride(from: rows.lowerBound, to: rows.upperBound, by: rowsPerProduct)
            where !workers.isCancelled {
                let block = first..<min(first + rowsPerProduct, rows.upperBound)
                var partial = partials + (group - 1) * partialSize
                for (index, layer) in layers.enumerated() {
                    let gradients = group == 0 ? layer.outputs : layer.partials(at: partial)
                    layer.run(
                        block,
                        x: x + first * shape.inputStride,
                        dx: dx.map { $0 + first * shape.inputStride },
                        addsToDx: addsToDx || index > 0,
                        gradients,
                        isFirstBlock: first == rows.lowerBound
                    )
                    partial += layer.gradientSize
                }
            }
        }
        if groups.count == 0 {
            for layer in layers { layer.outputs.clear(shape: layer.shape) }
        }
        for group in 1..<max(groups.count, 1) {
            var partial = partials + (group - 1) * partialSize
            for layer in layers {
                layer.outputs.add(layer.partials(at: partial), shape: layer.shape)
                partial += layer.gradientSize
            }
        }
    }
}

extension LinearLayerForward {
    /// Some rows of the layer, x being the first of them.
    fileprivate func run(_ rows: Range<Int>, x: Floats) {
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        let y = y + rows.lowerBound * outputs
        if let bias {
            // OpenBLAS clears C before it adds to it, so a C that starts as the bias costs nothing more.
            for row in 0..<rows.count { (y + row * outputs).update(from: bias, count: outputs) }
        }
        matrixProduct(
            m: rows.count,
            n: outputs,
            k: inputs,
            x,
            stride: shape.inputStride,
            transposed: false,
            weight,
            stride: inputs,
            transposed: true,
            beta: bias == nil ? 0 : 1,
            y,
            stride: outputs
        )
    }
}

/// Where the gradients of a layer's parameters are summed; nil for those that nobody wants.
private struct LinearGradients {
    let weight: MutableFloats?
    let bias: MutableFloats?

    func clear(shape: LinearShape) {
        weight?.update(repeating: 0, count: shape.inputs * shape.outputs)
        bias?.update(repeating: 0, count: shape.outputs)
    }

    /// Adds partial sums.
    func add(_ partial: LinearGradients, shape: LinearShape) {
        if let weight, let sum = partial.weight { accumulate(shape.inputs * shape.outputs, sum, into: weight) }
        if let bias, let sum = partial.bias { accumulate(shape.outputs, sum, into: bias) }
    }
}

extension LinearLayerBackward {
    fileprivate var outputs: LinearGradients { LinearGradients(weight: dWeight, bias: dBias) }

    /// Elements that partial sums of its gradients take.
    fileprivate var gradientSize: Int { shape.outputs * (shape.inputs + 1) }

    fileprivate func partials(at address: MutableFloats) -> LinearGradients {
        LinearGradients(
            weight: dWeight.map { _ in address },
            bias: dBias.map { _ in address + shape.inputs * shape.outputs }
        )
    }

    /// Some rows of the layer, x and dx being the first of them.
    ///
    /// - Parameters:
    ///   - addsToDx: whether dx is added to, not written.
    ///   - isFirstBlock: whether the gradients are written, not added to.
    fileprivate func run(
        _ rows: Range<Int>,
        x: Floats,
        dx: MutableFloats?,
        addsToDx: Bool,
        _ gradients: LinearGradients,
        isFirstBlock: Bool
    ) {
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        let dy = dy + rows.lowerBound * outputs
        if let dx {
            matrixProduct(
                m: rows.count,
                n: inputs,
                k: outputs,
                dy,
                stride: outputs,
                weight,
                stride: inputs,
                beta: addsToDx ? 1 : 0,
                dx,
                stride: shape.inputStride
            )
        }
        if let weight = gradients.weight {
            matrixProduct(
                m: outputs,
                n: inputs,
                k: rows.count,
                dy,
                stride: outputs,
                transposed: true,
                x,
                stride: shape.inputStride,
                beta: isFirstBlock ? 0 : 1,
                weight,
                stride: inputs
            )
        }
        if let bias = gradients.bias {
            if isFirstBlock { bias.update(repeating: 0, count: outputs) }
            addColumnSums(rows: rows.count, columns: outputs, dy, into: bias)
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
