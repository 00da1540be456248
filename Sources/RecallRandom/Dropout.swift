/// An inverted-dropout mask that is never stored: multiplier i is a function of (seed, step, site, i), so the
/// backward pass makes it again.
///
/// Element i uses the 16-bit half (i mod 2) of word ((i mod 8) / 2) of Philox block i / 8, low half first. It is
/// kept where that half is at least `threshold`; kept elements are multiplied by `scale`.
public struct Dropout: Sendable, Equatable {
    /// The probability asked for.
    public let probability: Double
    /// Halves below this are dropped: the probability rounded to a multiple of 1/65536, at most 65535/65536.
    public let threshold: UInt32
    /// What kept elements are multiplied by: 1 / (1 - threshold / 65536).
    public let scale: Float
    package let key: SIMD2<UInt32>
    package let step: UInt32
    package let site: UInt32

    /// - Parameters:
    ///   - probability: in 0..<1.
    ///   - seed: the run's seed.
    ///   - step: the optimiser step, so that every step has its own mask.
    ///   - site: which dropout of the model this is.
    public init(probability: Double, seed: UInt64, step: UInt32, site: UInt32) {
        self.probability = probability
        // At most 65535, so that the scale of a probability next to 1 is finite.
        threshold = UInt32(min((probability * 65536).rounded(), 65535))
        scale = Float(65536 / (65536 - Double(threshold)))
        key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed &>> 32))
        (self.step, self.site) = (step, site)
    }

    /// Writes the multipliers (0 or `scale`) of elements `first ..< first + count`.
    ///
    /// - Parameters:
    ///   - first: a multiple of 8, below 2^35.
    ///   - count: any; nothing beyond it is written.
    public func multipliers(first: Int, count: Int, into output: UnsafeMutablePointer<Float>) {
        var done = 0
        while done + 64 <= count {
            sixtyFour(first: first + done, into: output + done)
            done += 64
        }
        guard done < count else { return }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 64) { last in
            let last = last.baseAddress.unsafelyUnwrapped
            sixtyFour(first: first + done, into: last)
            (output + done).update(from: last, count: count - done)
        }
    }

    /// The multipliers of the 64 elements of eight blocks. A function of its own: in a larger one the compiler no longer
    /// makes one instruction of each SIMD operation.
    @inline(never)
    private func sixtyFour(first: Int, into output: UnsafeMutablePointer<Float>) {
        let words = Philox4x32.eightBlocksInOrder(
            first: UInt32(truncatingIfNeeded: first / 8),
            step,
            site,
            RandomPurpose.dropout.rawValue,
            key: key
        )
        sixteen(words.lowHalf.lowHalf, into: output)
        sixteen(words.lowHalf.highHalf, into: output + 16)
        sixteen(words.highHalf.lowHalf, into: output + 32)
        sixteen(words.highHalf.highHalf, into: output + 48)
    }

    /// Those of the sixteen elements of two blocks.
    @inline(__always)
    private func sixteen(_ words: SIMD8<UInt32>, into output: UnsafeMutablePointer<Float>) {
        // A word's two halves, in order in a 64-bit lane on a little-endian processor.
        let wide = SIMD8<UInt64>(truncatingIfNeeded: words)
        let halves = unsafeBitCast((wide & 0xFFFF) | ((wide &<< 16) & 0xFFFF_0000_0000), to: SIMD16<Int32>.self)
        // All ones where the half is below the threshold: its difference's sign, in every bit. (Comparisons of integers
        // are made lane by lane.)
        let dropped = (halves &- SIMD16(repeating: Int32(threshold))) &>> 31
        let kept = SIMD16<Int32>(repeating: Int32(bitPattern: scale.bitPattern)) & ~dropped
        UnsafeMutableRawPointer(output).storeBytes(of: kept, as: SIMD16<Int32>.self)
    }
}
