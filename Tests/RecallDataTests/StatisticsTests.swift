import Foundation
import RecallData
import Testing

/// Σ (observed - expected)² / expected; cells of probability 0 do not count.
private func chiSquare(_ observed: [Int], _ probabilities: [Double]) -> Double {
    let total = Double(observed.reduce(0, +))
    var sum = 0.0
    for (count, probability) in zip(observed, probabilities) where probability > 0 {
        let difference = Double(count) - total * probability
        sum += difference * difference / (total * probability)
    }
    return sum
}

@Suite struct StatisticsTests {
    /// The slots of 50,000 examples of 64 tokens with 4 pairs: entry [example][key number].
    static let slots: [[Int]] = {
        let task = smallTask(vocabSize: 8192, length: 64, pairs: 4)
        let data = SegmentData.make(MQARGenerator(task), .train, 0, examples: 50_000)
        return (0..<data.count).map { example in
            var slots = [0, 0, 0, 0]
            for label in example * 4..<example * 4 + 4 {
                let position = Int(data.labelPositions[label])
                let key = (0..<4).first {
                    data.tokens[example * 64 + 2 * $0] == data.tokens[example * 64 + position]
                }!
                slots[key] = (position - 8) / 2
            }
            return slots
        }
    }()

    /// The published generator's means for keys 0 to 3, of 200,000 draws, and their standard errors here and there.
    @Test func meanSlotsAreThePublishedOnes() {
        let count = Double(Self.slots.count)
        for (key, published) in [6.20, 6.81, 7.45, 8.05].enumerated() {
            let numbers = Self.slots.map { Double($0[key]) }
            let mean = numbers.reduce(0, +) / count
            let variance = numbers.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / count
            #expect(abs(mean - published) < 4 * (variance / count + variance / 200_000).squareRoot() + 0.005)
        }
    }

    @Test func slotsOfTheFirstKeyFollowThePowerLaw() {
        let weights = (0..<28).map { pow(Double($0 + 1), 0.01 - 1) }
        let total = weights.reduce(0, +)
        #expect(abs(weights[0] / total - 0.251) < 0.0005)
        var counts = [Int](repeating: 0, count: 28)
        for slots in Self.slots { counts[slots[0]] += 1 }
        // The 99.9 % point with 27 degrees of freedom.
        #expect(chiSquare(counts, weights.map { $0 / total }) < 55.48)
    }

    /// The second key's law, given the first key's slot, is the power law over the slots left.
    @Test func slotsOfTheSecondKeyAreSuccessiveDraws() {
        let weights = (0..<28).map { pow(Double($0 + 1), 0.01 - 1) }
        let total = weights.reduce(0, +)
        var expected = [Double](repeating: 0, count: 28)
        for first in 0..<28 {
            for second in 0..<28 where second != first {
                expected[second] += weights[first] / total * weights[second] / (total - weights[first])
            }
        }
        var counts = [Int](repeating: 0, count: 28)
        for slots in Self.slots { counts[slots[1]] += 1 }
        #expect(chiSquare(counts, expected) < 55.48)
    }

    /// Where every slot is taken at last, weights of 1 to 4^-6 leave most last draws to the slots that are left: the
    /// orders of four slots have the probabilities of successive draws all the same.
    @Test func ordersOfAllSlotsAreSuccessiveDraws() {
        let task = smallTask(length: 16, pairs: 4, powerA: 7)
        let data = SegmentData.make(MQARGenerator(task), .train, 0, examples: 100_000)
        let weights = (1...4).map { pow(Double($0), 6) }
        var counts = [Int](repeating: 0, count: 256)
        for example in 0..<data.count {
            var order = 0
            for key in 0..<4 {
                let asked = data.tokens[example * 16 + 2 * key]
                order = order * 4 + (0..<4).first { data.tokens[example * 16 + 8 + 2 * $0] == asked }!
            }
            counts[order] += 1
        }
        let expected = (0..<256).map { order in
            var probability = 1.0
            var left = weights
            for key in 0..<4 {
                let slot = order >> (6 - 2 * key) & 3
                probability *= left[slot] / left.reduce(0, +)
                left[slot] = 0
            }
            return probability
        }
        // The 99.9 % point with 23 degrees of freedom.
        #expect(chiSquare(counts, expected.map { $0.isNaN ? 0 : $0 }) < 49.73)
        #expect(zip(counts, expected).allSatisfy { $0 == 0 || $1 > 0 })
    }

    @Test(arguments: [(28, 0.01), (256, 0.01), (64, 1.0), (64, 0.0), (16, 3.0)])
    func weightsArePowersToTheirPrecision(slots: Int, powerA: Double) {
        let segment = Segment(sequenceLength: 2 * (slots + 4), kvPairs: 4, examples: 1)
        var task = smallTask(powerA: powerA)
        task.train = [segment]
        let weights = MQARGenerator(task).slotWeights(segment)
        let largest = pow(Double(powerA > 1 ? slots : 1), powerA - 1)
        for (slot, weight) in weights.enumerated() {
            let exact = pow(Double(slot + 1), powerA - 1) / largest * 0x1p40
            #expect(abs(Double(weight) - exact) <= 1)
        }
        #expect(weights.count == slots && weights.max() == 1 << 40)
    }

    /// Keys, values and fillers are uniform, at a vocabulary that does not divide 65536.
    @Test(arguments: [Fillers.any, .disjoint])
    func tokensAreUniform(fillers: Fillers) {
        let task = smallTask(vocabSize: 24, length: 32, pairs: 3, fillers: fillers)
        let data = SegmentData.make(MQARGenerator(task), .train, 0, examples: 20_000)
        var counts = [[Int]](repeating: [Int](repeating: 0, count: 24), count: 3)
        for example in 0..<data.count {
            let queries = Set(data.labelPositions[example * 3..<example * 3 + 3])
            for position in 0..<32 {
                let token = Int(data.tokens[example * 32 + position])
                if position < 6 {
                    counts[position % 2][token] += 1
                } else if !queries.contains(Int32(position)) {
                    counts[2][token] += 1
                }
            }
        }
        // Drawn without replacement, so somewhat more even than independent draws: the points are upper bounds.
        #expect(chiSquare(counts[0], (0..<24).map { 1..<12 ~= $0 ? 1.0 / 11 : 0 }) < 29.59)
        #expect(chiSquare(counts[1], (0..<24).map { $0 >= 12 ? 1.0 / 12 : 0 }) < 31.26)
        #expect(counts[0].prefix(1) + counts[0][12...] == ArraySlice(repeating: 0, count: 13))
        #expect(counts[1].prefix(12).allSatisfy { $0 == 0 })
        if fillers == .any {
            #expect(chiSquare(counts[2], [Double](repeating: 1.0 / 24, count: 24)) < 49.73)
        } else {
            // Of the 21 tokens that are no key; each key token is one of them in 8 of 11 examples.
            let spread = (0..<24).map { 1..<12 ~= $0 ? 8.0 / 11 / 21 : 1.0 / 21 }
            let total = Double(counts[2].reduce(0, +))
            for (token, observed) in counts[2].enumerated() {
                // Which tokens are keys is shared by an example's fillers: a wider band than independent draws'.
                #expect(abs(Double(observed) / total - spread[token]) < 0.001)
            }
        }
    }
}
