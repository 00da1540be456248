/// How the tensor cores' products are rounded; sums are in float32 either way.
public enum Arithmetic: Sendable {
    /// Each factor as two numbers of tf32, which together hold all of float32 but its last bits.
    case fp32
    /// Each factor rounded to tf32, 10 bits of mantissa.
    case tf32
}
