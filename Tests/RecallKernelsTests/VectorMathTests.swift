import Foundation
import RecallKernels
import Testing

/// Float32 bit patterns of every magnitude and both signs, about four million, and the special ones.
private let samples: [Float] = {
    let edges: [Float] = [
        0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
        .leastNormalMagnitude, -.leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, -1,
        Float(-1).nextUp, Float(-1).nextDown, 88.72283, 88.72284, -87.33655, -103.2789, -103.97208, -103.97209,
        0.49999997,
    ]
    let all = stride(from: 0 as UInt64, to: 1 << 32, by: 1021).map { Float(bitPattern: UInt32($0)) }
    // Where results are neither 0, 1 nor infinite, evenly as well.
    let middle = (0..<400_000).map { -110 + 220 * (Float($0) + 0.37) / 400_000 }
    return edges + all + middle
}()

/// |actual - exact| in units of exact's last place as a Float32, subnormals included; 0 where both are NaN or the same
/// infinity, infinite where only one is.
private func ulps(_ actual: Float, _ exact: Double) -> Double {
    let rounded = Float(exact)
    if rounded.isNaN || actual.isNaN { return rounded.isNaN && actual.isNaN ? 0 : .infinity }
    if rounded.isInfinite || actual.isInfinite { return rounded == actual ? 0 : .infinity }
    let exponent = max(rounded == 0 ? -126 : Int(rounded.exponent), -126)
    return abs(Double(actual) - exact) / Double(sign: .plus, exponent: exponent - 23, significand: 1)
}

private func worstUlps(
    _ function: VectorFunction, _ exact: (Double) -> Double, where included: (Float) -> Bool = { _ in true }
) -> (ulps: Double, at: Float) {
    let values = samples.filter(included)
    var worst = (ulps: 0.0, at: Float(0))
    for (x, result) in zip(values, function(values)) {
        let error = ulps(result, exact(Double(x)))
        if error > worst.ulps { worst = (error, x) }
    }
    return worst
}

private func logistic(_ x: Double) -> Double {
    // e^-|x| so that small results keep their digits.
    let e = exp(-abs(x))
    return (x >= 0 ? 1 : e) / (1 + e)
}

@Test func exponentialIsWithinOneUlp() {
    let worst = worstUlps(.exponential, exp)
    #expect(worst.ulps <= 1, "\(worst)")
}

@Test func powerOfTwoIsWithinOneUlp() {
    let worst = worstUlps(.powerOfTwo, { $0.rounded() < -125 ? 0 : exp2($0) }, where: { $0 <= 0 })
    #expect(worst.ulps <= 1, "\(worst)")
    #expect(VectorFunction.powerOfTwo([0, -0.0, -1, -125]) == [1, 1, 0.5, 0x1p-125])
}

@Test func logOnePlusIsWithinOneAndAHalfUlp() {
    let worst = worstUlps(.logOnePlus, log1p)
    #expect(worst.ulps <= 1.5, "\(worst)")
    let zeros = VectorFunction.logOnePlus([0, -0.0])
    #expect(zeros[0].bitPattern == 0 && zeros[1].sign == .minus)
    #expect(VectorFunction.logOnePlus([-1, .infinity]) == [-.infinity, .infinity])
}

@Test func softplusIsWithinTwoUlp() {
    let worst = worstUlps(.softplus, { $0.isNaN ? $0 : max($0, 0) + log1p(exp(-abs($0))) })
    #expect(worst.ulps <= 2, "\(worst)")
    let large = (0..<1000).map { 17 + Float($0) * 0.1 }
    #expect(VectorFunction.softplus(large) == large)
}

@Test func sigmoidIsWithinThreeUlp() {
    let worst = worstUlps(.sigmoid, logistic)
    #expect(worst.ulps <= 3, "\(worst)")
}

@Test func siluIsWithinFourUlp() {
    let worst = worstUlps(.silu, { $0 * logistic($0) }, where: { !($0 < -87) })
    #expect(worst.ulps <= 4, "\(worst)")
    let small = samples.filter { $0 < -87 && $0.isFinite }
    for (x, result) in zip(small, VectorFunction.silu(small)) {
        let error = abs(Double(result) - Double(x) * logistic(Double(x)))
        #expect(error <= 0x1p-142, "silu(\(x)) = \(result)")
        if error > 0x1p-142 { break }
    }
    #expect(VectorFunction.silu([-.infinity])[0].isNaN)
}

@Test(arguments: VectorFunction.allCases)
func lanesAreIndependent(_ function: VectorFunction) {
    let values: [Float] = (0..<37).map { -Float($0) * 0.73 }
    for (x, result) in zip(values, function(values)) {
        #expect(function([x])[0].bitPattern == result.bitPattern)
    }
}
