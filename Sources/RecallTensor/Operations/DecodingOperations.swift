import RecallKernels

/// One token of decoding for each mixer's core. Nothing is recorded. States are host arrays, as is a CPU's memory.
extension Tape {
    /// - Parameters:
    ///   - qkv: (batch, 1, 3·D); with `ropeBase` its q and k are rotated in place for `position`.
    ///   - cachedKeys, cachedValues: (batch, capacity, D), the first `cached` rows valid.
    public func attentionStep(
        _ qkv: Tensor, heads: Int, ropeBase: Double?, position: Int, cachedKeys: [Float], cachedValues: [Float],
        cached: Int, capacity: Int
    ) -> Tensor {
        let width = qkv.width / 3
        let shape = AttentionShape(
            batch: qkv.shape[0], length: 1, heads: heads, headWidth: width / heads, rowStride: 3 * width)
        let out = tensor([qkv.shape[0], 1, width])
        let q = qkv.pointer
        launch {
            if let ropeBase {
                for x in [q, q + width] {
                    backend.rotary(shape, x: x, base: Float(ropeBase), firstPosition: position, direction: 1)
                }
            }
            withAddress(of: cachedKeys) { keys in
                withAddress(of: cachedValues) { values in
                    backend.attentionStep(
                        shape, q: q, k: q + width, v: q + 2 * width, cachedKeys: keys, cachedValues: values,
                        cached: cached, capacity: capacity, out: out.pointer)
                }
            }
        }
        return out
    }

    /// - Parameter state: (batch, heads, M, e + 1).
    public func linearAttentionStep(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, heads: Int, map: FeatureMap, state: inout [Float]
    ) -> Tensor {
        let shape = LinearAttentionShape(
            batch: q.shape[0], length: 1, heads: heads, featureWidth: q.width / heads,
            valueWidth: v.width / heads, map: map)
        let y = tensor(v.shape)
        launch {
            withMutableAddress(of: &state) {
                backend.linearAttentionStep(
                    shape, q: q.values, k: k.values, v: v.values, state: $0, y: y.pointer)
            }
        }
        return y
    }

    /// - Parameters:
    ///   - bias: nil for a convolution without one.
    ///   - past: (batch, taps - 1, channels).
    public func shortConvolutionStep(
        _ u: Tensor, weight: Parameter, bias: Parameter?, gate: Tensor?, epilogue: ConvolutionEpilogue,
        past: inout [Float]
    ) -> Tensor {
        let shape = ShortConvolutionShape(
            batch: u.shape[0], length: 1, channels: u.width, taps: weight.shape[1], inputStride: u.rowStride,
            epilogue: epilogue)
        let y = tensor(u.shape)
        let biases = biasValues(bias, channels: u.width)
        launch {
            withMutableAddress(of: &past) {
                backend.shortConvolutionStep(
                    shape, u: u.values, weight: weight.value, bias: biases.values, gate: gate?.values,
                    past: $0, y: y.pointer)
            }
        }
        return y
    }

    /// - Parameter past: (batch, capacity, channels), the first `position` rows valid.
    public func longConvolutionStep(
        _ u: Tensor, filter: Tensor, gate: Tensor, past: [Float], position: Int, capacity: Int
    ) -> Tensor {
        let shape = LongConvolutionShape(batch: u.shape[0], length: 1, channels: u.width)
        let y = tensor(u.shape)
        launch {
            withAddress(of: past) {
                backend.longConvolutionStep(
                    shape, u: u.values, filter: filter.values, gate: gate.values, past: $0, position: position,
                    capacity: capacity, y: y.pointer)
            }
        }
        return y
    }

    /// - Parameter state: (batch, states, channels).
    public func selectiveScanStep(
        x: Tensor, delta: Tensor, b: Tensor, c: Tensor, z: Tensor, _ parameters: ScanParameters,
        state: inout [Float]
    ) -> Tensor {
        let shape = ScanShape(
            batch: x.shape[0], length: 1, channels: x.width, states: b.width, stateStride: b.rowStride,
            gateStride: z.rowStride)
        let out = tensor(x.shape)
        launch {
            withMutableAddress(of: &state) {
                backend.scanStep(
                    shape, x: x.values, delta: delta.values, deltaBias: parameters.deltaBias.value,
                    aLog: parameters.aLog.value, b: b.values, c: c.values, skip: parameters.skip.value,
                    z: z.values,
                    state: $0, out: out.pointer)
            }
        }
        return out
    }

    /// Some columns of every row of a tensor, on the host: their first address and the stride between rows.
    public func withHostRows(
        _ tensor: Tensor, columns: Range<Int>, _ body: (_ rows: UnsafePointer<Float>, _ stride: Int) -> Void
    ) {
        launch { body(tensor.values + columns.lowerBound, tensor.rowStride) }
    }

    private func withAddress(of numbers: [Float], _ body: (Floats) -> Void) {
        numbers.withUnsafeBufferPointer { buffer in
            // An empty cache still needs an address, which no kernel reads.
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 1) { spare in
                guard let address = buffer.baseAddress ?? spare.baseAddress.map({ Floats($0) }) else { return }
                body(address)
            }
        }
    }

    private func withMutableAddress(of numbers: inout [Float], _ body: (MutableFloats) -> Void) {
        numbers.withUnsafeMutableBufferPointer { buffer in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 1) { spare in
                guard let address = buffer.baseAddress ?? spare.baseAddress else { return }
                body(address)
            }
        }
    }
}
