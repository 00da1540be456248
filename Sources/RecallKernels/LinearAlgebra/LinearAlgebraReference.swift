/// Linear layers written out in Float64. All arrays are contiguous, shaped as in `LinearAlgebraKernels`.
package enum LinearAlgebraReference {
    /// y = x Wᵀ + bias.
    package static func forward(
        _ shape: LinearShape,
        x: [Double],
        weight: [Double],
        bias: [Double]?
    ) -> [Double] {
        var y = [Double](repeating: 0, count: shape.rows * shape.outputs)
        for row in 0..<shape.rows {
            for output in 0..<shape.outputs {
                var sum = bias?[output] ?? 0
                for input in 0..<shape.inputs {
                    sum += x[row * shape.inputs + input] * weight[output * shape.inputs + input]
                }
                y[row * shape.outputs + output] = sum
            }
        }
        return y
    }

    /// dx = dy W, dW = dyᵀ x, db = Σ dy.
    package static func backward(
        _ shape: LinearShape,
        x: [Double],
        weight: [Double],
        dy: [Double]
    ) -> (dx: [Double], dWeight: [Double], dBias: [Double]) {
        var dx = [Double](repeating: 0, count: shape.rows * shape.inputs)
        var dWeight = [Double](repeating: 0, count: shape.outputs * shape.inputs)
        var dBias = [Double](repeating: 0, count: shape.outputs)
        for row in 0..<shape.rows {
            for output in 0..<shape.outputs {
                let d = dy[row * shape.outputs + output]
                dBias[output] += d
                for input in 0..<shape.inputs {
                    dx[row * shape.inputs + input] += d * weight[output * shape.inputs + input]
                    dWeight[output * shape.inputs + input] += d * x[row * shape.inputs + input]
                }
            }
        }
        return (dx, dWeight, dBias)
    }
}
