/// The two ways in which the CPU computes a long convolution.
package enum LongConvolutionForm: Sendable, CaseIterable {
    /// The sums written out, O(L²): register tiles of eight tokens.
    case direct
    /// By Fourier transforms, O(L log L).
    case fourier

    /// The faster form for a length, as measured with AVX-512: even at 128, direct 1.3 times faster at 64 and the
    /// transforms 1.3 times at 256.
    package static func chosen(length: Int) -> LongConvolutionForm {
        length < 128 ? .direct : .fourier
    }
}

extension CPUBackend: ConvolutionKernels {
    public func longConvolutionForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        longConvolutionForward(
            shape, form: .chosen(length: shape.length), u: u, filter: filter, gate: gate, y: y)
    }

    public func longConvolutionBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        longConvolutionBackward(
            shape, form: .chosen(length: shape.length), u: u, filter: filter, gate: gate, dy: dy, du: du,
            dFilter: dFilter, dGate: dGate)
    }

    /// `longConvolutionForward` in a form of the caller's choice.
    package func longConvolutionForward(
        _ shape: LongConvolutionShape, form: LongConvolutionForm, u: Floats, filter: Floats, gate: Floats,
        y: MutableFloats
    ) {
        switch form {
        case .direct: directForward(shape, u: u, filter: filter, gate: gate, y: y)
        case .fourier: fourierForward(shape, u: u, filter: filter, gate: gate, y: y)
        }
    }

    /// `longConvolutionBackward` in a form of the caller's choice.
    package func longConvolutionBackward(
        _ shape: LongConvolutionShape, form: LongConvolutionForm, u: Floats, filter: Floats, gate: Floats,
        dy: Floats, du: MutableFloats, dFilter: MutableFloats, dGate: MutableFloats
    ) {
        switch form {
        case .direct:
            directBackward(
                shape, u: u, filter: filter, gate: gate, dy: dy, du: du, dFilter: dFilter, dGate: dGate)
        case .fourier:
            fourierBackward(
                shape, u: u, filter: filter, gate: gate, dy: dy, du: du, dFilter: dFilter, dGate: dGate)
        }
    }
}

/// How a long convolution is cut into blocks: a group of channels, and a run of pairs of sequences.
///
/// Two sequences go together as the real and imaginary part of one complex sequence: the filter is real, so they
/// never mix. Where the batch is odd the last has nothing beside it.
struct LongConvolutionBlocks {
    let shape: LongConvolutionShape
    let groups: Int
    /// How many runs the pairs are cut into: each has its own sums for the filter's gradient.
    let chunks: Int

    init(_ shape: LongConvolutionShape) {
        self.shape = shape
        groups = ConvolutionLanes.groups(channels: shape.channels)
        chunks = max(1, min((shape.batch + 1) / 2, 32 / groups))
    }

    var count: Int { groups * chunks }

    @inline(__always)
    func group(_ block: Int) -> Int { block % groups }

    @inline(__always)
    func lanes(group: Int) -> ConvolutionLanes { ConvolutionLanes(group: group, channels: shape.channels) }

    @inline(__always)
    func pairs(_ block: Int) -> Range<Int> {
        let (chunk, pairs) = (block / groups, (shape.batch + 1) / 2)
        return pairs * chunk / chunks..<pairs * (chunk + 1) / chunks
    }

    @inline(__always)
    func pair(_ index: Int, group: Int) -> SequencePair {
        let size = shape.length * shape.channels
        return SequencePair(
            lanes: lanes(group: group), channels: shape.channels, first: 2 * index * size,
            second: 2 * index + 1 < shape.batch ? (2 * index + 1) * size : nil)
    }
}

/// Sixteen channels of two sequences of a (batch, length, channels) matrix, as complex numbers.
struct SequencePair {
    let lanes: ConvolutionLanes
    let channels: Int
    /// Where the sequences begin, in elements.
    let first: Int
    let second: Int?

    /// Token t of both; the second is 0 where there is none.
    @inline(__always)
    func load(_ x: Floats, _ t: Int) -> LaneComplex {
        let row = x + t * channels
        return LaneComplex(
            re: lanes.load(row + first), im: second.map { lanes.load(row + $0) } ?? .zero)
    }

    @inline(__always)
    func store(_ value: LaneComplex, _ x: MutableFloats, _ t: Int) {
        let row = x + t * channels
        lanes.store(value.re, row + first)
        if let second { lanes.store(value.im, row + second) }
    }
}

extension LaneComplex {
    /// The products of the two sequences' own numbers: re·re and im·im.
    @inline(__always)
    func timesEach(_ other: LaneComplex) -> LaneComplex {
        LaneComplex(re: re * other.re, im: im * other.im)
    }
}
