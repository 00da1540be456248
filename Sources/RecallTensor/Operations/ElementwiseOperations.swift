import RecallKernels

extension Tape {
    /// dropout(x), or x itself when there is nothing to drop.
    public func dropout(_ x: Tensor, probability: Double, site: Int) -> Tensor {
        guard let mask = dropout(probability: probability, site: site) else { return x }
        return map("dropout", x) { [backend] in
            backend.applyDropout(x.count, x: x.values, dropout: mask, y: $0)
        } backward: { [backend] dy, dx, _ in
            backend.applyDropout(x.count, x: dy, dropout: mask, y: dx)
        }
    }

    /// a ⊙ b, both contiguous and of one shape.
    public func multiply(_ a: Tensor, _ b: Tensor) -> Tensor {
        precondition(a.shape == b.shape && a.isContiguous && b.isContiguous)
        let y = tensor(a.shape)
        record(
            "product", output: y, work: .words(forward: 3 * y.count, backward: 5 * y.count),
            forward: { backend.multiply(a.count, a: a.values, b: b.values, y: y.pointer) },
            backward: { [unowned self] in
                guard let dy = y.gradient else { return }
                for (factor, other) in [(a, b), (b, a)] {
                    let target = gradientTarget(factor)
                    launch { backend.multiply(a.count, a: dy.values, b: other.values, y: target.pointer) }
                    commit(target, to: factor)
                }
            })
        return y
    }

    /// max(x, 0).
    public func relu(_ x: Tensor) -> Tensor {
        map("relu", x) { [backend] in
            backend.reluForward(x.count, x: x.values, y: $0)
        } backward: { [backend] dy, dx, y in
            backend.reluBackward(x.count, y: y, dy: dy, dx: dx)
        }
    }

    /// The exact GELU.
    public func gelu(_ x: Tensor) -> Tensor {
        map("gelu", x) { [backend] in
            backend.geluForward(x.count, x: x.values, y: $0)
        } backward: { [backend] dy, dx, _ in
            backend.geluBackward(x.count, x: x.values, dy: dy, dx: dx)
        }
    }

    /// value ⊙ silu(gate) of (value ‖ gate): half as wide.
    public func swiglu(_ x: Tensor) -> Tensor {
        let width = x.width / 2
        precondition(x.width == 2 * width && x.isContiguous)
        let y = tensor(x.shape.dropLast() + [width])
        record(
            "swiglu", output: y, work: .words(forward: 3 * y.count, backward: 5 * y.count),
            forward: { backend.swigluForward(rows: x.rows, width: width, x: x.values, y: y.pointer) },
            backward: { [unowned self] in
                guard let dy = y.gradient else { return }
                let dx = gradientTarget(x)
                launch {
                    backend.swigluBackward(
                        rows: x.rows, width: width, x: x.values, dy: dy.values, dx: dx.pointer)
                }
                commit(dx, to: x)
            })
        return y
    }

    private func map(
        _ name: String, _ x: Tensor, forward: (_ y: MutableFloats) -> Void,
        backward: @escaping (_ dy: Floats, _ dx: MutableFloats, _ y: Floats) -> Void
    ) -> Tensor {
        precondition(x.isContiguous)
        let y = tensor(x.shape)
        record(
            name, output: y, work: .words(forward: 2 * x.count, backward: 3 * x.count),
            forward: { forward(y.pointer) },
            backward: { [unowned self] in
                guard let dy = y.gradient else { return }
                let dx = gradientTarget(x)
                launch { backward(dy.values, dx.pointer, y.values) }
                commit(dx, to: x)
            })
        return y
    }
}
