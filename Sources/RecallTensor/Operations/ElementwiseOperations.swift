import RecallKernels

extension Tape {
    /// dropout(x), or x itself when there is nothing to drop.
    public func dropout(_ x: Tensor, probability: Double, site: Int) -> Tensor {
        guard let mask = dropout(probability: probability, site: site) else { return x }
        let count = x.count
        return map("dropout", x, backwardReads: .neither) { [backend] x, y in
            backend.applyDropout(count, x: x, dropout: mask, y: y)
        } backward: { [backend] dy, dx, _ in
            backend.applyDropout(count, x: dy, dropout: mask, y: dx)
        }
    }

    /// a ⊙ b, both contiguous and of one shape.
    public func multiply(_ a: Tensor, _ b: Tensor) -> Tensor {
        precondition(a.shape == b.shape && a.isContiguous && b.isContiguous)
        let y = tensor(a.shape)
        record(
            "product",
            output: y,
            work: .words(forward: 3 * y.count, backward: 5 * y.count),
            forward: { backend.multiply(a.count, a: a.values, b: b.values, y: y.pointer) },
            backward: { [unowned self, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                for (factor, other) in [(a, b), (b, a)] {
                    let target = gradientTarget(factor)
                    launch { backend.multiply(a.count, a: dy.values, b: other.values, y: target.pointer) }
                    commit(target, to: factor)
                }
            }
        )
        return y
    }

    /// max(x, 0).
    public func relu(_ x: Tensor) -> Tensor {
        let count = x.count
        return map("relu", x, backwardReads: .output) { [backend] x, y in
            backend.reluForward(count, x: x, y: y)
        } backward: { [backend] dy, dx, y in
            backend.reluBackward(count, y: y, dy: dy, dx: dx)
        }
    }

    /// The exact GELU.
    public func gelu(_ x: Tensor) -> Tensor {
        let count = x.count
        return map("gelu", x, backwardReads: .input) { [backend] x, y in
            backend.geluForward(count, x: x, y: y)
        } backward: { [backend] dy, dx, x in
            backend.geluBackward(count, x: x, dy: dy, dx: dx)
        }
    }

    /// value ⊙ silu(gate) of (value ‖ gate): half as wide.
    ///
    /// - Parameter x: used by nothing else: its memory becomes its gradient's.
    public func swiglu(_ x: Tensor) -> Tensor {
        let width = x.width / 2
        precondition(x.width == 2 * width && x.isContiguous)
        let y = tensor(x.shape.dropLast() + [width])
        record(
            "swiglu",
            output: y,
            work: .words(forward: 3 * y.count, backward: 5 * y.count),
            forward: { backend.swigluForward(rows: x.rows, width: width, x: x.values, y: y.pointer) },
            backward: { [unowned self, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                let dx = replacingTarget(x)
                launch {
                    backend.swigluBackward(
                        rows: x.rows,
                        width: width,
                        x: x.values,
                        dy: dy.values,
                        dx: dx.pointer
                    )
                }
                commit(dx, to: x)
            }
        )
        return y
    }

    /// What an element-wise function's slope is made from, and so kept.
    private enum Kept { case input, output, neither }

    /// - Parameter backward: given the tensor that it reads; dx may be dy.
    private func map(
        _ name: String,
        _ x: Tensor,
        backwardReads kept: Kept,
        forward: (_ x: Floats, _ y: MutableFloats) -> Void,
        backward: @escaping (_ dy: Floats, _ dx: MutableFloats, _ kept: Floats) -> Void
    ) -> Tensor {
        precondition(x.isContiguous)
        let y = tensor(x.shape)
        let (keptInput, keptOutput) = (
            kept == .input ? x : x.gradientOnly, kept == .output ? y : y.gradientOnly
        )
        record(
            name,
            output: y,
            work: .words(forward: 2 * x.count, backward: 3 * x.count),
            forward: { forward(x.values, y.pointer) },
            backward: { [unowned self] in
                guard var dy = keptOutput.gradient else { return }
                keptOutput.gradient = nil
                let dx = gradientTarget(keptInput, over: &dy)
                launch {
                    backward(dy.values, dx.pointer, kept == .input ? keptInput.values : keptOutput.values)
                }
                commit(dx, to: keptInput)
            }
        )
        return y
    }
}
