extension CPUBackend {
    public func scanBackward(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, checkpoints: Floats, dOut: Floats, dx: MutableFloats, dDelta: MutableFloats,
        dDeltaBias: MutableFloats, dALog: MutableFloats, db: MutableFloats, dc: MutableFloats,
        dSkip: MutableFloats, dz: MutableFloats
    ) {
        // Rows in at most 16 groups, each with its own sums of the parameters' gradients.
        let groups = min(shape.batch, 16)
        let partialCount = ScanParameterSums.vectorCount(shape)
        var shared = VectorScratch(
            workers.sharedWorkspace(floats: (shape.rateCount + groups * partialCount) * Vector.scalarCount))
        let rates = shared.take(shape.rateCount)
        let partials = shared.take(groups * partialCount)
        shape.fillRates(rates, aLog: aLog)
        let scan = ScanInputs(
            shape: shape, x: x, delta: delta, deltaBias: deltaBias, b: b, c: c, skip: skip, z: z, rates: rates)
        let backward = ScanBackward(
            scan: scan, checkpoints: checkpoints, dOut: dOut, dx: dx, dDelta: dDelta, db: db, dc: dc, dz: dz)
        workers.forEachBlock(groups, floats: ScanBackwardScratch.vectorCount(shape) * Vector.scalarCount) {
            group, worker in
            let scratch = ScanBackwardScratch(workers.workspace(worker), shape)
            let sums = ScanParameterSums(partials + group * partialCount, shape)
            sums.all.update(repeating: Vector(repeating: 0), count: partialCount)
            for row in group * shape.batch / groups..<(group + 1) * shape.batch / groups {
                backward.row(row, scratch, sums)
            }
        }
        workers.forEachBlock(shape.channelBlocks) { block, _ in
            let channels = ScanChannels(block: block, of: shape)
            var (bias, skip) = (Vector(repeating: 0), Vector(repeating: 0))
            for group in 0..<groups {
                let sums = ScanParameterSums(partials + group * partialCount, shape)
                bias += sums.deltaBias[block]
                skip += sums.skip[block]
            }
            channels.store(bias, dDeltaBias)
            channels.store(skip, dSkip)
            for index in block * shape.states..<(block + 1) * shape.states {
                var sum = Vector(repeating: 0)
                for group in 0..<groups {
                    sum += ScanParameterSums(partials + group * partialCount, shape).a[index]
                }
                // dA_log = A dA.
                let gradient = sum * (rates[index] * ln2)
                let n = index - block * shape.states
                for lane in 0..<channels.count {
                    dALog[(channels.first + lane) * shape.states + n] = gradient[lane]
                }
            }
        }
    }
}

/// What turns a rate back into A.
private let ln2: Float = 0.693_147_18

/// One group's sums of the gradients that run over rows and tokens.
private struct ScanParameterSums {
    let all: UnsafeMutablePointer<Vector>
    /// Of A: (channel blocks, states).
    let a: UnsafeMutablePointer<Vector>
    /// (channel blocks).
    let deltaBias: UnsafeMutablePointer<Vector>
    /// (channel blocks).
    let skip: UnsafeMutablePointer<Vector>

    static func vectorCount(_ shape: ScanShape) -> Int { shape.rateCount + 2 * shape.channelBlocks }

    init(_ memory: UnsafeMutablePointer<Vector>, _ shape: ScanShape) {
        all = memory
        a = memory
        deltaBias = a + shape.rateCount
        skip = deltaBias + shape.channelBlocks
    }
}

/// A worker's scratch memory.
private struct ScanBackwardScratch {
    /// e^{ΔA} λ of the token after the chunk: (channel blocks, states).
    let carry: UnsafeMutablePointer<Vector>
    /// dB and dC of the chunk before the sum over lanes: (states, interval).
    let db: UnsafeMutablePointer<Vector>
    let dc: UnsafeMutablePointer<Vector>
    let chunk: ScanChunk
    /// dOut · silu(z).
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
        shape.rateCount + 2 * shape.states * interval + ScanChunk.vectorCount + 5 * interval + 1
    }

    init(_ workspace: UnsafeMutablePointer<Float>, _ shape: ScanShape) {
        var scratch = VectorScratch(workspace)
        carry = scratch.take(shape.rateCount)
        db = scratch.take(shape.states * Self.interval)
        dc = scratch.take(shape.states * Self.interval)
        chunk = ScanChunk(&scratch)
        g = scratch.take(Self.interval)
        inputGradient = scratch.take(Self.interval)
        decayGradient = scratch.take(Self.interval)
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

    /// Chunks last to first, in each all channels: dB and dC of a chunk are then complete when it is done.
    func row(_ row: Int, _ scratch: ScanBackwardScratch, _ sums: ScanParameterSums) {
        let interval = ScanShape.checkpointInterval
        let zero = Vector(repeating: 0)
        scratch.carry.update(repeating: zero, count: shape.rateCount)
        for index in (0..<shape.chunks).reversed() {
            let count = min(interval, shape.length - index * interval)
            let token = row * shape.length + index * interval
            let checkpoint = checkpoints + (row * shape.chunks + index) * shape.states * shape.channels
            scratch.db.update(repeating: zero, count: shape.states * interval)
            scratch.dc.update(repeating: zero, count: shape.states * interval)
            for block in 0..<shape.channelBlocks {
                let channels = ScanChannels(block: block, of: shape)
                prepare(scratch, token: token, count: count, channels)
                for n in 0..<shape.states {
                    let before = channels.load(checkpoint + n * shape.channels)
                    recompute(scratch, from: before, state: n, token: token, count: count, channels)
                    differentiate(scratch, sums, state: n, token: token, count: count, channels)
                }
                finish(scratch, sums, token: token, count: count, channels)
            }
            for t in 0..<count {
                for n in 0..<shape.states {
                    db[(token + t) * shape.stateStride + n] = scratch.db[n * interval + t].laneSum
                    dc[(token + t) * shape.stateStride + n] = scratch.dc[n * interval + t].laneSum
                }
            }
        }
    }

    @inline(__always)
    private func prepare(_ scratch: ScanBackwardScratch, token: Int, count: Int, _ channels: ScanChannels) {
        scan.prepare(scratch.chunk, token: token, count: count, channels)
        for t in 0..<count {
            let gate = silu(channels.load(scan.z + (token + t) * shape.gateStride))
            scratch.g[t] = channels.load(dOut + (token + t) * shape.channels) * gate
            scratch.inputGradient[t] = Vector(repeating: 0)
            scratch.decayGradient[t] = Vector(repeating: 0)
        }
    }

    /// Runs state n from the checkpoint again, as `ScanInputs.advance` did, and keeps its h and its decays.
    @inline(__always)
    private func recompute(
        _ scratch: ScanBackwardScratch, from before: Vector, state n: Int, token: Int, count: Int,
        _ channels: ScanChannels
    ) {
        let rate = scan.rates[channels.block * shape.states + n]
        var b = scan.b + token * shape.stateStride + n
        var c = scan.c + token * shape.stateStride + n
        let chunk = scratch.chunk
        var h = before
        scratch.h[0] = h
        for t in 0..<count {
            let decay = powerOfTwo(chunk.delta[t], times: rate)
            h = (chunk.input[t] * b.pointee).addingProduct(decay, h)
            chunk.sum[t].addProduct(h, Vector(repeating: c.pointee))
            scratch.decay[t] = decay
            scratch.h[t + 1] = h
            b += shape.stateStride
            c += shape.stateStride
        }
    }

    /// λ_t = C_t g_t + e^{Δ_{t+1} A} λ_{t+1} down the chunk for state n, and what follows from it.
    @inline(__always)
    private func differentiate(
        _ scratch: ScanBackwardScratch, _ sums: ScanParameterSums, state n: Int, token: Int, count: Int,
        _ channels: ScanChannels
    ) {
        let index = channels.block * shape.states + n
        let rate = scan.rates[index]
        let (dbSum, dcSum) = (
            scratch.db + n * ScanShape.checkpointInterval, scratch.dc + n * ScanShape.checkpointInterval
        )
        var b = scan.b + (token + count - 1) * shape.stateStride + n
        var c = scan.c + (token + count - 1) * shape.stateStride + n
        var carry = scratch.carry[index]
        var dA = sums.a[index]
        var t = count - 1
        while t >= 0 {
            let g = scratch.g[t]
            let lambda = carry.addingProduct(g, Vector(repeating: c.pointee))
            dcSum[t].addProduct(g, scratch.h[t + 1])
            dbSum[t].addProduct(lambda, scratch.chunk.input[t])
            scratch.inputGradient[t].addProduct(lambda, Vector(repeating: b.pointee))
            carry = scratch.decay[t] * lambda
            let product = carry * scratch.h[t]
            scratch.decayGradient[t].addProduct(product, rate)
            dA.addProduct(product, scratch.chunk.delta[t])
            b -= shape.stateStride
            c -= shape.stateStride
            t -= 1
        }
        scratch.carry[index] = carry
        sums.a[index] = dA
    }

    /// The gradients in x, delta, z, deltaBias and skip once all states are through.
    @inline(__always)
    private func finish(
        _ scratch: ScanBackwardScratch, _ sums: ScanParameterSums, token: Int, count: Int,
        _ channels: ScanChannels
    ) {
        let bias = channels.load(scan.deltaBias)
        let skip = channels.load(scan.skip)
        var (biasSum, skipSum) = (sums.deltaBias[channels.block], sums.skip[channels.block])
        for t in 0..<count {
            let element = (token + t) * shape.channels
            let x = channels.load(scan.x + element)
            let z = channels.load(scan.z + (token + t) * shape.gateStride)
            let gate = sigmoid(z)
            let slope = gate * Vector(repeating: 1).addingProduct(z, 1 - gate)
            let dY = channels.load(dOut + element) * scratch.chunk.sum[t]
            channels.store(dY * slope, dz + (token + t) * shape.gateStride)

            let (g, inputGradient) = (scratch.g[t], scratch.inputGradient[t])
            channels.store((skip * g).addingProduct(scratch.chunk.delta[t], inputGradient), dx + element)
            skipSum.addProduct(g, x)

            let dStep = (x * inputGradient).addingProduct(scratch.decayGradient[t], Vector(repeating: ln2))
            let dRaw = dStep * sigmoid(channels.load(scan.delta + element) + bias)
            channels.store(dRaw, dDelta + element)
            biasSum += dRaw
        }
        sums.deltaBias[channels.block] = biasSum
        sums.skip[channels.block] = skipSum
    }
}
