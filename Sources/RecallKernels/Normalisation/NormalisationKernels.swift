/// Which normalisation.
public enum NormKind: String, Sendable, CaseIterable {
    /// LayerNorm: (x - μ)/√(var + ε) · gain + bias (Ba, Kiros, Hinton 2016).
    case layer
    /// RMSNorm: x/√(mean(x²) + ε) · gain (Zhang, Sennrich 2019).
    case rms
}

/// The sizes of a normalisation over the last dimension.
public struct NormShape: Equatable, Sendable {
    public var kind: NormKind
    public var rows: Int
    public var width: Int
    public var epsilon: Float

    public init(kind: NormKind, rows: Int, width: Int, epsilon: Float) {
        (self.kind, self.rows, self.width, self.epsilon) = (kind, rows, width, epsilon)
    }
}

/// "Add, norm": the pre-norm residual step, one pass forward and one back (docs/math/backbone.md, section 3).
public protocol NormalisationKernels {
    /// sum = residual + branch; y = norm(sum) · gain + bias.
    ///
    /// - Parameters:
    ///   - residual: (rows, width). branch: the same, or nil for zero.
    ///   - gain: (width). bias: (width) or nil.
    ///   - sum: (rows, width), written; nil where branch is nil (the sum is then `residual` itself).
    ///   - y: (rows, width), written.
    ///   - statistics: (2, rows), written: the means (0 for RMS), then the reciprocal deviations.
    func addNormForward(
        _ shape: NormShape,
        residual: Floats,
        branch: Floats?,
        gain: Floats,
        bias: Floats?,
        sum: MutableFloats?,
        y: MutableFloats,
        statistics: MutableFloats
    )

    /// dInput = dSum + the norm's backward of dy: the gradient of `residual` and of `branch` alike.
    ///
    /// - Parameters:
    ///   - sum: what forward normalised, (rows, width).
    ///   - dSum: (rows, width) gradient that reaches the sum by other ways, or nil for zero.
    ///   - dInput: (rows, width), written. dGain: (width), written. dBias: (width), written, or nil.
    func addNormBackward(
        _ shape: NormShape,
        sum: Floats,
        gain: Floats,
        statistics: Floats,
        dy: Floats,
        dSum: Floats?,
        dInput: MutableFloats,
        dGain: MutableFloats,
        dBias: MutableFloats?
    )
}
