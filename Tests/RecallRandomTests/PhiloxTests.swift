import RecallRandom
import Testing

@Suite struct PhiloxTests {
    /// The known answers of Random123's kat_vectors for philox4x32 with ten rounds.
    @Test func knownAnswers() {
        #expect(
            Philox4x32.block(SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
                == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
        )
        let ones = UInt32.max
        #expect(
            Philox4x32.block(SIMD4(ones, ones, ones, ones), key: SIMD2(ones, ones))
                == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
        )
        #expect(
            Philox4x32.block(
                SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
                key: SIMD2(0xa409_3822, 0x299f_31d0)
            )
                == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
        )
    }

    @Test(arguments: [0, 1, 12345, UInt32.max - 3])
    func eightBlocksAreEightTimesOne(first: UInt32) {
        let key = SIMD2<UInt32>(0xa409_3822, 0x299f_31d0)
        var written = [UInt32](repeating: 0, count: 32)
        Philox4x32.writeEightBlocks(first: first, 7, 0xFFFF_0001, 3, key: key, into: &written)
        for lane in 0..<8 {
            // The counter's first word wraps and does not carry.
            let expected = Philox4x32.block(SIMD4(first &+ UInt32(lane), 7, 0xFFFF_0001, 3), key: key)
            #expect(Array(written[4 * lane..<4 * lane + 4]) == (0..<4).map { expected[$0] })
        }
    }
}
