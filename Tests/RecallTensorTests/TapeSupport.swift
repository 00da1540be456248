import RecallKernels
import RecallTensor
import TestSupport

/// An arena whose first blocks hold NaN, so that whatever a kernel leaves unwritten is found out.
func poisonedArena(_ backend: CPUBackend = CPUBackend()) throws -> Arena {
    let arena = try Arena(backend: backend)
    let count = 1 << 16
    guard let block = arena.allocate(bytes: count * MemoryLayout<Float>.stride) else { throw TapeError.stopped }
    block.bindMemory(to: Float.self, capacity: count).update(from: poisoned(count), count: count)
    arena.deallocate(block, bytes: count * MemoryLayout<Float>.stride)
    return arena
}

/// A parameter that starts uniformly in ±`bound`.
func parameter(_ name: String, _ shape: [Int], bound: Double = 1) -> Parameter {
    Parameter(name, shape: shape, initialiser: .uniform(bound: bound), isExemptFromDecay: false)
}

/// A linear layer under a name, started uniformly.
func linearLayer(_ name: String, inputs: Int, outputs: Int, bias: Bool = false) -> Linear {
    Linear(
        weight: parameter("\(name).weight", [outputs, inputs]),
        bias: bias ? parameter("\(name).bias", [outputs]) : nil
    )
}

/// Numbers for an input of an operation.
struct Input {
    let shape: [Int]
    let numbers: [Float]

    init(_ shape: [Int], seed: UInt64, in range: ClosedRange<Float> = -1...1) {
        self.shape = shape
        numbers = randomFloats(shape.reduce(1, *), seed: seed, in: range)
    }

    init(_ shape: [Int], _ numbers: [Float]) { (self.shape, self.numbers) = (shape, numbers) }

    var width: Int { shape.last ?? 1 }
    var doubles: [Double] { numbers.map(Double.init) }

    /// Some columns of every row.
    func columns(_ range: Range<Int>) -> [Double] { pick(doubles, width: width, range) }
}

/// Some columns of every row of a matrix.
func pick(_ matrix: [Double], width: Int, _ range: Range<Int>) -> [Double] {
    stride(from: 0, to: matrix.count, by: width).flatMap {
        matrix[($0 + range.lowerBound)..<($0 + range.upperBound)]
    }
}

/// Outputs and gradients of something computed on a tape, for Σ y ⊙ dy with random dy.
struct Differentiated {
    /// One for each output.
    var y: [[Float]] = []
    var dy: [[Double]] = []
    /// One for each input; empty where no gradient reached it.
    var dInputs: [[Float]] = []
    private var values: [String: [Double]] = [:]
    private var gradients: [String: [Float]] = [:]

    func value(_ parameter: Parameter) -> [Double] { values[parameter.name] ?? [] }
    func gradient(_ parameter: Parameter) -> [Float] { gradients[parameter.name] ?? [] }

    /// Runs `build` forward and backward.
    ///
    /// - Parameter seeds: whether each output starts a gradient; all by default.
    init(
        _ inputs: [Input],
        _ parameters: [Parameter] = [],
        seeds: [Bool]? = nil,
        dropoutSeed: UInt64 = 0,
        build: (Tape, [Tensor]) -> [Tensor]
    ) throws {
        let arena = try poisonedArena()
        let store = try ParameterStore(parameters, backend: arena.backend, seed: 5)
        for parameter in parameters {
            store.write(poisoned(parameter.count), to: parameter.gradient)
            values[parameter.name] = doubles(store.read(parameter.value, count: parameter.count))
        }
        store.beginStep()
        let tape = Tape(arena: arena, isTraining: true, seed: dropoutSeed)
        let tensors = inputs.map { tape.tensor($0.shape, $0.numbers) }
        let outputs = build(tape, tensors)
        for (index, output) in outputs.enumerated() {
            y.append(try tape.read(output))
            guard seeds?[index] ?? true else {
                dy.append([])
                continue
            }
            let numbers = randomFloats(output.count, seed: 100 + UInt64(index))
            dy.append(doubles(numbers))
            tape.setGradient(of: output, numbers)
        }
        try tape.backward()
        for tensor in tensors { dInputs.append(try tape.readGradient(tensor) ?? []) }
        for parameter in parameters {
            gradients[parameter.name] = store.read(parameter.gradient, count: parameter.count)
        }
    }
}

/// a + b of two vectors.
func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 + $1 } }
