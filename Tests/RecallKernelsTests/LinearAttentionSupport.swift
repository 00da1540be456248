import RecallKernels
import TestSupport

/// One linear attention problem: its shape and inputs that every feature map is well conditioned on.
struct LinearAttentionCase: CustomStringConvertible {
    let shape: LinearAttentionShape
    var q: [Float]
    var k: [Float]
    var v: [Float]
    var dy: [Float]

    init(
        _ map: FeatureMap,
        length: Int,
        batch: Int = 1,
        heads: Int = 1,
        featureWidth: Int = 16,
        valueWidth: Int = 32,
        epsilon: Float = 1e-12
    ) {
        shape = LinearAttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            featureWidth: featureWidth,
            valueWidth: valueWidth,
            map: map,
            epsilon: epsilon
        )
        let tokens = batch * length * heads
        // The identity's normaliser is only bounded away from 0 for inputs of one sign.
        let range: ClosedRange<Float> = map == .identity ? 0.2...1.5 : -1.5...1.5
        q = randomFloats(tokens * featureWidth, seed: 1, in: range)
        k = randomFloats(tokens * featureWidth, seed: 2, in: range)
        v = randomFloats(tokens * valueWidth, seed: 3)
        dy = randomFloats(tokens * valueWidth, seed: 4)
    }

    var description: String {
        "\(shape.map.rawValue) B\(shape.batch) L\(shape.length) H\(shape.heads) f\(shape.featureWidth) "
            + "e\(shape.valueWidth)"
    }

    /// What the kernels write.
    struct Outputs: Equatable {
        var y: [Float]
        var normaliser: [Float]
        var dq: [Float]
        var dk: [Float]
        var dv: [Float]
    }

    /// Forward, then backward, into poisoned outputs.
    func run(_ form: LinearAttentionForm? = nil, on backend: CPUBackend = CPUBackend()) -> Outputs {
        let form = form ?? .cheapest(for: shape)
        var out = Outputs(
            y: poisoned(v.count),
            normaliser: poisoned(shape.batch * shape.heads * shape.length),
            dq: poisoned(q.count),
            dk: poisoned(k.count),
            dv: poisoned(v.count)
        )
        backend.linearAttentionForward(
            shape,
            form: form,
            q: q,
            k: k,
            v: v,
            y: &out.y,
            normaliser: &out.normaliser
        )
        backend.linearAttentionBackward(
            shape,
            form: form,
            q: q,
            k: k,
            v: v,
            y: out.y,
            normaliser: out.normaliser,
            dy: dy,
            dq: &out.dq,
            dk: &out.dk,
            dv: &out.dv
        )
        return out
    }

    /// The worst relative errors against the reference: of y and the normaliser, and of the gradients.
    func errors(of out: Outputs) -> (forward: Double, gradient: Double) {
        let (q, k, v, dy) = (doubles(q), doubles(k), doubles(v), doubles(dy))
        let (y, normaliser) = LinearAttentionReference.forward(shape, q: q, k: k, v: v)
        let (dq, dk, dv) = LinearAttentionReference.backward(shape, q: q, k: k, v: v, dy: dy)
        // Over a single key y = v, whatever q and k are: their gradients are what rounding leaves of a
        // difference of terms of dv's size.
        let floor = shape.length == 1 ? [dv.map(abs).max() ?? 0] : []
        let zero = floor.map(Float.init)
        return (
            max(relativeError(out.y, y), relativeError(out.normaliser, normaliser)),
            max(
                relativeError(out.dq + zero, dq + floor),
                relativeError(out.dk + zero, dk + floor),
                relativeError(out.dv, dv)
            )
        )
    }
}
