extension CPUBackend: ScanKernels {
    public func scanForward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        out: MutableFloats,
        checkpoints: MutableFloats?
    ) {
        let floats = shape.stateVectors * Vector.scalarCount
        guard let memory = workers.sharedWorkspace(floats: floats) else { return }
        let rates = VectorScratch(memory).next
        shape.fillRates(rates, aLog: aLog)
        let scan = ScanInputs(
            shape: shape,
            x: x,
            delta: delta,
            deltaBias: deltaBias,
            b: b,
            c: c,
            skip: skip,
            z: z,
            rates: rates
        )
        let vectors = ScanChunk.vectorCount(shape) + shape.stateVectors + VectorScratch.gap
        workers.forEachBlock(shape.batch, floats: vectors * Vector.scalarCount) { row, worker in
            var scratch = VectorScratch(workers.workspace(worker))
            let chunk = ScanChunk(&scratch, shape)
            let states = scratch.take(shape.stateVectors)
            states.update(repeating: Vector(repeating: 0), count: shape.stateVectors)
            for index in 0..<shape.chunks where !workers.isCancelled {
                let tokens = shape.tokens(row: row, chunk: index)
                if let checkpoints {
                    shape.copyStates(states, to: checkpoints + shape.checkpointOffset(row: row, chunk: index))
                }
                scan.run(tokens, chunk, states: states, out: out)
            }
        }
    }

    public func scanStep(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        state: MutableFloats,
        out: MutableFloats
    ) {
        let floats = shape.stateVectors * Vector.scalarCount
        guard let memory = workers.sharedWorkspace(floats: floats) else { return }
        let rates = VectorScratch(memory).next
        shape.fillRates(rates, aLog: aLog)
        let scan = ScanInputs(
            shape: shape,
            x: x,
            delta: delta,
            deltaBias: deltaBias,
            b: b,
            c: c,
            skip: skip,
            z: z,
            rates: rates
        )
        guard shape.length > 1 else {
            return workers.forEachBlock(shape.batch) { row, _ in
                scan.step(row, state: state + row * shape.states * shape.channels, out: out)
            }
        }
        let vectors = ScanChunk.vectorCount(shape) + shape.stateVectors + VectorScratch.gap
        workers.forEachBlock(shape.batch, floats: vectors * Vector.scalarCount) { row, worker in
            var scratch = VectorScratch(workers.workspace(worker))
            let chunk = ScanChunk(&scratch, shape)
            let states = scratch.take(shape.stateVectors)
            let rowState = state + row * shape.states * shape.channels
            shape.copyStates(from: rowState, to: states)
            for index in 0..<shape.chunks where !workers.isCancelled {
                scan.run(shape.tokens(row: row, chunk: index), chunk, states: states, out: out)
            }
            shape.copyStates(states, to: rowState)
        }
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
    /// A log₂e: (channel blocks, states) vectors.
    let rates: UnsafeMutablePointer<Vector>

    /// Takes all states through a chunk's tokens and writes their output.
    ///
    /// The loops over tokens and channels before and after the states' run along memory; the states' own run on
    /// scratch memory in the nearest cache, so that a state stays in a register.
    ///
    /// - Parameters:
    ///   - tokens: counted over all rows; at most `ScanShape.checkpointInterval`.
    ///   - states: (channel blocks, states) vectors, before the chunk and then after it.
    func run(_ tokens: Range<Int>, _ chunk: ScanChunk, states: UnsafeMutablePointer<Vector>, out: MutableFloats)
    {
        prepare(tokens, chunk)
        for block in 0..<shape.channelBlocks {
            for n in 0..<shape.states {
                advance(&states[block * shape.states + n], tokens, chunk.vectors(of: block), block: block, n: n)
            }
        }
        for (t, token) in tokens.enumerated() {
            for block in 0..<shape.channelBlocks {
                let channels = ScanChannels(block: block, of: shape)
                let gate = silu(channels.load(z + token * shape.gateStride))
                channels.store(chunk.vectors(of: block).sum[t] * gate, out + token * shape.channels)
            }
        }
    }

    /// The same for one token, state by state where they lie: a copy of them would cost as much as the step.
    ///
    /// - Parameter state: (states, channels).
    @inline(never)
    func step(_ token: Int, state: MutableFloats, out: MutableFloats) {
        let (b, c) = (b + token * shape.stateStride, c + token * shape.stateStride)
        for block in 0..<shape.channelBlocks {
            let channels = ScanChannels(block: block, of: shape)
            let x = channels.load(x + token * shape.channels)
            let delta = softplus(channels.load(delta + token * shape.channels) + channels.load(deltaBias))
            let input = delta * x
            var sum = channels.load(skip) * x
            for n in 0..<shape.states {
                let cell = state + n * shape.channels
                let decay = powerOfTwo(delta, times: rates[block * shape.states + n])
                let h = (input * b[n]).addingProduct(decay, channels.load(cell))
                channels.store(h, cell)
                sum.addProduct(h, Vector(repeating: c[n]))
            }
            let gate = silu(channels.load(z + token * shape.gateStride))
            channels.store(sum * gate, out + token * shape.channels)
        }
    }

    /// Fills in a chunk's Δ, Δ x and skip x.
    @inline(__always)
    func prepare(_ tokens: Range<Int>, _ chunk: ScanChunk) {
        for (t, token) in tokens.enumerated() {
            for block in 0..<shape.channelBlocks {
                let channels = ScanChannels(block: block, of: shape)
                let vectors = chunk.vectors(of: block)
                let x = channels.load(x + token * shape.channels)
                let delta = softplus(channels.load(delta + token * shape.channels) + channels.load(deltaBias))
                vectors.delta[t] = delta
                vectors.input[t] = delta * x
                vectors.sum[t] = channels.load(skip) * x
            }
        }
    }

    /// Takes state n of a block through a chunk: h ← e^{ΔA} h + Δ x B, and adds C h to each token's sum.
    @inline(__always)
    private func advance(_ state: inout Vector, _ tokens: Range<Int>, _ vectors: ScanChunk, block: Int, n: Int)
    {
        let rate = rates[block * shape.states + n]
        var b = b + tokens.lowerBound * shape.stateStride + n
        var c = c + tokens.lowerBound * shape.stateStride + n
        var h = state
        for t in 0..<tokens.count {
            h = (vectors.input[t] * b.pointee).addingProduct(powerOfTwo(vectors.delta[t], times: rate), h)
            vectors.sum[t].addProduct(h, Vector(repeating: c.pointee))
            b += shape.stateStride
            c += shape.stateStride
        }
        state = h
    }
}
