import Foundation

/// The causal depthwise convolutions, short (docs/math/convolutions.md, section 1) and long
/// (docs/math/convolutions.md, section 4), and their gradients as sums written out, in Float64.
///
/// Everything is contiguous: the shape's `inputStride` is not looked at.
package enum ConvolutionReference {
    package struct ShortGradients {
        package var u: [Double]
        package var weight: [Double]
        package var bias: [Double]
        /// Empty where the epilogue has no gate.
        package var gate: [Double]
    }

    package struct LongGradients {
        package var u: [Double]
        package var filter: [Double]
        package var gate: [Double]
    }

    /// y: (batch, length, channels). u: (batch, length, channels). weight: (channels, taps). bias: (channels). gate:
    /// as u, or empty.
    package static func shortForward(
        _ shape: ShortConvolutionShape,
        u: [Double],
        weight: [Double],
        bias: [Double],
        gate: [Double]
    ) -> [Double] {
        let c = shortConvolution(shape, u: u, weight: weight, bias: bias)
        return c.indices.map { i in
            switch shape.epilogue {
            case .gatedWithSkip: c[i] * gate[i] + u[i]
            case .silu: c[i] / (1 + exp(-c[i]))
            }
        }
    }

    package static func shortBackward(
        _ shape: ShortConvolutionShape,
        u: [Double],
        weight: [Double],
        bias: [Double],
        gate: [Double],
        dy: [Double]
    ) -> ShortGradients {
        let c = shortConvolution(shape, u: u, weight: weight, bias: bias)
        var result = ShortGradients(
            u: Array(repeating: 0, count: u.count),
            weight: Array(repeating: 0, count: weight.count),
            bias: Array(repeating: 0, count: bias.count),
            gate: []
        )
        var dc = dy
        switch shape.epilogue {
        case .gatedWithSkip:
            dc = zip(dy, gate).map { $0 * $1 }
            result.gate = zip(dy, c).map { $0 * $1 }
            result.u = dy
        case .silu:
            dc = zip(dy, c).map { dy, c in
                let s = 1 / (1 + exp(-c))
                return dy * s * (1 + c * (1 - s))
            }
        }
        forEachTerm(shape) { output, input, channel, tap in
            result.u[input] += weight[channel * shape.taps + tap] * dc[output]
            result.weight[channel * shape.taps + tap] += u[input] * dc[output]
        }
        for i in dc.indices { result.bias[i % shape.channels] += dc[i] }
        return result
    }

    /// y, u, gate: (batch, length, channels). filter: (length, channels).
    package static func longForward(
        _ shape: LongConvolutionShape,
        u: [Double],
        filter: [Double],
        gate: [Double]
    ) -> [Double] {
        let c = longConvolution(shape, u: u, filter: filter)
        return c.indices.map { (c[$0] + u[$0]) * gate[$0] + u[$0] }
    }

    package static func longBackward(
        _ shape: LongConvolutionShape,
        u: [Double],
        filter: [Double],
        gate: [Double],
        dy: [Double]
    ) -> LongGradients {
        let c = longConvolution(shape, u: u, filter: filter)
        let dc = zip(dy, gate).map { $0 * $1 }
        var result = LongGradients(
            u: zip(dc, dy).map { $0 + $1 },
            filter: Array(repeating: 0, count: filter.count),
            gate: dy.indices.map { dy[$0] * (c[$0] + u[$0]) }
        )
        forEachTerm(shape) { output, input, tap in
            result.u[input] += filter[tap] * dc[output]
            result.filter[tap] += u[input] * dc[output]
        }
        return result
    }

    /// c_t = bias + Σ_j w[j] u_{t-(K-1)+j}, u before the sequence's start being 0.
    private static func shortConvolution(
        _ shape: ShortConvolutionShape,
        u: [Double],
        weight: [Double],
        bias: [Double]
    ) -> [Double] {
        var c = u.indices.map { bias[$0 % shape.channels] }
        forEachTerm(shape) { output, input, channel, tap in
            c[output] += weight[channel * shape.taps + tap] * u[input]
        }
        return c
    }

    /// c_t = Σ_{τ≤t} f_τ u_{t-τ}.
    private static func longConvolution(
        _ shape: LongConvolutionShape,
        u: [Double],
        filter: [Double]
    ) -> [Double] {
        var c = Array(repeating: 0.0, count: u.count)
        forEachTerm(shape) { output, input, tap in c[output] += filter[tap] * u[input] }
        return c
    }

    private static func forEachTerm(
        _ shape: ShortConvolutionShape,
        _ body: (_ output: Int, _ input: Int, _ channel: Int, _ tap: Int) -> Void
    ) {
        for b in 0..<shape.batch {
            for t in 0..<shape.length {
                for tap in 0..<shape.taps where t - (shape.taps - 1) + tap >= 0 {
                    for channel in 0..<shape.channels {
                        let output = (b * shape.length + t) * shape.channels + channel
                        body(output, output + (tap - (shape.taps - 1)) * shape.channels, channel, tap)
                    }
                }
            }
        }
    }

    private static func forEachTerm(
        _ shape: LongConvolutionShape,
        _ body: (_ output: Int, _ input: Int, _ tap: Int) -> Void
    ) {
        for b in 0..<shape.batch {
            for t in 0..<shape.length {
                for lag in 0...t {
                    for channel in 0..<shape.channels {
                        let output = (b * shape.length + t) * shape.channels + channel
                        body(output, output - lag * shape.channels, lag * shape.channels + channel)
                    }
                }
            }
        }
    }
}
