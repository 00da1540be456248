import RecallRandom

/// The words of `RandomStream(seed:purpose:a:b:)` with purpose `data`, eight Philox blocks at a time.
struct ExampleWords: RandomWords {
    static let capacity = 32
    /// The words at hand, `capacity` of them; whoever made the stream owns the memory.
    private let words: UnsafeMutablePointer<UInt32>
    private let key: SIMD2<UInt32>
    private let a: UInt32
    private let b: UInt32
    private var nextBlock: UInt32 = 0
    private var used = Self.capacity
    private var high: UInt32 = 0
    private var hasHigh = false

    @inline(__always)
    init(seed: UInt64, a: UInt32, b: UInt32, buffer: UnsafeMutablePointer<UInt32>) {
        key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed &>> 32))
        (self.a, self.b) = (a, b)
        words = buffer
    }

    @inline(__always)
    mutating func nextWord() -> UInt32 {
        if used == Self.capacity { refill() }
        let word = words[used]
        used &+= 1
        return word
    }

    /// The next 16 random bits: the low half of a word, then its high half.
    @inline(__always)
    private mutating func nextHalf() -> UInt32 {
        hasHigh.toggle()
        if !hasHigh { return high }
        let word = nextWord()
        high = word &>> 16
        return word & 0xFFFF
    }

    /// A uniform integer in 0..<bound by Lemire's method on 16-bit halves.
    ///
    /// - Parameters:
    ///   - bound: at most 65536.
    ///   - threshold: 65536 mod bound; products whose low half is below it are drawn again.
    @inline(__always)
    mutating func belowByHalves(_ bound: UInt32, threshold: UInt32) -> UInt32 {
        while true {
            // Below 2^32 also for 65535 × 65536.
            let product = nextHalf() &* bound
            if product & 0xFFFF >= threshold { return product &>> 16 }
        }
    }

    @inline(never)
    private mutating func refill() {
        Philox4x32.writeEightBlocks(
            first: nextBlock,
            a,
            b,
            RandomPurpose.data.rawValue,
            key: key,
            into: words
        )
        nextBlock &+= 8
        used = 0
    }
}
