extension CPUBackend {
    public func scanBackward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        checkpoints: Floats,
        dOut: Floats,
        dx: MutableFloats,
        dDelta: MutableFloats,
        dDeltaBias: MutableFloats,
        dALog: MutableFloats,
        db: MutableFloats,
        dc: MutableFloats,
        dSkip: MutableFloats,
        dz: MutableFloats
    ) {
        // Rows in at most 16 groups, each with its own sums of the parameters' gradients.
        let groups = min(shape.batch, 16)
        let sumCount = ScanParameterSums.vectorCount(shape)
        let floats = (shape.stateVectors + groups * sumCount + 2 * VectorScratch.gap) * Vector.scalarCount
        guard let memory = workers.sharedWorkspace(floats: floats) else { return }
        var shared = VectorScratch(memory)
        let rates = shared.take(shape.stateVectors)
        let groupSums = shared.take(groups * sumCount)
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
        let backward = ScanBackward(
            scan: scan,
            checkpoints: checkpoints,
            dOut: dOut,
            dx: dx,
            dDelta: dDelta,
            db: db,
            dc: dc,
            dz: dz
        )
        workers.forEachBlock(groups, floats: ScanBackwardScratch.vectorCount(shape) * Vector.scalarCount) {
            group,
            worker in
            let scratch = ScanBackwardScratch(workers.workspace(worker), shape)
            let sums = groupSums + group * sumCount
            sums.update(repeating: Vector(repeating: 0), count: sumCount)
            for row in group * shape.batch / groups..<(group + 1) * shape.batch / groups {
                backward.row(row, scratch, ScanParameterSums(sums, shape), workers)
            }
        }
        workers.forEachBlock(shape.channelBlocks) { block, _ in
            let channels = ScanChannels(block: block, of: shape)
            func total(_ part: (ScanParameterSums) -> Vector) -> Vector {
                var sum = Vector(repeating: 0)
                for group in 0..<groups { sum += part(ScanParameterSums(groupSums + group * sumCount, shape)) }
                return sum
            }
            channels.store(total { $0.deltaBias[block] }, dDeltaBias)
            channels.store(total { $0.skip[block] }, dSkip)
            for n in 0..<shape.states {
                let index = block * shape.states + n
                let gradient = total { $0.a[index] } * (rates[index] * ln2)  // dA_log = A dA
                for lane in 0..<channels.count {
                    dALog[(channels.first + lane) * shape.states + n] = gradient[lane]
                }
            }
        }
    }
}

/// What turns a rate back into A.
private let ln2: Float = 0.693_147_18

/// Sums over rows and tokens: the gradients of A (channel blocks, states), deltaBias and skip (channel blocks).
private struct ScanParameterSums {
    let a: UnsafeMutablePointer<Vector>
    let deltaBias: UnsafeMutablePointer<Vector>
    let skip: UnsafeMutablePointer<Vector>

    static func vectorCount(_ shape: ScanShape) -> Int { shape.stateVectors + 2 * shape.channelBlocks }

    @inline(__always)
    init(_ memory: UnsafeMutablePointer<Vector>, _ shape: ScanShape) {
        a = memory
        deltaBias = a + shape.stateVectors
        skip = deltaBias + shape.channelBlocks
    }
}

/// A worker's scratch memory.
private struct ScanBackwardScratch {
    /// The state before the chunk: (channel blocks, states).
    let states: UnsafeMutablePointer<Vector>
    /// e^{ΔA} λ of the token after the chunk: (channel blocks, states).
    let carry: UnsafeMutablePointer<Vector>
    /// dB and dC of the chunk before the sum over lanes: (states, interval).
    let db: UnsafeMutablePointer<Vector>
    let dc: UnsafeMutablePointer<Vector>
    let chunk: ScanChunk
    /// σ(z): (channel blocks, interval), as the next three.
    let gate: UnsafeMutablePointer<Vector>
    /// g = dOut · silu(z).
    let g: UnsafeMutablePointer<Vector>
    /// ℓ = Σ_n λ B.
    let inputGradient: UnsafeMutablePointer<Vector>
    /// Σ_n λ rate e^{ΔA} h_{t-1}.
    let decayGradient: UnsafeMutablePointer<Vector>
    /// One state before each token of the chunk and after the last.
    let h: UnsafeMutablePointer<Vector>
    /// e^{ΔA} of that state.
    let decay: UnsafeMutablePointer<Vector>

    private static let interval = ScanShape.checkpointInterval

    static func vectorCount(_ shape: ScanShape) -> Int {
        2 * shape.stateVectors + 2 * shape.states * interval + ScanChunk.vectorCount(shape)
            + 4 * shape.channelBlocks * interval + 2 * interval + 1 + 10 * VectorScratch.gap
    }

    init(_ workspace: UnsafeMutablePointer<Float>, _ shape: ScanShape) {
        var scratch = VectorScratch(workspace)
        states = scratch.take(shape.stateVectors)
        carry = scratch.take(shape.stateVectors)
        db = scratch.take(shape.states * Self.interval)
        dc = scratch.take(shape.states * Self.interval)
        chunk = ScanChunk(&scratch, shape)
        gate = scratch.take(shape.channelBlocks * Self.interval)
        g = scratch.take(shape.channelBlocks * Self.interval)
        inputGradient = scratch.take(shape.channelBlocks * Self.interval)
        decayGradient = scratch.take(shape.channelBlocks * Self.interval)
        h = scratch.take(Self.interval + 1)
        decay = scratch.take(Self.interval)
    }
}

/// The scan's backward pass over one row at a time.
private struct ScanBackward {
    let scan: ScanInputs
    let checkpoints: Floats
    let dOut: Floats
    let dx: MutableFloats
    let dDelta: MutableFloats
    let db: MutableFloats
    let dc: MutableFloats
    let dz: MutableFloats

    private var shape: ScanShape { scan.shape }
    private var interval: Int { ScanShape.checkpointInterval }

    /// Chunks last to first, in each all channels: dB and dC of a chunk are then complete when it is done.
    func row(_ row: Int, _ scratch: ScanBackwardScratch, _ sums: ScanParameterSums, _ workers: Workers) {
        let zero = Vector(repeating: 0)
        scratch.carry.update(repeating: zero, count: shape.stateVectors)
        for index in (0..<shape.chunks).reversed() where !workers.isCancelled {
            let tokens = shape.tokens(row: row, chunk: index)
            shape.copyStates(
                from: checkpoints + shape.checkpointOffset(row: row, chunk: index),
                to: scratch.states
            )
            scratch.db.update(repeating: zero, count: shape.states * interval)
            scratch.dc.update(repeating: zero, count: shape.states * interval)
            prepare(tokens, scratch)
            for block in 0..<shape.channelBlocks {
                for n in 0..<shape.states {
                    recompute(tokens, scratch, block: block, n: n)
                    differentiate(tokens, scratch, sums, block: block, n: n)
                }
            }
            finish(tokens, scratch, sums)
        }
    }

    @inline(__always)
    private func prepare(_ tokens: Range<Int>, _ scratch: ScanBackwardScratch) {
        scan.prepare(tokens, scratch.chunk)
        for (t, token) in tokens.enumerated() {
            for block in 0..<shape.channelBlocks {
                let channels = ScanChannels(block: block, of: shape)
                let z = channels.load(scan.z + token * shape.gateStride)
                let gate = sigmoid(z)
                scratch.gate[block * interval + t] = gate
                scratch.g[block * interval + t] = channels.load(dOut + token * shape.channels) * (z * gate)
            }
        }
        let zero = Vector(repeating: 0)
        scratch.inputGradient.update(repeating: zero, count: shape.channelBlocks * interval)
        scratch.decayGradient.update(repeating: zero, count: shape.channelBlocks * interval)
    }

    /// Runs state n of a block from its checkpoint again, as forward did, and keeps its h and its decays.
    @inline(__always)
    private func recompute(_ tokens: Range<Int>, _ scratch: ScanBackwardScratch, block: Int, n: Int) {
        let rate = scan.rates[block * shape.states + n]
        let vectors = scratch.chunk.vectors(of: block)
        var b = scan.b + tokens.lowerBound * shape.stateStride + n
        var c = scan.c + tokens.lowerBound * shape.stateStride + n
        var h = scratch.states[block * shape.states + n]
        scratch.h[0] = h
        for t in 0..<tokens.count {
            let decay = powerOfTwo(vectors.delta[t], times: rate)
            h = (vectors.input[t] * b.pointee).addingProduct(decay, h)
            vectors.sum[t].addProduct(h, Vector(repeating: c.pointee))
            scratch.decay[t] = decay
            scratch.h[t + 1] = h
            b += shape.stateStride
            c += shape.stateStride
        }
    }

    /// λ_t = C_t g_t + e^{Δ_{t+1} A} λ_{t+1} down the chunk for state n of a block, and what follows from it.
    @inline(__always)
    private func differentiate(
        _ tokens: Range<Int>,
        _ scratch: ScanBackwardScratch,
        _ sums: ScanParameterSums,
        block: Int,
        n: Int
    ) {
        let index = block * shape.states + n
        let rate = scan.rates[index]
        let vectors = scratch.chunk.vectors(of: block)
        let (dbSum, dcSum) = (scratch.db + n * interval, scratch.dc + n * interval)
        let gradient = scratch.g + block * interval
        let inputGradient = scratch.inputGradient + block * interval
        let decayGradient = scratch.decayGradient + block * interval
        var b = scan.b + (tokens.upperBound - 1) * shape.stateStride + n
        var c = scan.c + (tokens.upperBound - 1) * shape.stateStride + n
        var carry = scratch.carry[index]
        var dA = sums.a[index]
        var t = tokens.count - 1
        while t >= 0 {
            let g = gradient[t]
            let lambda = carry.addingProduct(g, Vector(repeating: c.pointee))
            dcSum[t].addProduct(g, scratch.h[t + 1])
            dbSum[t].addProduct(lambda, vectors.input[t])
            inputGradient[t].addProduct(lambda, Vector(repeating: b.pointee))
            carry = scratch.decay[t] * lambda
            let product = carry * scratch.h[t]
            decayGradient[t].addProduct(product, rate)
            dA.addProduct(product, vectors.delta[t])
            b -= shape.stateStride
            c -= shape.stateStride
            t -= 1
        }
        scratch.carry[index] = carry
        sums.a[index] = dA
    }

    /// Every other gradient of the chunk once all states are through.
    @inline(__always)
    private func finish(_ tokens: Range<Int>, _ scratch: ScanBackwardScratch, _ sums: ScanParameterSums) {
        for (t, token) in tokens.enumerated() {
            let element = token * shape.channels
            for block in 0..<shape.channelBlocks {
                let channels = ScanChannels(block: block, of: shape)
                let vectors = scratch.chunk.vectors(of: block)
                let z = channels.load(scan.z + token * shape.gateStride)
                let gate = scratch.gate[block * interval + t]
                let slope = gate * Vector(repeating: 1).addingProduct(z, 1 - gate)
                let dY = channels.load(dOut + element) * vectors.sum[t]
                channels.store(dY * slope, dz + token * shape.gateStride)

                let x = channels.load(scan.x + element)
                let g = scratch.g[block * interval + t]
                let inputGradient = scratch.inputGradient[block * interval + t]
                let dX = (channels.load(scan.skip) * g).addingProduct(vectors.delta[t], inputGradient)
                channels.store(dX, dx + element)
                sums.skip[block].addProduct(g, x)

                let decayGradient = scratch.decayGradient[block * interval + t]
                let dStep = (x * inputGradient).addingProduct(decayGradient, Vector(repeating: ln2))
                let raw = channels.load(scan.delta + element) + channels.load(scan.deltaBias)
                let dRaw = dStep * sigmoid(raw)
                channels.store(dRaw, dDelta + element)
                sums.deltaBias[block] += dRaw
            }
            for n in 0..<shape.states {
                db[token * shape.stateStride + n] = scratch.db[n * interval + t].laneSum
                dc[token * shape.stateStride + n] = scratch.dc[n * interval + t].laneSum
            }
        }
    }
}
