/// LayerNorm and RMSNorm written out in Float64. All arrays are contiguous, shaped as in `NormalisationKernels`.
package enum NormalisationReference {
    /// y = norm(residual + branch) · gain + bias, with the sum and, for each row, its mean and reciprocal deviation.
    package static func forward(
        _ shape: NormShape,
        residual: [Double],
        branch: [Double]?,
        gain: [Double],
        bias: [Double]?
    ) -> (sum: [Double], y: [Double], means: [Double], reciprocals: [Double]) {
        let width = shape.width
        var sum = residual
        if let branch { for i in sum.indices { sum[i] += branch[i] } }
        var y = sum
        var means: [Double] = []
        var reciprocals: [Double] = []
        for row in 0..<shape.rows {
            let x = sum[row * width..<(row + 1) * width]
            let mean = shape.kind == .layer ? x.reduce(0, +) / Double(width) : 0
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            let reciprocal = 1 / (variance + Double(shape.epsilon)).squareRoot()
            for i in 0..<width {
                y[row * width + i] = (sum[row * width + i] - mean) * reciprocal * gain[i] + (bias?[i] ?? 0)
            }
            means.append(mean)
            reciprocals.append(reciprocal)
        }
        return (sum, y, means, reciprocals)
    }

    /// With x̂ the normalised row, r its reciprocal deviation and ĝ = dy ⊙ gain: dInput = dSum + r(ĝ - mean ĝ - x̂
    /// mean(ĝ ⊙ x̂)), without mean ĝ for RMS; dGain = Σ dy ⊙ x̂; dBias = Σ dy
    /// (docs/math/backbone.md, section 3).
    package static func backward(
        _ shape: NormShape,
        sum: [Double],
        gain: [Double],
        dy: [Double],
        dSum: [Double]?
    ) -> (dInput: [Double], dGain: [Double], dBias: [Double]) {
        let width = shape.width
        let ones = [Double](repeating: 1, count: width)
        let (_, normalised, _, reciprocals) = forward(shape, residual: sum, branch: nil, gain: ones, bias: nil)
        var dInput = dSum ?? [Double](repeating: 0, count: sum.count)
        var dGain = [Double](repeating: 0, count: width)
        var dBias = dGain
        for row in 0..<shape.rows {
            var (meanGradient, meanProduct) = (0.0, 0.0)
            for i in 0..<width {
                let at = row * width + i
                dGain[i] += dy[at] * normalised[at]
                dBias[i] += dy[at]
                if shape.kind == .layer { meanGradient += dy[at] * gain[i] / Double(width) }
                meanProduct += dy[at] * gain[i] * normalised[at] / Double(width)
            }
            for i in 0..<width {
                let at = row * width + i
                dInput[at] +=
                    reciprocals[row] * (dy[at] * gain[i] - meanGradient - normalised[at] * meanProduct)
            }
        }
        return (dInput, dGain, dBias)
    }
}
