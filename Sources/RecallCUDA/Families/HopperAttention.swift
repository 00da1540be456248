import RecallKernels

/// The passes of attention_hopper.cu: whether softmax attention takes them, by its shape and the device's capability alone,
/// and their grids.
struct HopperAttention {
    /// Tokens that a block keeps, and that pass by at a time.
    private static let (tokens, passing) = (64, 32)
    /// Backward's block has numbers of each of a sequence's tokens in its shared memory.
    private static let longest = 512
    /// Backward's block has a head of a sequence. With few heads of more than one tile, the smaller blocks of two passes use the
    /// device better: of width 128 and 256 tokens, on an H100, 32 heads took 161 µs to their 98, 256 heads 271 µs to 377.
    static let fewestHeads = 160

    private let shape: AttentionShape
    /// Of a head, padded: 64 or 128.
    let width: Int

    /// - Parameter capability: the device's: 80, 90…
    init?(_ shape: AttentionShape, _ arithmetic: Arithmetic, capability: Int) {
        self.shape = shape
        width = shape.headWidth <= 64 ? 64 : 128
        guard capability == 90, arithmetic != .fp32, 33...128 ~= shape.headWidth,
            shape.headWidth % 4 == 0, shape.rowStride % 4 == 0
        else { return nil }
    }

    /// With the group of its kernels.
    var module: String { "attention_hopper@\(width)" }

    /// Of all sequences.
    private var heads: Int { shape.batch * shape.heads }

    private var tiles: Int { (shape.length + Self.tokens - 1) / Self.tokens }

    /// Tiles start on 1024 bytes.
    private func grid(_ x: Int, _ y: Int = 1, sharedFloats: Int) -> LaunchGrid {
        LaunchGrid(blocks: x, y, threads: 128, sharedBytes: 1024 + sharedFloats * MemoryLayout<Float>.stride)
    }

    var forward: LaunchGrid {
        // Keys; values, straight and turned; a place for queries; dropout's bits.
        grid(heads * tiles, sharedFloats: 4 * Self.passing * width + 2 * Self.tokens)
    }

    /// Nil where the two passes are better.
    var backward: LaunchGrid? {
        let isWorthwhile = tiles == 1 || heads >= Self.fewestHeads
        guard isWorthwhile, shape.length <= Self.longest else { return nil }
        // Keys; queries and their gradients, straight and turned; gradients of scores and dropout's bits; two numbers of each
        // token.
        let floats = (Self.tokens + 4 * Self.passing) * width + Self.passing * (Self.tokens + 4 + 2)
        return grid(shape.batch, shape.heads, sharedFloats: floats + 2 * Self.tokens * tiles)
    }
}
