extension CPUBackend {
    /// y = ((f + δ) * u) ⊙ gate + u: the inner skip is a first tap larger by one.
    public func longConvolutionForward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        y: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let array = plan.array
        let floats = plan.sharedArrays * array + plan.tableFloats
        guard let spectra = workers.sharedWorkspace(floats: floats) else { return }
        let transform = LaneFourierTransform(size: plan.size, table: spectra + plan.sharedArrays * array)
        makeSpectra(plan, transform, filter, into: spectra)
        forEachPart(plan, transform, arrays: plan.isSingle ? 2 : 1, matrices: [u, gate, Floats(y)]) { part in
            let u = u + part.start
            part.split(0) { RowSource(rows: $0, matrix: u) }
            if plan.isSingle { part.split(1) { RowSource(rows: $0, matrix: filter) } }
            for group in part.groups {
                let x = part.array(0, group)
                if plan.isSingle {
                    transform.addImpulse(x + array)
                    transform.run(ProductWork(x: x, spacing: array))
                } else {
                    transform.run(FilteringWork(x: x, spectrum: spectra + group * array))
                }
            }
            let (gate, y) = (gate + part.start, y + part.start)
            part.join(0) { GatedSink(rows: $0, scale: plan.scale, u: u, gate: gate, y: y) }
        }
    }

    /// With v the gradient dy ⊙ gate in reverse order of time, what the backward needs are causal convolutions too:
    /// dGate = dy ⊙ ((f + δ) * u), du_t = ((f + δ) * v)_{L-1-t} + dy_t, and df_τ = Σ (u * v)_{L-1-τ} over the batch.
    public func longConvolutionBackward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        dy: Floats,
        du: MutableFloats,
        dFilter: MutableFloats,
        dGate: MutableFloats
    ) {
        let plan = FourierPlan(shape)
        let (array, length) = (plan.array, shape.length)
        let floats = (1 + plan.chunks) * plan.sharedArrays * array + plan.tableFloats
        guard let spectra = workers.sharedWorkspace(floats: floats) else { return }
        // Each chunk's sums of the spectra of u * v.
        let products = spectra + plan.sharedArrays * array
        let transform = LaneFourierTransform(
            size: plan.size,
            table: products + plan.chunks * plan.sharedArrays * array
        )
        makeSpectra(plan, transform, filter, into: spectra)
        /// Row t of the filter's gradient is number L-1-t of u * v.
        func filterGradient(_ rows: LaneRows) -> ReversedSink {
            ReversedSink(rows: rows, scale: plan.scale, out: dFilter)
        }
        forEachPart(
            plan,
            transform,
            arrays: plan.isSingle ? 3 : 2,
            matrices: [u, gate, dy, Floats(du), Floats(dGate)]
        ) { part in
            let (u, gate, dy) = (u + part.start, gate + part.start, dy + part.start)
            part.split(0) { RowSource(rows: $0, matrix: u) }
            part.split(1) { ReversedProductSource(rows: $0, a: dy, b: gate) }
            if plan.isSingle { part.split(2) { RowSource(rows: $0, matrix: filter) } }
            for group in part.groups {
                let x = part.array(0, group)
                if plan.isSingle {
                    transform.addImpulse(x + 2 * array)
                    transform.run(ThreeProductsWork(x: x, spacing: array))
                } else {
                    transform.run(
                        GradientWork(
                            x: x,
                            spacing: array,
                            spectrum: spectra + group * array,
                            products: products + (part.chunk * plan.groups + group) * array,
                            isAdding: !part.isFirst
                        )
                    )
                }
            }
            let (dGate, du) = (dGate + part.start, du + part.start)
            part.join(0) { ProductSink(rows: $0, scale: plan.scale, factor: dy, out: dGate) }
            part.join(1) { ReversedSumSink(rows: $0, scale: plan.scale, term: dy, out: du) }
            if plan.isSingle { part.join(2, filterGradient) }
        }
        guard !plan.isSingle else { return }
        workers.forEachBlock(plan.groups) { group, _ in
            let sum = products + group * array
            for chunk in 1..<max(1, plan.chunks) {
                let more = products + (chunk * plan.groups + group) * array
                for i in 0..<array { sum[i] += more[i] }
            }
            transform.run(BackwardWork(x: sum))
            transform.joinRoot(
                sum,
                length: length,
                columns: transform.columns,
                into: filterGradient(plan.rows(group))
            )
        }
    }

    /// Makes the filter's spectra, its skip included, unless a single sequence's work makes them where it needs them.
    private func makeSpectra(
        _ plan: FourierPlan,
        _ transform: LaneFourierTransform,
        _ filter: Floats,
        into spectra: MutableFloats
    ) {
        guard !plan.isSingle else { return }
        workers.forEachBlock(plan.groups) { group, _ in
            let x = spectra + group * plan.array
            let source = RowSource(rows: plan.rows(group), matrix: filter)
            transform.splitRoot(source, length: plan.shape.length, columns: transform.columns, into: x)
            transform.addImpulse(x)
            transform.run(ForwardWork(x: x))
        }
    }

    /// Calls `body` with all channels of every sequence, and room for `arrays` transforms of each group. Where there are
    /// enough sequences, a run of them is one worker's, group by group; else the groups of one after the other are shared
    /// by all, some of them together.
    ///
    /// - Parameter matrices: what the parts read and write, (batch, length, channels) each.
    private func forEachPart(
        _ plan: FourierPlan,
        _ transform: LaneFourierTransform,
        arrays: Int,
        matrices: [Floats],
        _ body: (_ part: FourierPart) -> Void
    ) {
        // Which groups go together changes no bit of them. Rows that are read ahead need no company.
        let together =
            plan.chunks > 1 ? 1 : min(plan.groups / workers.threads, plan.mostTogether(arrays: arrays))
        let parts = RowRanges(total: plan.groups, size: max(1, together))
        let floats = parts.size * arrays * plan.array
        func part(_ chunk: Int, _ index: Int, _ number: Int, _ worker: Int) -> FourierPart {
            FourierPart(
                plan: plan,
                transform: transform,
                chunk: chunk,
                index: index,
                groups: parts[number],
                arrays: arrays,
                memory: workers.workspace(worker)
            )
        }
        guard plan.chunks > 1 else {
            for index in 0..<plan.shape.batch {
                workers.forEachBlock(parts.count, floats: floats) { body(part(0, index, $0, $1)) }
            }
            return
        }
        let ahead = ReadAhead(rows: plan.shape.length, width: plan.shape.channels, stride: plan.shape.channels)
        workers.forEachBlock(plan.chunks, floats: floats) { chunk, worker in
            for index in plan.sequences(chunk) {
                ahead.fetch(matrices.map { $0 + plan.start(index) }, scratch: workers.workspace(worker))
                for number in 0..<parts.count { body(part(chunk, index, number, worker)) }
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

    /// How many groups of so many arrays are worked on together at most: those of 64 channels, 256 bytes of a row, but not
    /// so many that their arrays take over some 10 MB, a share of the last cache that a core can count on.
    func mostTogether(arrays: Int) -> Int { min(4, 2_500_000 / (arrays * array)) }

    /// Where a sequence begins, in elements.
    func start(_ index: Int) -> Int { index * shape.length * shape.channels }

    func rows(_ group: Int) -> LaneRows {
        LaneRows(
            lanes: ConvolutionLanes(group: group, channels: shape.channels),
            channels: shape.channels,
            length: shape.length
        )
    }
}

/// Some groups of channels of one sequence.
private struct FourierPart {
    let plan: FourierPlan
    let transform: LaneFourierTransform
    let chunk: Int
    /// The sequence.
    let index: Int
    let groups: Range<Int>
    /// How many arrays a group has, and all of them.
    let arrays: Int
    let memory: MutableFloats

    /// Whether the sequence is its chunk's first.
    var isFirst: Bool { index == plan.sequences(chunk).lowerBound }

    var start: Int { plan.start(index) }

    @inline(__always)
    func array(_ number: Int, _ group: Int) -> MutableFloats {
        memory + ((group - groups.lowerBound) * arrays + number) * plan.array
    }

    /// Splits what comes from a group's rows into its array of that number.
    @inline(__always)
    func split<Source: LaneSource>(_ number: Int, _ source: (LaneRows) -> Source) {
        transform.forEachColumns(arrays: groups.count) { columns in
            for group in groups {
                transform.splitRoot(
                    source(plan.rows(group)),
                    length: plan.shape.length,
                    columns: columns,
                    into: array(number, group)
                )
            }
        }
    }

    @inline(__always)
    func join<Sink: LaneSink>(_ number: Int, _ sink: (LaneRows) -> Sink) {
        transform.forEachColumns(arrays: groups.count) { columns in
            for group in groups {
                transform.joinRoot(
                    array(number, group),
                    length: plan.shape.length,
                    columns: columns,
                    into: sink(plan.rows(group))
                )
            }
        }
    }
}
