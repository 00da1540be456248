import RecallRandom

/// Passes over plain runs of numbers. In each, an output may be the same buffer as an input.
public protocol ElementwiseKernels {
    /// y = 0.
    func fillZero(_ count: Int, y: MutableFloats)

    /// y = a + b.
    func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats)

    /// y = a ⊙ b.
    func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats)

    /// y = dropout(x); the same call with dy gives dx.
    func applyDropout(_ count: Int, x: Floats, dropout: Dropout, y: MutableFloats)

    /// y = max(x, 0).
    func reluForward(_ count: Int, x: Floats, y: MutableFloats)

    /// dx = dy where y > 0, else 0.
    func reluBackward(_ count: Int, y: Floats, dy: Floats, dx: MutableFloats)

    /// y = x Φ(x), the exact (erf) GELU (Hendrycks, Gimpel 2016).
    func geluForward(_ count: Int, x: Floats, y: MutableFloats)

    /// dx = dy (Φ(x) + x φ(x)).
    func geluBackward(_ count: Int, x: Floats, dy: Floats, dx: MutableFloats)

    /// y = value ⊙ silu(gate), with (value ‖ gate) the two halves of each row of x.
    ///
    /// - Parameters:
    ///   - x: (rows, 2·width). y: (rows, width), written; not the same buffer as x.
    func swigluForward(rows: Int, width: Int, x: Floats, y: MutableFloats)

    /// dx: (rows, 2·width), written; x itself, if need be.
    func swigluBackward(rows: Int, width: Int, x: Floats, dy: Floats, dx: MutableFloats)

    /// Whether every number is finite.
    func allFinite(_ count: Int, x: Floats) -> Bool
}
