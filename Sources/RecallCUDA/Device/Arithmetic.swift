/// How a product's factors are rounded before they are multiplied; sums are float32 always.
public enum Arithmetic: String, Sendable, CaseIterable {
    /// Not at all.
    case fp32
    /// To 10 bits of mantissa, as the tensor cores take float32.
    case tf32
}
