/// A source of random 32-bit words, and the draws made of them. How many words a draw takes, and in which order,
/// is part of its definition: data and results are pinned by it.
public protocol RandomWords: RandomNumberGenerator {
    /// The next 32 random bits.
    mutating func nextWord() -> UInt32
}

extension RandomWords {

    /// The next 64 random bits, low word first.
    @inlinable
    public mutating func next() -> UInt64 {
        let low = nextWord()
        return UInt64(nextWord()) &<< 32 | UInt64(low)
    }

    /// A uniform integer in 0..<bound without bias, by Lemire's multiply-and-reject ("Fast random integer
    /// generation in an interval", 2019) on 32-bit words: one word, and another for each rejection.
    ///
    /// - Parameter bound: at least 1.
    @inlinable
    public mutating func below(_ bound: UInt32) -> UInt32 {
        var product = UInt64(nextWord()) &* UInt64(bound)
        if UInt32(truncatingIfNeeded: product) < bound {
            let threshold = (0 &- bound) % bound
            while UInt32(truncatingIfNeeded: product) < threshold {
                product = UInt64(nextWord()) &* UInt64(bound)
            }
        }
        return UInt32(truncatingIfNeeded: product &>> 32)
    }

    /// The same with 64-bit numbers: two words, and two more for each rejection.
    ///
    /// - Parameter bound: at least 1.
    @inlinable
    public mutating func below64(_ bound: UInt64) -> UInt64 {
        var product = next().multipliedFullWidth(by: bound)
        if product.low < bound {
            let threshold = (0 &- bound) % bound
            while product.low < threshold {
                product = next().multipliedFullWidth(by: bound)
            }
        }
        return product.high
    }

    /// A uniform number in [0, 1) with 53 random bits: two words.
    @inlinable
    public mutating func uniform() -> Double {
        Double(next() &>> 11) * 0x1p-53
    }

    /// A number of the standard normal distribution, by Box and Muller's transform in Float64: four words a call,
    /// always. It uses `PortableMath`, so that it is the same on every machine.
    @inlinable
    public mutating func normal() -> Double {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = (-2 * PortableMath.log(1 - uniform())).squareRoot()
        return radius * PortableMath.cosine(turns: uniform())
    }

    /// Puts the elements in a uniformly random order, by Fisher and Yates from the last element down: one `below`
    /// for each element but the first.
    ///
    /// - Parameter elements: fewer than 2^32.
    @inlinable
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
        for last in stride(from: elements.count - 1, through: 1, by: -1) {
            elements.swapAt(last, Int(below(UInt32(truncatingIfNeeded: last + 1))))
        }
    }

    /// A uniformly random permutation of 0..<count, as `shuffle` makes it.
    @inlinable
    public mutating func permutation(_ count: Int) -> [Int] {
        var elements = Array(0..<count)
        shuffle(&elements)
        return elements
    }
}
