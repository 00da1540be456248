import RecallRandom

/// The sizes of causal softmax attention, full or in a window.
///
/// q, k and v (and their gradients) are (batch, length, heads · headWidth) with `rowStride` elements from token
/// to token, so that the three may lie in one packed projection; outputs are contiguous.
public struct AttentionShape: Equatable, Sendable {
    public var batch: Int
    public var length: Int
    public var heads: Int
    /// d, the width of a head.
    public var headWidth: Int
    /// Elements from one token's q (or k, v) to the next's.
    public var rowStride: Int
    /// W: how many keys a query sees, its own included; nil sees all before it too. (A published `block_size` of
    /// w is W = w + 1.)
    public var window: Int?

    public init(batch: Int, length: Int, heads: Int, headWidth: Int, rowStride: Int, window: Int? = nil) {
        (self.batch, self.length, self.heads, self.headWidth) = (batch, length, heads, headWidth)
        (self.rowStride, self.window) = (rowStride, window)
    }
}

/// Causal softmax attention in tiles with an online softmax, recomputed in backward
/// (Dao et al. 2022; docs/math/attention.md, section 4).
public protocol SoftmaxAttentionKernels {
    /// out_i = Σ_j softmax_j(q_i·k_j/√d) v_j over j ≤ i (and j > i - window).
    ///
    /// - Parameters:
    ///   - dropout: on the probabilities, or nil. Element ((b·H + h)·L + i)·L₈ + j of the mask, with L₈ = length
    ///     rounded up to a multiple of 8, belongs to query i and key j.
    ///   - out: (batch, length, heads · headWidth), contiguous, written.
    ///   - logSumExp: (batch, heads, length), written: max + ln Σ exp.
    func attentionForward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: MutableFloats,
        logSumExp: MutableFloats
    )

    /// - Parameters:
    ///   - dOut: like out, contiguous.
    ///   - dq, dk, dv: like q, k, v, `rowStride` apart; written.
    func attentionBackward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: Floats,
        logSumExp: Floats,
        dOut: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    )

    /// One token of decoding: softmax attention of one query a head over the cached keys and then its own.
    ///
    /// - Parameters:
    ///   - shape: length is 1; window is not looked at (the cache holds what may be seen).
    ///   - q, k, v: (batch, heads · headWidth), `rowStride` apart.
    ///   - cachedKeys, cachedValues: (batch, capacity, heads · headWidth), of which the first `cached` rows of each
    ///     sequence are valid, in any order.
    ///   - out: (batch, heads · headWidth), written.
    func attentionStep(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        cachedKeys: Floats,
        cachedValues: Floats,
        cached: Int,
        capacity: Int,
        out: MutableFloats
    )

    /// Rotary positions (Su et al. 2021), half-split as in Llama: (x_i, x_{i+d/2}) is rotated by position · base^(-2i/d).
    /// In place. A negative `direction` rotates back, which is the backward pass.
    ///
    /// - Parameters:
    ///   - x: (batch, length, heads · headWidth), `rowStride` apart; d even. Read and written.
    ///   - firstPosition: the position of the first token.
    func rotary(
        _ shape: AttentionShape,
        x: MutableFloats,
        base: Float,
        firstPosition: Int,
        direction: Float
    )
}
