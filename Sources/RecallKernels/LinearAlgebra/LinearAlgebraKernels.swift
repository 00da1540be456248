/// The sizes of a linear layer y = x Wᵀ + b.
public struct LinearShape: Equatable, Sendable {
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

/// Linear layers: whole matrix products, with their bias.
public protocol LinearAlgebraKernels {
    /// y = x Wᵀ + bias.
    ///
    /// - Parameters:
    ///   - x: (rows, inputs), `inputStride` apart. weight: (outputs, inputs), as PyTorch's Linear keeps it. bias: (outputs) or nil.
    ///   - y: (rows, outputs), written.
    func linearForward(_ shape: LinearShape, x: Floats, weight: Floats, bias: Floats?, y: MutableFloats)

    /// dx = dy W, dW = dyᵀ x, db = Σ dy.
    ///
    /// - Parameters:
    ///   - dy: (rows, outputs).
    ///   - dx: (rows, inputs), `inputStride` apart, or nil. dWeight: (outputs, inputs) or nil. dBias: (outputs) or nil. Written.
    func linearBackward(
        _ shape: LinearShape, x: Floats, weight: Floats, dy: Floats, dx: MutableFloats?,
        dWeight: MutableFloats?,
        dBias: MutableFloats?)
}
