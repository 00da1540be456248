import Foundation

/// Wilcoxon's signed-rank test of two rows over the seeds that both have: exact, two-sided, on differences of log-odds
/// (Wilcoxon, Individual comparisons by ranking methods, 1945).
///
/// If the two models were equally good, each difference would be as likely to have the other sign. Pairs without a
/// difference are left out, and equal differences share their mean rank.
struct PairedTest: Equatable {
    /// What the pairs tell of the first row and the second.
    enum Order { case above, below, equal, undetermined }

    /// Two rows are ranked where so large a sum of ranks has at most this probability between equals.
    static let level = 0.05
    /// With fewer pairs no outcome is so improbable: the least probability of n pairs is 2 / 2^n.
    static let fewestPairs = (1...).first { improbability(pairs: $0) <= level } ?? 1

    /// Seeds that both rows have.
    let pairs: Int
    /// The probability between equals of a sum of ranks as far from its mean as this one.
    let probability: Double
    let order: Order

    /// Whether there are enough pairs for some outcome to rank the rows.
    var canTell: Bool { pairs >= Self.fewestPairs }

    init(_ one: Contender, _ other: Contender) {
        var differences: [Double] = []
        if let labels = one.testLabels, labels == other.testLabels {
            for (name, accuracy) in one.seeds {
                guard let rival = other.seeds[name] else { continue }
                differences.append(Logit.of(accuracy, labels: labels) - Logit.of(rival, labels: labels))
            }
        }
        self.init(differences)
    }

    /// - Parameter differences: one per pair, in any order.
    init(_ differences: [Double]) {
        pairs = differences.count
        let ranked = Self.ranks(differences.filter { $0 != 0 })
        guard !ranked.isEmpty else {
            (probability, order) = (1, pairs == 0 ? .undetermined : .equal)
            return
        }
        let total = ranked.reduce(0) { $0 + $1.rank }
        let positive = ranked.reduce(0) { $0 + ($1.isPositive ? $1.rank : 0) }
        let lower = min(positive, total - positive)
        probability = min(1, 2 * Self.probability(ofAtMost: lower, ranks: ranked.map(\.rank)))
        if probability > Self.level {
            order = .undetermined
        } else {
            order = positive > lower ? .above : .below
        }
    }

    private static func improbability(pairs: Int) -> Double {
        (0..<pairs).reduce(2.0) { value, _ in value / 2 }
    }

    /// Twice the rank of each difference by size, whole where ties share a rank.
    private static func ranks(_ differences: [Double]) -> [(rank: Int, isPositive: Bool)] {
        let sorted = differences.sorted { abs($0) < abs($1) }
        var ranked: [(rank: Int, isPositive: Bool)] = []
        while ranked.count < sorted.count {
            let first = ranked.count
            // Rounding in the logarithms must not rank differences that are equal.
            let tied = sorted[first...].prefix { abs($0) <= abs(sorted[first]) + 1e-12 }
            ranked += tied.map { (2 * first + tied.count + 1, $0 > 0) }
        }
        return ranked
    }

    /// Beyond so many pairs the sum of ranks is normal for all that matters, and a table of all sums takes gigabytes.
    private static let mostExact = 300

    /// The share of all choices of signs that give positive ranks of this sum or less.
    private static func probability(ofAtMost sum: Int, ranks: [Int]) -> Double {
        guard ranks.count <= mostExact else {
            let mean = ranks.reduce(0) { $0 + Double($1) / 2 }
            let deviation = ranks.reduce(0) { $0 + Double($1) * Double($1) / 4 }.squareRoot()
            // Sums of doubled ranks are two apart.
            return erfc((mean - Double(sum) - 1) / deviation / 2.squareRoot()) / 2
        }
        var shares = [Double](repeating: 0, count: sum + 1)
        shares[0] = 1
        for rank in ranks {
            for place in shares.indices.reversed() {
                shares[place] = (shares[place] + (place >= rank ? shares[place - rank] : 0)) / 2
            }
        }
        return shares.reduce(0, +)
    }
}
