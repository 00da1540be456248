import RecallKernels

extension CUDABackend {
    /// Bytes of logits that are there at once, where they are stored.
    private static let logitBytes = 128 << 20

    /// In tiles that store no logits where the width allows and products are rounded, in blocks of logits elsewhere.
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
        let call = HeadCall(
            shape: shape,
            hidden: hidden,
            table: table,
            labels: labels,
            gradientScale: gradientScale,
            losses: losses,
            correct: correct,
            dHidden: dHidden,
            dTable: dTable
        )
        if shape.rows == 0 {
            if let dTable { fillZero(shape.vocabulary * shape.width, y: dTable) }
        } else if arithmetic != .fp32, let tiling = HeadTiling(shape, capability: device.capability) {
            tiledHeadLoss(call, tiling)
        } else {
            storedHeadLoss(call)
        }
    }

    private func tiledHeadLoss(_ call: HeadCall, _ tiling: HeadTiling) {
        let (shape, width) = (call.shape, tiling.width)
        let module = (tiling.isHopper ? "head_hopper" : "head_loss") + "@\(width)"
        let hasRowGradient = call.dHidden != nil
        let memory = HeadMemory(tiling, workspace(floats: tiling.floats))
        launch(
            module,
            "headOperands\(width)",
            tiling.operandGrid,
            shape.rows,
            shape.width,
            shape.vocabulary,
            call.hidden,
            call.table,
            call.labels,
            memory.statistics,
            memory.hidden
        )
        launch(
            module,
            (hasRowGradient ? "headRows" : "headRowsLoss") + "\(width)",
            tiling.rowGrid,
            shape.rows,
            shape.vocabulary,
            tiling.rowShares.tiles,
            memory.hidden,
            memory.table,
            memory.statistics,
            memory.labelLogits,
            memory.rowSums,
            memory.rowPartials
        )
        launch(
            module,
            "headLosses\(width)",
            LaunchGrid(blocks: tiling.rows / 8, threads: 256),
            shape.rows,
            shape.width,
            tiling.rowShares.count,
            call.gradientScale,
            call.table,
            memory.labelLogits,
            memory.rowSums,
            memory.rowPartials,
            memory.statistics,
            call.losses,
            call.correct,
            call.dHidden
        )
        guard let dTable = call.dTable else { return }
        launch(
            module,
            "headTable\(width)",
            tiling.tableGrid,
            shape.rows,
            shape.vocabulary,
            tiling.tableShares.tiles,
            memory.hidden,
            memory.table,
            memory.statistics,
            memory.tablePartials
        )
        launch(
            module,
            "headTableSum\(width)",
            .covering(shape.vocabulary * width / 4),
            shape.width,
            shape.vocabulary,
            tiling.tableShares.count,
            call.gradientScale,
            memory.tablePartials,
            dTable
        )
    }

    private func storedHeadLoss(_ call: HeadCall) {
        let (rows, width, vocabulary) = (call.shape.rows, call.shape.width, call.shape.vocabulary)
        // Rows start on a multiple of 16 bytes, which the fast products ask for.
        let stride = (vocabulary + 3) / 4 * 4
        let most = max(64, Self.logitBytes / MemoryLayout<Float>.stride / stride / 64 * 64)
        let logits = workspace(floats: min(most, rows) * stride)
        let hasGradient = call.dHidden != nil || call.dTable != nil
        let transposedTable = DeviceMatrix(call.table, stride: width, transposed: true)
        for first in Swift.stride(from: 0, to: rows, by: most) {
            let count = min(most, rows - first)
            let block = DeviceMatrix(call.hidden + first * width, stride: width)
            product(m: vocabulary, n: count, k: width, transposedTable, block, logits, stride: stride)
            launch(
                "embedding_loss",
                "softmaxLoss",
                LaunchGrid(blocks: count, threads: 512),
                vocabulary,
                stride,
                call.labels + first,
                logits,
                call.gradientScale,
                hasGradient,
                call.losses + first,
                call.correct + first
            )
            if let dHidden = call.dHidden {
                product(
                    m: width,
                    n: count,
                    k: vocabulary,
                    DeviceMatrix(call.table, stride: width),
                    DeviceMatrix(logits, stride: stride),
                    dHidden + first * width,
                    stride: width
                )
            }
            if let dTable = call.dTable {
                product(
                    m: width,
                    n: vocabulary,
                    k: count,
                    block,
                    DeviceMatrix(logits, stride: stride, transposed: true),
                    beta: first == 0 ? 0 : 1,
                    dTable,
                    stride: width
                )
            }
        }
    }
}

/// The arguments of `headLoss`.
private struct HeadCall {
    let shape: HeadShape
    let hidden: Floats
    let table: Floats
    let labels: Integers
    let gradientScale: Float
    let losses: MutableFloats
    let correct: MutableFloats
    let dHidden: MutableFloats?
    let dTable: MutableFloats?
}

/// How the head's two passes over the logits are cut into blocks, by the shape and the capability alone: for mma.sync
/// (head_tiles.cuh), or for wgmma (head_hopper.cu).
struct HeadTiling {
    /// What passes a matrix's blocks by, in shares of so many tiles; the last may have fewer.
    struct Shares: Equatable {
        let count: Int
        let tiles: Int

        /// What a block costs beside its tiles, and its sums to be added, in tiles.
        private static let overhead = 2

        /// As many as let the blocks end soonest, if they come in waves of as many as run at once.
        init(kept blocks: Int, passing tiles: Int, slots: Int) {
            func time(_ count: Int) -> Int {
                (blocks * count + slots - 1) / slots * ((tiles + count - 1) / count + Self.overhead)
            }
            let best = (1...max(1, min(tiles, slots))).min { time($0) < time($1) } ?? 1
            self.tiles = max(1, (tiles + best - 1) / best)
            count = (tiles + self.tiles - 1) / self.tiles
        }
    }

    private static let blockRows = 128

    let isHopper: Bool
    /// Rows of both matrices, in whole blocks.
    let rows: Int
    let vocabulary: Int
    /// Numbers in a row as the kernels hold it.
    let width: Int
    let rowShares: Shares
    let tableShares: Shares
    /// Of a tile that passes.
    private let passing: Int

    /// nil where rows are wider than the kernels hold.
    ///
    /// - Parameter capability: the device's: 80, 90…
    init?(_ shape: HeadShape, capability: Int) {
        guard let width = [32, 64, 128].first(where: { shape.width <= $0 }) else { return nil }
        self.width = width
        isHopper = capability == 90 && width > 32
        func blocks(_ rows: Int) -> Int { (rows + Self.blockRows - 1) / Self.blockRows }
        (rows, vocabulary) = (blocks(shape.rows) * Self.blockRows, blocks(shape.vocabulary) * Self.blockRows)
        let passing = isHopper ? Self.hopperTile / width : width <= 64 ? 64 : 32
        self.passing = passing
        // Blocks that the cards of 132 processors which these numbers were chosen for run at once.
        let slots = isHopper ? 132 : 264
        func shares(kept: Int, passing rows: Int) -> Shares {
            Shares(kept: blocks(kept), passing: (rows + passing - 1) / passing, slots: slots)
        }
        rowShares = shares(kept: shape.rows, passing: shape.vocabulary)
        tableShares = shares(kept: shape.vocabulary, passing: shape.rows)
    }

    /// TILE and STAGES in head_hopper.cu.
    private static let (hopperTile, hopperStages) = (8192, 3)

    private func grid(kept rows: Int, _ shares: Shares, statistics: Int) -> LaunchGrid {
        let ofMmaSync = (Self.blockRows + 2 * passing) * (width + 4) + 2 * statistics * passing
        // 256 numbers for the start to lie on 1024 bytes, 24 for four barriers a stage.
        let ofHopper = Self.hopperStages * (2 * Self.hopperTile + 3 * passing) + 256 + 8 * Self.hopperStages
        return LaunchGrid(
            blocks: rows / Self.blockRows,
            shares.count,
            threads: isHopper ? 384 : 128,
            sharedBytes: (isHopper ? ofHopper : ofMmaSync) * MemoryLayout<Float>.stride
        )
    }

    var operandGrid: LaunchGrid {
        isHopper
            ? LaunchGrid(blocks: (rows + vocabulary) / 32, threads: 256)
            : .covering((rows + vocabulary) * width / 4)
    }
    var rowGrid: LaunchGrid { grid(kept: rows, rowShares, statistics: 0) }
    var tableGrid: LaunchGrid { grid(kept: vocabulary, tableShares, statistics: 3) }
}

/// Where the tiled head's intermediate numbers lie in the workspace.
private struct HeadMemory {
    /// (padded rows, padded width), rounded; `table` follows, (padded vocabulary, padded width); on Hopper in tiles, and
    /// both transposed behind them.
    let hidden: MutableFloats
    let table: MutableFloats
    /// (3, padded rows): normalisers, gradients at labels, labels.
    let statistics: MutableFloats
    /// (padded rows).
    let labelLogits: MutableFloats
    /// (shares, padded rows, 4).
    let rowSums: MutableFloats
    /// (shares, padded rows, padded width), and in the same place (shares, padded vocabulary, padded width): the first are
    /// added before the second are made.
    let rowPartials: MutableFloats
    var tablePartials: MutableFloats { rowPartials }

    init(_ tiling: HeadTiling, _ memory: MutableFloats) {
        hidden = memory
        table = hidden + tiling.rows * tiling.width
        statistics = memory + tiling.operandFloats
        labelLogits = statistics + 3 * tiling.rows
        rowSums = labelLogits + tiling.rows
        rowPartials = rowSums + 4 * tiling.rowShares.count * tiling.rows
    }
}

extension HeadTiling {
    fileprivate var operandFloats: Int { (isHopper ? 2 : 1) * (rows + vocabulary) * width }

    /// Of the workspace, as HeadMemory lays it out.
    fileprivate var floats: Int {
        let partials = max(rowShares.count * rows, tableShares.count * vocabulary) * width
        return operandFloats + (4 + 4 * rowShares.count) * rows + partials
    }
}
