import RecallKernels

/// One call of one kernel to be compared with its Float64 reference.
public struct KernelCase: Sendable {
    /// The kernel's name in its protocol.
    public let kernel: String
    public let sizes: [CaseSize]
    /// What else tells it from other cases of the kernel: "no bias", "in place"; may be empty.
    public let variant: String
    private let build: @Sendable (inout Problem) -> Void

    /// - Parameter build: fills in the operands, the call and the reference. Always the same for one case.
    init(
        _ kernel: String,
        _ sizes: [CaseSize],
        _ variant: String = "",
        _ build: @escaping @Sendable (inout Problem) -> Void
    ) {
        (self.kernel, self.sizes, self.variant, self.build) = (kernel, sizes, variant, build)
    }

    /// The shape in words: "B 3 L 65 d 16, dropout".
    public var shape: String {
        let sizes = sizes.map { "\($0.letter) \($0.value)" }.joined(separator: " ")
        return variant.isEmpty ? sizes : sizes.isEmpty ? variant : "\(sizes), \(variant)"
    }

    /// The numbers, made anew at each call: a list of cases holds none.
    var problem: Problem {
        var problem = Problem()
        build(&problem)
        return problem
    }
}

extension KernelCase: CustomStringConvertible {
    public var description: String { "\(kernel) \(shape)" }
}

/// An operand of a problem, by the order in which it was declared.
struct Operand: Hashable, Sendable {
    let index: Int
}

/// Where an operand's numbers lie in its buffer.
struct Rows: Equatable, Sendable {
    var count: Int
    var width: Int
    /// Elements from one row to the next.
    var stride: Int
    /// Elements before the first row.
    var offset: Int

    /// The element of the buffer that number `index` of the operand is.
    func element(_ index: Int) -> Int { offset + index / width * stride + index % width }
    /// How many numbers there are.
    var numbers: Int { count * width }
}

/// What a kernel reads and writes, how it is called, and what should come of it.
///
/// Every operand lies in a buffer, as rows of numbers with or without others between them, and several may share one.
/// All are 32-bit words here: Float32 or Int32.
struct Problem {
    /// Elements of device memory that belong together.
    struct Buffer {
        let count: Int
        let isInteger: Bool
    }

    struct View {
        let name: String
        let buffer: Int
        let rows: Rows
        /// The words before the call; nil for an output, which is poisoned.
        let content: [UInt32]?
        /// For outputs, the largest relative error that Float32 arithmetic may make; 0 where it makes none.
        let bound: Double?
        /// Whether the kernel may round it as a factor of matrix products.
        let isFactor: Bool
        /// Whether its words are whole numbers.
        var isInteger = false

        func number(_ word: UInt32) -> Double {
            isInteger ? Double(Int32(bitPattern: word)) : Double(Float(bitPattern: word))
        }
    }

    private(set) var buffers: [Buffer] = []
    private(set) var views: [View] = []
    /// Calls the kernel, once.
    var call: (any Backend, Addresses) -> Void = { _, _ in }
    /// What it should have written: one for each output. Sums are in Float64.
    var reference: (Values) -> [Expectation] = { _ in [] }

    // MARK: Operands

    /// A buffer for operands that lie in it together.
    mutating func buffer(_ count: Int) -> Int {
        buffers.append(Buffer(count: count, isInteger: false))
        return buffers.count - 1
    }

    /// Numbers that the kernel reads, in a buffer of their own.
    mutating func input(_ name: String, _ numbers: [Float], isFactor: Bool = false) -> Operand {
        input(name, numbers, in: buffer(numbers.count), rows(numbers.count), isFactor: isFactor)
    }

    /// Numbers that the kernel reads, as rows of a wider matrix.
    mutating func input(
        _ name: String,
        _ numbers: [Float],
        in buffer: Int,
        _ rows: Rows,
        isFactor: Bool = false
    ) -> Operand {
        precondition(rows.numbers == numbers.count)
        return add(
            View(
                name: name,
                buffer: buffer,
                rows: rows,
                content: numbers.map(\.bitPattern),
                bound: nil,
                isFactor: isFactor
            )
        )
    }

    /// Token ids or row indices that the kernel reads.
    mutating func integers(_ name: String, _ numbers: [Int32]) -> Operand {
        buffers.append(Buffer(count: numbers.count, isInteger: true))
        return add(
            View(
                name: name,
                buffer: buffers.count - 1,
                rows: rows(numbers.count),
                content: numbers.map { UInt32(bitPattern: $0) },
                bound: nil,
                isFactor: false
            )
        )
    }

    /// Numbers that the kernel writes, into a buffer of their own.
    mutating func output(_ name: String, _ count: Int, bound: Double) -> Operand {
        output(name, in: buffer(count), rows(count), bound: bound)
    }

    /// Numbers that the kernel writes, as rows of a wider matrix whose other numbers it leaves alone.
    mutating func output(_ name: String, in buffer: Int, _ rows: Rows, bound: Double) -> Operand {
        add(View(name: name, buffer: buffer, rows: rows, content: nil, bound: bound, isFactor: false))
    }

    /// Whole numbers that the kernel writes, all of them exact.
    mutating func integerOutput(_ name: String, _ count: Int) -> Operand {
        add(
            View(
                name: name,
                buffer: buffer(count),
                rows: rows(count),
                content: nil,
                bound: 0,
                isFactor: false,
                isInteger: true
            )
        )
    }

    /// Numbers that the kernel reads and writes.
    mutating func update(_ name: String, _ numbers: [Float], bound: Double, isFactor: Bool = false) -> Operand {
        update(name, numbers, in: buffer(numbers.count), rows(numbers.count), bound: bound, isFactor: isFactor)
    }

    mutating func update(
        _ name: String,
        _ numbers: [Float],
        in buffer: Int,
        _ rows: Rows,
        bound: Double,
        isFactor: Bool = false
    ) -> Operand {
        precondition(rows.numbers == numbers.count)
        return add(
            View(
                name: name,
                buffer: buffer,
                rows: rows,
                content: numbers.map(\.bitPattern),
                bound: bound,
                isFactor: isFactor
            )
        )
    }

    /// Contiguous rows of `width`, which is how messages count them.
    private func rows(_ count: Int) -> Rows {
        Rows(count: 1, width: max(count, 1), stride: count, offset: 0).emptied(count == 0)
    }

    private mutating func add(_ view: View) -> Operand {
        let last = view.rows.numbers == 0 ? 0 : view.rows.element(view.rows.numbers - 1) + 1
        precondition(last <= buffers[view.buffer].count, "\(view.name) does not fit its buffer")
        views.append(view)
        return Operand(index: views.count - 1)
    }
}

extension Rows {
    fileprivate func emptied(_ isEmpty: Bool) -> Rows {
        var result = self
        if isEmpty { result.count = 0 }
        return result
    }
}

/// The operands' numbers as a reference sees them: contiguous, in Float64, factors rounded to the arithmetic.
struct Values {
    let views: [Problem.View]
    let arithmetic: Arithmetic
    /// Whether factors are cut off instead of rounded, as some tensor cores do.
    var isTruncating = false

    /// What the operand held before the call.
    subscript(_ operand: Operand) -> [Double] {
        let view = views[operand.index]
        guard let content = view.content else { preconditionFailure("\(view.name) holds nothing") }
        return content.map {
            let number = Float(bitPattern: $0)
            guard view.isFactor else { return Double(number) }
            return Double(isTruncating ? arithmetic.truncated(number) : arithmetic.rounded(number))
        }
    }

    subscript(ifAny operand: Operand?) -> [Double]? { operand.map { self[$0] } }
}

/// The operands' addresses in the device's memory.
struct Addresses {
    let addresses: [UnsafeMutableRawPointer]

    subscript(_ operand: Operand) -> MutableFloats {
        addresses[operand.index].assumingMemoryBound(to: Float.self)
    }

    subscript(ifAny operand: Operand?) -> MutableFloats? { operand.map { self[$0] } }

    func integers(_ operand: Operand) -> Integers { Integers(mutableIntegers(operand)) }

    func mutableIntegers(_ operand: Operand) -> MutableIntegers {
        addresses[operand.index].assumingMemoryBound(to: Int32.self)
    }
}

/// What an output should hold.
struct Expectation {
    let operand: Operand
    let values: [Double]
    /// Errors are measured against this at least: the size of the terms, where they cancel.
    let floor: Double

    init(_ operand: Operand, _ values: [Double], floor: Double = 0) {
        (self.operand, self.values, self.floor) = (operand, values, floor)
    }
}
