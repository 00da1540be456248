import RecallKernels

/// LayerNorm and RMSNorm with the residual step: with a branch, a bias and a gradient of the sum, and without any.
enum NormalisationCases {
    /// Rows and width: rows of every length that a device may hold in another way, and more of them than it has at work at once.
    private static let sizes = [
        (0, 3), (1, 1), (5, 15), (3, 64), (63, 65), (300, 16), (65, 128), (9000, 33), (8500, 68), (7, 130),
        (2200, 132), (9, 257), (5, 260), (3, 520), (2, 1023), (4, 1024), (3, 1025), (300, 1536), (2, 4099),
    ]

    static let all: [KernelCase] = NormKind.allCases.flatMap { kind in
        sizes.map { NormShape(kind: kind, rows: $0.0, width: $0.1, epsilon: 1e-5) }.flatMap { shape in
            [true, false].flatMap { [forward(shape, isWhole: $0), backward(shape, isWhole: $0)] }
        }
    }

    private static func words(_ shape: NormShape, _ isWhole: Bool, without: String) -> String {
        "\(shape.kind.rawValue)" + (isWhole ? "" : ", no \(without)")
    }

    /// - Parameter isWhole: whether there are a branch and a bias.
    private static func forward(_ shape: NormShape, isWhole: Bool) -> KernelCase {
        KernelCase(
            "addNormForward",
            [.rows(shape.rows), .width(shape.width)],
            words(shape, isWhole, without: "branch nor bias")
        ) { p in
            let count = shape.rows * shape.width
            let residual = p.input("residual", numbers(count, 1, in: 0...2))
            let branch = isWhole ? p.input("branch", numbers(count, 2)) : nil
            let gain = p.input("gain", numbers(shape.width, 3, in: 0.5...2))
            let bias = isWhole ? p.input("bias", numbers(shape.width, 4)) : nil
            let sum = isWhole ? p.output("sum", count, bound: 1e-6) : nil
            let y = p.output("y", count, bound: 1e-5)
            let buffer = p.buffer(2 * shape.rows)
            func half(_ index: Int) -> Rows {
                Rows(count: 1, width: shape.rows, stride: shape.rows, offset: index * shape.rows)
            }
            let means = p.output("means", in: buffer, half(0), bound: shape.kind == .rms ? 0 : 1e-6)
            let reciprocals = p.output("reciprocal deviations", in: buffer, half(1), bound: 1e-5)
            p.call = {
                $0.addNormForward(
                    shape,
                    residual: $1[residual],
                    branch: $1[ifAny: branch],
                    gain: $1[gain],
                    bias: $1[ifAny: bias],
                    sum: $1[ifAny: sum],
                    y: $1[y],
                    statistics: $1[means]
                )
            }
            p.reference = { value in
                let all = NormalisationReference.forward(
                    shape,
                    residual: value[residual],
                    branch: value[ifAny: branch],
                    gain: value[gain],
                    bias: value[ifAny: bias]
                )
                return [
                    // A row of one is its mean: what cancels sets the scale.
                    Expectation(y, all.y, floor: shape.width == 1 ? 1 : 0), Expectation(means, all.means),
                    Expectation(reciprocals, all.reciprocals),
                ] + (sum.map { [Expectation($0, all.sum)] } ?? [])
            }
        }
    }

    /// - Parameter isWhole: whether there are a gradient of the sum and a bias.
    private static func backward(_ shape: NormShape, isWhole: Bool) -> KernelCase {
        KernelCase(
            "addNormBackward",
            [.rows(shape.rows), .width(shape.width)],
            words(shape, isWhole, without: "dSum nor dBias")
        ) { p in
            let count = shape.rows * shape.width
            let numbersOfSum = numbers(count, 1, in: -1...3)
            let sum = p.input("sum", numbersOfSum)
            let gain = p.input("gain", numbers(shape.width, 3, in: 0.5...2))
            // Forward's, as the reference has them.
            let forward = NormalisationReference.forward(
                shape,
                residual: doubles(numbersOfSum),
                branch: nil,
                gain: [Double](repeating: 1, count: shape.width),
                bias: nil
            )
            let statistics = p.input("statistics", floats(forward.means + forward.reciprocals))
            let dy = p.input("dy", numbers(count, 5))
            let dSum = isWhole ? p.input("dSum", numbers(count, 6)) : nil
            let dInput = p.output("dInput", count, bound: 1e-4)
            let dGain = p.output("dGain", shape.width, bound: 1e-4)
            let dBias = isWhole ? p.output("dBias", shape.width, bound: 1e-4) : nil
            p.call = {
                $0.addNormBackward(
                    shape,
                    sum: $1[sum],
                    gain: $1[gain],
                    statistics: $1[statistics],
                    dy: $1[dy],
                    dSum: $1[ifAny: dSum],
                    dInput: $1[dInput],
                    dGain: $1[dGain],
                    dBias: $1[ifAny: dBias]
                )
            }
            p.reference = { value in
                let all = NormalisationReference.backward(
                    shape,
                    sum: value[sum],
                    gain: value[gain],
                    dy: value[dy],
                    dSum: value[ifAny: dSum]
                )
                // A row of one has no gradient through its norm but what ε leaves: its terms, of the size of the reciprocal
                // deviation, cancel.
                let floor = shape.width == 1 ? forward.reciprocals.max() ?? 0 : 0
                return [
                    Expectation(dInput, all.dInput, floor: floor),
                    Expectation(dGain, all.dGain, floor: shape.width == 1 ? 1 : 0),
                ] + (dBias.map { [Expectation($0, all.dBias)] } ?? [])
            }
        }
    }
}
