import RecallKernels
import RecallRandom
import RecallTensor

/// The memory of cases, laid out as a step lays out its tensors: arrays of the same size at other offsets in their
/// pages, so that what is timed is what a step pays.
struct KernelMemory {
    private let arena: Arena

    init() {
        guard let arena = try? Arena(backend: CPUBackend(), capacity: 1 << 34) else {
            preconditionFailure("no address space for a kernel's arrays")
        }
        self.arena = arena
    }

    /// Inputs that differ by seed, between -1 and 1 unless told otherwise.
    func numbers(_ count: Int, _ seed: UInt64, in range: ClosedRange<Double> = -1...1) -> KernelArray {
        var stream = RandomStream(seed: seed, purpose: .test)
        let numbers = KernelArray(arena, count)
        for index in 0..<count {
            numbers.pointer[index] = Float(
                range.lowerBound + (range.upperBound - range.lowerBound) * stream.uniform()
            )
        }
        return numbers
    }

    /// An output that nothing has been written to yet.
    func fresh(_ count: Int) -> KernelArray {
        let numbers = KernelArray(arena, count)
        numbers.pointer.update(repeating: .nan, count: count)
        return numbers
    }
}

/// An array of a case.
struct KernelArray {
    let pointer: MutableFloats
    private let count: Int
    /// Owns the memory.
    private let arena: Arena

    init(_ arena: Arena, _ count: Int) {
        guard let address = arena.allocate(bytes: count * MemoryLayout<Float>.stride) else {
            preconditionFailure("a kernel's arrays do not fit into their address space")
        }
        pointer = address.bindMemory(to: Float.self, capacity: count)
        (self.arena, self.count) = (arena, count)
    }

    var values: Floats { Floats(pointer) }
    var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
