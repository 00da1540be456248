/// What follows a short convolution c_t = bias + Σ_j w[j] u_{t-(K-1)+j} in the same pass.
public enum ConvolutionEpilogue: String, Sendable, CaseIterable {
    /// y = c ⊙ gate + u: the BaseConv of Zoology (Arora et al. 2023), with its inner skip.
    case gatedWithSkip
    /// y = silu(c): Mamba's.
    case silu
}

/// The sizes of a causal depthwise convolution with few taps.
public struct ShortConvolutionShape: Equatable, Sendable {
    public var batch: Int
    public var length: Int
    public var channels: Int
    /// K; the last tap multiplies the current token.
    public var taps: Int
    /// Elements from one token's u (and du) to the next's.
    public var inputStride: Int
    public var epilogue: ConvolutionEpilogue

    public init(
        batch: Int,
        length: Int,
        channels: Int,
        taps: Int,
        inputStride: Int,
        epilogue: ConvolutionEpilogue
    ) {
        (self.batch, self.length, self.channels, self.taps) = (batch, length, channels, taps)
        (self.inputStride, self.epilogue) = (inputStride, epilogue)
    }
}

/// The sizes of a causal depthwise convolution with a filter as long as the sequence.
public struct LongConvolutionShape: Equatable, Sendable {
    public var batch: Int
    public var length: Int
    public var channels: Int

    public init(batch: Int, length: Int, channels: Int) {
        (self.batch, self.length, self.channels) = (batch, length, channels)
    }
}

/// Causal depthwise convolutions, short (docs/math/convolutions.md, section 1) and long
/// (docs/math/convolutions.md, section 3), fused with what follows.
public protocol ConvolutionKernels {
    /// - Parameters:
    ///   - u: (batch, length, channels), `inputStride` apart. weight: (channels, taps). bias: (channels).
    ///   - gate: (batch, length, channels) contiguous for `gatedWithSkip`, else nil.
    ///   - y: (batch, length, channels), contiguous, written.
    func shortConvolutionForward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        y: MutableFloats
    )

    /// Gradients of every input, laid out as it is (du `inputStride` apart); written.
    func shortConvolutionBackward(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        dy: Floats,
        du: MutableFloats,
        dWeight: MutableFloats,
        dBias: MutableFloats,
        dGate: MutableFloats?
    )

    /// One token of decoding.
    ///
    /// - Parameters:
    ///   - shape: length is 1; u is (batch, channels), `inputStride` apart.
    ///   - past: (batch, taps - 1, channels), the inputs before this one, oldest first; read, then moved on by one.
    func shortConvolutionStep(
        _ shape: ShortConvolutionShape,
        u: Floats,
        weight: Floats,
        bias: Floats,
        gate: Floats?,
        past: MutableFloats,
        y: MutableFloats
    )

    /// y_t = (Σ_{τ≤t} filter[τ] ⊙ u_{t-τ} + u_t) ⊙ gate_t + u_t: the long BaseConv with both its skips.
    ///
    /// - Parameters:
    ///   - u, gate, y: (batch, length, channels), contiguous. filter: (length, channels). y is written.
    func longConvolutionForward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        y: MutableFloats
    )

    /// Gradients of every input, laid out as it is; written.
    func longConvolutionBackward(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        dy: Floats,
        du: MutableFloats,
        dFilter: MutableFloats,
        dGate: MutableFloats
    )

    /// One token of decoding at position `position`: O(position) work.
    ///
    /// - Parameters:
    ///   - past: (batch, capacity, channels), of which the first `position` rows of each sequence are the inputs so
    ///     far, oldest first. filter: at least (position + 1, channels). u, gate, y: (batch, channels).
    func longConvolutionStep(
        _ shape: LongConvolutionShape,
        u: Floats,
        filter: Floats,
        gate: Floats,
        past: Floats,
        position: Int,
        capacity: Int,
        y: MutableFloats
    )
}
