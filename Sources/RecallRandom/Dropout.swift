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
    @usableFromInline let key: SIMD2<UInt32>
    @usableFromInline let step: UInt32
    @usableFromInline let site: UInt32

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
    @inlinable
    public func multipliers(first: Int, count: Int, into output: UnsafeMutablePointer<Float>) {
        let limit = SIMD16<UInt32>(repeating: threshold)
        let kept = SIMD16<Float>(repeating: scale)
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 32) { words in
            let words = words.baseAddress.unsafelyUnwrapped
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 64) { lanes in
                let lanes = lanes.baseAddress.unsafelyUnwrapped
                var done = 0
                while done < count {
                    let now = min(64, count - done)
                    let target = now == 64 ? output + done : lanes
                    // A word's two halves lie in order on a little-endian CPU.
                    UnsafeMutableRawPointer(words).storeBytes(
                        of: Philox4x32.eightBlocksInOrder(
                            first: UInt32(truncatingIfNeeded: (first + done) / 8), step, site,
                            RandomPurpose.dropout.rawValue, key: key),
                        as: SIMD32<UInt32>.self)
                    for group in 0..<4 {
                        let halves = UnsafeRawPointer(words + 8 * group).loadUnaligned(as: SIMD16<UInt16>.self)
                        let dropped = SIMD16<UInt32>(truncatingIfNeeded: halves) .< limit
                        UnsafeMutableRawPointer(target + 16 * group)
                            .storeBytes(of: kept.replacing(with: 0, where: dropped), as: SIMD16<Float>.self)
                    }
                    if now < 64 { (output + done).update(from: lanes, count: now) }
                    done += now
                }
            }
        }
    }
}
