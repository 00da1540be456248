import RecallKernels

/// Convolutions of few taps with both epilogues: sequences shorter than the taps, odd channels, u among other numbers, the
/// gate's gradient left out, single tokens.
enum ShortConvolutionCases {
    static let all: [KernelCase] =
        ConvolutionEpilogue.allCases.flatMap { epilogue in
            shapes(epilogue).flatMap { [forward($0), backward($0)] }
                + [(1, 1, 3), (3, 17, 4), (3, 64, 3), (2, 33, 1), (1, 70, 7)].map {
                    step(shape($0.0, 1, $0.1, $0.2, gap: 5, epilogue))
                }
        } + [backward(shape(2, 5, 18, 7, .gatedWithSkip), differentiatesGate: false)]

    private static func shape(
        _ batch: Int,
        _ length: Int,
        _ channels: Int,
        _ taps: Int,
        gap: Int = 0,
        _ epilogue: ConvolutionEpilogue
    ) -> ShortConvolutionShape {
        ShortConvolutionShape(
            batch: batch,
            length: length,
            channels: channels,
            taps: taps,
            inputStride: channels + gap,
            epilogue: epilogue
        )
    }

    private static func shapes(_ epilogue: ConvolutionEpilogue) -> [ShortConvolutionShape] {
        [
            shape(1, 1, 1, 3, epilogue), shape(3, 1, 17, 4, gap: 5, epilogue), shape(3, 2, 16, 4, epilogue),
            shape(3, 63, 33, 3, gap: 33, epilogue), shape(1, 64, 64, 4, gap: 64, epilogue),
            shape(35, 65, 15, 3, epilogue), shape(3, 65, 20, 1, gap: 1, epilogue), shape(3, 9, 20, 2, epilogue),
            shape(3, 63, 17, 7, gap: 3, epilogue), shape(2, 3, 17, 7, epilogue),
            shape(2, 1700, 32, 4, epilogue),
            shape(1, 761, 70, 3, gap: 7, epilogue), shape(2, 41, 1305, 4, gap: 2, epilogue),
        ]
    }

    private static func sizes(_ shape: ShortConvolutionShape) -> [CaseSize] {
        [.batch(shape.batch), .length(shape.length), .channels(shape.channels), .taps(shape.taps)]
    }

    private static func words(_ shape: ShortConvolutionShape, _ more: String = "") -> String {
        let stride = shape.inputStride == shape.channels ? "" : "rows of u \(shape.inputStride) apart"
        let epilogue = shape.epilogue == .silu ? "SiLU" : "gate and skip"
        return [epilogue, stride, more].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private struct Operands {
        let u, weight, bias: Operand
        let gate: Operand?

        init(_ shape: ShortConvolutionShape, _ p: inout Problem) {
            let tokens = shape.batch * shape.length
            u = p.input(
                "u",
                numbers(tokens * shape.channels, 1),
                in: p.buffer(tokens * shape.inputStride),
                rows(shape)
            )
            weight = p.input("weight", numbers(shape.channels * shape.taps, 2))
            bias = p.input("bias", numbers(shape.channels, 3))
            gate = shape.epilogue == .silu ? nil : p.input("gate", numbers(tokens * shape.channels, 4))
        }
    }

    private static func rows(_ shape: ShortConvolutionShape) -> Rows {
        Rows(
            count: shape.batch * shape.length,
            width: shape.channels,
            stride: shape.inputStride,
            offset: 0
        )
    }

    private static func forward(_ shape: ShortConvolutionShape) -> KernelCase {
        KernelCase("shortConvolutionForward", sizes(shape), words(shape)) { p in
            let at = Operands(shape, &p)
            let y = p.output("y", shape.batch * shape.length * shape.channels, bound: 2e-6)
            p.call = {
                $0.shortConvolutionForward(
                    shape,
                    u: $1[at.u],
                    weight: $1[at.weight],
                    bias: $1[at.bias],
                    gate: $1[ifAny: at.gate],
                    y: $1[y]
                )
            }
            p.reference = { value in
                let expected = ConvolutionReference.shortForward(
                    shape,
                    u: value[at.u],
                    weight: value[at.weight],
                    bias: value[at.bias],
                    gate: value[ifAny: at.gate] ?? []
                )
                return [Expectation(y, expected)]
            }
        }
    }

    private static func backward(_ shape: ShortConvolutionShape, differentiatesGate: Bool = true) -> KernelCase
    {
        let words = words(shape, differentiatesGate ? "" : "no dGate")
        return KernelCase("shortConvolutionBackward", sizes(shape), words) { p in
            let at = Operands(shape, &p)
            let (tokens, count) = (shape.batch * shape.length, shape.batch * shape.length * shape.channels)
            let dy = p.input("dy", numbers(count, 5))
            let du = p.output("du", in: p.buffer(tokens * shape.inputStride), rows(shape), bound: 2e-6)
            let dWeight = p.output("dWeight", shape.channels * shape.taps, bound: 1e-5)
            let dBias = p.output("dBias", shape.channels, bound: 1e-5)
            let isWanted = differentiatesGate && at.gate != nil
            let dGate = isWanted ? p.output("dGate", count, bound: 2e-6) : nil
            p.call = {
                $0.shortConvolutionBackward(
                    shape,
                    u: $1[at.u],
                    weight: $1[at.weight],
                    bias: $1[at.bias],
                    gate: $1[ifAny: at.gate],
                    dy: $1[dy],
                    du: $1[du],
                    dWeight: $1[dWeight],
                    dBias: $1[dBias],
                    dGate: $1[ifAny: dGate]
                )
            }
            p.reference = { value in
                let all = ConvolutionReference.shortBackward(
                    shape,
                    u: value[at.u],
                    weight: value[at.weight],
                    bias: value[at.bias],
                    gate: value[ifAny: at.gate] ?? [],
                    dy: value[dy]
                )
                return [
                    Expectation(du, all.u), Expectation(dWeight, all.weight), Expectation(dBias, all.bias),
                ] + (dGate.map { [Expectation($0, all.gate)] } ?? [])
            }
        }
    }

    /// One token of decoding, and the past that it moves on by one.
    private static func step(_ shape: ShortConvolutionShape) -> KernelCase {
        KernelCase("shortConvolutionStep", sizes(shape), words(shape)) { p in
            let at = Operands(shape, &p)
            let (channels, earlier) = (shape.channels, shape.taps - 1)
            let past = p.update("past", numbers(shape.batch * earlier * channels, 6), bound: 0)
            let y = p.output("y", shape.batch * channels, bound: 2e-6)
            p.call = {
                $0.shortConvolutionStep(
                    shape,
                    u: $1[at.u],
                    weight: $1[at.weight],
                    bias: $1[at.bias],
                    gate: $1[ifAny: at.gate],
                    past: $1[past],
                    y: $1[y]
                )
            }
            p.reference = { value in
                // The last token of a sequence of the past and this one.
                func sequence(_ before: [Double], _ new: [Double]) -> [Double] {
                    appended(before, new, batch: shape.batch, earlier: earlier, width: channels)
                }
                func end(_ values: [Double], from first: Int) -> [Double] {
                    suffix(values, from: first, batch: shape.batch, length: shape.taps, width: channels)
                }
                var whole = shape
                whole.length = shape.taps
                let inputs = sequence(value[past], value[at.u])
                let none = [Double](repeating: 0, count: shape.batch * earlier * channels)
                let all = ConvolutionReference.shortForward(
                    whole,
                    u: inputs,
                    weight: value[at.weight],
                    bias: value[at.bias],
                    gate: value[ifAny: at.gate].map { sequence(none, $0) } ?? []
                )
                return [Expectation(y, end(all, from: earlier)), Expectation(past, end(inputs, from: 1))]
            }
        }
    }
}
