// How the scan's CPU kernels lay out their scratch memory: channels by sixteens ("blocks"), one vector each.

extension ScanShape {
    /// Groups of sixteen channels, the last perhaps part empty.
    var channelBlocks: Int { (channels + Vector.scalarCount - 1) / Vector.scalarCount }

    /// Vectors in all states of a row: (channel blocks, states).
    var stateVectors: Int { channelBlocks * states }

    /// Chunks of tokens between checkpoints, a row.
    var chunks: Int { (length + Self.checkpointInterval - 1) / Self.checkpointInterval }

    /// A chunk's tokens, counted over all rows.
    func tokens(row: Int, chunk: Int) -> Range<Int> {
        let first = chunk * Self.checkpointInterval
        return row * length + first..<row * length + min(first + Self.checkpointInterval, length)
    }

    /// Where among the checkpoints the state before a chunk lies.
    func checkpointOffset(row: Int, chunk: Int) -> Int { (row * chunks + chunk) * states * channels }

    /// Writes A log₂e, A = -exp(aLog), as (channel blocks, states) vectors: then e^{ΔA} = 2^(Δ rate).
    func fillRates(_ rates: UnsafeMutablePointer<Vector>, aLog: Floats) {
        for block in 0..<channelBlocks {
            let channels = ScanChannels(block: block, of: self)
            for n in 0..<states {
                var column = Vector(repeating: -.infinity)
                for lane in 0..<channels.count { column[lane] = aLog[(channels.first + lane) * states + n] }
                rates[block * states + n] = exponential(column) * -1.442_695_04
            }
        }
    }

    /// (channel blocks, states) vectors as (states, channels) numbers.
    func copyStates(_ vectors: UnsafeMutablePointer<Vector>, to numbers: MutableFloats) {
        for n in 0..<states {
            for block in 0..<channelBlocks {
                ScanChannels(block: block, of: self).store(vectors[block * states + n], numbers + n * channels)
            }
        }
    }

    /// (states, channels) numbers as (channel blocks, states) vectors.
    func copyStates(from numbers: Floats, to vectors: UnsafeMutablePointer<Vector>) {
        for n in 0..<states {
            for block in 0..<channelBlocks {
                vectors[block * states + n] = ScanChannels(block: block, of: self).load(numbers + n * channels)
            }
        }
    }
}

/// Sixteen neighbouring channels; lanes past the last channel read zero and are not written.
struct ScanChannels {
    let first: Int
    let count: Int

    @inline(__always)
    init(block: Int, of shape: ScanShape) {
        first = block * Vector.scalarCount
        count = min(Vector.scalarCount, shape.channels - first)
    }

    /// - Parameter row: where the first of all channels lies.
    @inline(__always)
    func load(_ row: Floats) -> Vector { .load(row + first, upTo: count) }

    @inline(__always)
    func store(_ vector: Vector, _ row: MutableFloats) { vector.store(row + first, upTo: count) }
}

/// Vectors handed out of a workspace one after another, with a gap after each array.
///
/// The arrays' sizes are powers of two as a rule. Without gaps the vectors of one token would lie whole pages apart in
/// all of them: more lines than a set of the nearest cache holds, and loads that seem to want what was just stored
/// elsewhere.
struct VectorScratch {
    /// Vectors left out.
    static let gap = 5

    private(set) var next: UnsafeMutablePointer<Vector>

    /// - Parameter workspace: 64-byte aligned.
    init(_ workspace: UnsafeMutablePointer<Float>) {
        next = UnsafeMutableRawPointer(workspace).assumingMemoryBound(to: Vector.self)
    }

    mutating func take(_ count: Int) -> UnsafeMutablePointer<Vector> {
        defer { next += count + Self.gap }
        return next
    }
}

/// What all states of a channel need of a chunk's tokens: each (channel blocks, interval) vectors.
struct ScanChunk {
    /// Δ = softplus(delta + bias).
    var delta: UnsafeMutablePointer<Vector>
    /// Δ x.
    var input: UnsafeMutablePointer<Vector>
    /// skip x + Σ C h, over the states that have been through.
    var sum: UnsafeMutablePointer<Vector>

    static func vectorCount(_ shape: ScanShape) -> Int {
        3 * (shape.channelBlocks * ScanShape.checkpointInterval + VectorScratch.gap)
    }

    init(_ scratch: inout VectorScratch, _ shape: ScanShape) {
        let count = shape.channelBlocks * ScanShape.checkpointInterval
        (delta, input, sum) = (scratch.take(count), scratch.take(count), scratch.take(count))
    }

    /// The same memory from where a block's tokens begin.
    @inline(__always)
    func vectors(of block: Int) -> ScanChunk {
        var result = self
        result.delta += block * ScanShape.checkpointInterval
        result.input += block * ScanShape.checkpointInterval
        result.sum += block * ScanShape.checkpointInterval
        return result
    }
}
