extension CPUBackend {
    public func linearAttentionStep(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        state: MutableFloats,
        y: MutableFloats
    ) {
        let (f, e) = (shape.featureWidth, shape.valueWidth)
        let rows = shape.map.stateRows(featureWidth: f)
        workers.forEachBlock(shape.batch * shape.heads, floats: 2 * rows + 2 * f) { head, worker in
            let memory = workers.workspace(worker)
            let (keyFeatures, queryFeatures) = (memory, memory + rows)
            expandToken(
                shape,
                k + head * f,
                coefficients: (1, 1, 1),
                into: keyFeatures,
                scratch: memory + 2 * rows
            )
            let square = 1 / Float(f)
            expandToken(
                shape,
                q + head * f,
                coefficients: (square.squareRoot(), square, square / 2),
                into: queryFeatures,
                scratch: memory + 2 * rows + f
            )
            updateState(
                rows: rows,
                valueWidth: e,
                epsilon: shape.epsilon,
                keyFeatures: keyFeatures,
                queryFeatures: queryFeatures,
                v: v + head * e,
                state: state + head * rows * (e + 1),
                y: y + head * e
            )
        }
    }

    /// The features of one token, in the order of the state's rows.
    ///
    /// - Parameters:
    ///   - coefficients: Taylor's, of x_i, x_i x_j and x_i².
    ///   - scratch: f elements.
    private func expandToken(
        _ shape: LinearAttentionShape,
        _ x: Floats,
        coefficients: (linear: Float, square: Float, diagonal: Float),
        into features: MutableFloats,
        scratch: MutableFloats
    ) {
        let f = shape.featureWidth
        guard shape.map == .taylor2 else {
            let plan = LinearAttentionPlan(shape, form: .quadratic, backward: false, workers)
            let mapped = plan.mapped(x, tokens: 1, buffer: scratch)
            features.update(from: mapped.start, count: f)
            return
        }
        features[0] = 1
        for i in 0..<f { features[1 + i] = coefficients.linear * x[i] }
        var m = 1 + f
        for i in 0..<f {
            let scaled = coefficients.square * x[i]
            for j in i..<f { features[m + j - i] = scaled * x[j] }
            features[m] = coefficients.diagonal * x[i] * x[i]
            m += f - i
        }
    }

    /// state += key [v ‖ 1]ᵀ and y = queryᵀ state, normalised, in one pass over each block of the state's
    /// columns.
    private func updateState(
        rows: Int,
        valueWidth: Int,
        epsilon: Float,
        keyFeatures: Floats,
        queryFeatures: Floats,
        v: Floats,
        state: MutableFloats,
        y: MutableFloats
    ) {
        let stride = valueWidth + 1
        var z: Float = 0
        for m in 0..<rows {
            let cell = state + m * stride + valueWidth
            cell.pointee += keyFeatures[m]
            z += queryFeatures[m] * cell.pointee
        }
        let r = 1 / (z + epsilon)
        var c = 0
        while c + 64 <= valueWidth {
            let (v0, v1) = (Vector.load(v + c), Vector.load(v + c + 16))
            let (v2, v3) = (Vector.load(v + c + 32), Vector.load(v + c + 48))
            var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
            for m in 0..<rows {
                let cell = state + m * stride + c
                let (key, query) = (Vector(repeating: keyFeatures[m]), Vector(repeating: queryFeatures[m]))
                let t0 = Vector.load(cell).addingProduct(key, v0)
                let t1 = Vector.load(cell + 16).addingProduct(key, v1)
                let t2 = Vector.load(cell + 32).addingProduct(key, v2)
                let t3 = Vector.load(cell + 48).addingProduct(key, v3)
                t0.store(cell)
                t1.store(cell + 16)
                t2.store(cell + 32)
                t3.store(cell + 48)
                s0 = s0.addingProduct(query, t0)
                s1 = s1.addingProduct(query, t1)
                s2 = s2.addingProduct(query, t2)
                s3 = s3.addingProduct(query, t3)
            }
            (s0 * r).store(y + c)
            (s1 * r).store(y + c + 16)
            (s2 * r).store(y + c + 32)
            (s3 * r).store(y + c + 48)
            c += 64
        }
        while c < valueWidth {
            let count = min(16, valueWidth - c)
            let value = count == 16 ? Vector.load(v + c) : Vector.load(v + c, count: count)
            var sum = Vector.zero
            for m in 0..<rows {
                let cell = state + m * stride + c
                let key = Vector(repeating: keyFeatures[m])
                let old = count == 16 ? Vector.load(cell) : Vector.load(cell, count: count)
                let new = old.addingProduct(key, value)
                if count == 16 { new.store(cell) } else { new.store(cell, count: count) }
                sum = sum.addingProduct(Vector(repeating: queryFeatures[m]), new)
            }
            if count == 16 { (sum * r).store(y + c) } else { (sum * r).store(y + c, count: count) }
            c += 16
        }
    }
}
