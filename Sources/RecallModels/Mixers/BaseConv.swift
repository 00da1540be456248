import Foundation
import RecallKernels
import RecallTensor

/// The gated convolution of Zoology: y = conv(u) ⊙ (u Wᵀ + b) + u, with a filter of a few taps or an implicit
/// one as long as the sequence (docs/math/convolutions.md, section 2).
///
/// Arora et al., "Zoology: measuring and improving recall in efficient language models", 2023; the implicit
/// filter is in the manner of Poli et al., "Hyena hierarchy", 2023.
public final class BaseConv: Mixer {
    static let description = MixerDescription(
        name: "base-conv",
        summary: "gated convolution with a short filter, or one as long as the sequence",
        paper: "Arora et al., Zoology: measuring and improving recall in efficient language models, 2023",
        knobs: [
            Knob(
                "kernel_size",
                .integerOrChoice(1...256, ["long"]),
                default: .integer(3),
                "K taps, or long: an implicit filter over the whole sequence"
            )
        ],
        stateKnob: nil,
        validate: { _, _ throws(ConfigurationError) in },
        make: { BaseConv($0, $1) }
    )

    private enum Filter {
        case short(weight: Parameter, bias: Parameter)
        case long(ImplicitFilter)
    }

    private let width: Int
    private let projection: Linear
    private let filter: Filter

    init(_ layer: LayerConfig, _ context: MixerContext) {
        width = context.dModel
        projection = context.linear("projection", inputs: width, outputs: width, bias: true)
        if case .integer(let taps)? = layer.knobs["kernel_size"] {
            let convolution = context.convolution("conv", channels: width, taps: taps)
            filter = .short(weight: convolution.weight, bias: convolution.bias)
        } else {
            filter = .long(ImplicitFilter(context))
        }
    }

    public var parameters: [Parameter] {
        switch filter {
        case .short(let weight, let bias): projection.parameters + [weight, bias]
        case .long(let implicit): projection.parameters + implicit.parameters
        }
    }

    public func mix(_ x: Tensor, _ tape: Tape) -> Tensor {
        let gate = tape.linear(x, projection)
        switch filter {
        case .short(let weight, let bias):
            return tape.shortConvolution(x, weight: weight, bias: bias, gate: gate, epilogue: .gatedWithSkip)
        case .long(let implicit):
            return tape.longConvolution(x, filter: implicit.forward(length: x.shape[1], tape), gate: gate)
        }
    }

    public func stateLayouts(capacity: Int) -> [StateLayout] {
        switch filter {
        case .short(let weight, _):
            [StateLayout(.convolution, "past", capacity: weight.shape[1] - 1, width: width)]
        case .long: [StateLayout(.convolution, "past", capacity: capacity, width: width, grows: true)]
        }
    }

    public func prefill(_ x: Tensor, _ sequences: Range<Int>, _ state: inout MixerState, _ tape: Tape) -> Tensor
    {
        let length = x.shape[1]
        tape.withHostRows(x, columns: 0..<width) { source, stride in
            state.parts[0].writePrompts(source, stride: stride, length: length, sequences: sequences)
        }
        guard case .long(let implicit) = filter else { return mix(x, tape) }
        // With the next token's row: no step is to make a block that its prompt could.
        implicit.extend(&state.derived, to: min(length + 1, implicit.longest), tape)
        // On a tape that has failed there may be fewer rows, and nobody reads them.
        let rows =
            state.derived.count >= length * width
            ? tape.tensor([length, width], Array(state.derived.prefix(length * width)))
            : tape.tensor([length, width])
        return tape.longConvolution(x, filter: rows, gate: tape.linear(x, projection))
    }

    public func step(_ x: Tensor, _ state: inout MixerState, _ tape: Tape) -> Tensor {
        defer { state.advance() }
        let gate = tape.linear(x, projection)
        switch filter {
        case .short(let weight, let bias):
            return tape.shortConvolutionStep(
                x,
                weight: weight,
                bias: bias,
                gate: gate,
                epilogue: .gatedWithSkip,
                past: &state.parts[0].values
            )
        case .long(let implicit):
            let (batch, position) = (state.batch, state.position)
            implicit.extend(&state.derived, to: position + 1, tape)
            let y = tape.longConvolutionStep(
                x,
                filter: state.derived,
                gate: gate,
                past: state.parts[0].values,
                position: position,
                capacity: state.parts[0].capacity
            )
            tape.withHostRows(x, columns: 0..<width) { source, stride in
                state.parts[0].write(source, stride: stride, batch: batch, position: position)
            }
            return y
        }
    }

    public func zoologyStateSize(length: Int) -> Int? {
        switch filter {
        case .short(let weight, _): width * weight.shape[1]
        case .long: width * length
        }
    }
}

/// h_t = W₂ relu(W₁ z_t + b₁) + b₂ with fixed features z_t = [t/(l-1), cos(f w_t), -sin(f w_t)], w_t = 2π t/l,
/// l the longest length, f = 1e-4. That is one band, so that little but linear time remains, as published
/// (docs/math/convolutions.md, section 3).
final class ImplicitFilter {
    private let inner: Linear
    private let outer: Linear
    /// The longest length, l.
    let longest: Int
    /// z of every token, made when one is first asked for: a model that is only measured needs none.
    private lazy var features = Self.features(length: longest)
    private static let featureCount = 3
    private static let hidden = 16

    init(_ context: MixerContext) {
        // The published harness starts every Linear alike; without it these keep PyTorch's own start.
        func layer(_ name: String, inputs: Int, outputs: Int) -> Linear {
            guard context.initialisation == .paper else {
                return context.linear(name, inputs: inputs, outputs: outputs, bias: true)
            }
            let start = Initialiser.uniform(bound: 1 / Double(inputs).squareRoot())
            return context.linear(name, inputs: inputs, outputs: outputs, bias: start, weight: start)
        }
        inner = layer("filter.inner", inputs: Self.featureCount, outputs: Self.hidden)
        outer = layer("filter.outer", inputs: Self.hidden, outputs: context.dModel)
        longest = context.maximumLength
    }

    private static func features(length: Int) -> [Float] {
        var features: [Float] = []
        features.reserveCapacity(length * featureCount)
        for t in 0..<length {
            let angle = 1e-4 * 2 * Double.pi * Double(t) / Double(length)
            features.append(Float(Double(t) / Double(max(length - 1, 1))))
            features.append(Float(cos(angle)))
            features.append(Float(-sin(angle)))
        }
        return features
    }

    var parameters: [Parameter] { inner.parameters + outer.parameters }
    /// The first `length` rows of the filter: (length, D).
    func forward(length: Int, _ tape: Tape) -> Tensor { rows(0..<length, tape) }

    private func rows(_ rows: Range<Int>, _ tape: Tape) -> Tensor {
        let numbers = rows.lowerBound * Self.featureCount..<rows.upperBound * Self.featureCount
        precondition(numbers.upperBound <= features.count, "longer than the longest length of the task")
        let z = tape.tensor([rows.count, Self.featureCount], Array(features[numbers]))
        return tape.linear(tape.relu(tape.linear(z, inner)), outer)
    }

    /// Rows that `extend` makes at once. A BLAS may round a product's rows otherwise where there are fewer of them, and a state
    /// that is resumed has to come to the same bits as one that went on.
    private static let block = 128

    /// Makes at least the rows that are missing from the first `length` of the filter on the host.
    func extend(_ known: inout [Float], to length: Int, _ tape: Tape) {
        let width = outer.outputs
        while known.count < length * width {
            let first = known.count / width
            let next = rows(first..<min(first + Self.block, longest), tape)
            tape.withHostRows(next, columns: 0..<width) { source, _ in
                known.append(contentsOf: UnsafeBufferPointer(start: source, count: next.count))
            }
            // A tape that has failed reads no rows.
            if known.count == first * width { return }
        }
    }
}
