import Foundation

/// The element-wise functions and their slopes in Float64.
package enum ElementwiseReference {
    package static func relu(_ x: Double) -> Double { max(x, 0) }

    package static func reluSlope(_ x: Double) -> Double { x > 0 ? 1 : 0 }

    /// x Φ(x).
    package static func gelu(_ x: Double) -> Double { x * distribution(x) }

    /// Φ(x) + x φ(x).
    package static func geluSlope(_ x: Double) -> Double {
        distribution(x) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }

    /// y = value ⊙ silu(gate), x being rows of (value ‖ gate).
    package static func swiglu(rows: Int, width: Int, x: [Double]) -> [Double] {
        (0..<rows * width).map { i in
            let at = i / width * 2 * width + i % width
            let (value, gate) = (x[at], x[at + width])
            return value * gate / (1 + exp(-gate))
        }
    }

    /// The gradient of both halves of each row.
    package static func swigluBackward(rows: Int, width: Int, x: [Double], dy: [Double]) -> [Double] {
        var dx = x
        for i in 0..<rows * width {
            let at = i / width * 2 * width + i % width
            let (value, gate) = (x[at], x[at + width])
            let logistic = 1 / (1 + exp(-gate))
            dx[at] = dy[i] * gate * logistic
            dx[at + width] = dy[i] * value * logistic * (1 + gate * (1 - logistic))
        }
        return dx
    }

    private static func distribution(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
}
