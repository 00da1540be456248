import RecallKernels

/// Which instance of the kernels of taylor_attention.cu a call takes, and their grids and memory.
struct TaylorPasses {
    /// Tokens of a chunk, and threads of a block.
    private static let chunk = 64
    private static let threads = 128
    /// Blocks that a device should have at hand, if it takes segments of sequences to come to so many. It holds two a
    /// multiprocessor.
    private static let blocks = 256
    /// The padded widths of inputs, and of as many columns of values as a block's state has room for beside them.
    private static let instances = [(f: 8, e: 64), (f: 16, e: 64), (f: 24, e: 32), (f: 32, e: 16)]

    /// The widest inputs whose state a block holds.
    static let widest = instances.map(\.f).max() ?? 0

    private let instance: (f: Int, e: Int)
    private let isExact: Bool
    /// Of all sequences.
    private let heads: Int
    private let length: Int
    /// Slices of the values' columns.
    let slices: Int
    /// Chunks of a segment.
    let chunks: Int
    let segments: Int

    /// - Parameter shape: of a feature map of second order, its inputs no wider than `widest`.
    init(_ shape: LinearAttentionShape, _ arithmetic: Arithmetic) {
        guard let instance = Self.instances.first(where: { shape.featureWidth <= $0.f }) else {
            preconditionFailure("no state on chip for inputs of \(shape.featureWidth)")
        }
        self.instance = instance
        isExact = arithmetic == .fp32
        (heads, length) = (shape.batch * shape.heads, shape.length)
        slices = (shape.valueWidth + instance.e - 1) / instance.e
        let all = (shape.length + Self.chunk - 1) / Self.chunk
        // A segment of one chunk would do no more than sum the state before it.
        let wanted = max(1, min(Self.blocks / (heads * slices), all / 2))
        chunks = (all + wanted - 1) / wanted
        segments = (all + chunks - 1) / chunks
    }

    /// What the kernels' names end with.
    var suffix: String { "\(instance.f)x\(instance.e)" + (isExact ? "Exact" : "") }

    /// Tiles of 16 rows of the state: struct Taylor in taylor.cuh.
    private var stateTiles: Int {
        let pieces = instance.f / 8
        return (instance.f / 2 * pieces + (instance.f / 2 + 7) / 8 + pieces) / 2 + 1
    }

    /// From row to row of a tile in shared memory: of inputs, of values.
    private var strides: (input: Int, value: Int) {
        ((instance.f / 2 * 3 + 11) / 8 * 8 + 4, instance.e + 12)
    }

    /// A block's sums as its threads hold them: those of four warps, each with every fourth tile.
    private var stateFloats: Int { (stateTiles + 3) / 4 * (instance.e / 8 + 1) * 4 * Self.threads }

    /// Of each segment but one.
    var slotFloats: Int { heads * slices * stateFloats }

    /// A block for each segment of each head, and for each slice.
    ///
    /// - Parameters:
    ///   - inputs, values: tiles of each that it holds.
    ///   - isReading: whether it holds the state for all to read.
    private func grid(segments: Int, inputs: Int, values: Int, isReading: Bool) -> LaunchGrid {
        let tiles = Self.chunk * (inputs * strides.input + values * strides.value)
        let state = isReading ? 16 * stateTiles * strides.value : 0
        return LaunchGrid(
            blocks: heads,
            segments,
            slices,
            threads: Self.threads,
            sharedBytes: (tiles + state) * MemoryLayout<Float>.stride
        )
    }

    var forward: LaunchGrid { grid(segments: segments, inputs: 2, values: 1, isReading: true) }
    var backward: LaunchGrid { grid(segments: segments, inputs: 2, values: 2, isReading: true) }
    /// Sums over segments, which one of them has no use for.
    var sums: LaunchGrid { grid(segments: segments - 1, inputs: 1, values: 1, isReading: false) }

    // MARK: Which form is cheaper

    /// How much longer a multiplication is taken to last in chunks, where a multiprocessor holds fewer blocks and they wait
    /// for one another's tiles. On an H200, of 32 sequences with f = 16 and e = 64, both forms take about as long at 1024
    /// tokens, which a factor of 1.0 would have it, and at 4096 what is measured comes to 1.3.
    private static let slowness = 1.5

    /// Whether the kernels in chunks do less than score tiles over all pairs of tokens.
    static func chunksPay(_ shape: LinearAttentionShape, _ arithmetic: Arithmetic, backward: Bool) -> Bool {
        guard shape.map == .taylor2, shape.featureWidth <= widest else { return false }
        let passes = TaylorPasses(shape, arithmetic)
        // Score tiles hold at least so many columns.
        let (f, e) = (max(16, shape.featureWidth), max(64, shape.valueWidth))
        let pairs = Double(shape.length) / 2 * Self.products(f, e, backward: backward)
        return Self.slowness * passes.operations(backward: backward) < pairs
    }

    /// Of a pair of tokens: what is multiplied for each column of inputs and of values.
    private static func products(_ f: Int, _ e: Int, backward: Bool) -> Double {
        Double(backward ? 4 * f + 3 * e : f + e)
    }

    /// Multiplications for each token of a head.
    private func operations(backward: Bool) -> Double {
        let (f, columns) = (instance.f, instance.e + 8)
        // A chunk's pairs, of which tiles compute three quarters.
        let pairs = Double(Self.chunk) * 0.75 * Self.products(f, columns, backward: backward)
        // The state grows in every pass, and before them where sequences are cut. It is read whole by queries in forward and
        // by keys in backward, whose passes both take the products of inputs once more, each twice.
        let rows = 16 * stateTiles * ((backward ? 3 : 2) + (segments == 1 ? 0 : backward ? 2 : 1))
        let gradients = backward ? 2 * (f * f + f) : 0
        return Double(slices) * (pairs + Double((rows + gradients) * columns))
    }
}
