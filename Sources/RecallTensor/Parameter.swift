import RecallInput
import RecallKernels
import RecallRandom

/// How a parameter starts.
public enum Initialiser: Sendable {
    case constant(Float)
    /// N(0, deviation²).
    case normal(deviation: Double)
    /// U(-bound, bound).
    case uniform(bound: Double)
    /// Any rule: number i of `count` from a stream of its own.
    case custom(@Sendable (_ index: Int, _ stream: inout RandomStream) -> Double)
}

/// A trained array: its value, its gradient and AdamW's two moments, all in a `ParameterStore`.
public final class Parameter {
    /// The path in the model: `layers.1.mixer.q.weight`.
    public let name: String
    public let shape: [Int]
    /// Whether weight decay touches it where `decay: exempt` holds.
    public let isExemptFromDecay: Bool
    let initialiser: Initialiser

    public private(set) var value: MutableFloats
    public private(set) var gradient: MutableFloats
    public private(set) var firstMoment: MutableFloats
    public private(set) var secondMoment: MutableFloats
    /// Whether this step has written the gradient yet.
    var hasGradient = false

    public init(_ name: String, shape: [Int], initialiser: Initialiser, isExemptFromDecay: Bool) {
        (self.name, self.shape, self.initialiser) = (name, shape, initialiser)
        self.isExemptFromDecay = isExemptFromDecay
        // Given an address by the store, before any use.
        let nowhere = MutableFloats(bitPattern: 64).unsafelyUnwrapped
        (value, gradient, firstMoment, secondMoment) = (nowhere, nowhere, nowhere, nowhere)
    }

    public var count: Int { shape.saturatingProduct() }

    func place(value: MutableFloats, gradient: MutableFloats, first: MutableFloats, second: MutableFloats) {
        (self.value, self.gradient, firstMoment, secondMoment) = (value, gradient, first, second)
    }
}

/// All parameters of a model in one block of device memory: values, gradients and moments, each contiguous.
public final class ParameterStore {
    public let parameters: [Parameter]
    public let backend: any Backend
    private let base: UnsafeMutableRawPointer
    /// All gradients behind each other.
    let gradients: UnsafeMutableBufferPointer<Float>
    /// Of device memory, for all four of each.
    public let bytes: Int

    /// Places the parameters and gives them their first values. Each draws from a stream keyed by the seed and its own
    /// name, so that a parameter starts the same whatever else the model holds.
    ///
    /// - Parameter seed: nil for parameters that are written before they are read, or of which only the sizes matter: to draw
    ///   millions takes a good part of a second.
    /// - Throws: `BackendError`.
    public init(_ parameters: [Parameter], backend: any Backend, seed: UInt64?) throws {
        self.parameters = parameters
        self.backend = backend
        // Each parameter starts on a cache line.
        let sizes = parameters.map { $0.count.plus(15) / 16 * 16 }
        let total = sizes.saturatingSum()
        bytes = max(total.times(4), 16).times(MemoryLayout<Float>.stride)
        guard bytes < .max else { throw BackendError.outOfMemory(bytes: bytes) }
        base = try backend.allocate(bytes: bytes)
        let floats = base.bindMemory(to: Float.self, capacity: 4 * total)
        gradients = UnsafeMutableBufferPointer(start: floats + total, count: total)
        var start = 0
        for (parameter, size) in zip(parameters, sizes) {
            parameter.place(
                value: floats + start,
                gradient: floats + (total + start),
                first: floats + (2 * total + start),
                second: floats + (3 * total + start)
            )
            start += size
        }
        guard let seed else { return }
        for parameter in parameters {
            write(Self.initialValues(of: parameter, seed: seed), to: parameter.value)
            backend.fillZero(parameter.count, y: parameter.firstMoment)
            backend.fillZero(parameter.count, y: parameter.secondMoment)
        }
        try backend.check()
    }

    deinit { backend.release(base, bytes: bytes) }

    /// Copies from the device.
    public func read(_ source: MutableFloats, count: Int) -> [Float] {
        Array(unsafeUninitializedCapacity: count) { buffer, initialised in
            if let address = buffer.baseAddress {
                backend.copyToHost(source, address, bytes: count * MemoryLayout<Float>.stride)
            }
            initialised = count
        }
    }

    /// Copies to the device.
    public func write(_ numbers: [Float], to destination: MutableFloats) {
        numbers.withUnsafeBufferPointer { buffer in
            guard let address = buffer.baseAddress else { return }
            backend.copyFromHost(address, destination, bytes: buffer.count * MemoryLayout<Float>.stride)
        }
    }

    private static func initialValues(of parameter: Parameter, seed: UInt64) -> [Float] {
        var stream = RandomStream(seed: seed, purpose: .initialisation, a: nameKey(parameter.name))
        return (0..<parameter.count).map { index in
            switch parameter.initialiser {
            case .constant(let value): value
            case .normal(let deviation): Float(deviation * stream.normal())
            case .uniform(let bound): Float(bound * (2 * stream.uniform() - 1))
            case .custom(let rule): Float(rule(index, &stream))
            }
        }
    }

    /// FNV-1a of the name, 32 bits (Fowler, Noll, Vo).
    private static func nameKey(_ name: String) -> UInt32 {
        name.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
}
