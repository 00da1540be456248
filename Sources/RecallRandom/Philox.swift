/// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
/// easy as 1, 2, 3" (SC 2011). A block of four 32-bit words is a pure function of a 128-bit counter and a
/// 64-bit key, so any number of any stream can be made alone, in parallel, on any device, with the same bits.
public enum Philox4x32 {

    /// The four words of one counter under one key.
    @inlinable
    public static func block(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
        var (c0, c1, c2, c3) = (counter[0], counter[1], counter[2], counter[3])
        var (k0, k1) = (key[0], key[1])
        for _ in 0..<10 {
            let product0 = 0xD251_1F53 &* UInt64(c0)
            let product1 = 0xCD9E_8D57 &* UInt64(c2)
            (c0, c1, c2, c3) = (
                UInt32(truncatingIfNeeded: product1 &>> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: product1),
                UInt32(truncatingIfNeeded: product0 &>> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: product0)
            )
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return SIMD4(c0, c1, c2, c3)
    }

    /// Eight consecutive blocks at once.
    ///
    /// A word lives in the low half of a 64-bit lane from the first round to the last, its high half anything, because
    /// that is how the processor multiplies 32 bits by 32. The words that are multiplied share a vector, and the others
    /// another, because as vectors of their own the compiler weaves them into each other at every round.
    ///
    /// - Returns: words 0 (first half) and 2 of block `first + i` in the low halves of lanes i and 8 + i, then 1 and 3.
    @inline(__always)
    private static func eightBlocks(
        first: UInt32,
        _ counter1: UInt32,
        _ counter2: UInt32,
        _ counter3: UInt32,
        key: SIMD2<UInt32>
    ) -> (SIMD16<UInt64>, SIMD16<UInt64>) {
        let low = SIMD16<UInt64>(repeating: 0xFFFF_FFFF)
        let factors = halves(SIMD8(repeating: 0xD251_1F53), SIMD8(repeating: 0xCD9E_8D57))
        var c02 = halves(
            SIMD8(repeating: UInt64(first)) &+ SIMD8(0, 1, 2, 3, 4, 5, 6, 7),
            SIMD8(repeating: UInt64(counter2))
        )
        var c13 = halves(SIMD8(repeating: UInt64(counter1)), SIMD8(repeating: UInt64(counter3)))
        var keys = halves(SIMD8(repeating: UInt64(key[0])), SIMD8(repeating: UInt64(key[1])))
        let increments = halves(SIMD8(repeating: 0x9E37_79B9), SIMD8(repeating: 0xBB67_AE85))
        for _ in 0..<10 {
            let product = factors &* (c02 & low)
            let swapped = halves(product.highHalf, product.lowHalf)
            c02 = (swapped &>> 32) ^ c13 ^ keys
            c13 = swapped
            keys &+= increments
        }
        return (c02, c13)
    }

    @inline(__always)
    private static func halves(_ low: SIMD8<UInt64>, _ high: SIMD8<UInt64>) -> SIMD16<UInt64> {
        SIMD16(lowHalf: low, highHalf: high)
    }

    /// The 32 words of eight consecutive blocks, block after block: those of the counters
    /// `(first ... first + 7, counter1, counter2, counter3)`.
    @inline(__always)
    static func eightBlocksInOrder(
        first: UInt32,
        _ counter1: UInt32,
        _ counter2: UInt32,
        _ counter3: UInt32,
        key: SIMD2<UInt32>
    ) -> SIMD32<UInt32> {
        let (c02, c13) = eightBlocks(first: first, counter1, counter2, counter3, key: key)
        // Words that follow each other in memory are the halves of a lane on a little-endian processor.
        let pairs = (c02 & SIMD16(repeating: 0xFFFF_FFFF)) | (c13 &<< 32)
        var inOrder = SIMD16<UInt64>()
        (inOrder.evenHalf, inOrder.oddHalf) = (pairs.lowHalf, pairs.highHalf)
        return unsafeBitCast(inOrder, to: SIMD32<UInt32>.self)
    }

    /// Writes what `eightBlocksInOrder` returns, compiled with this module's CPU flags.
    @inline(never)
    public static func writeEightBlocks(
        first: UInt32,
        _ counter1: UInt32,
        _ counter2: UInt32,
        _ counter3: UInt32,
        key: SIMD2<UInt32>,
        into output: UnsafeMutablePointer<UInt32>
    ) {
        let words = eightBlocksInOrder(first: first, counter1, counter2, counter3, key: key)
        UnsafeMutableRawPointer(output).storeBytes(of: words, as: SIMD32<UInt32>.self)
    }
}
