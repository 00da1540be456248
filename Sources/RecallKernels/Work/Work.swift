/// The arithmetic and the traffic that a kernel cannot do without: what its floor is made of. Matrix products, scans and
/// transforms count by their operations; passes over tensors, element by element, by their bytes.
public struct Work: Equatable, Sendable {
    /// C (m, n) = A (m, k) · B (k, n), whatever is transposed.
    public struct Product: Hashable, Sendable {
        public var m: Int
        public var n: Int
        public var k: Int

        public init(_ m: Int, _ n: Int, _ k: Int) { (self.m, self.n, self.k) = (m, n, k) }

        /// Floating-point operations: a multiplication and an addition are two.
        public var operations: Double { 2 * Double(m) * Double(n) * Double(k) }
    }

    /// Matrix products, and how many of each; of a causal one only the part at and below the diagonal counts.
    public var products: [Product: Double] = [:]
    /// Floating-point operations outside matrix products.
    public var vectorOperations = 0.0
    /// Exponentials of scans.
    public var exponentials = 0.0
    /// Passes over numbers, by the bytes that each reads and writes, and how many of each.
    public var passes: [Int: Double] = [:]
    /// Passes that only read, by their bytes, and how many of each.
    public var reads: [Int: Double] = [:]

    public init() {}

    /// Floating-point operations of the matrix products.
    public var productOperations: Double { products.reduce(0) { $0 + $1.key.operations * $1.value } }

    /// Bytes read and written by the passes.
    public var bytes: Double {
        [passes, reads].joined().reduce(0) { $0 + Double($1.key) * $1.value }
    }

    public static func += (sum: inout Work, more: Work) {
        sum.products.merge(more.products, uniquingKeysWith: +)
        sum.vectorOperations += more.vectorOperations
        sum.exponentials += more.exponentials
        sum.passes.merge(more.passes, uniquingKeysWith: +)
        sum.reads.merge(more.reads, uniquingKeysWith: +)
    }

    public static func + (first: Work, second: Work) -> Work {
        var sum = first
        sum += second
        return sum
    }

    static func product(_ m: Int, _ n: Int, _ k: Int, times: Double = 1) -> Work {
        var work = Work()
        work.products[Product(m, n, k)] = times
        return work
    }

    /// Rows or columns of a tile of what is too large to be held whole, scores and logits.
    static let tile = 256

    /// A product over pairs of tokens, as the same operations in tiles: rows, and the larger of the other sizes, are cut.
    static func tiledProduct(_ m: Int, _ n: Int, _ k: Int, times: Double) -> Work {
        let (rows, columns, depth) = (min(m, tile), min(n, tile), min(k, tile))
        let tiles =
            Double(m) / Double(rows) * (Double(n) / Double(columns)) * (Double(k) / Double(depth))
        return product(rows, columns, depth, times: times * tiles)
    }

    static func arithmetic(_ operations: Double, exponentials: Double = 0) -> Work {
        var work = Work()
        (work.vectorOperations, work.exponentials) = (operations, exponentials)
        return work
    }

    /// Float32 numbers read, next to which what is written counts for nothing.
    static func reading(_ count: Int) -> Work {
        var work = Work()
        work.reads[4 * count] = 1
        return work
    }

    /// Float32 or Int32 numbers read and written.
    static func words(_ count: Int) -> Work {
        var work = Work()
        work.passes[4 * count] = 1
        return work
    }
}

/// What an operation's forward and backward kernels cannot do without.
public struct KernelWork: Equatable, Sendable {
    public var forward: Work
    public var backward: Work

    public init(forward: Work, backward: Work) { (self.forward, self.backward) = (forward, backward) }

    /// Nothing to do.
    public static let none = KernelWork(forward: Work(), backward: Work())

    /// What two operations come to.
    public static func + (first: KernelWork, second: KernelWork) -> KernelWork {
        KernelWork(forward: first.forward + second.forward, backward: first.backward + second.backward)
    }

    /// A pass over numbers, so many read and written.
    public static func words(forward: Int, backward: Int) -> KernelWork {
        KernelWork(forward: .words(forward), backward: .words(backward))
    }
}
