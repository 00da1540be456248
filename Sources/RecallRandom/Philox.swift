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

    /// Eight consecutive blocks at once: lane i holds the block whose first counter word is `first + i`.
    ///
    /// - Returns: word w of block `first + i` in lane i of the w-th vector.
    @inlinable
    public static func eightBlocks(
        first: UInt32, _ counter1: UInt32, _ counter2: UInt32, _ counter3: UInt32, key: SIMD2<UInt32>
    ) -> (SIMD8<UInt32>, SIMD8<UInt32>, SIMD8<UInt32>, SIMD8<UInt32>) {
        var c0 = SIMD8<UInt32>(repeating: first) &+ SIMD8(0, 1, 2, 3, 4, 5, 6, 7)
        var c1 = SIMD8<UInt32>(repeating: counter1)
        var c2 = SIMD8<UInt32>(repeating: counter2)
        var c3 = SIMD8<UInt32>(repeating: counter3)
        var (k0, k1) = (key[0], key[1])
        let m0 = SIMD8<UInt64>(repeating: 0xD251_1F53)
        let m1 = SIMD8<UInt64>(repeating: 0xCD9E_8D57)
        for _ in 0..<10 {
            let product0 = m0 &* SIMD8<UInt64>(truncatingIfNeeded: c0)
            let product1 = m1 &* SIMD8<UInt64>(truncatingIfNeeded: c2)
            let high0 = SIMD8<UInt32>(truncatingIfNeeded: product0 &>> 32)
            let high1 = SIMD8<UInt32>(truncatingIfNeeded: product1 &>> 32)
            (c0, c1, c2, c3) = (
                high1 ^ c1 ^ SIMD8(repeating: k0), SIMD8<UInt32>(truncatingIfNeeded: product1),
                high0 ^ c3 ^ SIMD8(repeating: k1), SIMD8<UInt32>(truncatingIfNeeded: product0)
            )
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return (c0, c1, c2, c3)
    }

    /// The 32 words of eight consecutive blocks, block after block: those of the counters
    /// `(first ... first + 7, counter1, counter2, counter3)`.
    @inlinable
    public static func eightBlocksInOrder(
        first: UInt32, _ counter1: UInt32, _ counter2: UInt32, _ counter3: UInt32, key: SIMD2<UInt32>
    ) -> SIMD32<UInt32> {
        let (w0, w1, w2, w3) = eightBlocks(first: first, counter1, counter2, counter3, key: key)
        var even = SIMD16<UInt32>()
        (even.evenHalf, even.oddHalf) = (w0, w2)
        var odd = SIMD16<UInt32>()
        (odd.evenHalf, odd.oddHalf) = (w1, w3)
        var all = SIMD32<UInt32>()
        (all.evenHalf, all.oddHalf) = (even, odd)
        return all
    }

    /// Writes what `eightBlocksInOrder` returns, compiled with this module's CPU flags.
    @inline(never)
    public static func writeEightBlocks(
        first: UInt32, _ counter1: UInt32, _ counter2: UInt32, _ counter3: UInt32, key: SIMD2<UInt32>,
        into output: UnsafeMutablePointer<UInt32>
    ) {
        let words = eightBlocksInOrder(first: first, counter1, counter2, counter3, key: key)
        UnsafeMutableRawPointer(output).storeBytes(of: words, as: SIMD32<UInt32>.self)
    }
}
