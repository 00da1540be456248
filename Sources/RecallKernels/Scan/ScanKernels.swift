/// The sizes of Mamba's selective scan (S6).
public struct ScanShape: Equatable, Sendable {
    public var batch: Int
    public var length: Int
    /// I, the inner channels.
    public var channels: Int
    /// N, state numbers a channel.
    public var states: Int
    /// Elements from one token's B (or C) to the next's: they lie in one projection with δ.
    public var stateStride: Int
    /// Elements from one token's gate z to the next's.
    public var gateStride: Int

    public init(batch: Int, length: Int, channels: Int, states: Int, stateStride: Int, gateStride: Int) {
        (self.batch, self.length, self.channels, self.states) = (batch, length, channels, states)
        (self.stateStride, self.gateStride) = (stateStride, gateStride)
    }

    /// Tokens between the states that forward keeps for backward.
    public static let checkpointInterval = 16

    /// How many Float32 forward keeps: (batch, ⌈length / interval⌉, states, channels), the state before each chunk.
    public var checkpointCount: Int {
        batch * ((length + Self.checkpointInterval - 1) / Self.checkpointInterval) * states * channels
    }
}

/// The selective scan with its softplus, skip and gate fused (Gu, Dao 2023;
/// docs/math/selective-scan.md, section 2):
///
///     Δ = softplus(delta + deltaBias)            A = -exp(aLog)
///     h_t[c,n] = exp(Δ_t[c] A[c,n]) h_{t-1}[c,n] + Δ_t[c] B_t[n] x_t[c]
///     out_t[c] = (Σ_n C_t[n] h_t[c,n] + skip[c] x_t[c]) · silu(z_t[c])
public protocol ScanKernels {
    /// - Parameters:
    ///   - x, delta: (batch, length, channels), contiguous.
    ///   - deltaBias, skip: (channels). aLog: (channels, states).
    ///   - b, c: (batch, length, states), `stateStride` apart. z: (batch, length, channels), `gateStride` apart.
    ///   - out: (batch, length, channels), written.
    ///   - checkpoints: `shape.checkpointCount` numbers, written; nil when no backward follows.
    func scanForward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        out: MutableFloats,
        checkpoints: MutableFloats?
    )

    /// Gradients of every input, each laid out as its input (db, dc `stateStride` and dz `gateStride` apart); written.
    /// dx may be the same buffer as dOut, and dDelta as delta.
    func scanBackward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        checkpoints: Floats,
        dOut: Floats,
        dx: MutableFloats,
        dDelta: MutableFloats,
        dDeltaBias: MutableFloats,
        dALog: MutableFloats,
        db: MutableFloats,
        dc: MutableFloats,
        dSkip: MutableFloats,
        dz: MutableFloats
    )

    /// Decoding: takes a state through the shape's tokens, one or a whole prompt.
    ///
    /// - Parameter state: h before the first token and then after the last: (batch, states, channels), read and written.
    func scanStep(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        state: MutableFloats,
        out: MutableFloats
    )
}
