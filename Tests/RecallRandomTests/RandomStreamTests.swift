import Foundation
import RecallRandom
import Testing

/// Σ (observed - expected)² / expected over cells that are equally likely.
private func chiSquare(_ counts: [Int]) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    return counts.map { (Double($0) - expected) * (Double($0) - expected) / expected }.reduce(0, +)
}

/// A list of words, to see what a draw does with given ones and how many it takes.
private struct ListedWords: RandomWords {
    var words: [UInt32]
    mutating func nextWord() -> UInt32 { words.removeFirst() }
}

@Suite struct RandomStreamTests {
    @Test func wordsAreThePhiloxBlocksOfTheName() {
        var stream = RandomStream(seed: 0x1122_3344_5566_7788, purpose: .data, a: 9, b: 10)
        for block in 0..<3 {
            let expected = Philox4x32.block(
                SIMD4(UInt32(block), 9, 10, 1),
                key: SIMD2(0x5566_7788, 0x1122_3344)
            )
            for word in 0..<4 { #expect(stream.nextWord() == expected[word]) }
        }
    }

    @Test func everyPartOfTheNameMatters() {
        let purposes: [RandomPurpose] = [.data, .initialisation, .dropout, .order, .statistics, .test]
        var streams = purposes.map { RandomStream(seed: 5, purpose: $0) }
        streams += [
            RandomStream(seed: 6, purpose: .data), RandomStream(seed: 5 + 1 << 32, purpose: .data),
            RandomStream(seed: 5, purpose: .data, a: 1), RandomStream(seed: 5, purpose: .data, b: 1),
        ]
        let firsts = streams.indices.map { index -> UInt64 in streams[index].next() }
        #expect(Set(firsts).count == streams.count)
    }

    @Test func wideNumbersAreLowWordFirst() {
        var words = ListedWords(words: [1, 2])
        let number: UInt64 = words.next()
        #expect(number == 0x0000_0002_0000_0001)
    }

    @Test func belowMultipliesAndRejects() {
        // 2^32 mod 3 = 1: only the product whose low half is 0 is drawn again.
        var words = ListedWords(words: [0, 0, 0x5555_5556, 0xFFFF_FFFF])
        #expect(words.below(3) == 1)
        #expect(words.below(3) == 2)
        #expect(words.words.isEmpty)
        // 2^64 mod (2^63 + 1) = 2^63 - 1: a product of 0 is drawn again; half the range times the bound is not.
        var pairs = ListedWords(words: [0, 0, 0, 0x8000_0000])
        #expect(pairs.below64(1 << 63 + 1) == 1 << 62)
        #expect(pairs.words.isEmpty)
        var one = ListedWords(words: [17])
        #expect(one.below(1) == 0)
    }

    /// 99.9 % points of chi-square with 6, 99 and 12 degrees of freedom.
    @Test(arguments: [(7, 22.46), (100, 148.23), (13, 32.91)])
    func belowIsUniform(bound: Int, limit: Double) {
        var stream = RandomStream(seed: 1, purpose: .test)
        var narrow = [Int](repeating: 0, count: bound)
        var wide = narrow
        for _ in 0..<100_000 {
            narrow[Int(stream.below(UInt32(bound)))] += 1
            wide[Int(stream.below64(UInt64(bound)))] += 1
        }
        #expect(chiSquare(narrow) < limit)
        #expect(chiSquare(wide) < limit)
    }

    /// With bound 3·2^30 a draw without rejection would give every third number twice as often.
    @Test func belowIsUniformWhereBiasWouldShow() {
        var stream = RandomStream(seed: 2, purpose: .test)
        var residues = [0, 0, 0]
        for _ in 0..<90_000 { residues[Int(stream.below(3 << 30) % 3)] += 1 }
        #expect(chiSquare(residues) < 13.82)
    }

    @Test func uniformCoversTheUnitInterval() {
        var stream = RandomStream(seed: 3, purpose: .test)
        let numbers = (0..<100_000).map { _ in stream.uniform() }
        #expect(numbers.allSatisfy { 0 <= $0 && $0 < 1 })
        var cells = [Int](repeating: 0, count: 100)
        for number in numbers { cells[Int(number * 100)] += 1 }
        #expect(chiSquare(cells) < 148.23)
        var largest = ListedWords(words: [.max, .max])
        #expect(largest.uniform() == 1 - 0x1p-53)
    }

    @Test func normalHasItsMoments() {
        var stream = RandomStream(seed: 4, purpose: .test)
        let count = 200_000.0
        let numbers = (0..<Int(count)).map { _ in stream.normal() }
        func moment(_ power: Int) -> Double { numbers.map { pow($0, Double(power)) }.reduce(0, +) / count }
        // Four standard errors: sqrt(1, 2, 15, 96 / count).
        #expect(abs(moment(1)) < 4 * (1 / count).squareRoot())
        #expect(abs(moment(2) - 1) < 4 * (2 / count).squareRoot())
        #expect(abs(moment(3)) < 4 * (15 / count).squareRoot())
        #expect(abs(moment(4) - 3) < 4 * (96 / count).squareRoot())
        let beyond = Double(numbers.count { abs($0) > 1.959964 }) / count
        #expect(abs(beyond - 0.05) < 4 * (0.05 * 0.95 / count).squareRoot())
    }

    @Test func normalIsBoxAndMullerOnFourWords() {
        var stream = RandomStream(seed: 5, purpose: .test)
        var same = stream
        for _ in 0..<1000 {
            let (u, v) = (1 - same.uniform(), same.uniform())
            let expected = (-2 * log(u)).squareRoot() * cos(2 * Double.pi * v)
            #expect(abs(stream.normal() - expected) < 1e-14)
        }
        // The extremes are finite: u = 2^-53 is the smallest.
        var extreme = ListedWords(words: [.max, .max, 0, 0])
        #expect(abs(extreme.normal() - (106 * log(2.0)).squareRoot()) < 1e-14)
    }

    /// The bits, so that another machine's are seen to be the same.
    @Test func normalBitsArePinned() {
        var stream = RandomStream(seed: 123, purpose: .initialisation)
        let bits = (0..<4).map { _ in stream.normal().bitPattern }
        #expect(bits == pinnedNormals)
    }

    @Test func permutationsAreUniform() {
        var stream = RandomStream(seed: 6, purpose: .test)
        var counts: [[Int]: Int] = [:]
        for _ in 0..<24_000 { counts[stream.permutation(4), default: 0] += 1 }
        #expect(counts.count == 24)
        #expect(chiSquare(Array(counts.values)) < 49.73)
        #expect(stream.permutation(1) == [0])
        #expect(stream.permutation(0) == [])
        #expect(stream.permutation(1000).sorted() == Array(0..<1000))
    }

    @Test func shuffleIsFisherAndYatesFromTheEnd() {
        var stream = RandomStream(seed: 7, purpose: .test)
        var same = stream
        var letters = Array("abcdefgh")
        stream.shuffle(&letters)
        var expected = Array("abcdefgh")
        for last in (1...7).reversed() { expected.swapAt(last, Int(same.below(UInt32(last + 1)))) }
        #expect(letters == expected)
        #expect(letters != Array("abcdefgh"))
    }
}

private let pinnedNormals: [UInt64] = [
    0x3FFA_2ADF_483F_8214, 0xBFBB_10E5_553D_ABC6, 0xBFC3_BA5D_4646_3B84, 0xBFF2_FBFE_7B30_D681,
]
