import RecallKernels

extension Tape {
    /// Causal softmax attention of a packed (q ‖ k ‖ v) projection: (batch, length, 3·D) to (batch, length, D).
    ///
    /// - Parameters:
    ///   - qkv: with `rope` its q and k are rotated in place, so nothing else may use it.
    ///   - window: keys that a query sees, its own included; nil for all.
    ///   - ropeBase: base of the rotary frequencies, or nil for no rotation.
    public func attention(
        _ qkv: Tensor,
        heads: Int,
        window: Int?,
        ropeBase: Double?,
        dropoutProbability: Double,
        dropoutSite: Int
    ) -> Tensor {
        let (batch, length, width) = (qkv.shape[0], qkv.shape[1], qkv.width / 3)
        precondition(qkv.shape.count == 3 && qkv.isContiguous && qkv.width == 3 * width && width % heads == 0)
        let shape = AttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            headWidth: width / heads,
            rowStride: 3 * width,
            window: window
        )
        let mask = dropout(probability: dropoutProbability, site: dropoutSite)
        let out = tensor([batch, length, width])
        let logSumExp = tensor([batch, heads, length])
        let q = qkv.pointer
        record(
            "attention",
            output: out,
            work: shape.work,
            forward: {
                if let ropeBase {
                    for x in [q, q + width] {
                        backend.rotary(shape, x: x, base: Float(ropeBase), firstPosition: 0, direction: 1)
                    }
                }
                backend.attentionForward(
                    shape,
                    q: q,
                    k: q + width,
                    v: q + 2 * width,
                    dropout: mask,
                    out: out.pointer,
                    logSumExp: logSumExp.pointer
                )
            },
            backward: { [unowned self] in
                guard let dOut = out.gradient else { return }
                let dqkv = gradientTarget(qkv)
                let dq = dqkv.pointer
                launch {
                    backend.attentionBackward(
                        shape,
                        q: qkv.values,
                        k: qkv.values + width,
                        v: qkv.values + 2 * width,
                        dropout: mask,
                        out: out.values,
                        logSumExp: logSumExp.values,
                        dOut: dOut.values,
                        dq: dq,
                        dk: dq + width,
                        dv: dq + 2 * width
                    )
                    if let ropeBase {
                        for dx in [dq, dq + width] {
                            backend.rotary(shape, x: dx, base: Float(ropeBase), firstPosition: 0, direction: -1)
                        }
                    }
                }
                commit(dqkv, to: qkv)
            }
        )
        return out
    }

    /// Normalised causal linear attention. q, k: (batch, length, heads·f); v: (batch, length, heads·e).
    public func linearAttention(_ q: Tensor, _ k: Tensor, _ v: Tensor, heads: Int, map: FeatureMap) -> Tensor {
        precondition(q.shape == k.shape && q.isContiguous && k.isContiguous && v.isContiguous)
        let shape = LinearAttentionShape(
            batch: q.shape[0],
            length: q.shape[1],
            heads: heads,
            featureWidth: q.width / heads,
            valueWidth: v.width / heads,
            map: map
        )
        let y = tensor(v.shape)
        let normaliser = tensor([shape.batch, heads, shape.length])
        record(
            "linear attention",
            output: y,
            work: shape.work,
            forward: {
                backend.linearAttentionForward(
                    shape,
                    q: q.values,
                    k: k.values,
                    v: v.values,
                    y: y.pointer,
                    normaliser: normaliser.pointer
                )
            },
            backward: { [unowned self] in
                guard let dy = y.gradient else { return }
                let (dq, dk, dv) = (gradientTarget(q), gradientTarget(k), gradientTarget(v))
                launch {
                    backend.linearAttentionBackward(
                        shape,
                        q: q.values,
                        k: k.values,
                        v: v.values,
                        y: y.values,
                        normaliser: normaliser.values,
                        dy: dy.values,
                        dq: dq.pointer,
                        dk: dk.pointer,
                        dv: dv.pointer
                    )
                }
                commit(dq, to: q)
                commit(dk, to: k)
                commit(dv, to: v)
            }
        )
        return y
    }

    /// A causal depthwise convolution and its epilogue; u may be columns of a tensor.
    ///
    /// - Parameters:
    ///   - weight: (channels, taps). bias: (channels), or nil for a convolution without one.
    ///   - gate: for `gatedWithSkip`, like u but contiguous.
    public func shortConvolution(
        _ u: Tensor,
        weight: Parameter,
        bias: Parameter?,
        gate: Tensor?,
        epilogue: ConvolutionEpilogue
    ) -> Tensor {
        precondition(weight.shape[0] == u.width && (gate != nil) == (epilogue == .gatedWithSkip))
        let shape = ShortConvolutionShape(
            batch: u.shape[0],
            length: u.shape[1],
            channels: u.width,
            taps: weight.shape[1],
            inputStride: u.rowStride,
            epilogue: epilogue
        )
        let y = tensor(u.shape)
        let biases = biasValues(bias, channels: u.width)
        record(
            "convolution",
            output: y,
            work: shape.work,
            forward: {
                backend.shortConvolutionForward(
                    shape,
                    u: u.values,
                    weight: weight.value,
                    bias: biases.values,
                    gate: gate?.values,
                    y: y.pointer
                )
            },
            backward: { [unowned self, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                let (du, dGate) = (gradientTarget(u), gate.map(gradientTarget))
                // The kernel writes a gradient of the bias in any case.
                let unused = bias == nil ? tensor([shape.channels]) : nil
                parameterGradient(weight) { dWeight in
                    parameterGradient(ifAny: bias) { dBias in
                        guard let dBias = dBias ?? unused?.pointer else { return }
                        launch {
                            backend.shortConvolutionBackward(
                                shape,
                                u: u.values,
                                weight: weight.value,
                                bias: biases.values,
                                gate: gate?.values,
                                dy: dy.values,
                                du: du.pointer,
                                dWeight: dWeight,
                                dBias: dBias,
                                dGate: dGate?.pointer
                            )
                        }
                    }
                }
                commit(du, to: u)
                if let gate, let dGate { commit(dGate, to: gate) }
            }
        )
        return y
    }

    /// A convolution's bias as its kernels read it: zeros where there is none.
    func biasValues(_ bias: Parameter?, channels: Int) -> Tensor {
        if let bias { return borrow(bias.value, shape: bias.shape) }
        let zeros = tensor([channels])
        launch { backend.fillZero(channels, y: zeros.pointer) }
        return zeros
    }

    /// (filter ∗ u + u) ⊙ gate + u. filter: (length, channels).
    public func longConvolution(_ u: Tensor, filter: Tensor, gate: Tensor) -> Tensor {
        let shape = LongConvolutionShape(batch: u.shape[0], length: u.shape[1], channels: u.width)
        precondition(filter.shape == [shape.length, shape.channels] && gate.shape == u.shape && u.isContiguous)
        let y = tensor(u.shape)
        record(
            "long convolution",
            output: y,
            work: shape.work,
            forward: {
                backend.longConvolutionForward(
                    shape,
                    u: u.values,
                    filter: filter.values,
                    gate: gate.values,
                    y: y.pointer
                )
            },
            backward: { [unowned self, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                let (du, dFilter, dGate) = (gradientTarget(u), gradientTarget(filter), gradientTarget(gate))
                launch {
                    backend.longConvolutionBackward(
                        shape,
                        u: u.values,
                        filter: filter.values,
                        gate: gate.values,
                        dy: dy.values,
                        du: du.pointer,
                        dFilter: dFilter.pointer,
                        dGate: dGate.pointer
                    )
                }
                commit(du, to: u)
                commit(dFilter, to: filter)
                commit(dGate, to: gate)
            }
        )
        return y
    }
}
