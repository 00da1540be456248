extension CPUBackend: ConvolutionKernels {
    public func shortConvolutionForward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        y: MutableFloats
    ) {
        let taps = ShortConvolutionTaps(shape)
        guard let filters = workers.sharedWorkspace(floats: taps.groups * taps.stride) else { return }
        taps.gather(weight: weight, bias: bias, into: filters)
        let (length, channels) = (shape.length, shape.channels)
        let (inputs, rows) = taps.ahead(shape)
        workers.forEachBlock(shape.batch, floats: 3 * length * 16) { b, worker in
            let u = u + b * length * shape.inputStride
            let y = y + b * length * channels
            let gate = gate.map { $0 + b * length * channels }
            inputs.fetch([u], scratch: workers.workspace(worker))
            rows.fetch([gate, Floats(y)].compactMap { $0 }, scratch: workers.workspace(worker))
            for tokens in taps.blocks(shape) {
                for group in 0..<taps.wholeGroups {
                    let first = 16 * group
                    taps.pass(group, filters, shape)
                        .forward(tokens, u: u + first, gate: gate.map { $0 + first }, y: y + first)
                }
            }
            guard let group = taps.partialGroup else { return }
            // The last channels alone, in whole vectors.
            let lanes = ConvolutionLanes(group: group, channels: channels)
            let uPart = workers.workspace(worker)
            let (gatePart, yPart) = (uPart + length * 16, uPart + 2 * length * 16)
            lanes.gather(u, stride: shape.inputStride, length: length, into: uPart)
            if let gate { lanes.gather(gate, stride: channels, length: length, into: gatePart) }
            taps.pass(group, filters, shape).packed
                .forward(0..<length, u: uPart, gate: gate.map { _ in Floats(gatePart) }, y: yPart)
            lanes.scatter(yPart, length: length, into: y, stride: channels)
        }
    }

    public func shortConvolutionBackward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        dWeight: MutableFloats,
        dBias: MutableFloats,
        dGate: MutableFloats?
    ) {
        let taps = ShortConvolutionTaps(shape)
        let parameters = taps.groups * taps.stride
        // The filters, then each block's sums of their gradients.
        let blocks = min(shape.batch, 32)
        guard let filters = workers.sharedWorkspace(floats: (1 + blocks) * parameters) else { return }
        let partials = filters + parameters
        taps.gather(weight: weight, bias: bias, into: filters)
        let (length, channels) = (shape.length, shape.channels)
        let scratch = taps.scratch(length: length)
        let (inputs, rows) = taps.ahead(shape)
        workers.forEachBlock(blocks, floats: scratch + 5 * length * 16) { block, worker in
            let partial = partials + block * parameters
            partial.update(repeating: 0, count: parameters)
            let dc = workers.workspace(worker)
            func part(_ index: Int) -> MutableFloats { dc + scratch + index * length * 16 }
            for b in shape.batch * block / blocks..<shape.batch * (block + 1) / blocks {
                let (u, du) = (u + b * length * shape.inputStride, du + b * length * shape.inputStride)
                let dy = dy + b * length * channels
                let gate = gate.map { $0 + b * length * channels }
                let dGate = dGate.map { $0 + b * length * channels }
                inputs.fetch([u, Floats(du)], scratch: dc)
                rows.fetch([gate, dy, dGate.map { Floats($0) }].compactMap { $0 }, scratch: dc)
                dc.update(repeating: 0, count: taps.scratchOffset(taps.groups))
                for tokens in taps.blocks(shape).reversed() {
                    for group in 0..<taps.wholeGroups {
                        let first = 16 * group
                        taps.pass(group, filters, shape)
                            .backward(
                                tokens,
                                u: u + first,
                                gate: gate.map { $0 + first },
                                dy: dy + first,
                                du: du + first,
                                sums: partial + group * taps.stride,
                                dGate: dGate.map { $0 + first },
                                dc: dc + taps.scratchOffset(group)
                            )
                    }
                }
                guard let group = taps.partialGroup else { continue }
                let lanes = ConvolutionLanes(group: group, channels: channels)
                lanes.gather(u, stride: shape.inputStride, length: length, into: part(0))
                lanes.gather(dy, stride: channels, length: length, into: part(1))
                if let gate { lanes.gather(gate, stride: channels, length: length, into: part(2)) }
                taps.pass(group, filters, shape).packed
                    .backward(
                        0..<length,
                        u: part(0),
                        gate: gate.map { _ in Floats(part(2)) },
                        dy: part(1),
                        du: part(3),
                        sums: partial + group * taps.stride,
                        dGate: dGate.map { _ in part(4) },
                        dc: dc + taps.scratchOffset(group)
                    )
                lanes.scatter(part(3), length: length, into: du, stride: shape.inputStride)
                if let dGate { lanes.scatter(part(4), length: length, into: dGate, stride: channels) }
            }
        }
        for block in 1..<max(blocks, 1) {
            let partial = partials + block * parameters
            for i in 0..<parameters { partials[i] += partial[i] }
        }
        taps.scatter(partials, dWeight: dWeight, dBias: dBias)
    }

    public func shortConvolutionStep(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        past: MutableFloats,
        y: MutableFloats
    ) {
        let taps = ShortConvolutionTaps(shape)
        guard let filters = workers.sharedWorkspace(floats: taps.groups * taps.stride) else { return }
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
                let result = ShortConvolutionPass.epilogue(c, gate: gate, skip: current)
                lanes.store(result, y + b * channels)
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

    var wholeGroups: Int { channels / 16 }
    /// The last group, where it has fewer than sixteen channels.
    var partialGroup: Int? { wholeGroups < groups ? wholeGroups : nil }

    /// The tokens that are gone through at a time, all groups of channels of them.
    ///
    /// A sequence that stays in the second-level cache is gone through once for each group. Of a longer one, rows are read
    /// as they lie in memory, eight at a time: of sixteen the five matrices begin to drive each other out of the nearest
    /// cache. With more than four taps the sums of a group are made one after the other over the whole length.
    func blocks(_ shape: ShortConvolutionShape) -> [Range<Int>] {
        let length = shape.length
        let isLong = isInBlocks && wholeGroups > 1 && 5 * length * channels > 1 << 18
        let size = isLong ? 8 : max(length, 1)
        return (0..<(length + size - 1) / size).map { $0 * size..<min(($0 + 1) * size, length) }
    }

    /// A sequence's rows as u and du have them, and as all else has.
    func ahead(_ shape: ShortConvolutionShape) -> (inputs: ReadAhead, rows: ReadAhead) {
        (
            ReadAhead(rows: shape.length, width: channels, stride: shape.inputStride),
            ReadAhead(rows: shape.length, width: channels, stride: channels)
        )
    }

    /// Elements of the backward's scratch, and where in it a group's is: three vectors of each that begin as zero, or room for
    /// a whole length that all share.
    func scratch(length: Int) -> Int { isInBlocks ? scratchOffset(groups) : length * 16 }
    func scratchOffset(_ group: Int) -> Int { isInBlocks ? 48 * group : 0 }

    /// Whether a pass can go on from where the one before it has stopped.
    private var isInBlocks: Bool { count == 4 }

    func pass(_ group: Int, _ filters: Floats, _ shape: ShortConvolutionShape) -> ShortConvolutionPass {
        ShortConvolutionPass(
            length: shape.length,
            taps: count,
            filter: filters + group * stride,
            inputStride: shape.inputStride,
            stride: shape.channels
        )
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
