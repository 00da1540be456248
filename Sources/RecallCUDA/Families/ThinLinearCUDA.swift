import RecallKernels

/// How linear layers of many rows and few columns that read the same x are done in one launch: thin_linear.cu.
struct ThinLinear {
    /// Columns of x that the instance holds; ends the names of the kernels.
    let held: Int
    let forwardSharedBytes: Int
    let backwardSharedBytes: Int
    let blocks: Int

    /// Four warps of WARP_ROWS rows, and MOST_LAYERS, in thin_linear.cu.
    private static let (threads, blockRows, mostLayers) = (128, 64, 4)
    /// Columns of both factors come in groups of so many, outputs of forward in two.
    private static let group = 16
    /// Fewer rows or columns are cuBLAS's.
    private static let (leastRows, leastInputs) = (1024, 32)
    /// And so are more columns of one layer by itself, for which rows are not read the fewer times.
    private static let mostOfOne = 64
    /// Two blocks of a processor of compute capability 9.0 have so much each: more weights are cuBLAS's.
    private static let mostSharedBytes = 112 << 10
    /// Of a card with 132 processors, four each: they then go on to further rows.
    private static let mostBlocks = 528

    /// nil where cuBLAS does better, or rows are no whole quads.
    init?(_ shapes: [LinearShape]) {
        guard let first = shapes.first, shapes.count <= Self.mostLayers, first.rows >= Self.leastRows,
            first.inputs >= Self.leastInputs,
            let held = [64, 128].first(where: { first.inputs <= $0 }),
            ([first.inputs, first.inputStride] + shapes.map(\.outputs)).allSatisfy({ $0 > 0 && $0 % 4 == 0 }),
            shapes.count > 1 || max(first.inputs, first.outputs) <= Self.mostOfOne
        else { return nil }
        self.held = held
        func padded(_ multiple: Int) -> Int {
            shapes.reduce(0) { $0 + ($1.outputs + multiple - 1) / multiple * multiple }
        }
        let numbers = MemoryLayout<Float>.stride
        forwardSharedBytes = padded(2 * Self.group) * (held + Self.group) * numbers
        backwardSharedBytes = held * (padded(Self.group) | Self.group) * numbers
        guard max(forwardSharedBytes, backwardSharedBytes) <= Self.mostSharedBytes else { return nil }
        blocks = min(Self.mostBlocks, (first.rows + Self.blockRows - 1) / Self.blockRows)
    }

    func grid(sharedBytes: Int) -> LaunchGrid {
        LaunchGrid(blocks: blocks, threads: Self.threads, sharedBytes: sharedBytes)
    }

    /// What the kernels are told of the layers: struct ThinLayers.
    struct Layers: KernelArgument {
        let layers: [(weight: Floats, bias: Floats?, numbers: Floats, outputs: Int)]

        func write(to arguments: inout KernelArguments) {
            let words = layers.flatMap { layer -> [UInt64] in
                [layer.weight.word, layer.bias?.word ?? 0, layer.numbers.word, UInt64(layer.outputs)]
            }
            arguments.append(words + Array(repeating: 0, count: 4 * ThinLinear.mostLayers - words.count))
        }
    }
}

extension CUDABackend {
    private static let module = "thin_linear"

    private func thinLinear(_ shapes: [LinearShape]) -> ThinLinear? {
        guard arithmetic != .fp32, let thin = ThinLinear(shapes),
            max(thin.forwardSharedBytes, thin.backwardSharedBytes) <= device.sharedMemoryPerBlock
        else { return nil }
        return thin
    }

    /// y = x Wᵀ + bias of all layers; false where it is not done so.
    func thinForward(_ layers: [LinearLayerForward], x: Floats) -> Bool {
        guard let shape = layers.first?.shape, let thin = thinLinear(layers.map(\.shape)), areInQuads(x),
            layers.allSatisfy({ areInQuads($0.weight, $0.bias, $0.y) })
        else { return false }
        let arguments = ThinLinear.Layers(
            layers: layers.map { ($0.weight, $0.bias, Floats($0.y), $0.shape.outputs) }
        )
        launch(
            Self.module,
            "thinForward\(thin.held)",
            thin.grid(sharedBytes: thin.forwardSharedBytes),
            shape.rows,
            shape.inputs,
            shape.inputStride,
            layers.count,
            arguments,
            x
        )
        return true
    }

    /// dx = Σ dy W over all layers, or more by that; false where it is not done so.
    func thinBackward(_ layers: [LinearLayerBackward], dx: MutableFloats, addsToDx: Bool) -> Bool {
        guard let shape = layers.first?.shape, let thin = thinLinear(layers.map(\.shape)), areInQuads(dx),
            layers.allSatisfy({ areInQuads($0.weight, $0.dy) })
        else { return false }
        let arguments = ThinLinear.Layers(layers: layers.map { ($0.weight, nil, $0.dy, $0.shape.outputs) })
        launch(
            Self.module,
            "thinBackward\(thin.held)",
            thin.grid(sharedBytes: thin.backwardSharedBytes),
            shape.rows,
            shape.inputs,
            shape.inputStride,
            layers.count,
            arguments,
            addsToDx,
            dx
        )
        return true
    }
}
