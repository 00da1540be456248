extension CPUBackend: ScanKernels {
    public func scanForward(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, out: MutableFloats, checkpoints: MutableFloats?
    ) {
        let rates = VectorScratch(workers.sharedWorkspace(floats: shape.rateCount * Vector.scalarCount))
            .first
        shape.fillRates(rates, aLog: aLog)
        let scan = ScanInputs(
            shape: shape, x: x, delta: delta, deltaBias: deltaBias, b: b, c: c, skip: skip, z: z, rates: rates)
        let vectors = ScanChunk.vectorCount + shape.states
        workers.forEachBlock(shape.batch * shape.channelBlocks, floats: vectors * Vector.scalarCount) {
            block, worker in
            var scratch = VectorScratch(workers.workspace(worker))
            let chunk = ScanChunk(&scratch)
            let states = scratch.take(shape.states)
            let (row, channelBlock) = block.quotientAndRemainder(dividingBy: shape.channelBlocks)
            scan.forwardRow(
                row, ScanChannels(block: channelBlock, of: shape), chunk: chunk, states: states, out: out,
                checkpoints: checkpoints)
        }
    }

    public func scanStep(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, state: MutableFloats, out: MutableFloats
    ) {
        let rates = VectorScratch(workers.sharedWorkspace(floats: shape.rateCount * Vector.scalarCount))
            .first
        shape.fillRates(rates, aLog: aLog)
        let scan = ScanInputs(
            shape: shape, x: x, delta: delta, deltaBias: deltaBias, b: b, c: c, skip: skip, z: z, rates: rates)
        let vectors = ScanChunk.vectorCount
        workers.forEachBlock(shape.batch * shape.channelBlocks, floats: vectors * Vector.scalarCount) {
            block, worker in
            var scratch = VectorScratch(workers.workspace(worker))
            let chunk = ScanChunk(&scratch)
            let (row, channelBlock) = block.quotientAndRemainder(dividingBy: shape.channelBlocks)
            let channels = ScanChannels(block: channelBlock, of: shape)
            let rowState = state + row * shape.states * shape.channels
            scan.prepare(chunk, token: row, count: 1, channels)
            for n in 0..<shape.states {
                let before = channels.load(rowState + n * shape.channels)
                let after = scan.advance(before, state: n, chunk, token: row, count: 1, channels)
                channels.store(after, rowState + n * shape.channels)
            }
            scan.finish(chunk, token: row, count: 1, channels, out: out)
        }
    }
}

/// Vectors handed out of a workspace one after another.
struct VectorScratch {
    private(set) var first: UnsafeMutablePointer<Vector>

    /// - Parameter workspace: 64-byte aligned.
    init(_ workspace: UnsafeMutablePointer<Float>) {
        first = UnsafeMutableRawPointer(workspace).assumingMemoryBound(to: Vector.self)
    }

    mutating func take(_ count: Int) -> UnsafeMutablePointer<Vector> {
        defer { first += count }
        return first
    }
}

/// Sixteen neighbouring channels; lanes past the last channel read zero and are not written.
struct ScanChannels {
    let block: Int
    let first: Int
    let count: Int

    init(block: Int, of shape: ScanShape) {
        self.block = block
        first = block * Vector.scalarCount
        count = min(Vector.scalarCount, shape.channels - first)
    }

    /// - Parameter row: where the first of all channels lies.
    @inline(__always)
    func load(_ row: Floats) -> Vector { .load(row + first, upTo: count) }

    @inline(__always)
    func store(_ vector: Vector, _ row: MutableFloats) { vector.store(row + first, upTo: count) }
}

extension ScanShape {
    /// Groups of sixteen channels, the last perhaps part empty.
    var channelBlocks: Int { (channels + Vector.scalarCount - 1) / Vector.scalarCount }

    /// Chunks between checkpoints.
    var chunks: Int { (length + Self.checkpointInterval - 1) / Self.checkpointInterval }

    /// Vectors of decay rates.
    var rateCount: Int { channelBlocks * states }

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
}

/// A chunk's tokens for sixteen channels, as every state of theirs sees them.
struct ScanChunk {
    /// Δ = softplus(delta + bias).
    let delta: UnsafeMutablePointer<Vector>
    /// Δ x.
    let input: UnsafeMutablePointer<Vector>
    /// skip x + Σ C h, over the states that have been through.
    let sum: UnsafeMutablePointer<Vector>

    static let vectorCount = 3 * ScanShape.checkpointInterval

    init(_ scratch: inout VectorScratch) {
        delta = scratch.take(ScanShape.checkpointInterval)
        input = scratch.take(ScanShape.checkpointInterval)
        sum = scratch.take(ScanShape.checkpointInterval)
    }
}

/// The inputs of a scan, A already as `rates`.
struct ScanInputs {
    let shape: ScanShape
    let x: Floats
    let delta: Floats
    let deltaBias: Floats
    let b: Floats
    let c: Floats
    let skip: Floats
    let z: Floats
    let rates: UnsafeMutablePointer<Vector>

    /// All tokens of one row and sixteen channels, chunk by chunk.
    ///
    /// - Parameter states: `shape.states` vectors of scratch.
    func forwardRow(
        _ row: Int, _ channels: ScanChannels, chunk: ScanChunk, states: UnsafeMutablePointer<Vector>,
        out: MutableFloats, checkpoints: MutableFloats?
    ) {
        states.update(repeating: Vector(repeating: 0), count: shape.states)
        for index in 0..<shape.chunks {
            let start = index * ScanShape.checkpointInterval
            let count = min(ScanShape.checkpointInterval, shape.length - start)
            let token = row * shape.length + start
            if let checkpoints {
                let checkpoint = checkpoints + (row * shape.chunks + index) * shape.states * shape.channels
                for n in 0..<shape.states { channels.store(states[n], checkpoint + n * shape.channels) }
            }
            prepare(chunk, token: token, count: count, channels)
            for n in 0..<shape.states {
                states[n] = advance(states[n], state: n, chunk, token: token, count: count, channels)
            }
            finish(chunk, token: token, count: count, channels, out: out)
        }
    }

    /// Fills in a chunk's Δ, Δ x and skip x.
    ///
    /// - Parameter token: the chunk's first, counted over all rows.
    @inline(__always)
    func prepare(_ chunk: ScanChunk, token: Int, count: Int, _ channels: ScanChannels) {
        let bias = channels.load(deltaBias)
        let skip = channels.load(skip)
        for t in 0..<count {
            let row = (token + t) * shape.channels
            let x = channels.load(x + row)
            let delta = softplus(channels.load(delta + row) + bias)
            chunk.delta[t] = delta
            chunk.input[t] = delta * x
            chunk.sum[t] = skip * x
        }
    }

    /// Takes state n through a chunk: h ← e^{ΔA} h + Δ x B, and adds C h to each token's sum.
    ///
    /// - Returns: h after the chunk.
    @inline(__always)
    func advance(
        _ h: Vector, state n: Int, _ chunk: ScanChunk, token: Int, count: Int, _ channels: ScanChannels
    ) -> Vector {
        let rate = rates[channels.block * shape.states + n]
        var (b, c) = (b + token * shape.stateStride + n, c + token * shape.stateStride + n)
        var h = h
        for t in 0..<count {
            h = (chunk.input[t] * b.pointee).addingProduct(powerOfTwo(chunk.delta[t], times: rate), h)
            chunk.sum[t].addProduct(h, Vector(repeating: c.pointee))
            b += shape.stateStride
            c += shape.stateStride
        }
        return h
    }

    /// Writes sum · silu(z).
    @inline(__always)
    func finish(_ chunk: ScanChunk, token: Int, count: Int, _ channels: ScanChannels, out: MutableFloats) {
        for t in 0..<count {
            let gate = silu(channels.load(z + (token + t) * shape.gateStride))
            channels.store(chunk.sum[t] * gate, out + (token + t) * shape.channels)
        }
    }
}
