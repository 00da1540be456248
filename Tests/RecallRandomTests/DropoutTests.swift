import RecallRandom
import Testing

@Suite struct DropoutTests {
    private func mask(_ dropout: Dropout, first: Int, count: Int) -> [Float] {
        // Two more elements, to see that nothing is written beyond `count`.
        var output = [Float](repeating: -1, count: count + 2)
        output.withUnsafeMutableBufferPointer {
            dropout.multipliers(first: first, count: count, into: $0.baseAddress!)
        }
        #expect(output[count...] == [-1, -1])
        return Array(output[..<count])
    }

    /// The definition, an element at a time.
    private func definition(_ p: Double, seed: UInt64, step: UInt32, site: UInt32, element: Int) -> Float {
        var stream = RandomStream(seed: seed, purpose: .dropout, a: step, b: site)
        let words = (0..<(element / 2 + 1)).map { _ in stream.nextWord() }
        let half = element % 2 == 0 ? words[element / 2] & 0xFFFF : words[element / 2] >> 16
        let threshold = (p * 65536).rounded()
        return Double(half) < threshold ? 0 : Float(65536 / (65536 - threshold))
    }

    @Test(arguments: [(0, 1), (0, 7), (0, 64), (8, 200), (64, 65), (72, 129)])
    func maskIsTheDefinition(first: Int, count: Int) {
        let dropout = Dropout(probability: 0.3, seed: 0xDEAD_BEEF_0000_0001, step: 12, site: 3)
        let expected = (first..<first + count).map {
            definition(0.3, seed: 0xDEAD_BEEF_0000_0001, step: 12, site: 3, element: $0)
        }
        #expect(mask(dropout, first: first, count: count) == expected)
    }

    @Test(arguments: [0.0, 0.1, 0.5, 0.9])
    func dropsAtItsRateAndKeepsTheMean(probability: Double) {
        let count = 200_000
        let values = mask(Dropout(probability: probability, seed: 1, step: 0, site: 0), first: 0, count: count)
        let dropped = Double(values.count { $0 == 0 }) / Double(count)
        let error = 4 * (probability * (1 - probability) / Double(count)).squareRoot()
        #expect(abs(dropped - probability) <= error + 1 / 65536)
        let mean = values.reduce(0.0) { $0 + Double($1) } / Double(count)
        #expect(abs(mean - 1) <= error / (1 - probability) + 1e-6)
    }

    @Test func stepsSitesAndSeedsDiffer() {
        let masks = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)].map { seed, step, site in
            mask(
                Dropout(probability: 0.5, seed: UInt64(seed), step: UInt32(step), site: UInt32(site)),
                first: 0,
                count: 256
            )
        }
        #expect(Set(masks).count == 4)
    }

    @Test func certaintyIsAlmostReached() {
        let dropout = Dropout(probability: 0.999_999, seed: 1, step: 0, site: 0)
        #expect(dropout.threshold == 65535)
        #expect(dropout.scale == 65536)
    }
}
