import RecallKernels

/// Decoding for each mixer's core: one token, or a prompt where the core's state is not a copy of its inputs. Nothing is
/// differentiated. States are host arrays, which the backend makes known to its kernels.
extension Tape {
    /// - Parameters:
    ///   - qkv: (batch, 1, 3·D); with `ropeBase` its q and k are rotated in place for `position`.
    ///   - cachedKeys, cachedValues: (batch, capacity, D), the first `cached` rows valid.
    public func attentionStep(
        _ qkv: Tensor,
        heads: Int,
        ropeBase: Double?,
        position: Int,
        cachedKeys: [Float],
        cachedValues: [Float],
        cached: Int,
        capacity: Int
    ) -> Tensor {
        let width = qkv.width / 3
        let shape = AttentionShape(
            batch: qkv.shape[0],
            length: 1,
            heads: heads,
            headWidth: width / heads,
            rowStride: 3 * width
        )
        let out = tensor([qkv.shape[0], 1, width])
        let q = qkv.pointer
        decode("attention", out, shape.stepWork(cached: cached)) {
            if let ropeBase {
                for x in [q, q + width] {
                    backend.rotary(shape, x: x, base: Float(ropeBase), firstPosition: position, direction: 1)
                }
            }
            withAddress(of: cachedKeys) { keys in
                withAddress(of: cachedValues) { values in
                    backend.attentionStep(
                        shape,
                        q: q,
                        k: q + width,
                        v: q + 2 * width,
                        cachedKeys: keys,
                        cachedValues: values,
                        cached: cached,
                        capacity: capacity,
                        out: out.pointer
                    )
                }
            }
        }
        return out
    }

    /// - Parameter state: (batch, heads, M, e + 1).
    public func linearAttentionStep(
        _ q: Tensor,
        _ k: Tensor,
        _ v: Tensor,
        heads: Int,
        map: FeatureMap,
        state: inout [Float]
    ) -> Tensor {
        let shape = linearAttentionShape(q, v, heads: heads, map: map)
        let y = tensor(v.shape)
        decode("linear attention", y, shape.stepWork) {
            withMutableAddress(of: &state) {
                backend.linearAttentionStep(
                    shape,
                    q: q.values,
                    k: k.values,
                    v: v.values,
                    state: $0,
                    y: y.pointer
                )
            }
        }
        return y
    }

    /// A prompt's linear attention, with the state after it.
    ///
    /// - Parameters:
    ///   - state: (batch, heads, M, e + 1) of a batch of which q, k and v are some sequences; theirs is written.
    ///   - first: the first of them.
    public func linearAttentionPrefill(
        _ q: Tensor,
        _ k: Tensor,
        _ v: Tensor,
        heads: Int,
        map: FeatureMap,
        state: inout [Float],
        first: Int
    ) -> Tensor {
        let shape = linearAttentionShape(q, v, heads: heads, map: map)
        let y = tensor(v.shape)
        let normaliser = tensor([shape.batch, heads, shape.length])
        decode("linear attention", y, shape.work.forward) {
            withMutableAddress(of: &state) {
                backend.linearAttentionPrefill(
                    shape,
                    q: q.values,
                    k: k.values,
                    v: v.values,
                    y: y.pointer,
                    normaliser: normaliser.pointer,
                    state: $0 + first * shape.stateCount
                )
            }
        }
        return y
    }

    private func linearAttentionShape(_ q: Tensor, _ v: Tensor, heads: Int, map: FeatureMap)
        -> LinearAttentionShape
    {
        LinearAttentionShape(
            batch: q.shape[0],
            length: q.shape[1],
            heads: heads,
            featureWidth: q.width / heads,
            valueWidth: v.width / heads,
            map: map
        )
    }

    /// - Parameters:
    ///   - bias: nil for a convolution without one.
    ///   - past: (batch, taps - 1, channels).
    public func shortConvolutionStep(
        _ u: Tensor,
        weight: Parameter,
        bias: Parameter?,
        gate: Tensor?,
        epilogue: ConvolutionEpilogue,
        past: inout [Float]
    ) -> Tensor {
        let shape = ShortConvolutionShape(
            batch: u.shape[0],
            length: 1,
            channels: u.width,
            taps: weight.shape[1],
            inputStride: u.rowStride,
            epilogue: epilogue
        )
        let y = tensor(u.shape)
        let biases = biasValues(bias, channels: u.width)
        decode("convolution", y, shape.stepWork) {
            withMutableAddress(of: &past) {
                backend.shortConvolutionStep(
                    shape,
                    u: u.values,
                    weight: weight.value,
                    bias: biases.values,
                    gate: gate?.values,
                    past: $0,
                    y: y.pointer
                )
            }
        }
        return y
    }

    /// - Parameters:
    ///   - filter: at least (position + 1, channels).
    ///   - past: (batch, capacity, channels), the first `position` rows valid.
    public func longConvolutionStep(
        _ u: Tensor,
        filter: [Float],
        gate: Tensor,
        past: [Float],
        position: Int,
        capacity: Int
    ) -> Tensor {
        let shape = LongConvolutionShape(batch: u.shape[0], length: 1, channels: u.width)
        let y = tensor(u.shape)
        decode("long convolution", y, shape.stepWork(position: position)) {
            precondition(filter.count >= (position + 1) * u.width && position < capacity)
            withAddress(of: past) { past in
                withAddress(of: filter) { filter in
                    backend.longConvolutionStep(
                        shape,
                        u: u.values,
                        filter: filter,
                        gate: gate.values,
                        past: past,
                        position: position,
                        capacity: capacity,
                        y: y.pointer
                    )
                }
            }
        }
        return y
    }

    /// Takes a scan's state through one token or a prompt.
    ///
    /// - Parameters:
    ///   - state: (batch, states, channels) of a batch of which x is some sequences; theirs is moved on.
    ///   - first: the first of them.
    public func selectiveScanStep(
        x: Tensor,
        delta: Tensor,
        b: Tensor,
        c: Tensor,
        z: Tensor,
        _ parameters: ScanParameters,
        state: inout [Float],
        first: Int = 0
    ) -> Tensor {
        let shape = ScanShape(
            batch: x.shape[0],
            length: x.shape[1],
            channels: x.width,
            states: b.width,
            stateStride: b.rowStride,
            gateStride: z.rowStride
        )
        let out = tensor(x.shape)
        decode("selective scan", out, shape.work.forward) {
            withMutableAddress(of: &state) {
                backend.scanStep(
                    shape,
                    x: x.values,
                    delta: delta.values,
                    deltaBias: parameters.deltaBias.value,
                    aLog: parameters.aLog.value,
                    b: b.values,
                    c: c.values,
                    skip: parameters.skip.value,
                    z: z.values,
                    state: $0 + first * shape.states * shape.channels,
                    out: out.pointer
                )
            }
        }
        return out
    }

    /// Some columns of every row of a tensor, on the host: their first address and the stride between rows.
    public func withHostRows(
        _ tensor: Tensor,
        columns: Range<Int>,
        _ body: (_ rows: UnsafePointer<Float>, _ stride: Int) -> Void
    ) {
        launch {
            let count = max(0, tensor.rows - 1) * tensor.rowStride + columns.count
            backend.withNumbersOnHost(tensor.values + columns.lowerBound, count: count) {
                body($0, tensor.rowStride)
            }
        }
    }

    /// Copies all rows of a tensor into another of the same width, from `row` on.
    public func copyRows(_ source: Tensor, into target: Tensor, from row: Int) {
        precondition(source.width == target.width && source.isContiguous && target.isContiguous)
        precondition(row >= 0 && row + source.rows <= target.rows)
        launch {
            backend.copyOnDevice(
                source.values,
                target.pointer + row * target.width,
                bytes: source.count * MemoryLayout<Float>.stride
            )
        }
    }

    /// An operation that has no backward: counted and inspected like any other.
    private func decode(_ name: String, _ output: Tensor, _ work: @autoclosure () -> Work, _ kernel: () -> Void)
    {
        precondition(!isTraining)
        record(
            name,
            output: output,
            work: KernelWork(forward: work(), backward: Work()),
            forward: kernel,
            backward: {}
        )
    }

    private func withAddress(of numbers: [Float], _ body: (Floats) -> Void) {
        numbers.withUnsafeBufferPointer { buffer in
            // Only read: nothing is written through it.
            backend.withHostNumbers(UnsafeMutableBufferPointer(mutating: buffer), isWritten: false) {
                body(Floats($0))
            }
        }
    }

    private func withMutableAddress(of numbers: inout [Float], _ body: (MutableFloats) -> Void) {
        numbers.withUnsafeMutableBufferPointer { backend.withHostNumbers($0, isWritten: true, body) }
    }
}
