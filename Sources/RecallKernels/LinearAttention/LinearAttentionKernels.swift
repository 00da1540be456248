/// The feature maps φ of linear attention (docs/math/linear-attention.md, section 2).
public enum FeatureMap: String, Sendable, CaseIterable, Codable {
    /// Second-order Taylor expansion of exp: weights 1 + s + s²/2, s = q·k/√f (Based, Arora et al. 2024).
    case taylor2 = "taylor-2"
    /// elu(x) + 1 (Katharopoulos et al. 2020).
    case eluPlusOne = "elu+1"
    /// max(relu(x), 1e-12); the gradient is 0 where clamped.
    case relu = "relu"
    /// x itself. Its denominator may come near zero.
    case identity = "identity"

    /// M, the features that the recurrent state holds a row for: packed (f+1)(f+2)/2 for Taylor, else f.
    public func stateRows(featureWidth f: Int) -> Int {
        self == .taylor2 ? (f + 1) * (f + 2) / 2 : f
    }
}

/// The sizes of normalised causal linear attention.
public struct LinearAttentionShape: Equatable, Sendable {
    public var batch: Int
    public var length: Int
    public var heads: Int
    /// f, the width of a head's raw query and key, before the feature map.
    public var featureWidth: Int
    /// e, the width of a head's value.
    public var valueWidth: Int
    public var map: FeatureMap
    /// ε in the denominator.
    public var epsilon: Float

    public init(
        batch: Int,
        length: Int,
        heads: Int,
        featureWidth: Int,
        valueWidth: Int,
        map: FeatureMap,
        epsilon: Float = 1e-12
    ) {
        (self.batch, self.length, self.heads) = (batch, length, heads)
        (self.featureWidth, self.valueWidth) = (featureWidth, valueWidth)
        (self.map, self.epsilon) = (map, epsilon)
    }
}

/// y_i = Σ_{j≤i} a_ij v_j / (Σ_{j≤i} a_ij + ε), a_ij = φ(q_i)·φ(k_j). Features are never expanded over a
/// sequence: score tiles inside a chunk, the packed state between chunks where the length makes that cheaper
/// (docs/math/linear-attention.md, section 7).
///
/// q and k are (batch, length, heads · featureWidth), v and y (batch, length, heads · valueWidth), contiguous.
public protocol LinearAttentionKernels {
    /// - Parameters:
    ///   - y: written.
    ///   - normaliser: (batch, heads, length), written: Σ a_ij + ε.
    func linearAttentionForward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    )

    /// dq, dk, dv: like q, k, v; written.
    func linearAttentionBackward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    )

    /// A whole prompt of decoding: `linearAttentionForward`, and the state that steps through it would leave.
    ///
    /// - Parameters:
    ///   - y, normaliser: as there.
    ///   - state: laid out as `linearAttentionStep` has it; written.
    func linearAttentionPrefill(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats,
        state: MutableFloats
    )

    /// One token of decoding: state ← state + φ̂(k) [v ‖ 1]ᵀ, then y = ψ(q)ᵀ state, normalised by its last column.
    ///
    /// - Parameters:
    ///   - shape: length is 1.
    ///   - state: (batch, heads, M, valueWidth + 1), M = `map.stateRows`; read and written. For Taylor the rows are
    ///     1, k_i, then k_i k_j for i ≤ j in row order, with all coefficients on the query
    ///     (docs/math/linear-attention.md, section 3).
    func linearAttentionStep(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        state: MutableFloats,
        y: MutableFloats
    )
}
