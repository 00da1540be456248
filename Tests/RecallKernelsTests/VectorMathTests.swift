import Foundation
import RecallKernels
import Synchronization
import Testing

/// How far apart the bit patterns are that are tested, over all 2³² of Float32. RECALL_BENCH_EXHAUSTIVE=1 tests every one:
/// the bounds were found so.
private let stride32: UInt64 =
    ProcessInfo.processInfo.environment["RECALL_BENCH_EXHAUSTIVE"] == "1" ? 1 : 97

/// Where functions change their ways, and what no stride can be trusted to hit.
private let edges: [Float] = [
    0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
    .leastNormalMagnitude, -.leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, -1,
    Float(-1).nextUp, Float(-1).nextDown, 88.72283, 88.72284, -87.33655, -103.2789, -103.97208, -103.97209,
    -108.66, -110, Float(-110).nextDown, 0.49999997, 0.9, Float(0.9).nextDown, 4, -4, Float(4).nextDown,
]

/// The largest error, and the argument that it was met at.
private struct Worst: CustomStringConvertible {
    var error = 0.0
    var argument = Float(0)

    mutating func meet(_ error: Double, at argument: Float) {
        // NaN would compare as no worse than anything.
        if !(error <= self.error) { (self.error, self.argument) = (error.isNaN ? .infinity : error, argument) }
    }

    var description: String { "\(error) at \(argument)" }
}

/// The worst that `error` finds of a function's results, over arguments of every sign and binade.
private func worst(
    _ function: @escaping @Sendable ([Float]) -> [Float],
    where included: @escaping @Sendable (Float) -> Bool,
    error: @escaping @Sendable (_ result: Float, _ x: Float) -> Double
) -> Worst {
    let span: UInt64 = 1 << 22
    let found = Mutex(Worst())
    @Sendable func look(_ arguments: [Float]) {
        let arguments = arguments.filter(included)
        var worst = Worst()
        for (x, result) in zip(arguments, function(arguments)) { worst.meet(error(result, x), at: x) }
        found.withLock { $0.meet(worst.error, at: worst.argument) }
    }
    look(edges)
    DispatchQueue.concurrentPerform(iterations: Int((1 << 32) / span)) { index in
        // The first of each span on the one stride through all.
        let first = (UInt64(index) * span + stride32 - 1) / stride32 * stride32
        look(
            stride(from: first, to: UInt64(index + 1) * span, by: UInt64.Stride(stride32)).map {
                Float(bitPattern: UInt32($0))
            }
        )
    }
    return found.withLock { $0 }
}

/// |actual - exact| in units of exact's last place as a Float32, subnormals included; 0 where both are NaN or the same
/// infinity, infinite where only one is.
@Sendable private func ulps(_ actual: Float, _ exact: Double) -> Double {
    let rounded = Float(exact)
    if rounded.isNaN || actual.isNaN { return rounded.isNaN && actual.isNaN ? 0 : .infinity }
    if rounded.isInfinite || actual.isInfinite { return rounded == actual ? 0 : .infinity }
    return abs(Double(actual) - exact) / Double(rounded.ulp)
}

private func worstUlps(
    _ function: VectorFunction,
    _ exact: @escaping @Sendable (Double) -> Double,
    where included: @escaping @Sendable (Float) -> Bool = { _ in true }
) -> Worst {
    worst({ function($0) }, where: included, error: { ulps($0, exact(Double($1))) })
}

/// The largest error in units of 2⁻²⁴ times `scale`.
private func worstAbsolute(
    _ function: @escaping @Sendable ([Float]) -> [Float],
    _ exact: @escaping @Sendable (Double) -> Double,
    scale: @escaping @Sendable (Double) -> Double = { _ in 1 }
) -> Worst {
    worst(
        function,
        where: { $0.isFinite },
        error: {
            let error = abs(Double($0) - exact(Double($1)))
            return error == 0 ? 0 : error / (scale(Double($1)) * 0x1p-24)
        }
    )
}

@Sendable private func logistic(_ x: Double) -> Double {
    // e^-|x| so that small results keep their digits.
    let e = exp(-abs(x))
    return (x >= 0 ? 1 : e) / (1 + e)
}

@Sendable private func normalDistribution(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }

@Sendable private func normalDensity(_ x: Double) -> Double { exp(-x * x / 2) / (2 * Double.pi).squareRoot() }

@Test func exponentialIsWithinOneUlp() {
    let worst = worstUlps(.exponential, exp)
    #expect(worst.error <= 1, "\(worst)")
}

@Test func powerOfTwoIsWithinOneUlp() {
    let worst = worstUlps(.powerOfTwo, { $0.rounded() < -125 ? 0 : exp2($0) }, where: { $0 <= 0 })
    #expect(worst.error <= 1, "\(worst)")
    let rate = Double(VectorFunction.rate)
    // A product of two Float32 is exact in Float64.
    let decay = worstUlps(
        .decay,
        { ($0 * rate).rounded() < -125 ? 0 : exp2($0 * rate) },
        where: { $0 <= 0 }
    )
    #expect(decay.error <= 1, "\(decay)")
    #expect(VectorFunction.powerOfTwo([0, -0.0, -1, -125]) == [1, 1, 0.5, 0x1p-125])
}

@Test func logOnePlusIsWithinOneAndAHalfUlp() {
    let worst = worstUlps(.logOnePlus, log1p)
    #expect(worst.error <= 1.5, "\(worst)")
    let zeros = VectorFunction.logOnePlus([0, -0.0])
    #expect(zeros[0].bitPattern == 0 && zeros[1].sign == .minus)
    #expect(VectorFunction.logOnePlus([-1, .infinity]) == [-.infinity, .infinity])
}

@Test func softplusIsWithinTwoUlp() {
    let worst = worstUlps(.softplus, { $0.isNaN ? $0 : max($0, 0) + log1p(exp(-abs($0))) })
    #expect(worst.error <= 2, "\(worst)")
    let large = (0..<1000).map { 17 + Float($0) * 0.1 }
    #expect(VectorFunction.softplus(large) == large)
}

@Test func sigmoidIsWithinOneAndAHalfUlp() {
    let worst = worstUlps(.sigmoid, logistic)
    #expect(worst.error <= 1.5, "\(worst)")
    #expect(VectorFunction.sigmoid([0, -0.0, .infinity, -.infinity]) == [0.5, 0.5, 1, 0])
}

@Test func siluIsWithinTwoUlp() {
    let worst = worstUlps(.silu, { $0 == -.infinity ? 0 : $0 * logistic($0) })
    #expect(worst.error <= 2, "\(worst)")
    #expect(
        VectorFunction.silu([0, .infinity, -.infinity, -.greatestFiniteMagnitude]) == [0, .infinity, 0, 0]
    )
}

@Test func errorFunctionIsWithinOneAndAHalfUlp() {
    let worst = worstUlps(.errorFunction, erf)
    #expect(worst.error <= 1.5, "\(worst)")
    #expect(VectorFunction.errorFunction([0, 4, -4, .infinity, -.infinity]) == [0, 1, -1, 1, -1])
}

/// Their smallest values are differences of larger numbers, so the bounds are absolute.
@Test func normalDistributionAndDensityAreWithinTheirBounds() {
    let distribution = worstAbsolute({ VectorFunction.normalDistribution($0) }, normalDistribution)
    #expect(distribution.error <= 1.25, "\(distribution)")
    let density = worstAbsolute({ VectorFunction.normalDensity($0) }, normalDensity)
    #expect(density.error <= 0.75, "\(density)")
    #expect(VectorFunction.normalDistribution([.infinity, -.infinity]) == [1, 0])
    #expect(VectorFunction.normalDensity([.infinity, -.infinity]) == [0, 0])
}

/// In units of the argument, for the same reason. Half an argument below 2⁻¹²⁵ is subnormal, which a kernel takes as zero.
@Test func geluIsWithinItsBound() {
    let worst = worstAbsolute(
        { x in
            var y = x
            CPUBackend().geluForward(x.count, x: x, y: &y)
            return y
        },
        { abs($0) < 0x1p-125 ? 0 : $0 * normalDistribution($0) },
        scale: { max(abs($0), 0x1p-125) }
    )
    #expect(worst.error <= 2, "\(worst)")
}

@Test(arguments: VectorFunction.allCases)
func lanesAreIndependent(_ function: VectorFunction) {
    let values: [Float] = (0..<37).map { -Float($0) * 0.73 }
    for (x, result) in zip(values, function(values)) {
        #expect(function([x])[0].bitPattern == result.bitPattern)
    }
}
