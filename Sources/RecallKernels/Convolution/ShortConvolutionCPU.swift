extension CPUBackend {
    public func shortConvolutionForward(
        _ shape: ShortConvolutionShape, u: Floats, weight: Floats, bias: Floats, gate: Floats?, y: MutableFloats
    ) {
        let taps = ShortConvolutionTaps(shape)
        let filters = workers.sharedWorkspace(floats: taps.groups * taps.stride)
        taps.gather(weight: weight, bias: bias, into: filters)
        let inputSize = shape.length * shape.inputStride
        let size = shape.length * shape.channels
        workers.forEachBlock(shape.batch) { b, _ in
            let u = u + b * inputSize
            let y = y + b * size
            let gate = gate.map { $0 + b * size }
            for group in 0..<taps.groups {
                let lanes = ConvolutionLanes(group: group, channels: shape.channels)
                let filter = Floats(filters + group * taps.stride)
                switch (taps.count, gate) {
                case (4, let gate?): forwardFourTaps(shape, lanes, u: u, filter: filter, gate: gate, y: y)
                case (4, nil): forwardFourTaps(shape, lanes, u: u, filter: filter, gate: nil, y: y)
                default: forwardManyTaps(shape, lanes, u: u, filter: filter, gate: gate, y: y)
                }
            }
        }
    }

    public func shortConvolutionBackward(
        _ shape: ShortConvolutionShape, u: Floats, weight: Floats, bias: Floats, gate: Floats?, dy: Floats,
        du: MutableFloats, dWeight: MutableFloats, dBias: MutableFloats, dGate: MutableFloats?
    ) {
        let taps = ShortConvolutionTaps(shape)
        let parameters = taps.groups * taps.stride
        // The filters, then each block's sums of their gradients.
        let blocks = min(shape.batch, 32)
        let filters = workers.sharedWorkspace(floats: (1 + blocks) * parameters)
        let partials = filters + parameters
        taps.gather(weight: weight, bias: bias, into: filters)
        let inputSize = shape.length * shape.inputStride
        let size = shape.length * shape.channels
        let scratch = taps.count == 4 ? 0 : shape.length * 16
        workers.forEachBlock(blocks, floats: scratch) { block, worker in
            let partial = partials + block * parameters
            partial.update(repeating: 0, count: parameters)
            for b in shape.batch * block / blocks..<shape.batch * (block + 1) / blocks {
                let (u, dy, du) = (u + b * inputSize, dy + b * size, du + b * inputSize)
                let gate = gate.map { $0 + b * size }
                let dGate = dGate.map { $0 + b * size }
                for group in 0..<taps.groups {
                    let lanes = ConvolutionLanes(group: group, channels: shape.channels)
                    let filter = Floats(filters + group * taps.stride)
                    let sums = partial + group * taps.stride
                    switch (taps.count, gate) {
                    case (4, let gate?):
                        backwardFourTaps(
                            shape, lanes, u: u, filter: filter, gate: gate, dy: dy, du: du, sums: sums,
                            dGate: dGate)
                    case (4, nil):
                        backwardFourTaps(
                            shape, lanes, u: u, filter: filter, gate: nil, dy: dy, du: du, sums: sums,
                            dGate: nil)
                    default:
                        backwardManyTaps(
                            shape, lanes, u: u, filter: filter, gate: gate, dy: dy, du: du, sums: sums,
                            dGate: dGate, dc: workers.workspace(worker))
                    }
                }
            }
        }
        for block in 1..<max(blocks, 1) {
            let partial = partials + block * parameters
            for i in 0..<parameters { partials[i] += partial[i] }
        }
        taps.scatter(partials, dWeight: dWeight, dBias: dBias)
    }

    public func shortConvolutionStep(
        _ shape: ShortConvolutionShape, u: Floats, weight: Floats, bias: Floats, gate: Floats?,
        past: MutableFloats, y: MutableFloats
    ) {
        let taps = ShortConvolutionTaps(shape)
        let filters = workers.sharedWorkspace(floats: taps.groups * taps.stride)
        taps.gather(weight: weight, bias: bias, into: filters)
        let (channels, kept) = (shape.channels, shape.taps - 1)
        workers.forEachBlock(shape.batch) { b, _ in
            let past = past + b * kept * channels
            for group in 0..<taps.groups {
                let lanes = ConvolutionLanes(group: group, channels: channels)
                let filter = Floats(filters + group * taps.stride)
                let current = lanes.load(u + b * shape.inputStride)
                var c = Vector.load(filter + taps.count * 16)
                for row in 0..<kept {
                    let value = lanes.load(Floats(past + row * channels))
                    c = c.addingProduct(value, .load(filter + (taps.count - shape.taps + row) * 16))
                    if row > 0 { lanes.store(value, past + (row - 1) * channels) }
                }
                if kept > 0 { lanes.store(current, past + (kept - 1) * channels) }
                c = c.addingProduct(current, .load(filter + (taps.count - 1) * 16))
                let gate = gate.map { lanes.load($0 + b * channels) }
                lanes.store(epilogue(c, gate: gate, skip: current), y + b * channels)
            }
        }
    }
}

/// The taps and bias of a short convolution as the kernels read them: for each group of channels `count` vectors of
/// taps, oldest first, then the bias. Fewer than four taps become four, with zeros for the oldest.
private struct ShortConvolutionTaps {
    let channels: Int
    /// How many taps there really are.
    let taps: Int
    /// How many are worked with: at least four.
    let count: Int
    let groups: Int
    /// Elements from one group to the next.
    let stride: Int

    init(_ shape: ShortConvolutionShape) {
        channels = shape.channels
        taps = shape.taps
        count = max(4, shape.taps)
        groups = ConvolutionLanes.groups(channels: shape.channels)
        stride = (count + 1) * 16
    }

    /// Where a channel's oldest real tap lies; the next is 16 further on.
    @inline(__always)
    private func position(_ channel: Int) -> Int {
        channel / 16 * stride + (count - taps) * 16 + channel % 16
    }

    func gather(weight: Floats, bias: Floats, into filters: MutableFloats) {
        filters.update(repeating: 0, count: groups * stride)
        for channel in 0..<channels {
            let filter = filters + position(channel)
            for tap in 0..<taps { filter[tap * 16] = weight[channel * taps + tap] }
            filter[taps * 16] = bias[channel]
        }
    }

    func scatter(_ sums: MutableFloats, dWeight: MutableFloats, dBias: MutableFloats) {
        for channel in 0..<channels {
            let sum = sums + position(channel)
            for tap in 0..<taps { dWeight[channel * taps + tap] = sum[tap * 16] }
            dBias[channel] = sum[taps * 16]
        }
    }
}

/// c ⊙ gate + skip, or silu(c) without a gate.
@inline(__always)
private func epilogue(_ c: Vector, gate: Vector?, skip: Vector) -> Vector {
    if let gate { skip.addingProduct(c, gate) } else { c * sigmoid(c) }
}

/// d silu(c) / dc.
@inline(__always)
private func siluDerivative(_ c: Vector) -> Vector {
    let s = sigmoid(c)
    return s.addingProduct(s * c, 1 - s)
}

/// One sequence, sixteen channels; the three inputs before the current one stay in registers.
@inline(__always)
private func forwardFourTaps(
    _ shape: ShortConvolutionShape, _ lanes: ConvolutionLanes, u: Floats, filter: Floats, gate: Floats?,
    y: MutableFloats
) {
    let (w0, w1) = (Vector.load(filter), Vector.load(filter + 16))
    let (w2, w3) = (Vector.load(filter + 32), Vector.load(filter + 48))
    let bias = Vector.load(filter + 64)
    var (u0, u1, u2) = (Vector.zero, Vector.zero, Vector.zero)
    for t in 0..<shape.length {
        let u3 = lanes.load(u + t * shape.inputStride)
        let c = bias.addingProduct(u0, w0).addingProduct(u1, w1).addingProduct(u2, w2).addingProduct(u3, w3)
        let gate = gate.map { lanes.load($0 + t * shape.channels) }
        lanes.store(epilogue(c, gate: gate, skip: u3), y + t * shape.channels)
        (u0, u1, u2) = (u1, u2, u3)
    }
}

/// Backwards in time, so that du_t = Σ_j w_j dc_{t+3-j} is complete when dc_t is: the three later dc stay in registers.
@inline(__always)
private func backwardFourTaps(
    _ shape: ShortConvolutionShape, _ lanes: ConvolutionLanes, u: Floats, filter: Floats, gate: Floats?,
    dy: Floats, du: MutableFloats, sums: MutableFloats, dGate: MutableFloats?
) {
    let (stride, channels, length) = (shape.inputStride, shape.channels, shape.length)
    let (w0, w1) = (Vector.load(filter), Vector.load(filter + 16))
    let (w2, w3) = (Vector.load(filter + 32), Vector.load(filter + 48))
    let bias = Vector.load(filter + 64)
    var (dw0, dw1, dw2, dw3, dBias) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    var (later1, later2, later3) = (Vector.zero, Vector.zero, Vector.zero)
    var u3 = length >= 1 ? lanes.load(u + (length - 1) * stride) : .zero
    var u2 = length >= 2 ? lanes.load(u + (length - 2) * stride) : .zero
    var u1 = length >= 3 ? lanes.load(u + (length - 3) * stride) : .zero
    var t = length - 1
    while t >= 0 {
        let u0 = t >= 3 ? lanes.load(u + (t - 3) * stride) : .zero
        let c = bias.addingProduct(u0, w0).addingProduct(u1, w1).addingProduct(u2, w2).addingProduct(u3, w3)
        let dyt = lanes.load(dy + t * channels)
        let dc: Vector
        var dut = Vector.zero
        if let gate {
            dc = dyt * lanes.load(gate + t * channels)
            dut = dyt
            if let dGate { lanes.store(dyt * c, dGate + t * channels) }
        } else {
            dc = dyt * siluDerivative(c)
        }
        dut = dut.addingProduct(later3, w0).addingProduct(later2, w1).addingProduct(later1, w2)
            .addingProduct(dc, w3)
        lanes.store(dut, du + t * stride)
        dw0 = dw0.addingProduct(dc, u0)
        dw1 = dw1.addingProduct(dc, u1)
        dw2 = dw2.addingProduct(dc, u2)
        dw3 = dw3.addingProduct(dc, u3)
        dBias += dc
        (u3, u2, u1) = (u2, u1, u0)
        (later3, later2, later1) = (later2, later1, dc)
        t -= 1
    }
    (Vector.load(sums) + dw0).store(sums)
    (Vector.load(sums + 16) + dw1).store(sums + 16)
    (Vector.load(sums + 32) + dw2).store(sums + 32)
    (Vector.load(sums + 48) + dw3).store(sums + 48)
    (Vector.load(sums + 64) + dBias).store(sums + 64)
}

/// Any number of taps: each output reads its inputs again.
@inline(__always)
private func manyTaps(
    _ shape: ShortConvolutionShape, _ lanes: ConvolutionLanes, u: Floats, filter: Floats, at t: Int
) -> Vector {
    var c = Vector.load(filter + shape.taps * 16)
    for tap in max(0, shape.taps - 1 - t)..<shape.taps {
        c = c.addingProduct(
            lanes.load(u + (t - (shape.taps - 1) + tap) * shape.inputStride), .load(filter + tap * 16))
    }
    return c
}

private func forwardManyTaps(
    _ shape: ShortConvolutionShape, _ lanes: ConvolutionLanes, u: Floats, filter: Floats, gate: Floats?,
    y: MutableFloats
) {
    for t in 0..<shape.length {
        let c = manyTaps(shape, lanes, u: u, filter: filter, at: t)
        let gate = gate.map { lanes.load($0 + t * shape.channels) }
        let skip = lanes.load(u + t * shape.inputStride)
        lanes.store(epilogue(c, gate: gate, skip: skip), y + t * shape.channels)
    }
}

/// - Parameter dc: (length, 16), scratch.
private func backwardManyTaps(
    _ shape: ShortConvolutionShape, _ lanes: ConvolutionLanes, u: Floats, filter: Floats, gate: Floats?,
    dy: Floats, du: MutableFloats, sums: MutableFloats, dGate: MutableFloats?, dc: MutableFloats
) {
    let (taps, length, channels) = (shape.taps, shape.length, shape.channels)
    var dBias = Vector.zero
    for t in 0..<length {
        let c = manyTaps(shape, lanes, u: u, filter: filter, at: t)
        var dct = lanes.load(dy + t * channels)
        if let gate {
            if let dGate { lanes.store(dct * c, dGate + t * channels) }
            dct *= lanes.load(gate + t * channels)
        } else {
            dct *= siluDerivative(c)
        }
        dct.store(dc + t * 16)
        dBias += dct
    }
    (Vector.load(sums + taps * 16) + dBias).store(sums + taps * 16)
    for t in 0..<length {
        var dut = gate == nil ? Vector.zero : lanes.load(dy + t * channels)
        for lag in 0..<min(taps, length - t) {
            dut = dut.addingProduct(.load(dc + (t + lag) * 16), .load(filter + (taps - 1 - lag) * 16))
        }
        lanes.store(dut, du + t * shape.inputStride)
    }
    for tap in 0..<taps {
        let lag = taps - 1 - tap
        var dw = Vector.zero
        for t in lag..<max(lag, length) {
            dw = dw.addingProduct(.load(dc + t * 16), lanes.load(u + (t - lag) * shape.inputStride))
        }
        (Vector.load(sums + tap * 16) + dw).store(sums + tap * 16)
    }
}
