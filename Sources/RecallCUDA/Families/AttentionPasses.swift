import RecallKernels

/// Which instance of the passes of attention_passes.cuh a call takes, and their grids.
struct AttentionPasses {
    /// Tokens that a block keeps.
    static let tokens = 64
    /// Threads of a block.
    static let threads = 128

    /// The padded widths f and e of a tile in shared memory.
    let widths: (input: Int, value: Int)
    /// Whether wider matrices are passed in pieces of those widths.
    let isWide: Bool
    /// What the kernels' names end with.
    let suffix: String

    /// The narrowest of instances of (f, e) that hold the widths whole, or else the wide one.
    ///
    /// - Parameters:
    ///   - instances: in float32 and in tf32, narrowest first, with what their names end with.
    init(f: Int, e: Int, _ arithmetic: Arithmetic, exact: [Instance], rounded: [Instance]) {
        let isExact = arithmetic == .fp32
        let instance = (isExact ? exact : rounded).first { f <= $0.f && e <= $0.e }
        widths = instance.map { ($0.f, $0.e) } ?? (128, 128)
        isWide = instance == nil
        suffix = (instance?.name ?? "Wide") + (isExact ? "Exact" : "")
    }

    struct Instance {
        let f: Int
        let e: Int
        let name: String
    }

    /// Blocks of 64 tokens of each head, one for each piece of an output `width` wide.
    private func grid(heads: Int, length: Int, width: Int, sharedFloats: Int) -> LaunchGrid {
        LaunchGrid(
            blocks: heads * ((length + Self.tokens - 1) / Self.tokens), 1, isWide ? (width + 127) / 128 : 1,
            threads: Self.threads, sharedBytes: sharedFloats * MemoryLayout<Float>.stride)
    }

    /// From row to row of a tile, both widths together: strideOf in attention_tiles.cuh.
    private var strides: (input: Int, value: Int) { (widths.input + 4, widths.value + 4) }

    func forward(heads: Int, length: Int, valueWidth: Int) -> LaunchGrid {
        let passing = isWide ? 32 * strides.input : Self.tokens * (strides.input + strides.value)
        return grid(
            heads: heads, length: length, width: valueWidth,
            sharedFloats: Self.tokens * strides.input + passing + 128)
    }

    /// Whether one tile holds all keys, so that one pass is all of backward.
    func isOneTile(length: Int) -> Bool { length <= Self.tokens && !isWide }

    /// - Parameter width: of the widest output.
    func backward(heads: Int, length: Int, width: Int) -> LaunchGrid {
        let tiles = (Self.tokens + 32) * (strides.input + strides.value)
        let scores = isOneTile(length: length) ? 32 * (Self.tokens + 4) : 0
        return grid(heads: heads, length: length, width: width, sharedFloats: tiles + 320 + scores)
    }
}
