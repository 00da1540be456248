import Foundation
import RecallRandom
import RecallStore
import TestSupport
import Testing

@testable import RecallReport

@Suite struct SeedStatisticsTests {
    /// Quantiles at 0.975 and at 0.995 as tables have them.
    @Test(arguments: [
        (1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (4, 2.776, 4.604), (5, 2.571, 4.032),
        (9, 2.262, 3.250), (10, 2.228, 3.169), (29, 2.045, 2.756), (30, 2.042, 2.750), (120, 1.980, 2.617),
        (100_000, 1.960, 2.576),
    ])
    func quantilesOfStudentsT(degrees: Int, at95: Double, at99: Double) {
        #expect(abs(StudentT.bound(holding: 0.95, degrees: degrees) - at95) < 5.1e-4)
        #expect(abs(StudentT.bound(holding: 0.99, degrees: degrees) - at99) < 5.1e-4)
    }

    /// Of one degree the distribution is Cauchy's; of two, t = s √(2 / (1 - s²)).
    @Test func quantilesInClosedForm() {
        for share in [0.1, 0.5, 0.95, 0.999] {
            let cauchy = tan(.pi / 2 * share)
            #expect(abs(StudentT.bound(holding: share, degrees: 1) - cauchy) < 1e-11 * cauchy)
            let two = share * (2 / (1 - share * share)).squareRoot()
            #expect(abs(StudentT.bound(holding: share, degrees: 2) - two) < 1e-11 * two)
        }
    }

    /// The ends by hand: the mean of the log-odds, and t times their standard error, turned back.
    @Test(arguments: [
        ([0.9, 0.5, 0.7, 0.8], 800, 0.41046158168919095, 0.929397170646223),
        ([0.84, 0.83, 0.11], 800, 0.007095548002201947, 0.9966979679166538),
        // What is clipped counts as half a label less than all.
        ([1, 1, 0.99], 64, 0.9879187771254794, 0.9940499112495803),
    ])
    func theIntervalIsStudentsOnTheLogit(_ accuracies: [Double], labels: Int, low: Double, high: Double) throws
    {
        let interval = try #require(Statistics(accuracies, labels: labels).interval)
        #expect(abs(interval.lowerBound - low) < 1e-12 && abs(interval.upperBound - high) < 1e-12)
        #expect(Statistics(accuracies.reversed(), labels: labels).interval == interval)
    }

    @Test func underThreeSeedsThereIsNoInterval() throws {
        #expect(Statistics([0.5], labels: 100).interval == nil)
        let two = Statistics([0.9, 0.7], labels: 100)
        #expect(two.interval == nil && two.range == 0.7...0.9)
        let three = Statistics([0.9, 0.7, 0.8], labels: 100)
        #expect(three.interval != nil && three.range == three.interval)
        // Equal seeds have no width, right or wrong.
        for accuracy in [0, 0.1, 0.75, 1] {
            let equal = Statistics([accuracy, accuracy, accuracy], labels: 100)
            let ends = try #require(equal.interval)
            #expect(ends.lowerBound == ends.upperBound && equal.mean == accuracy)
            #expect(abs(ends.lowerBound - min(max(accuracy, 0.005), 0.995)) < 1e-12)
        }
    }

    // MARK: The paired test

    /// The most that the smaller sum of ranks may be for two-sided 0.05, as tables have it; none for five pairs.
    @Test(
        arguments: [
            (1, nil), (2, nil), (3, nil), (4, nil), (5, nil), (6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13),
            (15, 25), (20, 52), (25, 89), (30, 137),
        ] as [(Int, Int?)]
    )
    func criticalValuesOfTheSignedRanks(pairs: Int, most: Int?) throws {
        /// Differences whose smaller sum of ranks is this.
        func test(smaller sum: Int) -> PairedTest {
            var rest = sum
            let differences = (1...pairs).reversed().map { rank -> Double in
                guard rank <= rest else { return Double(rank) / 10 }
                rest -= rank
                return -Double(rank) / 10
            }
            return PairedTest(differences)
        }
        #expect(test(smaller: 0).canTell == (pairs >= 6))
        guard let most else {
            #expect(test(smaller: 0).order == .undetermined)
            return
        }
        #expect(test(smaller: most).order == .above && test(smaller: most + 1).order == .undetermined)
        #expect(test(smaller: most).probability <= 0.05 && test(smaller: most + 1).probability > 0.05)
    }

    @Test func probabilitiesOfTheSignedRanks() {
        // 2 / 2^n where all signs agree; five agreeing pairs are not enough.
        for pairs in 1...8 {
            let test = PairedTest((1...pairs).map { Double($0) })
            #expect(test.probability == pow(2, 1 - Double(pairs)) && test.pairs == pairs)
        }
        #expect(PairedTest.fewestPairs == 6)
        #expect(PairedTest([-1, -2, -3, -4, -5, -6]).order == .below)
        // Ties share a rank: 2 of 2^6 choices of signs give all six of 3.5, 12 more one less.
        #expect(PairedTest([1, 1, 1, 1, 1, 1]).probability == 2.0 / 64)
        #expect(PairedTest([1, 1, 1, 1, 1, -1]).probability == 14.0 / 64)
        #expect(PairedTest([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, -0.3]).probability == 14.0 / 64)
        // Equal pairs say nothing: six of eight differ.
        #expect(PairedTest([0, 1, 2, 3, 4, 5, 6, 0]).probability == 2.0 / 64)
        #expect(PairedTest([0, 0, 0]).order == .equal && PairedTest([]).order == .undetermined)
        #expect(PairedTest([5, -5]).probability == 1)
    }

    /// A table of a hundred thousand seeds needs no memory of a hundred gigabytes, and the bound makes no jump.
    @Test func manyPairsAreComparedToo() {
        func mixed(_ count: Int, positive share: Int) -> [Double] {
            (1...count).map { Double($0 % 10 < share ? $0 : -$0) }
        }
        #expect(PairedTest(mixed(100_000, positive: 6)).order == .above)
        #expect(PairedTest(mixed(100_000, positive: 4)).order == .below)
        #expect(PairedTest(mixed(100_000, positive: 5)).probability > 0.5)
        let (exact, normal) = (PairedTest(mixed(300, positive: 5)), PairedTest(mixed(310, positive: 5)))
        #expect(abs(exact.probability - normal.probability) < 0.02)
    }

    @Test func pairsAreOfTheSameSeeds() {
        func contender(_ seeds: [String: Double], labels: Int? = 800) -> Contender {
            Contender(stateBytes: 1, accuracyRange: 0...1, seeds: seeds, testLabels: labels)
        }
        let one = contender(["1/0": 0.9, "1/1": 0.8, "2/0": 0.7])
        #expect(PairedTest(one, contender(["1/1": 0.8, "2/0": 0.1, "2/1": 0.3])).pairs == 2)
        #expect(PairedTest(one, contender(["3/0": 0.8])).pairs == 0)
        // Accuracies over other labels are not of the same task, or nothing is known.
        #expect(PairedTest(one, contender(["1/1": 0.8], labels: 100)).pairs == 0)
        #expect(PairedTest(one, contender(["1/1": 0.8], labels: nil)).pairs == 0)
    }
}

/// How often the interval holds what it is of, and the mean that stands beside it: the numbers of docs/protocol.md.
@Suite struct SeedCoverageTests {
    struct Source: Sendable, CustomTestStringConvertible {
        let name: String
        /// The accuracies at the mean log-odds, and the mean.
        let centre, mean: Double
        let labels: Int
        let draw: @Sendable (inout RandomStream) -> Double

        var testDescription: String { name }

        static func normal(_ name: String, at centre: Double, deviation: Double, labels: Int = 8000) -> Source {
            let steps = stride(from: -8.0, through: 8, by: 1.0 / 256)
            let total = steps.reduce(0) { $0 + exp(-$1 * $1 / 2) }
            let mean =
                steps.reduce(0) { $0 + exp(-$1 * $1 / 2) * Logit.accuracy(centre + deviation * $1) } / total
            return Source(name: name, centre: Logit.accuracy(centre), mean: mean, labels: labels) {
                Logit.accuracy(centre + deviation * $0.normal())
            }
        }

        /// - Parameter upper: how many seeds in ten are at the upper point.
        static func mixture(_ name: String, upper: Int) -> Source {
            let (high, low, labels, share) = (0.84, 0.11, 8000, Double(upper) / 10)
            let centre = share * Logit.of(high, labels: labels) + (1 - share) * Logit.of(low, labels: labels)
            return Source(
                name: name,
                centre: Logit.accuracy(centre),
                mean: share * high + (1 - share) * low,
                labels: labels
            ) { $0.below(10) < UInt32(upper) ? high : low }
        }

        /// The shares of 10,000 simulated rows whose intervals hold the accuracy at the mean log-odds, and the mean.
        func coverage(seeds: Int, stream index: Int) -> (centre: Double, mean: Double) {
            var stream = RandomStream(
                seed: 0,
                purpose: .statistics,
                a: UInt32(seeds),
                b: UInt32(index)
            )
            let repetitions = 10_000
            var (centres, means) = (0, 0)
            for _ in 0..<repetitions {
                let accuracies = (0..<seeds).map { _ in draw(&stream) }
                guard let interval = Statistics(accuracies, labels: labels).interval else { continue }
                if interval.contains(centre) { centres += 1 }
                if interval.contains(mean) { means += 1 }
            }
            return (Double(centres) / Double(repetitions), Double(means) / Double(repetitions))
        }
    }

    static let normals: [Source] = [
        .normal("logit-normal: median 0.73, standard deviation 1", at: 1, deviation: 1),
        .normal("logit-normal: median 0.50, standard deviation 2", at: 0, deviation: 2),
        .normal("logit-normal: median 0.98, standard deviation 1", at: 4, deviation: 1),
    ]
    static let others: [Source] = [
        .normal(
            "logit-normal: median 0.998, standard deviation 1.5, 256 labels",
            at: 6,
            deviation: 1.5,
            labels: 256
        ), .mixture("0.84 or 0.11, equally often", upper: 5),
        .mixture("0.84 in 8 of 10, else 0.11", upper: 8), .mixture("0.84 in 9 of 10, else 0.11", upper: 9),
    ]

    @Test(arguments: Array((normals + others).enumerated()))
    func coverage(index: Int, source: Source) throws {
        let found = [3, 5, 10].map { source.coverage(seeds: $0, stream: index) }
        if index < Self.normals.count {
            #expect(found.allSatisfy { $0.centre >= 0.93 }, "\(found)")
        }
        func cell(_ share: Double) -> String { String(format: "%.1f", 100 * share) }
        let cells = found.map { cell($0.centre) } + found.map { cell($0.mean) }
        let line = "| \(source.name) | " + cells.joined(separator: " | ") + " |\n"
        #expect(try RepositoryDocument.text("docs/protocol.md").contains(line), "\(line)")
    }
}
