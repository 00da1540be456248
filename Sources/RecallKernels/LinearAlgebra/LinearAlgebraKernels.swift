/// The sizes of a linear layer y = x Wᵀ + b.
public struct LinearShape: Hashable, Sendable {
    /// Rows of x and y: tokens.
    public var rows: Int
    /// Columns of x.
    public var inputs: Int
    /// Columns of y.
    public var outputs: Int
    /// Elements from one row of x (and dx) to the next: x may be columns of a wider matrix.
    public var inputStride: Int

    /// - Parameter inputStride: nil for a contiguous x.
    public init(rows: Int, inputs: Int, outputs: Int, inputStride: Int? = nil) {
        (self.rows, self.inputs, self.outputs) = (rows, inputs, outputs)
        self.inputStride = inputStride ?? inputs
    }
}

/// One of the linear layers that read the same x, as forward sees it.
public struct LinearLayerForward {
    public let shape: LinearShape
    public let weight: Floats
    public let bias: Floats?
    public let y: MutableFloats

    /// - Parameters:
    ///   - weight: (outputs, inputs), as PyTorch's Linear keeps it. bias: (outputs) or nil.
    ///   - y: (rows, outputs), written.
    public init(_ shape: LinearShape, weight: Floats, bias: Floats?, y: MutableFloats) {
        (self.shape, self.weight, self.bias, self.y) = (shape, weight, bias, y)
    }
}

/// The same, as backward sees it.
public struct LinearLayerBackward {
    public let shape: LinearShape
    public let weight: Floats
    public let dy: Floats
    public let dWeight: MutableFloats?
    public let dBias: MutableFloats?

    /// - Parameters:
    ///   - dy: (rows, outputs).
    ///   - dWeight: (outputs, inputs) or nil. dBias: (outputs) or nil. Written.
    public init(
        _ shape: LinearShape,
        weight: Floats,
        dy: Floats,
        dWeight: MutableFloats?,
        dBias: MutableFloats?
    ) {
        (self.shape, self.weight, self.dy) = (shape, weight, dy)
        (self.dWeight, self.dBias) = (dWeight, dBias)
    }
}

/// Linear layers: whole matrix products, with their bias. Layers that read the same x go together, so that a block of
/// its rows is fetched once for all of them.
public protocol LinearAlgebraKernels {
    /// y = x Wᵀ + bias for each layer.
    ///
    /// - Parameters:
    ///   - layers: one or more, alike in rows, inputs and inputStride.
    ///   - x: (rows, inputs), `inputStride` apart.
    func linearForward(_ layers: [LinearLayerForward], x: Floats)

    /// dW = dyᵀ x and db = Σ dy for each layer, dx = Σ_layers dy W.
    ///
    /// - Parameters:
    ///   - layers: as in forward.
    ///   - dx: (rows, inputs), `inputStride` apart, or nil; written.
    ///   - addsToDx: whether dx is added to instead.
    func linearBackward(_ layers: [LinearLayerBackward], x: Floats, dx: MutableFloats?, addsToDx: Bool)
}

extension LinearAlgebraKernels {
    /// y = x Wᵀ + bias of one layer.
    public func linearForward(
        _ shape: LinearShape,
        x: Floats,
        weight: Floats,
        bias: Floats?,
        y: MutableFloats
    ) {
        linearForward([LinearLayerForward(shape, weight: weight, bias: bias, y: y)], x: x)
    }

    /// dx = dy W, dW = dyᵀ x, db = Σ dy of one layer.
    public func linearBackward(
        _ shape: LinearShape,
        x: Floats,
        weight: Floats,
        dy: Floats,
        dx: MutableFloats?,
        addsToDx: Bool = false,
        dWeight: MutableFloats?,
        dBias: MutableFloats?
    ) {
        linearBackward(
            [LinearLayerBackward(shape, weight: weight, dy: dy, dWeight: dWeight, dBias: dBias)],
            x: x,
            dx: dx,
            addsToDx: addsToDx
        )
    }
}
