/// The register width the kernels are written for: one AVX-512 register, two of AVX2.
typealias Vector = SIMD16<Float>

extension SIMD16<Float> {
    /// Sixteen numbers from any address.
    @inline(always)
    static func load(_ address: UnsafePointer<Float>) -> Self {
        UnsafeRawPointer(address).loadUnaligned(as: Self.self)
    }

    /// The first `count` (< 16) numbers at an address, the other lanes zero: reads no further.
    @inline(always)
    static func load(_ address: UnsafePointer<Float>, count: Int) -> Self {
        var result = Self(repeating: 0)
        for lane in 0..<count { result[lane] = address[lane] }
        return result
    }

    @inline(always)
    func store(_ address: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(address).storeBytes(of: self, as: Self.self)
    }

    /// Writes the first `count` (< 16) lanes and nothing further.
    @inline(always)
    func store(_ address: UnsafeMutablePointer<Float>, count: Int) {
        for lane in 0..<count { address[lane] = self[lane] }
    }

    /// The first `count` (≤ 16) numbers at an address, any other lanes zero.
    @inline(always)
    static func load(_ address: UnsafePointer<Float>, upTo count: Int) -> Self {
        count == scalarCount ? load(address) : load(address, count: count)
    }

    /// Writes the first `count` (≤ 16) lanes and nothing further.
    @inline(always)
    func store(_ address: UnsafeMutablePointer<Float>, upTo count: Int) {
        if count == Self.scalarCount { store(address) } else { store(address, count: count) }
    }

    /// The sum of the lanes, by halves (the standard library's `sum()` adds one after another).
    @inline(always)
    var laneSum: Float {
        let eight = lowHalf + highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two.x + two.y
    }
}
