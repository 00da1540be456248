import Foundation

/// Student's t distribution with a whole number of degrees of freedom.
enum StudentT {
    /// The t between whose negative and itself the distribution has this share: `bound(holding: 0.95, degrees: 2)` is
    /// 4.303, the quantile at 0.975.
    ///
    /// - Parameters:
    ///   - share: above 0 and below 1.
    ///   - degrees: at least 1.
    static func bound(holding share: Double, degrees: Int) -> Double {
        precondition(share > 0 && share < 1 && degrees >= 1, "no such quantile of Student's t")
        var (low, high) = (0.0, Double.pi / 2)
        // Until there is no number between the two.
        while true {
            let middle = (low + high) / 2
            guard middle > low, middle < high else { break }
            if Self.share(within: middle, degrees: degrees) < share { low = middle } else { high = middle }
        }
        return Double(degrees).squareRoot() * tan(high)
    }

    /// The distribution's share between -t and t, given the angle whose tangent is t / √degrees (Abramowitz and Stegun,
    /// Handbook of mathematical functions, 1964, 26.7.3 and 26.7.4).
    private static func share(within angle: Double, degrees: Int) -> Double {
        let square = cos(angle) * cos(angle)
        let isOdd = degrees % 2 == 1
        var term = isOdd ? cos(angle) : 1
        var sum = degrees == 1 ? 0 : term
        // Powers of the cosine up to degrees - 2.
        for power in stride(from: isOdd ? 3 : 2, through: degrees - 2, by: 2) {
            term *= square * Double(power - 1) / Double(power)
            sum += term
        }
        return isOdd ? 2 / Double.pi * (angle + sin(angle) * sum) : sin(angle) * sum
    }
}
