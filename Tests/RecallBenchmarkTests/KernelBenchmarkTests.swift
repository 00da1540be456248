import Foundation
import RecallBenchmark
import Testing

@Suite struct KernelBenchmarkTests {
    @Test(arguments: KernelBenchmark.all.map(\.name), [1, 63, 130])
    func kernelsAgreeWithTheirReferences(name: String, length: Int) throws {
        let kernel = try #require(KernelBenchmark.all.first { $0.name == name })
        let times = kernel.run(length: length, isChecked: true)
        for timing in [times.forward, times.backward] {
            #expect(try #require(timing.error) < 1e-5)
            #expect(timing.minimum > 0 && timing.minimum <= timing.median)
            #expect(timing.work != .init())
        }
        #expect(kernel.run(length: length, isChecked: false).forward.error == nil)
    }

    @Test func errorsAreEachOutputsOwn() {
        // A large output does not excuse a small one's error.
        #expect(largestError([([1000], [1000]), ([0.75], [1])]) == 0.25)
        #expect(largestError([([4], [4]), ([1], [0])]) == 0.25)
        // A number that was never written stays one, wherever it stands.
        #expect(largestError([([.nan, 1], [1, 1]), ([1], [1])]).isNaN)
        #expect(largestError([([1], [1]), ([1, .nan], [1, 1])]).isNaN)
    }

    @Test func slopesAreExponents() throws {
        let kernel = try #require(KernelBenchmark.all.first { $0.exponent == 2 })
        let lengths = [64, 1024, 2048, 4096]
        // What lies below `fitFrom` does not count.
        let times = lengths.map { (length: $0, seconds: $0 < 1024 ? 1 : 3e-9 * pow(Double($0), 1.7)) }
        #expect(abs(try #require(kernel.slope(times)) - 1.7) < 1e-9)
        #expect(abs(try #require(kernel.expectedSlope(lengths)) - 2) < 1e-9)
        #expect(kernel.slope(Array(times.prefix(2))) == nil)
    }

    @Test func transformsGrowALittleFasterThanTheLength() throws {
        let kernel = try #require(KernelBenchmark.all.first { $0.exponent == nil })
        let slope = try #require(kernel.expectedSlope([1024, 2048, 4096, 8192, 16384]))
        #expect(slope > 1.05 && slope < 1.15)
    }
}
