import RecallRandom

/// Reproducible numbers in a range, different by seed.
func numbers(_ count: Int, _ seed: UInt64, in range: ClosedRange<Float> = -1...1) -> [Float] {
    var stream = RandomStream(seed: seed, purpose: .test)
    return (0..<count).map { _ in
        range.lowerBound + (range.upperBound - range.lowerBound) * Float(stream.uniform())
    }
}

/// `count` ids below `bound`.
func ids(_ count: Int, below bound: Int, _ seed: UInt64) -> [Int32] {
    var stream = RandomStream(seed: seed, purpose: .test)
    return (0..<count).map { _ in Int32(stream.below(UInt32(bound))) }
}

/// A dropout's multipliers of elements 0 ..< count, as its definition has them.
func mask(_ dropout: Dropout, _ count: Int) -> [Double] {
    var mask = [Float](repeating: .nan, count: count)
    dropout.multipliers(first: 0, count: count, into: &mask)
    return mask.map(Double.init)
}

/// A reference's numbers as the Float32 that a kernel is given.
func floats(_ numbers: [Double]) -> [Float] { numbers.map { Float($0) } }

func doubles(_ numbers: [Float]) -> [Double] { numbers.map(Double.init) }

/// Sequences of `width` numbers a token with one more token each.
///
/// - Parameter earlier: tokens before it.
func appended(_ before: [Double], _ new: [Double], batch: Int, earlier: Int, width: Int) -> [Double] {
    var result: [Double] = []
    for b in 0..<batch {
        result += before[b * earlier * width..<(b + 1) * earlier * width]
        result += new[b * width..<(b + 1) * width]
    }
    return result
}

/// The tokens of each sequence from `first` on.
func suffix<Number>(_ values: [Number], from first: Int, batch: Int, length: Int, width: Int) -> [Number] {
    tokens(first..<length, of: values, batch: batch, length: length, width: width)
}

/// Some tokens of each sequence.
func tokens<Number>(
    _ range: Range<Int>,
    of values: [Number],
    batch: Int,
    length: Int,
    width: Int
) -> [Number] {
    var result: [Number] = []
    for b in 0..<batch {
        let start = b * length
        result += values[(start + range.lowerBound) * width..<(start + range.upperBound) * width]
    }
    return result
}
