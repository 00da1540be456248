import RecallKernels

/// Which instance of the passes of attention_passes.cuh a call takes, and their grids.
struct AttentionPasses {
    /// An instance: the padded widths f and e that it holds whole in shared memory.
    struct Instance {
        let f: Int
        let e: Int
        let name: String
    }

    /// Tokens that a block keeps.
    private static let tokens = 64
    /// Columns that a wide instance passes at a time.
    private static let wideColumns = 128

    private let instance: Instance
    /// Whether the matrices are wider than any instance and passed in pieces.
    private let isWide: Bool
    private let heads: Int
    private let length: Int
    private let isExact: Bool

    /// The narrowest instance that holds the widths whole, or else the wide one.
    ///
    /// - Parameters:
    ///   - heads: of all sequences.
    ///   - exact, rounded: the instances with products in float32 and in tf32, narrowest first.
    init(
        heads: Int,
        length: Int,
        f: Int,
        e: Int,
        _ arithmetic: Arithmetic,
        exact: [Instance],
        rounded: [Instance]
    ) {
        (self.heads, self.length) = (heads, length)
        isExact = arithmetic == .fp32
        let narrow = (isExact ? exact : rounded).first { f <= $0.f && e <= $0.e }
        instance =
            narrow ?? Instance(f: Self.wideColumns, e: Self.wideColumns, name: "Wide")
        isWide = narrow == nil
    }

    /// What the kernels' names end with.
    var suffix: String { instance.name + (isExact ? "Exact" : "") }

    /// Whether one tile holds all keys, so that one pass is all of backward.
    var isOneTile: Bool { length <= Self.tokens && !isWide }

    /// From row to row of a tile: strideOf in attention_tiles.cuh.
    private var strides: (input: Int, value: Int) { (instance.f + 4, instance.e + 4) }

    /// Blocks of 64 tokens of each head, one for each piece of an output `width` wide.
    private func grid(width: Int, sharedFloats: Int) -> LaunchGrid {
        LaunchGrid(
            blocks: heads * ((length + Self.tokens - 1) / Self.tokens),
            1,
            isWide ? (width + Self.wideColumns - 1) / Self.wideColumns : 1,
            threads: 128,
            sharedBytes: sharedFloats * MemoryLayout<Float>.stride
        )
    }

    func forward(valueWidth: Int) -> LaunchGrid {
        let passing = isWide ? 32 * strides.input : 64 * (strides.input + strides.value)
        return grid(width: valueWidth, sharedFloats: Self.tokens * strides.input + passing + 128)
    }

    /// - Parameter width: of the widest output.
    func backward(width: Int) -> LaunchGrid {
        let tiles = (Self.tokens + 32) * (strides.input + strides.value)
        let scores = isOneTile ? 32 * (Self.tokens + 4) : 0
        return grid(width: width, sharedFloats: tiles + 320 + scores)
    }
}
