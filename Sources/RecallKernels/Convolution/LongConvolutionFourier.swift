extension CPUBackend {
    /// y = ((f + δ) * u) ⊙ gate + u: the inner skip is a first tap larger by one.
    public func longConvolutionForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let (groups, array, length) = (plan.groups, plan.array, shape.length)
        let shared = workers.sharedWorkspace(
            floats: plan.sharedArrays * array + 2 * groups.floats + plan.tableFloats)
        let packedFilter = shared + plan.sharedArrays * array
        let packed = packedFilter + groups.floats
        let transform = LaneFourierTransform(size: plan.size, table: packed + groups.floats)
        packFilter(plan, transform, filter, into: packedFilter, spectra: shared)
        forEachSequence(plan, packed: packed, packings: 1, arrays: 2) { sequence in
            let (u, gate, y) = (u + sequence.start, gate + sequence.start, y + sequence.start)
            let signals = sequence.packed
            sequence.overTokens { groups.pack(u, $0, into: signals) }
            sequence.overGroups(arrays: 2) { group, x in
                let signal = signals + group * groups.stride
                transform.splitRoot(signal, length: length, into: x)
                if plan.isSingle {
                    transform.splitRoot(
                        packedFilter + group * groups.stride, length: length, into: x + array)
                    transform.run(ProductWork(x: x, spacing: array))
                } else {
                    transform.run(FilteringWork(x: x, spectrum: shared + group * array))
                }
                transform.joinRoot(x, length: length, into: signal)
            }
            sequence.overTokens {
                groups.writeForward(signals, scale: plan.scale, u: u, gate: gate, $0, y: y)
            }
        }
    }

    /// With v the gradient dy ⊙ gate in reverse order of time, what the backward needs are causal convolutions too:
    /// dGate = dy ⊙ ((f + δ) * u), du_t = ((f + δ) * v)_{L-1-t} + dy_t, and df_τ = Σ (u * v)_{L-1-τ} over the batch.
    public func longConvolutionBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let (groups, array, length) = (plan.groups, plan.array, shape.length)
        let shared = workers.sharedWorkspace(
            floats: (1 + plan.chunks) * plan.sharedArrays * array + 3 * groups.floats + plan.tableFloats)
        // Each chunk's sums of the spectra of u * v.
        let products = shared + plan.sharedArrays * array
        let packedFilter = products + plan.chunks * plan.sharedArrays * array
        let packed = packedFilter + groups.floats
        let transform = LaneFourierTransform(size: plan.size, table: packed + 2 * groups.floats)
        packFilter(plan, transform, filter, into: packedFilter, spectra: shared)
        forEachSequence(plan, packed: packed, packings: 2, arrays: 3) { sequence in
            let (u, gate, dy) = (u + sequence.start, gate + sequence.start, dy + sequence.start)
            let (us, vs) = (sequence.packed, sequence.packed + groups.floats)
            sequence.overTokens {
                groups.pack(u, $0, into: us)
                groups.packReversedProduct(dy, gate, $0, into: vs)
            }
            sequence.overGroups(arrays: 3) { group, x in
                let offset = group * groups.stride
                let (u, v, filter) = (us + offset, vs + offset, packedFilter + offset)
                transform.splitRoot(u, length: length, into: x)
                transform.splitRoot(v, length: length, into: x + array)
                if plan.isSingle {
                    transform.splitRoot(filter, length: length, into: x + 2 * array)
                    transform.run(ThreeProductsWork(x: x, spacing: array))
                    transform.joinRoot(x + 2 * array, length: length, into: filter)
                } else {
                    transform.run(
                        GradientWork(
                            x: x, spacing: array, spectrum: shared + group * array,
                            products: products + (sequence.chunk * groups.count + group) * array,
                            isAdding: !sequence.isFirst))
                }
                transform.joinRoot(x, length: length, into: u)
                transform.joinRoot(x + array, length: length, into: v)
            }
            sequence.overTokens {
                groups.writeBackward(
                    us, vs, scale: plan.scale, dy: dy, $0, du: du + sequence.start,
                    dGate: dGate + sequence.start)
            }
        }
        let everything = plan.sequence(0, chunk: 0, of: workers, packed: packed)
        if !plan.isSingle {
            everything.overGroups(arrays: 0) { group, _ in
                let sum = products + group * array
                for chunk in 1..<max(1, plan.chunks) {
                    let more = products + (chunk * groups.count + group) * array
                    for i in 0..<array { sum[i] += more[i] }
                }
                transform.signal(sum, length: length, into: packedFilter + group * groups.stride)
            }
        }
        everything.overTokens { groups.writeReversed(packedFilter, scale: plan.scale, $0, dFilter) }
    }

    /// Packs the filter with its skip and, unless a single sequence's work makes them where it needs them, makes its spectra.
    private func packFilter(
        _ plan: FourierPlan, _ transform: LaneFourierTransform, _ filter: Floats,
        into packed: MutableFloats, spectra: MutableFloats
    ) {
        let everything = plan.sequence(0, chunk: 0, of: workers, packed: packed)
        everything.overTokens { plan.groups.pack(filter, $0, into: packed) }
        for group in 0..<plan.groups.count {
            let first = packed + group * plan.groups.stride
            (Vector.load(first) + 1).store(first)
        }
        guard !plan.isSingle else { return }
        everything.overGroups(arrays: 0) { group, _ in
            transform.spectrum(
                packed + group * plan.groups.stride, length: plan.shape.length,
                into: spectra + group * plan.array)
        }
    }

    /// Calls `body` with each sequence: where there are enough of them in runs of which each is one worker's, else one
    /// after the other, each all workers'.
    ///
    /// - Parameters:
    ///   - packed: room for `packings` packed matrices of one sequence.
    ///   - arrays: transforms that a group's work needs room for.
    private func forEachSequence(
        _ plan: FourierPlan, packed: MutableFloats, packings: Int, arrays: Int,
        _ body: (FourierSequence) -> Void
    ) {
        guard plan.chunks > 1 else {
            for index in 0..<plan.shape.batch {
                body(plan.sequence(index, chunk: 0, of: workers, packed: packed))
            }
            return
        }
        let floats = arrays * plan.array + packings * plan.groups.floats
        workers.forEachBlock(plan.chunks, floats: floats) { chunk, worker in
            let own = workers.workspace(worker) + arrays * plan.array
            for index in plan.sequences(chunk) {
                body(plan.sequence(index, chunk: chunk, of: workers, worker: worker, packed: own))
            }
        }
    }
}

/// How a long convolution is done by transforms.
private struct FourierPlan {
    let shape: LongConvolutionShape
    let groups: ChannelGroups
    /// Points and elements of a transform.
    let size, array: Int

    init(_ shape: LongConvolutionShape) {
        self.shape = shape
        groups = ChannelGroups(channels: shape.channels, length: shape.length)
        size = LaneFourierTransform.size(length: shape.length)
        array = LaneFourierTransform.arrayFloats(size: size)
    }

    /// Whether spectra of the filter serve one sequence only. They are then made just before, in a worker's own memory,
    /// for those of all groups would drive each other out of the caches.
    var isSingle: Bool { shape.batch == 1 }

    /// Transforms of all groups, as many as memory that all workers share is needed for.
    var sharedArrays: Int { isSingle ? 0 : groups.count }

    var tableFloats: Int { LaneFourierTransform.tableFloats(size: size) }

    /// What makes up for transforms that do not scale.
    var scale: Float { 1 / Float(size) }

    /// Runs of sequences that are worked on at once.
    var chunks: Int { shape.batch < 16 ? 1 : 16 }

    func sequences(_ chunk: Int) -> Range<Int> {
        shape.batch * chunk / chunks..<shape.batch * (chunk + 1) / chunks
    }

    func sequence(
        _ index: Int, chunk: Int, of workers: Workers, worker: Int? = nil, packed: MutableFloats
    ) -> FourierSequence {
        FourierSequence(
            plan: self, workers: workers, worker: worker, chunk: chunk,
            index: index, packed: packed)
    }
}

/// The work on one sequence: one worker's alone, or shared by all.
private struct FourierSequence {
    let plan: FourierPlan
    let workers: Workers
    /// The one, or nil for all.
    let worker: Int?
    let chunk: Int
    /// Its number in the batch.
    let index: Int
    /// Room for its packed matrices.
    let packed: MutableFloats

    /// Where it begins, in elements.
    var start: Int { index * plan.shape.length * plan.shape.channels }

    /// Whether it is its chunk's first.
    var isFirst: Bool { index == plan.sequences(chunk).lowerBound }

    /// Calls `body` with all tokens, some at a time.
    func overTokens(_ body: (Range<Int>) -> Void) {
        let length = plan.shape.length
        guard worker == nil else { return body(0..<length) }
        let tile = 512
        workers.forEachBlock((length + tile - 1) / tile) { index, _ in
            body(index * tile..<min((index + 1) * tile, length))
        }
    }

    /// Calls `body` with each group of channels and room for `arrays` transforms.
    func overGroups(arrays: Int, _ body: (_ group: Int, _ x: MutableFloats) -> Void) {
        if let worker {
            for group in 0..<plan.groups.count { body(group, workers.workspace(worker)) }
        } else {
            workers.forEachBlock(plan.groups.count, floats: arrays * plan.array) { group, worker in
                body(group, workers.workspace(worker))
            }
        }
    }
}
