import Foundation
import RecallInput
import RecallSuite

/// Numbers as people read them.
public enum Format {
    /// "512 B", "12.2 KiB", "1.5 MiB": as `ByteSize` says it.
    public static func bytes(_ count: Int) -> String { ByteSize(bytes: count).description }

    static func bytes(rounding value: Double) -> String {
        whole(value).map(bytes) ?? String(format: "%.3g B", value)
    }

    /// "1,234,567".
    public static func count(_ value: Int) -> String {
        var digits = Array("\(value.magnitude)".reversed())
        for place in stride(from: 3, to: digits.count, by: 3).reversed() { digits.insert(",", at: place) }
        return (value < 0 ? "-" : "") + String(digits.reversed())
    }

    /// The same of a number that may be beyond an Int, or no number: "1e+300", "nan".
    public static func count(rounding value: Double) -> String {
        whole(value).map(count) ?? String(format: "%.3g", value)
    }

    /// The nearest Int; nil where there is none.
    private static func whole(_ value: Double) -> Int? { Int(exactly: value.rounded()) }

    /// Three digits: "812", "67.8k", "1.23M".
    public static func compactCount(_ value: Int) -> String {
        guard value >= 1000 else { return "\(value)" }
        var scaled = Double(value) / 1000
        var unit = 0
        while scaled >= 999.5, unit < 2 {
            scaled /= 1000
            unit += 1
        }
        let decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0
        return String(format: "%.\(decimals)f", scaled) + ["k", "M", "G"][unit]
    }

    /// The same of a number that may be beyond an Int, or no number: "1e+300", "nan".
    public static func compactCount(rounding value: Double) -> String {
        whole(value).map(compactCount) ?? String(format: "%.3g", value)
    }

    /// "0.003", "1e-05": as many digits as tell the rate from every other, so that what is printed can be given back.
    public static func learningRate(_ value: Double) -> String {
        (3...17).lazy.map { String(format: "%.\($0)g", value) }.first { Double($0) == value } ?? "\(value)"
    }

    /// Three decimals, so cut that what is below 1 does not print as 1.
    public static func accuracy(_ value: Double) -> String {
        value < 1 && value >= 0.9995 ? "0.999" : String(format: "%.3f", value)
    }

    /// The eighth of a column that an accuracy fills; a space for what is no number.
    static func bar(_ accuracy: Double) -> Character {
        let bars = Array("▁▂▃▄▅▆▇█")
        guard accuracy.isFinite else { return " " }
        return bars[
            Int(clamping: min(max(accuracy, 0) * Double(bars.count), Double(bars.count - 1)).rounded(.down))
        ]
    }

    /// "0.714–0.926".
    public static func range(_ accuracies: ClosedRange<Double>) -> String {
        "\(accuracy(accuracies.lowerBound))–\(accuracy(accuracies.upperBound))"
    }

    static func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }

    /// As many decimals, three or more, as show on which side of `bound` the number lies.
    static func accuracy(_ value: Double, besides bound: Double) -> String {
        for decimals in 3...9 {
            let text = String(format: "%.\(decimals)f", value)
            if value == bound || (Double(text) ?? value) != bound { return trimmedZeros(text) }
        }
        return "\(value)"
    }

    private static func trimmedZeros(_ text: String) -> String {
        var text = text
        while text.hasSuffix("0"), !text.hasSuffix(".0") { text.removeLast() }
        return text
    }

    /// "7 s", "3:05", "1:02:03", "2 d 3 h".
    public static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let total = Int(clamping: max(0, seconds))
        let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
        if hours >= 48 { return "\(hours / 24) d \(hours % 24) h" }
        if hours > 0 { return String(format: "%d:%02d:%02d", hours, minutes, rest) }
        if minutes > 0 { return String(format: "%d:%02d", minutes, rest) }
        return "\(rest) s"
    }
}
