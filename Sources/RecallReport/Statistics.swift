import Foundation
import RecallRandom

/// The statistics of a few numbers, one a seed.
public struct Statistics: Equatable, Sendable {
    public let count: Int
    public let mean: Double
    public let median: Double
    public let minimum: Double
    public let maximum: Double
    /// Of the sample, with n - 1 in the denominator; nil for a single number.
    public let standardDeviation: Double?
    /// A 95 % interval for the mean; nil for a single number.
    public let interval: ClosedRange<Double>?

    /// Draws of the bootstrap.
    static let resamples = 10_000

    /// - Parameter values: at least one, all finite.
    public init(_ values: [Double]) {
        precondition(!values.isEmpty, "statistics of nothing")
        let sorted = values.sorted()
        count = sorted.count
        // Summed in sorted order, so that the order of the seeds cannot change a bit. Rounding must not take the mean of
        // equal numbers away from them.
        mean = min(max(sorted.reduce(0, +) / Double(sorted.count), sorted[0]), sorted[sorted.count - 1])
        median = Self.quantile(0.5, of: sorted)
        (minimum, maximum) = (sorted[0], sorted[sorted.count - 1])
        interval = Self.bootstrap(sorted)
        let centre = mean
        standardDeviation =
            sorted.count > 1
            ? (sorted.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(sorted.count - 1)).squareRoot()
            : nil
    }

    /// The percentile bootstrap of the mean (Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3),
    /// from a stream of its own, so that the same numbers always have the same interval.
    private static func bootstrap(_ values: [Double]) -> ClosedRange<Double>? {
        guard values.count > 1 else { return nil }
        var stream = RandomStream(seed: 0, purpose: .statistics)
        let bound = UInt32(values.count)
        var means = (0..<resamples).map { _ in
            (0..<values.count).reduce(0.0) { sum, _ in sum + values[Int(stream.below(bound))] }
                / Double(values.count)
        }
        means.sort()
        return quantile(0.025, of: means)...quantile(0.975, of: means)
    }

    /// The interval; from the minimum to the maximum where there is none.
    public var range: ClosedRange<Double> { interval ?? minimum...maximum }

    /// Whether the numbers lie more than 0.2 apart.
    public var isSpread: Bool {
        // Rounding must not decide about numbers that are exactly as far apart as allowed.
        maximum - minimum > Self.widestSpread + 1e-12
    }

    /// Accuracies that lie further apart than this are marked.
    static let widestSpread = 0.2

    /// By linear interpolation between the two nearest.
    static func quantile(_ share: Double, of sorted: [Double]) -> Double {
        let place = share * Double(sorted.count - 1)
        let below = Int(place)
        let above = min(below + 1, sorted.count - 1)
        return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }
}
