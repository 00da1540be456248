/// Elementary functions made of IEEE additions, multiplications, divisions and nothing else, so that the numbers
/// drawn with them are the same bits on every machine. (The C library's log, exp and cos differ in their last bit
/// between platforms; Swift does not contract a product and a sum into one rounding.)
///
/// Errors are a few units in the last place. Not for kernels: they are exact rather than fast.
public enum PortableMath {

    /// The natural logarithm of a positive, normal number.
    public static func log(_ x: Double) -> Double {
        var mantissa = x.significand
        var exponent = Double(x.exponent)
        if mantissa > 1.414_213_562_373_095_1 {
            mantissa /= 2
            exponent += 1
        }
        // log m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: the term after the last is below 2^-60.
        let s = (mantissa - 1) / (mantissa + 1)
        let square = s * s
        var sum = 1.0 / 23
        sum = sum * square + 1.0 / 21
        sum = sum * square + 1.0 / 19
        sum = sum * square + 1.0 / 17
        sum = sum * square + 1.0 / 15
        sum = sum * square + 1.0 / 13
        sum = sum * square + 1.0 / 11
        sum = sum * square + 1.0 / 9
        sum = sum * square + 1.0 / 7
        sum = sum * square + 1.0 / 5
        sum = sum * square + 1.0 / 3
        sum *= square
        return exponent * log2Low + (2 * s * sum + 2 * s) + exponent * log2High
    }

    /// e^x; 0 below -700 and infinite above 700.
    public static func exp(_ x: Double) -> Double {
        guard x > -700 else { return x.isNaN ? x : 0 }
        guard x < 700 else { return .infinity }
        let doublings = (x * 1.442_695_040_888_963_4).rounded()
        let rest = (x - doublings * log2High) - doublings * log2Low
        var sum = 1.0
        for term in stride(from: 16, through: 1, by: -1) {
            sum = 1 + sum * rest / Double(term)
        }
        return sum * Double(sign: .plus, exponent: Int(doublings), significand: 1)
    }

    /// cos(2π · turns) for turns in 0..<1.
    public static func cosine(turns: Double) -> Double {
        // Whole eighths of a turn are taken off exactly; what is left is at most π / 4.
        let quarter = (turns * 4).rounded()
        let angle = (turns - quarter / 4) * 6.283_185_307_179_586
        let square = angle * angle
        let number = Int(quarter) & 3
        // The series of the cosine (even quarters) or the sine (odd ones); 1/k! from the last term inwards.
        if number & 1 == 0 {
            var sum = 1.0 / 20_922_789_888_000
            sum = sum * square - 1.0 / 87_178_291_200
            sum = sum * square + 1.0 / 479_001_600
            sum = sum * square - 1.0 / 3_628_800
            sum = sum * square + 1.0 / 40_320
            sum = sum * square - 1.0 / 720
            sum = sum * square + 1.0 / 24
            sum = sum * square - 1.0 / 2
            sum = sum * square + 1
            return number == 0 ? sum : -sum
        } else {
            var sum = 1.0 / 355_687_428_096_000
            sum = sum * square - 1.0 / 1_307_674_368_000
            sum = sum * square + 1.0 / 6_227_020_800
            sum = sum * square - 1.0 / 39_916_800
            sum = sum * square + 1.0 / 362_880
            sum = sum * square - 1.0 / 5_040
            sum = sum * square + 1.0 / 120
            sum = sum * square - 1.0 / 6
            sum = (sum * square + 1) * angle
            return number == 1 ? -sum : sum
        }
    }

    // log 2 in two parts; the high one has 33 bits, so that its product with an exponent is exact.
    private static let log2High = 0x1.62e42feep-1
    private static let log2Low = 0x1.a39ef35793c76p-33
}
