import RecallRandom

/// Columns that one worker adds to the embedding's gradients: as many multipliers as one Philox batch makes.
private let columnsPerSlice = 64
/// Rows whose masks are made before any of them is looked up: without calls between them the processor can wait for
/// several of the table's rows at once.
private let rowsAtATime = 16

extension CPUBackend: EmbeddingLossKernels {
    public func embeddingForward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        table: Floats,
        positions: Floats?,
        firstPosition: Int,
        dropout: Dropout?,
        y: MutableFloats
    ) {
        let width = shape.width
        let blocks = RowRanges(total: shape.batch * shape.length, size: rowsAtATime)
        workers.forEachBlock(blocks.count, floats: rowsAtATime * width + 8) { block, worker in
            let rows = blocks[block]
            let mask = dropout.map {
                $0.run(rows.lowerBound * width, rows.count * width, workers.workspace(worker))
            }
            for row in rows {
                let from = table + Int(tokens[row]) * width
                let position = positions.map { $0 + (firstPosition + row % shape.length) * width }
                let mask = mask.map { $0 + (row - rows.lowerBound) * width }
                let to = y + row * width
                var i = 0
                while i < width {
                    let lanes = min(16, width - i)
                    var value = load(from + i, lanes)
                    if let position { value += load(position + i, lanes) }
                    if let mask { value *= load(mask + i, lanes) }
                    store(value, to + i, lanes)
                    i += 16
                }
            }
        }
    }

    public func embeddingBackward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        dropout: Dropout?,
        dy: Floats,
        dTable: MutableFloats,
        dPositions: MutableFloats?
    ) {
        // A slice of columns goes through all rows in order: no partial sums of a large table, and the order of
        // every sum is the rows'.
        let width = shape.width
        let slices = RowRanges(total: width, size: columnsPerSlice)
        let groups = RowRanges(total: shape.batch * shape.length, size: rowsAtATime)
        let maskStride = columnsPerSlice + 8
        workers.forEachBlock(slices.count, floats: rowsAtATime * maskStride) { slice, worker in
            let (first, count) = (slices[slice].lowerBound, slices[slice].count)
            let masks = workers.workspace(worker)
            for group in 0..<groups.count {
                let rows = groups[group]
                for row in rows {
                    guard let dropout else { break }
                    let target = masks + (row - rows.lowerBound) * maskStride
                    let mask = dropout.run(row * width + first, count, target)
                    if mask != Floats(target) { target.update(from: mask, count: count) }
                }
                for row in rows {
                    let from = dy + row * width + first
                    let mask = dropout.map { _ in masks + (row - rows.lowerBound) * maskStride }
                    let to = dTable + Int(tokens[row]) * width + first
                    let position = dPositions.map { $0 + row % shape.length * width + first }
                    var i = 0
                    while i < count {
                        let lanes = min(16, count - i)
                        var value = load(from + i, lanes)
                        if let mask { value *= load(Floats(mask) + i, lanes) }
                        store(load(to + i, lanes) + value, to + i, lanes)
                        if let position { store(load(position + i, lanes) + value, position + i, lanes) }
                        i += 16
                    }
                }
            }
        }
    }

    public func gatherRows(count: Int, width: Int, x: Floats, rows: Integers, y: MutableFloats) {
        let blocks = RowRanges(total: count, size: 512)
        workers.forEachBlock(blocks.count) { block, _ in
            for row in blocks[block] {
                (y + row * width).update(from: x + Int(rows[row]) * width, count: width)
            }
        }
    }

    public func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats) {
        let blocks = RowRanges(total: total, size: 512)
        workers.forEachBlock(blocks.count) { block, _ in
            var next = firstIndex(in: rows, count: count, notBelow: blocks[block].lowerBound)
            for row in blocks[block] {
                if next < count && Int(rows[next]) == row {
                    (dx + row * width).update(from: dy + next * width, count: width)
                    next += 1
                } else {
                    (dx + row * width).update(repeating: 0, count: width)
                }
            }
        }
    }
}

extension Dropout {
    /// The multipliers of elements `first ..< first + count`, from any first, in a workspace of `count` + 8.
    @inline(always)
    fileprivate func run(_ first: Int, _ count: Int, _ workspace: MutableFloats) -> Floats {
        let offset = first & 7
        multipliers(first: first - offset, count: count + offset, into: workspace)
        return Floats(workspace + offset)
    }
}

/// The first index whose row (they ascend) is not below `row`, by bisection.
@inline(always)
private func firstIndex(in rows: Integers, count: Int, notBelow row: Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
        let middle = (low + high) / 2
        if Int(rows[middle]) < row { low = middle + 1 } else { high = middle }
    }
    return low
}

@inline(always)
private func load(_ x: Floats, _ lanes: Int) -> Vector {
    lanes == 16 ? .load(x) : .load(x, count: lanes)
}

@inline(always)
private func store(_ value: Vector, _ y: MutableFloats, _ lanes: Int) {
    if lanes == 16 { value.store(y) } else { value.store(y, count: lanes) }
}
