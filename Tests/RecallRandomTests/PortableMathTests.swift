import Foundation
import RecallRandom
import Testing

@Suite struct PortableMathTests {
    @Test func agreesWithTheLibraryWithinAFewUnits() {
        var stream = RandomStream(seed: 8, purpose: .test)
        var worst = (log: 0.0, exp: 0.0, cosine: 0.0)
        for _ in 0..<100_000 {
            let x = Foundation.exp(-700 + 1400 * stream.uniform())
            worst.log = max(worst.log, abs(PortableMath.log(x) / Foundation.log(x) - 1))
            let y = -700 + 1400 * stream.uniform()
            worst.exp = max(worst.exp, abs(PortableMath.exp(y) / Foundation.exp(y) - 1))
            let turns = stream.uniform()
            worst.cosine = max(
                worst.cosine,
                abs(PortableMath.cosine(turns: turns) - cos(2 * Double.pi * turns))
            )
        }
        #expect(worst.log < 1e-15)
        #expect(worst.exp < 1e-15)
        // Mostly the rounding of 2π · turns on the library's side.
        #expect(worst.cosine < 2e-15)
    }

    @Test func nearOneTheLogarithmKeepsItsDigits() {
        for x in [1 - 0x1p-53, 1 + 0x1p-52, 1.0001, 0.9999] {
            #expect(abs(PortableMath.log(x) / Foundation.log(x) - 1) < 1e-15)
        }
        #expect(PortableMath.log(1) == 0)
    }

    @Test func exactWhereItShouldBe() {
        #expect(PortableMath.exp(0) == 1)
        #expect(PortableMath.exp(-1e308) == 0)
        #expect(PortableMath.exp(1e308) == .infinity)
        #expect(PortableMath.exp(.nan).isNaN)
        #expect([0, 0.25, 0.5, 0.75].map(PortableMath.cosine(turns:)) == [1, 0, -1, 0])
    }
}
