// Elementary functions of sixteen numbers at once. A bound in ulp is in units of the exact result's last place,
// subnormal results included, and holds for every Float32: all were once compared with Float64. In a kernel's blocks
// subnormal numbers are zero, in which a result that small then differs.

/// eˣ to 1 ulp; NaN stays NaN.
@inline(always)
func exponential(_ x: Vector) -> Vector {
    let parts = exponentialParts(x.replacing(with: 89, where: x .> 89))
    return parts.value * parts.first * parts.second
}

/// eˣ for x ≤ 89 as value · first · second, the latter two powers of 2; x is taken to be at least -110, where even |x| eˣ
/// is next to 0.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2 (ln 2 in two parts, so that n ln 2 is exact), a degree-7 polynomial in r, and 2ⁿ
/// in two halves so that n may run from -159 to 128.
@inline(always)
private func exponentialParts(_ x: Vector) -> (value: Vector, first: Vector, second: Vector) {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
    let magic = Vector(repeating: roundingConstant)
    let x = x.replacing(with: leastExponent, where: x .< leastExponent)
    let shifted = magic.addingProduct(x, Vector(repeating: 1.442_695_04))
    let n = shifted - magic
    var r = x.addingProduct(n, Vector(repeating: -0.693_359_375))
    r = r.addingProduct(n, Vector(repeating: 2.121_944_4e-4))
    var p = Vector(repeating: 1.987_569_15e-4)
    p = Vector(repeating: 1.398_199_95e-3).addingProduct(p, r)
    p = Vector(repeating: 8.333_451_9e-3).addingProduct(p, r)
    p = Vector(repeating: 4.166_579_6e-2).addingProduct(p, r)
    p = Vector(repeating: 1.666_666_55e-1).addingProduct(p, r)
    p = Vector(repeating: 5.000_000_1e-1).addingProduct(p, r)
    p = Vector(repeating: 1).addingProduct(p, r)
    let value = Vector(repeating: 1).addingProduct(p, r)
    let exponent = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &- 0x4B40_0000
    let half = exponent &>> 1
    let first = unsafeBitCast((half &+ 127) &<< 23, to: Vector.self)
    let second = unsafeBitCast((exponent &- half &+ 127) &<< 23, to: Vector.self)
    return (value, first, second)
}

/// 2^(x y) for x y ≤ 0, and 0 where x y rounds to less than -125: a decay in half of `exponential`'s instructions.
///
/// To 1 ulp of the exact product's power: x y is never rounded.
@inline(always)
func powerOfTwo(_ x: Vector, times y: Vector) -> Vector {
    let shifted = Vector(repeating: roundingConstant).addingProduct(x, y)
    let n = shifted - roundingConstant
    let f = (-n).addingProduct(x, y)
    var p = Vector(repeating: 1.532_882_16e-4)
    p = Vector(repeating: 1.339_097_62e-3).addingProduct(p, f)
    p = Vector(repeating: 9.618_500_25e-3).addingProduct(p, f)
    p = Vector(repeating: 5.550_359_56e-2).addingProduct(p, f)
    p = Vector(repeating: 2.402_264_77e-1).addingProduct(p, f)
    p = Vector(repeating: 6.931_471_82e-1).addingProduct(p, f)
    p = Vector(repeating: 1).addingProduct(p, f)
    // The rounding constant's own bits leave the register on the left.
    let bits = unsafeBitCast(p, to: SIMD16<Int32>.self) &+ unsafeBitCast(shifted, to: SIMD16<Int32>.self) &<< 23
    return unsafeBitCast(bits, to: Vector.self).replacing(with: 0, where: n .< -125)
}

/// ln(1 + x) to 1.5 ulp: -0 for -0, -∞ for -1, NaN below.
@inline(always)
func logOnePlus(_ x: Vector) -> Vector {
    var result = logOnePlusFinite(x)
    result.replace(with: x, where: .!(x .< .infinity))
    result.replace(with: -.infinity, where: x .== -1)
    result.replace(with: .nan, where: x .< -1)
    return result
}

/// ln(1 + x) for -1 < x < ∞; anything elsewhere.
///
/// 1 + x = 2ᵏ (1 + m) with m in [-¼, ½]. m = 2⁻ᵏ x - (1 - 2⁻ᵏ) keeps what 1 + x would round away.
@inline(always)
private func logOnePlusFinite(_ x: Vector) -> Vector {
    let sum = unsafeBitCast(x + 1, to: SIMD16<Int32>.self)
    let k = (sum &- 0x3F40_0000) & SIMD16<Int32>(repeating: -0x80_0000)  // in the exponent's place
    let scaled = unsafeBitCast(unsafeBitCast(x, to: SIMD16<Int32>.self) &- k, to: Vector.self)
    let fourth = unsafeBitCast(0x4080_0000 &- k, to: Vector.self)  // 4·2⁻ᵏ: 2⁻ᵏ itself may be subnormal
    let m = scaled - Vector(repeating: 1).addingProduct(fourth, Vector(repeating: -0.25))
    var p = Vector(repeating: -4.515_234_38e-2)
    p = Vector(repeating: 1.047_255_77e-1).addingProduct(p, m)
    p = Vector(repeating: -1.316_393_76e-1).addingProduct(p, m)
    p = Vector(repeating: 1.447_763_00e-1).addingProduct(p, m)
    p = Vector(repeating: -1.664_687_84e-1).addingProduct(p, m)
    p = Vector(repeating: 1.999_084_80e-1).addingProduct(p, m)
    p = Vector(repeating: -2.500_011_03e-1).addingProduct(p, m)
    p = Vector(repeating: 3.333_345_06e-1).addingProduct(p, m)
    p = Vector(repeating: -0.5).addingProduct(p, m)
    let value = m.addingProduct(p, m * m)
    // -k as a number; with this sign -0 survives.
    let negated = unsafeBitCast(0x4B40_0000 &- (k &>> 23), to: Vector.self) - roundingConstant
    return value.addingProduct(negated, Vector(repeating: -0.693_147_18))
}

/// ln(1 + eˣ) to 2 ulp, so also accurate where it is tiny; x itself where x > 17 (PyTorch's threshold of 20 is then
/// the same function).
@inline(always)
func softplus(_ x: Vector) -> Vector {
    x.replacing(with: 0, where: x .< 0) + logOnePlusFinite(exponential(negativeMagnitude(x)))
}

/// The logistic function 1 / (1 + e⁻ˣ) to 1.5 ulp.
@inline(always)
func sigmoid(_ x: Vector) -> Vector {
    // e^-|x| does not overflow, so small results stay accurate down to the subnormal ones.
    let parts = exponentialParts(negativeMagnitude(x))
    let e = parts.value * parts.first * parts.second
    let (quotient, rest) = quotient(of: e.replacing(with: 1, where: x .>= 0), over: e)
    return quotient + rest
}

/// x / (1 + e⁻ˣ) to 2 ulp; -0, its limit, for -∞.
@inline(always)
func silu(_ x: Vector) -> Vector {
    let parts = exponentialParts(negativeMagnitude(x))
    let half = parts.value * parts.first
    let isNegative = .!(x .>= 0)
    let (quotient, rest) = quotient(
        of: Vector.one.replacing(with: half, where: isNegative),
        over: half * parts.second
    )
    // The product is rounded once, and scaled down last: x times a subnormal number would be worth little. Above 89 the
    // rest is next to 0, and ∞ times 0 would be NaN.
    let x = x.replacing(with: leastExponent, where: x .< leastExponent)
    let product = (rest * x.replacing(with: 89, where: x .> 89)).addingProduct(x, quotient)
    return product * Vector.one.replacing(with: parts.second, where: isNegative)
}

/// numerator / (1 + e) for 0 ≤ e ≤ 1, and what rounding has kept from it.
@inline(always)
private func quotient(of numerator: Vector, over e: Vector) -> (quotient: Vector, rest: Vector) {
    let sum = 1 + e
    let lost = e - (sum - 1)  // exact (Dekker 1971)
    let quotient = numerator / sum
    let remainder = numerator.addingProduct(-quotient, sum).addingProduct(-quotient, lost)
    // 1 / sum to 4 %: the rest needs no more.
    let reciprocal = Vector(repeating: 1.457).addingProduct(sum, Vector(repeating: -0.5))
    return (quotient, remainder * reciprocal)
}

/// Where `exponentialParts` cuts its argument off: x eˣ is less than half the least number below -108.7.
private let leastExponent: Float = -110

/// 1.5·2²³: a number below 2²² added to it is rounded to an integer, which its low bits then hold.
private let roundingConstant: Float = 12_582_912

@inline(always)
private func negativeMagnitude(_ x: Vector) -> Vector {
    unsafeBitCast(unsafeBitCast(x, to: SIMD16<UInt32>.self) | 0x8000_0000, to: Vector.self)
}

/// The elementary functions over arrays, for tests of their accuracy.
package enum VectorFunction: CaseIterable, Sendable {
    case exponential
    /// 2ˣ for x ≤ 0.
    case powerOfTwo
    /// 2^(x `rate`) for x ≤ 0.
    case decay
    case logOnePlus
    case softplus
    case sigmoid
    case silu
    case errorFunction
    case normalDistribution
    case normalDensity

    /// A number that few products with are exact.
    package static let rate: Float = 0.618_034

    /// The function of each number.
    package func callAsFunction(_ values: [Float]) -> [Float] {
        var results = values
        results.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            for start in stride(from: 0, to: buffer.count, by: Vector.scalarCount) {
                let count = min(Vector.scalarCount, buffer.count - start)
                evaluate(.load(base + start, upTo: count)).store(base + start, upTo: count)
            }
        }
        return results
    }

    private func evaluate(_ x: Vector) -> Vector {
        switch self {
        case .exponential: RecallKernels.exponential(x)
        case .powerOfTwo: RecallKernels.powerOfTwo(x, times: Vector(repeating: 1))
        case .decay: RecallKernels.powerOfTwo(x, times: Vector(repeating: Self.rate))
        case .logOnePlus: RecallKernels.logOnePlus(x)
        case .softplus: RecallKernels.softplus(x)
        case .sigmoid: RecallKernels.sigmoid(x)
        case .silu: RecallKernels.silu(x)
        case .errorFunction: RecallKernels.errorFunction(x)
        case .normalDistribution: RecallKernels.normalDistribution(x)
        case .normalDensity: RecallKernels.normalDensity(x)
        }
    }
}
