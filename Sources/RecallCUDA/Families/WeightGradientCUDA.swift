import RecallKernels

/// How the gradients of a linear layer of many rows and few columns are cut into blocks: weight_gradient.cu.
struct WeightGradientTiling: Equatable {
    /// Outputs and inputs of a tile.
    let tile: (outputs: Int, inputs: Int)
    /// Tiles across the outputs and the inputs, and shares of the rows.
    let blocks: (outputs: Int, inputs: Int, shares: Int)
    /// Rows of a share.
    let rows: Int

    /// Rows that a block fetches at once and how many such fetches it holds: ROWS and STAGES in weight_gradient.cu.
    private static let (fetched, stages) = (32, 4)
    /// Fewer rows or more tiles are cuBLAS's.
    private static let (leastRows, mostTiles) = (1024, 33)

    /// nil where cuBLAS does better, or rows are no whole quads.
    init?(_ shape: LinearShape) {
        guard shape.rows >= Self.leastRows, shape.inputs > 0, shape.outputs > 0,
            [shape.inputs, shape.outputs, shape.inputStride].allSatisfy({ $0 % 4 == 0 })
        else { return nil }
        tile = (Self.width(shape.outputs), Self.width(shape.inputs))
        let across = (
            (shape.outputs + tile.outputs - 1) / tile.outputs, (shape.inputs + tile.inputs - 1) / tile.inputs
        )
        let tiles = across.0 * across.1
        guard tiles <= Self.mostTiles else { return nil }
        // The blocks of a card with 132 processors: as many as have room on one, of small tiles two each.
        let wanted = tile == (128, 128) ? 132 : 264
        let most = min(wanted / tiles, (shape.rows + Self.fetched - 1) / Self.fetched)
        let share = (shape.rows + most - 1) / most
        rows = (share + Self.fetched - 1) / Self.fetched * Self.fetched
        blocks = (across.0, across.1, (shape.rows + rows - 1) / rows)
    }

    /// Tiles of 128 where most of them are not empty.
    private static func width(_ columns: Int) -> Int {
        let halves = (columns + 63) / 64
        return halves == 1 || halves == 3 ? 64 : 128
    }

    /// Eight numbers lie between the rows that are fetched.
    var sharedBytes: Int {
        Self.stages * Self.fetched * (tile.outputs + tile.inputs + 16) * MemoryLayout<Float>.stride
    }

    var kernel: String { "weightGradient\(tile.outputs)x\(tile.inputs)" }

    static func == (a: Self, b: Self) -> Bool {
        a.tile == b.tile && a.blocks == b.blocks && a.rows == b.rows
    }
}

extension CUDABackend {
    /// dWeight = dyᵀ x and, if asked for, dBias = Σ dy, reading dy once; false where it is not done so.
    func weightGradient(_ layer: LinearLayerBackward, x: Floats) -> Bool {
        let shape = layer.shape
        guard arithmetic != .fp32, let dWeight = layer.dWeight, let tiling = WeightGradientTiling(shape),
            tiling.sharedBytes <= device.sharedMemoryPerBlock, areInQuads(x, layer.dy)
        else { return false }
        let (weights, biases) = (shape.outputs * shape.inputs, layer.dBias == nil ? 0 : shape.outputs)
        addPartials(parts: tiling.blocks.shares, to: [(weights, dWeight), (biases, layer.dBias)]) { partials in
            launch(
                "weight_gradient",
                tiling.kernel,
                LaunchGrid(
                    blocks: tiling.blocks.outputs,
                    tiling.blocks.inputs,
                    tiling.blocks.shares,
                    threads: 256,
                    sharedBytes: tiling.sharedBytes
                ),
                shape.rows,
                shape.inputs,
                shape.outputs,
                shape.inputStride,
                tiling.rows,
                biases > 0,
                x,
                layer.dy,
                partials
            )
        }
        return true
    }
}
