import RecallKernels

/// A linear layer's parameters: weight (outputs, inputs) and perhaps a bias (outputs).
public struct Linear {
    public let weight: Parameter
    public let bias: Parameter?

    public init(weight: Parameter, bias: Parameter?) {
        precondition(weight.shape.count == 2 && bias.map { $0.shape == [weight.shape[0]] } ?? true)
        (self.weight, self.bias) = (weight, bias)
    }

    public var outputs: Int { weight.shape[0] }
    public var inputs: Int { weight.shape[1] }
    /// The layer's path: the weight's without its last part.
    public var name: String { String(weight.name.dropLast(".weight".count)) }
    public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }
}

/// A normalisation's parameters: gain (width) and, for LayerNorm, bias (width).
public struct Norm {
    public let kind: NormKind
    public let gain: Parameter
    public let bias: Parameter?
    public let epsilon: Double

    public init(kind: NormKind, gain: Parameter, bias: Parameter?, epsilon: Double) {
        (self.kind, self.gain, self.bias, self.epsilon) = (kind, gain, bias, epsilon)
    }

    public var name: String { String(gain.name.dropLast(".weight".count)) }
    public var parameters: [Parameter] { [gain] + (bias.map { [$0] } ?? []) }
}

extension Tape {
    /// y = x Wᵀ + b over the rows of x; x may be columns of a tensor.
    public func linear(_ x: Tensor, _ layer: Linear) -> Tensor {
        guard !isRecording else { return linear(x, [layer])[0] }
        // Decoding's products are so small that lists of one layer would take as long as they do.
        precondition(layer.inputs == x.width)
        let y = tensor(x.shape.dropLast() + [layer.outputs])
        launch {
            backend.linearForward(
                LinearShape(
                    rows: x.rows,
                    inputs: layer.inputs,
                    outputs: layer.outputs,
                    inputStride: x.rowStride
                ),
                x: x.values,
                weight: layer.weight.value,
                bias: layer.bias.map { Floats($0.value) },
                y: y.pointer
            )
        }
        return y
    }

    /// Several layers of the same x, which is then read once for all of them, and their gradients by x summed at once.
    public func linear(_ x: Tensor, _ layers: [Linear]) -> [Tensor] {
        precondition(!layers.isEmpty && layers.allSatisfy { $0.inputs == x.width })
        let shapes = layers.map {
            LinearShape(rows: x.rows, inputs: $0.inputs, outputs: $0.outputs, inputStride: x.rowStride)
        }
        let ys = layers.map { tensor(x.shape.dropLast() + [$0.outputs]) }
        record(
            "linear",
            path: Self.name(of: layers),
            outputs: ys,
            names: layers.map(\.name),
            work: shapes.reduce(.none) { $0 + $1.work },
            forward: {
                backend.linearForward(
                    layers.indices.map {
                        LinearLayerForward(
                            shapes[$0],
                            weight: layers[$0].weight.value,
                            bias: layers[$0].bias.map { Floats($0.value) },
                            y: ys[$0].pointer
                        )
                    },
                    x: x.values
                )
            },
            backward: { [unowned self, ys = ys.map(\.gradientOnly)] in
                let used = layers.indices.filter { ys[$0].gradient != nil }
                guard !used.isEmpty else { return }
                let dx = addingTarget(x)
                parameterGradients(of: used.map { layers[$0] }[...]) { gradients in
                    launch {
                        backend.linearBackward(
                            zip(used, gradients).map { index, gradient in
                                LinearLayerBackward(
                                    shapes[index],
                                    weight: layers[index].weight.value,
                                    dy: ys[index].gradient.unsafelyUnwrapped.values,
                                    dWeight: gradient.weight,
                                    dBias: gradient.bias
                                )
                            },
                            x: x.values,
                            dx: dx.pointer,
                            addsToDx: dx.isAddedTo
                        )
                    }
                }
                commit(dx, to: x)
            }
        )
        return ys
    }

    /// "layers.1.mixer.q", or of several "layers.1.mixer.q+k+v".
    private static func name(of layers: [Linear]) -> String {
        layers[0].name
            + layers.dropFirst().map { "+" + ($0.name.split(separator: ".").last ?? "") }.joined()
    }

    /// Calls `write` with where the gradients of all these layers' parameters go.
    private func parameterGradients(
        of layers: ArraySlice<Linear>,
        written: [(weight: MutableFloats, bias: MutableFloats?)] = [],
        _ write: ([(weight: MutableFloats, bias: MutableFloats?)]) -> Void
    ) {
        guard let layer = layers.first else { return write(written) }
        parameterGradient(layer.weight) { dWeight in
            parameterGradient(ifAny: layer.bias) { dBias in
                parameterGradients(of: layers.dropFirst(), written: written + [(dWeight, dBias)], write)
            }
        }
    }

    /// The pre-norm residual step: (residual + branch, norm(residual + branch)).
    ///
    /// - Parameter branch: nil for none; the sum is then `residual` itself.
    public func addNorm(_ residual: Tensor, _ branch: Tensor?, _ norm: Norm) -> (sum: Tensor, y: Tensor) {
        let shape = NormShape(
            kind: norm.kind,
            rows: residual.rows,
            width: residual.width,
            epsilon: Float(norm.epsilon)
        )
        let sum = branch == nil ? residual : tensor(residual.shape)
        let y = tensor(residual.shape)
        let statistics = tensor([2, residual.rows])
        record(
            "norm",
            path: norm.name,
            output: y,
            work: shape.work(hasBranch: branch != nil),
            forward: {
                backend.addNormForward(
                    shape,
                    residual: residual.values,
                    branch: branch?.values,
                    gain: norm.gain.value,
                    bias: norm.bias.map { Floats($0.value) },
                    sum: branch == nil ? nil : sum.pointer,
                    y: y.pointer,
                    statistics: statistics.pointer
                )
            },
            backward: {
                [
                    unowned self, y = y.gradientOnly, residual = residual.gradientOnly,
                    branch = branch?.gradientOnly
                ] in
                guard let dy = y.gradient else {
                    // Nothing used the norm; without a branch the sum's gradient is the residual's already.
                    if let branch, let dSum = sum.gradient {
                        accumulate(dSum, into: residual)
                        accumulate(dSum, into: branch)
                    }
                    return
                }
                let dInput = tensor(residual.shape)
                let dSum = sum.gradient
                parameterGradient(norm.gain) { dGain in
                    parameterGradient(ifAny: norm.bias) { dBias in
                        launch {
                            backend.addNormBackward(
                                shape,
                                sum: sum.values,
                                gain: norm.gain.value,
                                statistics: statistics.values,
                                dy: dy.values,
                                dSum: dSum?.values,
                                dInput: dInput.pointer,
                                dGain: dGain,
                                dBias: dBias
                            )
                        }
                    }
                }
                if let branch {
                    accumulate(dInput, into: residual)
                    accumulate(dInput, into: branch)
                } else {
                    // dSum is already in it.
                    residual.gradient = dInput
                }
            }
        )
        return (sum, y)
    }
}
