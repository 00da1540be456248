import RecallRandom

/// Reproducible numbers in a range, for inputs of kernels under test.
public func randomFloats(_ count: Int, seed: UInt64, in range: ClosedRange<Float> = -1...1) -> [Float] {
    var stream = RandomStream(seed: seed, purpose: .test)
    return (0..<count).map { _ in
        range.lowerBound + (range.upperBound - range.lowerBound) * Float(stream.uniform())
    }
}

/// An output buffer filled with NaN, so that a kernel which leaves an element unwritten is found out.
public func poisoned(_ count: Int) -> [Float] {
    Array(repeating: .nan, count: count)
}

/// The same numbers in Float64, for references.
public func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }

/// The largest |actual - expected| over the largest |expected|; infinite where a number is not finite or counts differ.
public func relativeError(_ actual: [Float], _ expected: [Double]) -> Double {
    guard actual.count == expected.count else { return .infinity }
    var worst = 0.0
    var largest = 1e-30
    for (a, e) in zip(actual, expected) {
        guard a.isFinite, e.isFinite else { return .infinity }
        worst = max(worst, abs(Double(a) - e))
        largest = max(largest, abs(e))
    }
    return worst / largest
}

/// The gradient of a scalar function by central differences in Float64.
///
/// - Parameter indices: which entries to differentiate by; nil for all.
public func finiteDifferences(
    of function: ([Double]) -> Double,
    at point: [Double],
    indices: [Int]? = nil,
    step: Double = 1e-5
) -> [Double] {
    (indices ?? Array(point.indices)).map { index in
        var moved = point
        moved[index] = point[index] + step
        let above = function(moved)
        moved[index] = point[index] - step
        let below = function(moved)
        return (above - below) / (2 * step)
    }
}

/// Σ a_i b_i: a scalar of a vector output whose gradient in the output is b.
public func dot(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
}

/// The largest difference of two Float64 vectors over the larger of their largest entries and 1e-6.
public func relativeError(_ actual: [Double], _ expected: [Double]) -> Double {
    guard actual.count == expected.count, actual.allSatisfy(\.isFinite) else { return .infinity }
    let largest = max(1e-6, expected.map(abs).max() ?? 0, actual.map(abs).max() ?? 0)
    return zip(actual, expected).map { abs($0 - $1) }.max().map { $0 / largest } ?? 0
}

/// Numbers at an address that stays theirs, for kernels that are given several at once.
public final class Memory {
    public let address: UnsafeMutablePointer<Float>
    private let count: Int

    public init(_ numbers: [Float]) {
        count = numbers.count
        address = .allocate(capacity: max(count, 1))
        address.initialize(from: numbers, count: count)
    }

    deinit { address.deallocate() }

    public var values: UnsafePointer<Float> { UnsafePointer(address) }
    public var numbers: [Float] { Array(UnsafeBufferPointer(start: address, count: count)) }
}
