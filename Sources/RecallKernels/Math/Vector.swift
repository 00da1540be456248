/// The register width the kernels are written for: one AVX-512 register, two of AVX2.
typealias Vector = SIMD16<Float>

extension SIMD16<Float> {
    /// Sixteen numbers from any address.
    @inline(__always)
    static func load(_ address: UnsafePointer<Float>) -> Self {
        UnsafeRawPointer(address).loadUnaligned(as: Self.self)
    }

    /// The first `count` (< 16) numbers at an address, the other lanes zero: reads no further.
    @inline(__always)
    static func load(_ address: UnsafePointer<Float>, count: Int) -> Self {
        var result = Self(repeating: 0)
        for lane in 0..<count { result[lane] = address[lane] }
        return result
    }

    @inline(__always)
    func store(_ address: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(address).storeBytes(of: self, as: Self.self)
    }

    /// Writes the first `count` (< 16) lanes and nothing further.
    @inline(__always)
    func store(_ address: UnsafeMutablePointer<Float>, count: Int) {
        for lane in 0..<count { address[lane] = self[lane] }
    }
}

/// eˣ to 2 ulp, subnormal results included; NaN stays NaN.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2 (ln 2 in two parts, so that n ln 2 is exact), a degree-6 polynomial in r, and 2ⁿ
/// applied in two halves so that n may run from -151 to 128.
@inline(__always)
func exponential(_ x: Vector) -> Vector {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
    let magic = Vector(repeating: 12_582_912)
    var x = x.replacing(with: 89, where: x .> 89)
    x.replace(with: -105, where: x .< -105)
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
    let value = (r + 1).addingProduct(p, r * r)
    let exponent = unsafeBitCast(n + magic, to: SIMD16<Int32>.self) &- 0x4B40_0000
    let half = exponent &>> 1
    let first = unsafeBitCast((half &+ 127) &<< 23, to: Vector.self)
    let second = unsafeBitCast((exponent &- half &+ 127) &<< 23, to: Vector.self)
    return value * first * second
}

/// The logistic function 1 / (1 + e⁻ˣ).
@inline(__always)
func sigmoid(_ x: Vector) -> Vector {
    1 / (1 + exponential(-x))
}
