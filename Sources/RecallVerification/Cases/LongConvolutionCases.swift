import RecallKernels

/// Convolutions as long as the sequence: lengths around powers of two, single sequences and many, odd channels and
/// more than are worked on together, single tokens.
enum LongConvolutionCases {
    static let all: [KernelCase] =
        shapes.flatMap { [forward($0), backward($0)] }
        + [(1, 1, 0), (3, 16, 0), (3, 17, 1), (1, 64, 63), (3, 17, 64), (2, 33, 300)].map {
            step(batch: $0.0, channels: $0.1, position: $0.2)
        }

    private static let shapes: [LongConvolutionShape] =
        [1, 2, 63, 64, 65, 200].flatMap { length in
            [1, 17, 64].map { LongConvolutionShape(batch: length == 64 ? 1 : 3, length: length, channels: $0) }
        }
        + [
            (2, 3, 5), (1, 8, 5), (5, 9, 5), (1, 15, 33), (70, 17, 18), (16, 33, 5), (1, 65, 20), (17, 130, 2),
            (2, 257, 5), (1, 512, 3), (1, 1030, 17), (2, 2048, 2), (1, 130, 150), (3, 90, 80),
        ].map { LongConvolutionShape(batch: $0.0, length: $0.1, channels: $0.2) }

    private static func sizes(_ shape: LongConvolutionShape) -> [CaseSize] {
        [.batch(shape.batch), .length(shape.length), .channels(shape.channels)]
    }

    private static func forward(_ shape: LongConvolutionShape) -> KernelCase {
        KernelCase("longConvolutionForward", sizes(shape)) { p in
            let count = shape.batch * shape.length * shape.channels
            let u = p.input("u", numbers(count, 1), isFactor: true)
            let filter = p.input("filter", numbers(shape.length * shape.channels, 2), isFactor: true)
            let gate = p.input("gate", numbers(count, 3))
            let y = p.output("y", count, bound: 2e-6)
            p.call = {
                $0.longConvolutionForward(shape, u: $1[u], filter: $1[filter], gate: $1[gate], y: $1[y])
            }
            p.reference = { value in
                let expected = ConvolutionReference.longForward(
                    shape,
                    u: value[u],
                    filter: value[filter],
                    gate: value[gate]
                )
                return [Expectation(y, expected)]
            }
        }
    }

    private static func backward(_ shape: LongConvolutionShape) -> KernelCase {
        KernelCase("longConvolutionBackward", sizes(shape)) { p in
            let count = shape.batch * shape.length * shape.channels
            let u = p.input("u", numbers(count, 1), isFactor: true)
            let filter = p.input("filter", numbers(shape.length * shape.channels, 2), isFactor: true)
            let gate = p.input("gate", numbers(count, 3))
            let dy = p.input("dy", numbers(count, 4), isFactor: true)
            let du = p.output("du", count, bound: 2e-6)
            let dFilter = p.output("dFilter", shape.length * shape.channels, bound: 5e-6)
            let dGate = p.output("dGate", count, bound: 2e-6)
            p.call = {
                $0.longConvolutionBackward(
                    shape,
                    u: $1[u],
                    filter: $1[filter],
                    gate: $1[gate],
                    dy: $1[dy],
                    du: $1[du],
                    dFilter: $1[dFilter],
                    dGate: $1[dGate]
                )
            }
            p.reference = { value in
                let all = ConvolutionReference.longBackward(
                    shape,
                    u: value[u],
                    filter: value[filter],
                    gate: value[gate],
                    dy: value[dy]
                )
                return [
                    Expectation(du, all.u), Expectation(dFilter, all.filter), Expectation(dGate, all.gate),
                ]
            }
        }
    }

    /// The past has room for three more tokens and the filter two more taps, which must not be read.
    private static func step(batch: Int, channels: Int, position: Int) -> KernelCase {
        KernelCase("longConvolutionStep", [.batch(batch), .channels(channels), .position(position)]) { p in
            let (capacity, shape) = (
                position + 3, LongConvolutionShape(batch: batch, length: 1, channels: channels)
            )
            let u = p.input("u", numbers(batch * channels, 1), isFactor: true)
            let filter = p.input(
                "filter",
                numbers((position + 1) * channels, 2),
                in: p.buffer((position + 3) * channels),
                Rows(count: position + 1, width: channels, stride: channels, offset: 0),
                isFactor: true
            )
            let gate = p.input("gate", numbers(batch * channels, 3))
            let past = p.input(
                "past",
                numbers(batch * position * channels, 4),
                in: p.buffer(batch * capacity * channels),
                Rows(count: batch, width: position * channels, stride: capacity * channels, offset: 0),
                isFactor: true
            )
            let y = p.output("y", batch * channels, bound: 5e-6)
            p.call = {
                $0.longConvolutionStep(
                    shape,
                    u: $1[u],
                    filter: $1[filter],
                    gate: $1[gate],
                    past: $1[past],
                    position: position,
                    capacity: capacity,
                    y: $1[y]
                )
            }
            p.reference = { value in
                // The last token of a sequence of the past and this one.
                let whole = LongConvolutionShape(batch: batch, length: position + 1, channels: channels)
                func sequence(_ before: [Double], _ new: [Double]) -> [Double] {
                    appended(before, new, batch: batch, earlier: position, width: channels)
                }
                let all = ConvolutionReference.longForward(
                    whole,
                    u: sequence(value[past], value[u]),
                    filter: value[filter],
                    gate: sequence([Double](repeating: 0, count: batch * position * channels), value[gate])
                )
                let last = suffix(all, from: position, batch: batch, length: position + 1, width: channels)
                return [Expectation(y, last)]
            }
        }
    }
}
