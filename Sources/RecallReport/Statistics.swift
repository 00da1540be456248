import Foundation

/// The statistics of the test accuracies of a few seeds.
public struct Statistics: Equatable, Sendable {
    public let count: Int
    public let mean: Double
    public let median: Double
    public let minimum: Double
    public let maximum: Double
    /// Of the sample, with n - 1 in the denominator; nil for a single number.
    public let standardDeviation: Double?
    /// The 95 % interval of the accuracy at the mean log-odds; nil for fewer than three seeds.
    public let interval: ClosedRange<Double>?

    /// Seeds that an interval takes.
    static let fewestForInterval = 3
    /// The share of repetitions in which an interval is meant to hold what it is of.
    static let confidence = 0.95
    /// Accuracies that lie further apart than this are marked.
    static let widestSpread = 0.2

    /// - Parameters:
    ///   - values: accuracies, at least one, all finite.
    ///   - labels: the test labels that each accuracy is the share of; at least 1.
    public init(_ values: [Double], labels: Int) {
        precondition(!values.isEmpty, "statistics of nothing")
        let sorted = values.sorted()
        count = sorted.count
        mean = Self.mean(sorted)
        median = Self.median(sorted)
        (minimum, maximum) = (sorted[0], sorted[sorted.count - 1])
        standardDeviation = Self.variance(sorted).map { $0.squareRoot() }
        interval = Self.interval(sorted, labels: labels)
    }

    /// The interval; from the minimum to the maximum where there is none.
    public var range: ClosedRange<Double> { interval ?? minimum...maximum }

    /// Whether the numbers lie more than 0.2 apart.
    public var isSpread: Bool {
        // Rounding must not decide about numbers that are exactly as far apart as allowed.
        maximum - minimum > Self.widestSpread + 1e-12
    }

    /// Student's t on the log-odds, turned back into accuracies.
    private static func interval(_ sorted: [Double], labels: Int) -> ClosedRange<Double>? {
        guard sorted.count >= fewestForInterval else { return nil }
        let logits = sorted.map { Logit.of($0, labels: labels) }
        let (centre, count) = (mean(logits), Double(logits.count))
        let error = ((variance(logits) ?? 0) / count).squareRoot()
        let half = StudentT.bound(holding: confidence, degrees: logits.count - 1) * error
        return Logit.accuracy(centre - half)...Logit.accuracy(centre + half)
    }

    /// Summed in sorted order, so that the order of the seeds cannot change a bit. Rounding must not take the mean of equal
    /// numbers away from them.
    private static func mean(_ sorted: [Double]) -> Double {
        min(max(sorted.reduce(0, +) / Double(sorted.count), sorted[0]), sorted[sorted.count - 1])
    }

    private static func variance(_ sorted: [Double]) -> Double? {
        guard sorted.count > 1 else { return nil }
        let centre = mean(sorted)
        return sorted.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(sorted.count - 1)
    }

    /// The number in the middle, or halfway between the two there.
    ///
    /// - Parameter values: at least one.
    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let (below, above) = (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
        return below + (above - below) / 2
    }
}

/// Log-odds of accuracies.
enum Logit {
    /// The log-odds, finite at 0 and 1 too: the accuracy is clipped to half a label from either end.
    ///
    /// - Parameter labels: the test labels that the accuracy is the share of; at least 1.
    static func of(_ accuracy: Double, labels: Int) -> Double {
        precondition(labels >= 1, "an accuracy over no labels")
        let half = 0.5 / Double(labels)
        let clipped = min(max(accuracy, half), 1 - half)
        return log(clipped / (1 - clipped))
    }

    /// The accuracy with these log-odds.
    static func accuracy(_ logit: Double) -> Double { 1 / (1 + exp(-logit)) }
}
