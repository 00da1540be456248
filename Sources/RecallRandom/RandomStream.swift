/// What random numbers are for. Streams of different purposes never share a counter.
public enum RandomPurpose: UInt32, Sendable {
    case data = 1
    case initialisation = 2
    case dropout = 3
    case order = 4
    case statistics = 5
    case test = 6
}

/// A stream of random numbers named by what it is for: (seed, purpose, a, b). The same name gives the same
/// numbers whoever asks, in whatever order.
///
/// The Philox key is the seed, low word first; the counter is (block, a, b, purpose). A stream is 2^34 words long.
public struct RandomStream: RandomWords, Sendable {
    @usableFromInline let key: SIMD2<UInt32>
    @usableFromInline let a: UInt32
    @usableFromInline let b: UInt32
    @usableFromInline let purpose: UInt32
    @usableFromInline var nextBlock: UInt32 = 0
    @usableFromInline var words = SIMD4<UInt32>()
    @usableFromInline var used = 4

    /// - Parameters:
    ///   - seed: the user's seed.
    ///   - purpose: what the numbers are for.
    ///   - a: the first index within the purpose (an example, a step, a parameter).
    ///   - b: the second (a split and segment, a dropout site).
    @inlinable
    public init(seed: UInt64, purpose: RandomPurpose, a: UInt32 = 0, b: UInt32 = 0) {
        key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed &>> 32))
        (self.a, self.b, self.purpose) = (a, b, purpose.rawValue)
    }

    /// The next 32 random bits.
    @inlinable
    public mutating func nextWord() -> UInt32 {
        if used == 4 {
            words = Philox4x32.block(SIMD4(nextBlock, a, b, purpose), key: key)
            nextBlock &+= 1
            used = 0
        }
        defer { used += 1 }
        return words[used]
    }
}
