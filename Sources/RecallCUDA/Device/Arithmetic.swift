/// How a matrix product's inputs are rounded.
public enum Arithmetic: String, Sendable, CaseIterable {
    case fp32, tf32
}
