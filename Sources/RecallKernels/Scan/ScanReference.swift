import Foundation

/// The selective scan (Gu, Dao 2023, algorithm 2; docs/math/selective-scan.md, section 2) and its gradients
/// (docs/math/selective-scan.md, section 4), one token, channel and state at a time in Float64, the whole
/// history of states kept.
package enum ScanReference {
    /// The scan's inputs, or their gradients, in the kernels' layouts: `b`, `c` (`stateStride`) and `z` (`gateStride`)
    /// strided, from their first element to their last at least.
    package struct Inputs {
        package var x: [Double]
        package var delta: [Double]
        package var deltaBias: [Double]
        package var aLog: [Double]
        package var b: [Double]
        package var c: [Double]
        package var skip: [Double]
        package var z: [Double]

        package init(
            x: [Double],
            delta: [Double],
            deltaBias: [Double],
            aLog: [Double],
            b: [Double],
            c: [Double],
            skip: [Double],
            z: [Double]
        ) {
            (self.x, self.delta, self.deltaBias, self.aLog) = (x, delta, deltaBias, aLog)
            (self.b, self.c, self.skip, self.z) = (b, c, skip, z)
        }
    }

    /// out: (batch, length, channels).
    package static func forward(_ shape: ScanShape, _ inputs: Inputs) -> [Double] {
        var out = Array(repeating: 0.0, count: shape.batch * shape.length * shape.channels)
        for row in 0..<shape.batch {
            for channel in 0..<shape.channels {
                let h = history(shape, inputs, row: row, channel: channel)
                for t in 0..<shape.length {
                    let token = row * shape.length + t
                    let z = inputs.z[token * shape.gateStride + channel]
                    out[token * shape.channels + channel] =
                        ungated(shape, inputs, h, token: token, t: t, channel: channel) * z * sigmoid(z)
                }
            }
        }
        return out
    }

    /// h after the last token: (batch, states, channels).
    package static func finalStates(_ shape: ScanShape, _ inputs: Inputs) -> [Double] {
        var result = Array(repeating: 0.0, count: shape.batch * shape.states * shape.channels)
        for row in 0..<shape.batch {
            for channel in 0..<shape.channels {
                let h = history(shape, inputs, row: row, channel: channel)
                for n in 0..<shape.states {
                    result[(row * shape.states + n) * shape.channels + channel] =
                        h[shape.length * shape.states + n]
                }
            }
        }
        return result
    }

    /// The gradient of Σ dOut ⊙ out in every input; zero in the gaps of strided ones.
    ///
    /// - Parameter dOut: (batch, length, channels).
    package static func backward(_ shape: ScanShape, _ inputs: Inputs, dOut: [Double]) -> Inputs {
        func zeros(_ values: [Double]) -> [Double] { Array(repeating: 0, count: values.count) }
        var gradients = Inputs(
            x: zeros(inputs.x),
            delta: zeros(inputs.delta),
            deltaBias: zeros(inputs.deltaBias),
            aLog: zeros(inputs.aLog),
            b: zeros(inputs.b),
            c: zeros(inputs.c),
            skip: zeros(inputs.skip),
            z: zeros(inputs.z)
        )
        for row in 0..<shape.batch {
            for channel in 0..<shape.channels {
                let h = history(shape, inputs, row: row, channel: channel)
                // e^{ΔA} λ of the token after, for each state.
                var carry = Array(repeating: 0.0, count: shape.states)
                for t in (0..<shape.length).reversed() {
                    let token = row * shape.length + t
                    let element = token * shape.channels + channel
                    let (x, skip) = (inputs.x[element], inputs.skip[channel])
                    let z = inputs.z[token * shape.gateStride + channel]
                    let y = ungated(shape, inputs, h, token: token, t: t, channel: channel)
                    let gate = sigmoid(z)
                    gradients.z[token * shape.gateStride + channel] =
                        dOut[element] * y * gate * (1 + z * (1 - gate))
                    let g = dOut[element] * z * gate
                    let raw = inputs.delta[element] + inputs.deltaBias[channel]
                    let delta = softplus(raw)
                    var dX = skip * g
                    var dDelta = 0.0
                    for n in 0..<shape.states {
                        let state = token * shape.stateStride + n
                        let a = -exp(inputs.aLog[channel * shape.states + n])
                        let decay = exp(delta * a)
                        let before = h[t * shape.states + n]
                        let lambda = inputs.c[state] * g + carry[n]
                        gradients.c[state] += g * h[(t + 1) * shape.states + n]
                        gradients.b[state] += lambda * delta * x
                        gradients.aLog[channel * shape.states + n] += a * lambda * delta * decay * before
                        dX += delta * lambda * inputs.b[state]
                        dDelta += lambda * (inputs.b[state] * x + a * decay * before)
                        carry[n] = decay * lambda
                    }
                    gradients.x[element] = dX
                    gradients.skip[channel] += g * x
                    gradients.delta[element] = dDelta * sigmoid(raw)
                    gradients.deltaBias[channel] += gradients.delta[element]
                }
            }
        }
        return gradients
    }

    /// h of one row and channel: (length + 1, states), zero first.
    private static func history(_ shape: ScanShape, _ inputs: Inputs, row: Int, channel: Int) -> [Double] {
        let states = shape.states
        var h = Array(repeating: 0.0, count: (shape.length + 1) * states)
        for t in 0..<shape.length {
            let token = row * shape.length + t
            let element = token * shape.channels + channel
            let delta = softplus(inputs.delta[element] + inputs.deltaBias[channel])
            for n in 0..<states {
                let a = -exp(inputs.aLog[channel * states + n])
                h[(t + 1) * states + n] =
                    exp(delta * a) * h[t * states + n]
                    + delta * inputs.b[token * shape.stateStride + n] * inputs.x[element]
            }
        }
        return h
    }

    /// Σ_n C_t[n] h_t[n] + skip x_t.
    private static func ungated(
        _ shape: ScanShape,
        _ inputs: Inputs,
        _ h: [Double],
        token: Int,
        t: Int,
        channel: Int
    ) -> Double {
        var y = inputs.skip[channel] * inputs.x[token * shape.channels + channel]
        for n in 0..<shape.states {
            y += inputs.c[token * shape.stateStride + n] * h[(t + 1) * shape.states + n]
        }
        return y
    }

    private static func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }

    private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
}
