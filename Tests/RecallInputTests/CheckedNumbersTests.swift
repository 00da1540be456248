import RecallInput
import Testing

@Suite struct CheckedNumbersTests {
    @Test func productsEndAtTheBounds() {
        #expect(6.times(7) == 42)
        #expect(Int.max.times(2) == .max)
        #expect(Int.min.times(-1) == .max)
        #expect(Int.max.times(-2) == .min)
        #expect(Int.min.times(3) == .min)
        #expect(UInt8(200).times(2) == .max)
        #expect([1 << 40, 1 << 40, 3].saturatingProduct() == Int.max)
        #expect([1 << 40, 1 << 40, 0].saturatingProduct() == 0)
        #expect([Int]().saturatingProduct() == 1)
    }

    @Test func sumsEndAtTheBounds() {
        #expect(2.minus(5) == -3)
        #expect(Int.min.minus(1) == .min)
        #expect(0.minus(Int.min) == .max)
        #expect(2.plus(3) == 5)
        #expect(Int.max.plus(1) == .max)
        #expect(Int.min.plus(-1) == .min)
        #expect([Int.max, Int.max].saturatingSum() == .max)
        #expect([1, 2, 3].saturatingSum() == 6)
    }

    @Test(
        arguments: [
            (2.4, 2), (2.5, 3), (-2.6, -3), (1e308, Int.max), (-1e308, Int.min), (.infinity, Int.max),
            (-.infinity, Int.min), (.nan, 0), (0x1p63, Int.max), (-0x1p63, Int.min), (0x1p62, 1 << 62),
            (-0.0, 0),
        ])
    func conversionsEndAtTheBounds(_ number: Double, _ whole: Int) {
        #expect(Int(clamping: number) == whole)
    }

    @Test func conversionsToOtherTypes() {
        #expect(UInt8(clamping: 1e9) == 255)
        #expect(UInt8(clamping: -3.0) == 0)
        #expect(Int32(clamping: -1e300) == .min)
    }
}
