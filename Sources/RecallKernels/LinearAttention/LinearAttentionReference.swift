#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Normalised causal linear attention in Float64, term by term: what the fast kernels are compared with.
/// Layouts are the kernels' (`LinearAttentionKernels`).
package enum LinearAttentionReference {
    /// - Returns: y like v, and the normaliser (batch, heads, length).
    package static func forward(_ shape: LinearAttentionShape, q: [Double], k: [Double], v: [Double])
        -> (y: [Double], normaliser: [Double])
    {
        var y = [Double](repeating: 0, count: v.count)
        var normaliser = [Double](repeating: 0, count: shape.batch * shape.heads * shape.length)
        forEachQuery(shape) { head, i in
            var z = Double(shape.epsilon)
            for j in 0...i {
                let a = weight(shape, head.input(q, i), head.input(k, j))
                z += a
                for c in 0..<shape.valueWidth { y[head.valueIndex(i) + c] += a * v[head.valueIndex(j) + c] }
            }
            for c in 0..<shape.valueWidth { y[head.valueIndex(i) + c] /= z }
            normaliser[head.index * shape.length + i] = z
        }
        return (y, normaliser)
    }

    /// - Returns: The gradients of Σ y · dy, like q, k and v (docs/math/linear-attention.md, section 5).
    package static func backward(
        _ shape: LinearAttentionShape,
        q: [Double],
        k: [Double],
        v: [Double],
        dy: [Double]
    ) -> (dq: [Double], dk: [Double], dv: [Double]) {
        let (y, normaliser) = forward(shape, q: q, k: k, v: v)
        var dq = [Double](repeating: 0, count: q.count)
        var dk = dq
        var dv = [Double](repeating: 0, count: v.count)
        let (f, e) = (shape.featureWidth, shape.valueWidth)
        forEachQuery(shape) { head, i in
            let r = 1 / normaliser[head.index * shape.length + i]
            for j in 0...i {
                let (qi, kj) = (head.input(q, i), head.input(k, j))
                let a = weight(shape, qi, kj)
                var da = 0.0
                for c in 0..<e {
                    let g = r * dy[head.valueIndex(i) + c]
                    da += g * (v[head.valueIndex(j) + c] - y[head.valueIndex(i) + c])
                    dv[head.valueIndex(j) + c] += a * g
                }
                let (dqi, dkj) = weightGradient(shape, qi, kj)
                for c in 0..<f {
                    dq[head.inputIndex(i) + c] += da * dqi[c]
                    dk[head.inputIndex(j) + c] += da * dkj[c]
                }
            }
        }
        return (dq, dk, dv)
    }

    /// One token of decoding with the packed state (batch, heads, M, valueWidth + 1), which is updated.
    package static func step(
        _ shape: LinearAttentionShape,
        q: [Double],
        k: [Double],
        v: [Double],
        state: inout [Double]
    ) -> [Double] {
        let columns = shape.valueWidth + 1
        let size = shape.map.stateRows(featureWidth: shape.featureWidth) * columns
        var y = [Double](repeating: 0, count: v.count)
        forEachQuery(shape) { head, _ in
            let key = keyFeatures(shape.map, head.input(k, 0))
            let query = queryFeatures(shape.map, head.input(q, 0))
            let value = Array(v[head.valueIndex(0)...].prefix(shape.valueWidth)) + [1]
            var sums = [Double](repeating: 0, count: columns)
            for m in key.indices {
                for c in 0..<columns {
                    state[head.index * size + m * columns + c] += key[m] * value[c]
                    sums[c] += query[m] * state[head.index * size + m * columns + c]
                }
            }
            for c in 0..<shape.valueWidth {
                y[head.valueIndex(0) + c] = sums[c] / (sums[columns - 1] + Double(shape.epsilon))
            }
        }
        return y
    }

    /// The packed state after the last token, of an empty start: (batch, heads, M, valueWidth + 1).
    package static func finalState(_ shape: LinearAttentionShape, k: [Double], v: [Double]) -> [Double] {
        let columns = shape.valueWidth + 1
        let size = shape.map.stateRows(featureWidth: shape.featureWidth) * columns
        var state = [Double](repeating: 0, count: shape.batch * shape.heads * size)
        forEachQuery(shape) { head, token in
            let value = Array(v[head.valueIndex(token)...].prefix(shape.valueWidth)) + [1]
            for (m, feature) in keyFeatures(shape.map, head.input(k, token)).enumerated() {
                for c in 0..<columns { state[head.index * size + m * columns + c] += feature * value[c] }
            }
        }
        return state
    }

    /// φ̂(k): what the state accumulates, one number a state row.
    package static func keyFeatures(_ map: FeatureMap, _ k: [Double]) -> [Double] {
        guard map == .taylor2 else { return k.map { apply(map, $0) } }
        return [1] + k + k.indices.flatMap { i in k[i...].map { k[i] * $0 } }
    }

    /// ψ(q), for Taylor with all the coefficients: ψ(q)·φ̂(k) is the weight.
    package static func queryFeatures(_ map: FeatureMap, _ q: [Double]) -> [Double] {
        guard map == .taylor2 else { return q.map { apply(map, $0) } }
        let square = 1 / Double(q.count)
        let products = q.indices.flatMap { i in
            q.indices[i...].map { j in q[i] * q[j] * (i == j ? square / 2 : square) }
        }
        return [1] + q.map { $0 * square.squareRoot() } + products
    }

    private static func weight(_ shape: LinearAttentionShape, _ q: [Double], _ k: [Double]) -> Double {
        guard shape.map == .taylor2 else {
            return zip(q, k).reduce(0) { $0 + apply(shape.map, $1.0) * apply(shape.map, $1.1) }
        }
        let s = zip(q, k).reduce(0) { $0 + $1.0 * $1.1 } / Double(q.count).squareRoot()
        return 1 + s + s * s / 2
    }

    /// The gradient of the weight by q and by k.
    private static func weightGradient(_ shape: LinearAttentionShape, _ q: [Double], _ k: [Double])
        -> (q: [Double], k: [Double])
    {
        let map = shape.map
        guard map == .taylor2 else {
            return (
                zip(q, k).map { derivative(map, $0) * apply(map, $1) },
                zip(q, k).map { apply(map, $0) * derivative(map, $1) }
            )
        }
        let scale = 1 / Double(q.count).squareRoot()
        let slope = scale * (1 + scale * zip(q, k).reduce(0) { $0 + $1.0 * $1.1 })
        return (k.map { slope * $0 }, q.map { slope * $0 })
    }

    private static func apply(_ map: FeatureMap, _ x: Double) -> Double {
        switch map {
        case .taylor2, .identity: x
        case .eluPlusOne: x > 0 ? x + 1 : exp(x)
        case .relu: max(x, 1e-12)
        }
    }

    private static func derivative(_ map: FeatureMap, _ x: Double) -> Double {
        switch map {
        case .taylor2, .identity: 1
        case .eluPlusOne: x > 0 ? 1 : exp(x)
        case .relu: x > 1e-12 ? 1 : 0
        }
    }

    /// Where one head of one sequence lies.
    private struct Head {
        let shape: LinearAttentionShape
        /// b · heads + h.
        let index: Int

        func inputIndex(_ token: Int) -> Int { tokenIndex(token) * shape.featureWidth }
        func valueIndex(_ token: Int) -> Int { tokenIndex(token) * shape.valueWidth }
        func input(_ x: [Double], _ token: Int) -> [Double] {
            Array(x[inputIndex(token)...].prefix(shape.featureWidth))
        }
        private func tokenIndex(_ token: Int) -> Int {
            (index / shape.heads * shape.length + token) * shape.heads + index % shape.heads
        }
    }

    private static func forEachQuery(_ shape: LinearAttentionShape, _ body: (Head, Int) -> Void) {
        for index in 0..<shape.batch * shape.heads {
            for token in 0..<shape.length { body(Head(shape: shape, index: index), token) }
        }
    }
}
