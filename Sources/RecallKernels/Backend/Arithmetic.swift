/// The precision in which a device multiplies matrices: what their factors are rounded to. Sums are in Float32 in all
/// three, and so is what is stored.
public enum Arithmetic: String, Codable, CaseIterable, Sendable {
    case fp32
    /// Factors of 11 significant bits (NVIDIA's TensorFloat-32).
    case tf32
    /// Factors of 8 significant bits (bfloat16).
    case bf16

    /// u, the largest relative error of rounding a number to a factor.
    public var unitRoundoff: Double {
        switch self {
        case .fp32: 0x1p-24
        case .tf32: 0x1p-11
        case .bf16: 0x1p-8
        }
    }

    /// Bits of a Float32's mantissa that a factor lacks.
    private var droppedBits: UInt32 {
        switch self {
        case .fp32: 0
        case .tf32: 13
        case .bf16: 16
        }
    }

    /// The factor next to a number on the way to zero.
    package func truncated(_ x: Float) -> Float {
        Float(bitPattern: x.bitPattern & ~((UInt32(1) << droppedBits) - 1))
    }

    /// The nearest factor, to even where two are as near. Of finite numbers.
    package func rounded(_ x: Float) -> Float {
        let dropped = droppedBits
        guard dropped > 0 else { return x }
        let (bits, one) = (x.bitPattern, UInt32(1) << dropped)
        let up = one / 2 - 1 + (bits >> dropped & 1)
        return Float(bitPattern: (bits + up) & ~(one - 1))
    }
}
