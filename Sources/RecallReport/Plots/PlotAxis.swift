import Foundation
import RecallInput

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

    /// The strip at the beginning of a logarithmic axis for what has no logarithm.
    public struct ZeroStrip: Equatable, Sendable {
        /// The number of the axis at which zero stands.
        public let place: Double
        /// The number of the axis at which the strip ends and the logarithms begin.
        public let end: Double
    }

    public let title: String
    public let scale: Scale
    public let range: ClosedRange<Double>
    /// nil for a linear axis, and where every value is above 0.
    public let zeroStrip: ZeroStrip?

    /// The line at its end.
    static let breakStroke = PlotStroke("#666666", width: 1, dashes: [4, 3])

    /// What that line is, for a key; nil where there is none.
    ///
    /// - Parameter meaning: what stands in the strip: "no state".
    func breakKey(_ meaning: String) -> PlotKeyEntry? {
        zeroStrip.map { _ in
            PlotKeyEntry("left of this line, at \(zeroText): \(meaning)", bar: Self.breakStroke)
        }
    }

    private var zeroText: String { scale == .bytes ? "0 B" : "0" }

    /// Beyond these no axis goes: its margins and gnuplot need room up to what a Double holds.
    private static let furthest = 1e200
    private static let nearest = 1e-200
    /// The strip's share of the length of the logarithms.
    private static let stripShare = 0.15

    /// Accuracies, from 0 to 1, with room for the markers at both ends.
    public static func accuracy(_ title: String) -> PlotAxis {
        PlotAxis(title, .linear, range: -0.03...1.03, zeroStrip: nil)
    }

    private init(_ title: String, _ scale: Scale, range: ClosedRange<Double>, zeroStrip: ZeroStrip?) {
        (self.title, self.scale, self.range, self.zeroStrip) = (title, scale, range, zeroStrip)
    }

    /// An axis that holds all of the values that are finite; without one, an axis that is there all the same.
    ///
    /// A logarithmic axis has a strip at its beginning, where zero and what is below stand, as soon as there is one.
    public init(_ title: String, _ scale: Scale, holding values: [Double]) {
        let finite = values.filter(\.isFinite).map { min(max($0, -Self.furthest), Self.furthest) }
        if scale == .linear {
            self.init(title, scale, range: Self.linearRange(finite), zeroStrip: nil)
            return
        }
        let positive = finite.filter { $0 > 0 }.map { max($0, Self.nearest) }
        let low = positive.min() ?? 1
        let high = positive.max() ?? low
        let range: ClosedRange<Double>
        switch scale {
        case .bytes, .doublings:
            // Two octaves at least, so that numbers stand in them.
            let margin = max(0.4, 1 - (log2(high) - log2(low)) / 2)
            range = exp2(log2(low) - margin)...exp2(log2(high) + margin)
        case .linear, .rates, .counts: range = low / 1.3...high * 1.3
        }
        guard positive.count < finite.count else {
            self.init(title, scale, range: range, zeroStrip: nil)
            return
        }
        let octaves = Self.stripShare * (log2(range.upperBound) - log2(range.lowerBound))
        self.init(
            title,
            scale,
            range: range.lowerBound * exp2(-octaves)...range.upperBound,
            zeroStrip: ZeroStrip(place: range.lowerBound * exp2(-octaves / 2), end: range.lowerBound)
        )
    }

    private static func linearRange(_ values: [Double]) -> ClosedRange<Double> {
        let (low, high) = (values.min() ?? 0, values.max() ?? 1)
        let size = max(abs(low), abs(high))
        // Numbers that six digits cannot tell apart are one, and so are those whose distance has no logarithm.
        let isRange = high - low > max(1e-4 * size, nearest)
        let margin = isRange ? 0.03 * (high - low) : max(0.5, 0.05 * size)
        return low - margin...high + margin
    }

    /// The number of the axis at which a value stands; nil for one that cannot be drawn.
    public func position(_ value: Double) -> Double? {
        guard value.isFinite else { return nil }
        guard base != nil else { return min(max(value, -Self.furthest), Self.furthest) }
        return value > 0 ? min(max(value, Self.nearest), Self.furthest) : zeroStrip?.place
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
            let numbers = candidate.filter(isLabelled).map { Tick(value: $0, text: text($0)) }
            // The zero's stays, whatever stands right after the strip.
            let ticks = zeroTicks + numbers.drop { !fits(zeroTicks + [$0], length, room) }
            if fits(ticks, length, room) { return ticks }
            last = ticks
        }
        return last
    }

    private var zeroTicks: [Tick] {
        zeroStrip.map { [Tick(value: $0.place, text: zeroText)] } ?? []
    }

    private func isLabelled(_ value: Double) -> Bool {
        // A part of a byte is no number of bytes.
        let isWhole = base != 2 || value >= 1
        return isWhole && range.contains(value) && value >= zeroStrip?.end ?? range.lowerBound
    }

    private func fits(_ ticks: [Tick], _ length: Double, _ room: (String) -> Double) -> Bool {
        zip(ticks, ticks.dropFirst()).allSatisfy { one, next in
            one.text != next.text
                && (share(next.value) - share(one.value)) * length >= (room(one.text) + room(next.text)) / 2
        }
    }

    /// How far along the axis a number of it is: 0 at its beginning, 1 at its end.
    func share(_ number: Double) -> Double {
        func scaled(_ number: Double) -> Double { base == nil ? number : log2(number) }
        let (low, high) = (scaled(range.lowerBound), scaled(range.upperBound))
        return (scaled(number) - low) / (high - low)
    }

    /// Where numbers might stand, the densest first; the last is sparse enough for any axis.
    private var candidates: [[Double]] {
        let (low, high) = (range.lowerBound, range.upperBound)
        switch scale {
        case .linear:
            let smallest = Int(clamping: floor(log10((high - low) / 12)))
            return (smallest...smallest + 3).flatMap { power in
                [1, 2, 5].map { Self.multiples(of: $0 * pow(10, Double(power)), from: low, to: high) }
            }
        case .bytes, .doublings:
            let powers = Int(clamping: floor(log2(low)))...Int(clamping: ceil(log2(high)))
            return [1, 2, 4, 8, 16, 32, 64, 128, 256].map { step in
                powers.filter { $0 % step == 0 }.map { exp2(Double($0)) }
            }
        case .rates, .counts:
            let powers = Int(clamping: floor(log10(low)))...Int(clamping: ceil(log10(high)))
            func decades(_ digits: [Double], every step: Int = 1) -> [Double] {
                powers.filter { $0 % step == 0 }.flatMap { power in
                    // What 10 to a negative power is off by would be printed.
                    digits.map { power < 0 ? $0 / pow(10, Double(-power)) : $0 * pow(10, Double(power)) }
                }
            }
            return [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map { decades($0) }
                + [2, 5, 10, 20, 50, 100, 200].map { decades([1], every: $0) }
        }
    }

    private static func multiples(of step: Double, from low: Double, to high: Double) -> [Double] {
        // Within an Int: no linear axis is shorter than a hundred-thousandth of its numbers.
        let (first, last) = (Int(clamping: ceil(low / step)), Int(clamping: floor(high / step)))
        return first <= last ? (first...last).map { Double($0) * step } : []
    }

    private func text(_ value: Double) -> String {
        switch scale {
        // Sixteen digits of 0.1 · 3 are none of a reader's business.
        case .linear: String(format: "%.6g", value)
        case .bytes: Self.bytes(value)
        case .doublings: Format.count(rounding: value)
        case .rates: Format.learningRate(value)
        case .counts: value < 1000 ? String(format: "%.3g", value) : Self.thousands(value)
        }
    }

    /// "512 B", "64 KiB": without a decimal, because powers of two need none.
    private static func bytes(_ value: Double) -> String {
        Format.bytes(rounding: value).replacingOccurrences(of: ".0 ", with: " ")
    }

    /// "20k", "1M".
    private static func thousands(_ value: Double) -> String {
        let units = ["", "k", "M", "G"]
        var (value, unit) = (value, 0)
        while value >= 1000, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
        return String(format: "%.3g", value) + units[unit]
    }
}
