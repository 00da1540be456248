import Foundation

/// An axis: what it is of, from where to where, and where its numbers stand.
public struct PlotAxis: Equatable, Sendable {
    public enum Scale: Equatable, Sendable {
        /// Numbers at round steps.
        case linear
        /// Logarithmic, with bytes at powers of two.
        case bytes
        /// Logarithmic, with whole numbers at powers of two.
        case doublings
        /// Logarithmic, with learning rates at round numbers of each decade.
        case rates
        /// Logarithmic, with counts at round numbers of each decade: 1.00k, 20.0k.
        case counts
    }

    public struct Tick: Equatable, Sendable {
        public var value: Double
        public var text: String
    }

    public var title: String
    public var scale: Scale
    public var range: ClosedRange<Double>

    public init(_ title: String, _ scale: Scale, _ range: ClosedRange<Double>) {
        precondition(range.lowerBound < range.upperBound, "an axis from \(range.lowerBound) to itself")
        (self.title, self.scale, self.range) = (title, scale, range)
    }

    /// Accuracies, from 0 to 1, with room for the markers at both ends.
    public static func accuracy(_ title: String) -> PlotAxis { PlotAxis(title, .linear, -0.03...1.03) }

    /// An axis that holds all of the values, which are above 0 where it is logarithmic.
    public init(_ title: String, _ scale: Scale, holding values: [Double]) {
        let (low, high) = (values.min() ?? 1, values.max() ?? 1)
        switch scale {
        case .linear:
            let margin = high > low ? 0.03 * (high - low) : 0.5
            self.init(title, scale, low - margin...high + margin)
        case .bytes, .doublings:
            // Two octaves at least, so that numbers stand in them.
            let margin = max(0.4, 1 - log2(high / low) / 2)
            self.init(title, scale, exp2(log2(low) - margin)...exp2(log2(high) + margin))
        case .rates, .counts: self.init(title, scale, low / 1.3...high * 1.3)
        }
    }

    /// The base of gnuplot's logarithmic axis; nil for a linear one.
    var base: Int? {
        switch scale {
        case .linear: nil
        case .bytes, .doublings: 2
        case .rates, .counts: 10
        }
    }

    /// As many of them as fit side by side.
    ///
    /// - Parameters:
    ///   - length: pixels of the axis.
    ///   - room: pixels that the text of a number takes along the axis.
    package func ticks(length: Double, room: (String) -> Double) -> [Tick] {
        var last: [Tick] = []
        for candidate in candidates {
            let ticks = candidate.filter { range.contains($0) }.map { Tick(value: $0, text: text($0)) }
            if fits(ticks, length, room) { return ticks }
            last = ticks
        }
        return last
    }

    private func fits(_ ticks: [Tick], _ length: Double, _ room: (String) -> Double) -> Bool {
        zip(ticks, ticks.dropFirst()).allSatisfy { one, next in
            (place(next.value) - place(one.value)) * length >= (room(one.text) + room(next.text)) / 2
        }
    }

    /// From 0 at the axis' beginning to 1 at its end.
    private func place(_ value: Double) -> Double {
        func scaled(_ value: Double) -> Double { base == nil ? value : log2(value) }
        let (low, high) = (scaled(range.lowerBound), scaled(range.upperBound))
        return (scaled(value) - low) / (high - low)
    }

    /// Where numbers might stand, the densest first; the last is sparse enough for any axis.
    private var candidates: [[Double]] {
        let (low, high) = (range.lowerBound, range.upperBound)
        switch scale {
        case .linear:
            let smallest = Int(floor(log10((high - low) / 12)))
            return (smallest...smallest + 3).flatMap { power in
                [1, 2, 5].map { Self.multiples(of: $0 * pow(10, Double(power)), from: low, to: high) }
            }
        case .bytes, .doublings:
            let powers = Int(floor(log2(low)))...Int(ceil(log2(high)))
            return [1, 2, 4, 8, 16].map { step in powers.filter { $0 % step == 0 }.map { exp2(Double($0)) } }
        case .rates, .counts:
            let powers = Int(floor(log10(low)))...Int(ceil(log10(high)))
            func decades(_ digits: [Double], every step: Int = 1) -> [Double] {
                powers.filter { $0 % step == 0 }.flatMap { power in
                    // What 10 to a negative power is off by would be printed.
                    digits.map { power < 0 ? $0 / pow(10, Double(-power)) : $0 * pow(10, Double(power)) }
                }
            }
            return [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map { decades($0) } + [decades([1], every: 2)]
        }
    }

    private static func multiples(of step: Double, from low: Double, to high: Double) -> [Double] {
        let (first, last) = (Int(ceil(low / step)), Int(floor(high / step)))
        return first <= last ? (first...last).map { Double($0) * step } : []
    }

    private func text(_ value: Double) -> String {
        switch scale {
        // Sixteen digits of 0.1 · 3 are none of a reader's business.
        case .linear: String(format: "%.6g", value)
        case .bytes: Self.bytes(value)
        case .doublings: Format.count(Int(value))
        case .rates: Format.learningRate(value)
        case .counts: value < 1000 ? String(format: "%.3g", value) : Self.thousands(value)
        }
    }

    /// "512 B", "64 KiB": whole, because powers of two are.
    private static func bytes(_ value: Double) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (value, 0)
        while value >= 1024, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        return String(format: "%.6g ", value) + units[unit]
    }

    /// "20k", "1M".
    private static func thousands(_ value: Double) -> String {
        let units = ["", "k", "M", "G"]
        var (value, unit) = (value, 0)
        while value >= 1000, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
        return String(format: "%.3g", value) + units[unit]
    }
}
