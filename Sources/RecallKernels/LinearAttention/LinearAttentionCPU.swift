extension CPUBackend: LinearAttentionKernels {
    public func linearAttentionForward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    ) {
        linearAttentionForward(
            shape,
            form: .cheapest(for: shape),
            q: q,
            k: k,
            v: v,
            y: y,
            normaliser: normaliser
        )
    }

    public func linearAttentionBackward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        linearAttentionBackward(
            shape,
            form: .cheapest(for: shape),
            q: q,
            k: k,
            v: v,
            y: y,
            normaliser: normaliser,
            dy: dy,
            dq: dq,
            dk: dk,
            dv: dv
        )
    }

    public func linearAttentionPrefill(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats,
        state: MutableFloats
    ) {
        // Whoever wants the state pays for writing it in any case. Reading it too is then, at Based's sizes (f 16, e 64),
        // at no length more than a fifth dearer than all pairs of tokens, and features of one chunk stay in cache.
        let plan = LinearAttentionPlan(shape, form: .chunked(64), backward: false, keepsState: true, workers)
        let stateCount = plan.stateRows * (shape.valueWidth + 1)
        workers.forEachBlock(shape.batch * shape.heads, floats: plan.floats) { block, worker in
            let head = HeadOffsets(shape, block)
            plan.forward(
                q: q + head.input,
                k: k + head.input,
                v: v + head.value,
                y: y + head.value,
                normaliser: normaliser + head.normaliser,
                memory: workers.workspace(worker),
                state: state + block * stateCount
            )
        }
    }

    /// The forward pass in a given form.
    package func linearAttentionForward(
        _ shape: LinearAttentionShape,
        form: LinearAttentionForm,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    ) {
        let plan = LinearAttentionPlan(shape, form: form, backward: false, workers)
        workers.forEachBlock(shape.batch * shape.heads, floats: plan.floats) { block, worker in
            let head = HeadOffsets(shape, block)
            plan.forward(
                q: q + head.input,
                k: k + head.input,
                v: v + head.value,
                y: y + head.value,
                normaliser: normaliser + head.normaliser,
                memory: workers.workspace(worker)
            )
        }
    }

    /// The backward pass in a given form, which need not be the forward pass's.
    package func linearAttentionBackward(
        _ shape: LinearAttentionShape,
        form: LinearAttentionForm,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        let plan = LinearAttentionPlan(shape, form: form, backward: true, workers)
        workers.forEachBlock(shape.batch * shape.heads, floats: plan.floats) { block, worker in
            let head = HeadOffsets(shape, block)
            plan.backward(
                q: q + head.input,
                k: k + head.input,
                v: v + head.value,
                y: y + head.value,
                normaliser: normaliser + head.normaliser,
                dy: dy + head.value,
                dq: dq + head.input,
                dk: dk + head.input,
                dv: dv + head.value,
                memory: workers.workspace(worker)
            )
        }
    }
}

/// Where one head of one sequence starts in q and k, in v and y, and in the normaliser.
private struct HeadOffsets {
    let input: Int
    let value: Int
    let normaliser: Int

    init(_ shape: LinearAttentionShape, _ block: Int) {
        let (sequence, head) = (block / shape.heads, block % shape.heads)
        let firstToken = sequence * shape.length * shape.heads + head
        (input, value) = (firstToken * shape.featureWidth, firstToken * shape.valueWidth)
        normaliser = block * shape.length
    }
}

extension LinearAttentionPlan {
    /// One head of one sequence, chunk by chunk.
    ///
    /// - Parameter state: (M, e + 1), written: the sum over all keys; nil unless the plan `keepsState`.
    func forward(
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats,
        memory: MutableFloats,
        state kept: MutableFloats? = nil
    ) {
        let earlier = state(earlier, memory)
        let (queries, keys) = (memory + queryTransposed, memory + keyTransposed)
        for first in stride(from: 0, to: length, by: chunk) where !workers.isCancelled {
            let tokens = min(chunk, length - first)
            let (y, normaliser) = (y + first * valueStride, normaliser + first)
            let q = mapped(q + first * inputStride, tokens: tokens, buffer: memory + mappedQuery)
            let k = mapped(k + first * inputStride, tokens: tokens, buffer: memory + mappedKey)
            let v = MatrixRows(start: v + first * valueStride, stride: valueStride)
            k.transpose(rows: tokens, columns: featureWidth, into: keys, lanes: lanes)
            scoresForward(
                tokens: tokens,
                q: q,
                v: v,
                numerator: y,
                normaliser: normaliser,
                memory: memory
            )
            if first > 0 {
                q.transpose(rows: tokens, columns: featureWidth, into: queries, lanes: lanes)
                let features = features(.query, of: queries, memory: memory)
                read(earlier, features: features, tokens: tokens, output: y)
                readColumn(earlier, features: features, tokens: tokens, output: normaliser)
            }
            for i in 0..<tokens {
                normaliser[i] += epsilon
                scaleRow(y + i * valueStride, by: 1 / normaliser[i], into: y + i * valueStride)
            }
            if first + tokens < length || kept != nil {
                add(
                    to: earlier,
                    features: features(.key, of: keys, memory: memory),
                    values: v,
                    column: allOnes(tokens, memory),
                    tokens: tokens,
                    first: first == 0
                )
            }
        }
        if let kept { copy(earlier, to: kept) }
    }

    /// One head of one sequence: forward over the chunks for all that needs the state of earlier keys (and for
    /// the pairs inside each chunk), then back over them for what needs the sum over later queries. Neither sum
    /// is needed for more than one chunk at a time, so none is kept.
    func backward(
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats,
        memory: MutableFloats
    ) {
        let (earlier, later) = (state(earlier, memory), state(later, memory))
        let (queries, keys) = (memory + queryTransposed, memory + keyTransposed)
        let gz = Floats(memory + normaliserGradient)
        for first in stride(from: 0, to: length, by: chunk) where !workers.isCancelled {
            let tokens = min(chunk, length - first)
            let dq = dq + first * inputStride
            let q = mapped(q + first * inputStride, tokens: tokens, buffer: memory + mappedQuery)
            let k = mapped(k + first * inputStride, tokens: tokens, buffer: memory + mappedKey)
            let v = MatrixRows(start: v + first * valueStride, stride: valueStride)
            let g = quotientBackward(
                first,
                tokens: tokens,
                y: y,
                normaliser: normaliser,
                dy: dy,
                memory: memory
            )
            k.transpose(rows: tokens, columns: featureWidth, into: keys, lanes: lanes)
            v.transpose(rows: tokens, columns: valueWidth, into: memory + valueTransposed, lanes: lanes)
            scoresBackward(
                tokens: tokens,
                q: q,
                k: k,
                g: g,
                gz: gz,
                dq: dq,
                dk: dk + first * inputStride,
                dv: dv + first * valueStride,
                memory: memory
            )
            if first > 0 {
                q.transpose(rows: tokens, columns: featureWidth, into: queries, lanes: lanes)
                featuresBackward(
                    .query,
                    of: queries,
                    state: earlier,
                    values: g,
                    column: gz,
                    tokens: tokens,
                    dx: dq,
                    memory: memory
                )
            }
            mappedBackward(dx: dq, output: q, tokens: tokens)
            if first + tokens < length {
                add(
                    to: earlier,
                    features: features(.key, of: keys, memory: memory),
                    values: v,
                    column: allOnes(tokens, memory),
                    tokens: tokens,
                    first: first == 0
                )
            }
        }
        for first in stride(from: (length - 1) / chunk * chunk, through: 0, by: -chunk)
        where !workers.isCancelled {
            let tokens = min(chunk, length - first)
            let last = first + tokens == length
            let dk = dk + first * inputStride
            let k = mapped(k + first * inputStride, tokens: tokens, buffer: memory + mappedKey)
            if !last {
                let v = MatrixRows(start: v + first * valueStride, stride: valueStride)
                k.transpose(rows: tokens, columns: featureWidth, into: keys, lanes: lanes)
                let features = features(.key, of: keys, memory: memory)
                read(later, features: features, tokens: tokens, output: dv + first * valueStride)
                featuresBackward(
                    .key,
                    of: keys,
                    state: later,
                    values: v,
                    column: allOnes(tokens, memory),
                    tokens: tokens,
                    dx: dk,
                    memory: memory
                )
            }
            mappedBackward(dx: dk, output: k, tokens: tokens)
            if first > 0 {
                let q = mapped(q + first * inputStride, tokens: tokens, buffer: memory + mappedQuery)
                let g = quotientBackward(
                    first,
                    tokens: tokens,
                    y: y,
                    normaliser: normaliser,
                    dy: dy,
                    memory: memory
                )
                q.transpose(rows: tokens, columns: featureWidth, into: queries, lanes: lanes)
                add(
                    to: later,
                    features: features(.query, of: queries, memory: memory),
                    values: g,
                    column: gz,
                    tokens: tokens,
                    first: last
                )
            }
        }
    }

    /// The backward pass of y = numerator / normaliser for the chunk from token `first`: g = dy / normaliser,
    /// which is returned, and gz = -g·y at `normaliserGradient`, 0 in the lanes after the chunk.
    private func quotientBackward(
        _ first: Int,
        tokens: Int,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        memory: MutableFloats
    ) -> MatrixRows {
        let (g, gz) = (memory + numeratorGradient, memory + normaliserGradient)
        for i in 0..<tokens {
            let (y, dy) = (y + (first + i) * valueStride, dy + (first + i) * valueStride)
            scaleRow(dy, by: 1 / normaliser[first + i], into: g + i * valueWidth)
            gz[i] = -dotProduct(g + i * valueWidth, y, valueWidth)
        }
        for lane in tokens..<lanes { gz[lane] = 0 }
        return MatrixRows(start: g, stride: valueWidth)
    }

    /// 1 for each token and 0 in the lanes after them.
    private func allOnes(_ tokens: Int, _ memory: MutableFloats) -> Floats {
        let column = memory + ones
        for lane in 0..<lanes { column[lane] = lane < tokens ? 1 : 0 }
        return Floats(column)
    }

    private func scaleRow(_ row: Floats, by factor: Float, into target: MutableFloats) {
        for c in 0..<valueWidth { target[c] = row[c] * factor }
    }
}

/// Σ a_i b_i over `count` numbers.
private func dotProduct(_ a: Floats, _ b: Floats, _ count: Int) -> Float {
    var sum = Vector(repeating: 0)
    var i = 0
    while i + 16 <= count {
        sum = sum.addingProduct(Vector.load(a + i), Vector.load(b + i))
        i += 16
    }
    var rest: Float = 0
    while i < count {
        rest += a[i] * b[i]
        i += 1
    }
    return sum.sum() + rest
}
