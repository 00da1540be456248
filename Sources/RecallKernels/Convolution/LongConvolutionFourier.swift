extension CPUBackend {
    /// y = ((f + δ) * u) ⊙ gate + u: the inner skip is a first tap larger by one.
    public func longConvolutionForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let (array, length) = (plan.array, shape.length)
        let spectra = workers.sharedWorkspace(floats: plan.sharedArrays * array + plan.tableFloats)
        let transform = LaneFourierTransform(size: plan.size, table: spectra + plan.sharedArrays * array)
        makeSpectra(plan, transform, filter, into: spectra)
        forEachPart(plan, arrays: 2, matrices: [u, gate, Floats(y)]) { part, x in
            let (rows, u) = (part.rows, u + part.start)
            transform.splitRoot(RowSource(rows: rows, matrix: u), length: length, into: x)
            if plan.isSingle {
                transform.splitRoot(RowSource(rows: rows, matrix: filter), length: length, into: x + array)
                transform.addImpulse(x + array)
                transform.run(ProductWork(x: x, spacing: array))
            } else {
                transform.run(FilteringWork(x: x, spectrum: spectra + part.group * array))
            }
            let sink = GatedSink(
                rows: rows, scale: plan.scale, u: u, gate: gate + part.start, y: y + part.start)
            transform.joinRoot(x, length: length, into: sink)
        }
    }

    /// With v the gradient dy ⊙ gate in reverse order of time, what the backward needs are causal convolutions too:
    /// dGate = dy ⊙ ((f + δ) * u), du_t = ((f + δ) * v)_{L-1-t} + dy_t, and df_τ = Σ (u * v)_{L-1-τ} over the batch.
    public func longConvolutionBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let (array, length) = (plan.array, shape.length)
        let spectra = workers.sharedWorkspace(
            floats: (1 + plan.chunks) * plan.sharedArrays * array + plan.tableFloats)
        // Each chunk's sums of the spectra of u * v.
        let products = spectra + plan.sharedArrays * array
        let transform = LaneFourierTransform(
            size: plan.size, table: products + plan.chunks * plan.sharedArrays * array)
        makeSpectra(plan, transform, filter, into: spectra)
        /// Row t of the filter's gradient is number L-1-t of u * v.
        func writeFilterGradient(_ x: MutableFloats, _ rows: LaneRows) {
            let sink = ReversedSink(rows: rows, scale: plan.scale, out: dFilter)
            transform.joinRoot(x, length: length, into: sink)
        }
        forEachPart(plan, arrays: 3, matrices: [u, gate, dy, Floats(du), Floats(dGate)]) { part, x in
            let (rows, dy, v) = (part.rows, dy + part.start, x + array)
            transform.splitRoot(RowSource(rows: rows, matrix: u + part.start), length: length, into: x)
            transform.splitRoot(
                ReversedProductSource(rows: rows, a: dy, b: gate + part.start), length: length, into: v)
            if plan.isSingle {
                let f = x + 2 * array
                transform.splitRoot(RowSource(rows: rows, matrix: filter), length: length, into: f)
                transform.addImpulse(f)
                transform.run(ThreeProductsWork(x: x, spacing: array))
                writeFilterGradient(f, rows)
            } else {
                transform.run(
                    GradientWork(
                        x: x, spacing: array, spectrum: spectra + part.group * array,
                        products: products + (part.chunk * plan.groups + part.group) * array,
                        isAdding: !part.isFirst))
            }
            let (dGate, du) = (dGate + part.start, du + part.start)
            transform.joinRoot(
                x, length: length, into: ProductSink(rows: rows, scale: plan.scale, factor: dy, out: dGate))
            transform.joinRoot(
                v, length: length, into: ReversedSumSink(rows: rows, scale: plan.scale, term: dy, out: du))
        }
        guard !plan.isSingle else { return }
        workers.forEachBlock(plan.groups) { group, _ in
            let sum = products + group * array
            for chunk in 1..<max(1, plan.chunks) {
                let more = products + (chunk * plan.groups + group) * array
                for i in 0..<array { sum[i] += more[i] }
            }
            transform.run(BackwardWork(x: sum))
            writeFilterGradient(sum, plan.rows(group))
        }
    }

    /// Makes the filter's spectra, its skip included, unless a single sequence's work makes them where it needs them.
    private func makeSpectra(
        _ plan: FourierPlan, _ transform: LaneFourierTransform, _ filter: Floats, into spectra: MutableFloats
    ) {
        guard !plan.isSingle else { return }
        workers.forEachBlock(plan.groups) { group, _ in
            let x = spectra + group * plan.array
            let source = RowSource(rows: plan.rows(group), matrix: filter)
            transform.splitRoot(source, length: plan.shape.length, into: x)
            transform.addImpulse(x)
            transform.run(ForwardWork(x: x))
        }
    }

    /// Calls `body` with every group of channels of every sequence and room for `arrays` transforms: where there are
    /// enough sequences, a run of them is one worker's, else the groups of one after the other are shared by all.
    ///
    /// - Parameter matrices: what the parts read and write, (batch, length, channels) each.
    private func forEachPart(
        _ plan: FourierPlan, arrays: Int, matrices: [Floats],
        _ body: (_ part: FourierPart, _ x: MutableFloats) -> Void
    ) {
        let floats = arrays * plan.array
        guard plan.chunks > 1 else {
            for index in 0..<plan.shape.batch {
                workers.forEachBlock(plan.groups, floats: floats) { group, worker in
                    body(plan.part(chunk: 0, index, group), workers.workspace(worker))
                }
            }
            return
        }
        let ahead = ReadAhead(rows: plan.shape.length, width: plan.shape.channels, stride: plan.shape.channels)
        workers.forEachBlock(plan.chunks, floats: floats) { chunk, worker in
            let x = workers.workspace(worker)
            for index in plan.sequences(chunk) {
                ahead.fetch(matrices.map { $0 + plan.start(index) }, scratch: x)
                for group in 0..<plan.groups { body(plan.part(chunk: chunk, index, group), x) }
            }
        }
    }
}

/// How a long convolution is done by transforms.
private struct FourierPlan {
    let shape: LongConvolutionShape
    /// How many groups of sixteen channels there are.
    let groups: Int
    /// Points and elements of a transform.
    let size, array: Int

    init(_ shape: LongConvolutionShape) {
        self.shape = shape
        groups = ConvolutionLanes.groups(channels: shape.channels)
        size = LaneFourierTransform.size(length: shape.length)
        array = LaneFourierTransform.arrayFloats(size: size)
    }

    /// Whether spectra of the filter serve one sequence only. They are then made just before, in a worker's own memory,
    /// for those of all groups would drive each other out of the caches.
    var isSingle: Bool { shape.batch == 1 }

    /// Transforms of all groups, as many as memory that all workers share is needed for.
    var sharedArrays: Int { isSingle ? 0 : groups }

    var tableFloats: Int { LaneFourierTransform.tableFloats(size: size) }

    /// What makes up for transforms that do not scale.
    var scale: Float { 1 / Float(size) }

    /// Runs of sequences that are worked on at once.
    var chunks: Int { shape.batch < 16 ? 1 : 16 }

    func sequences(_ chunk: Int) -> Range<Int> {
        shape.batch * chunk / chunks..<shape.batch * (chunk + 1) / chunks
    }

    /// Where a sequence begins, in elements.
    func start(_ index: Int) -> Int { index * shape.length * shape.channels }

    func rows(_ group: Int) -> LaneRows {
        LaneRows(
            lanes: ConvolutionLanes(group: group, channels: shape.channels), channels: shape.channels,
            length: shape.length)
    }

    func part(chunk: Int, _ index: Int, _ group: Int) -> FourierPart {
        FourierPart(
            chunk: chunk, isFirst: index == sequences(chunk).lowerBound,
            start: start(index), group: group, rows: rows(group))
    }
}

/// A group of channels of one sequence.
private struct FourierPart {
    let chunk: Int
    /// Whether the sequence is its chunk's first.
    let isFirst: Bool
    /// Where the sequence begins, in elements.
    let start: Int
    let group: Int
    let rows: LaneRows
}
