import RecallBenchmark
import RecallKernels
import RecallModels
import Testing

@Suite struct StepWorkTests {
    private let shape = StepShape(batch: 4, length: 32, pairs: 4, vocabulary: 64)

    /// A step's products are its linear layers three times over, its mixer's core, and its head at labelled positions.
    @Test func aStepIsTheSumOfItsParts() throws {
        let work = try StepBenchmark.work(PeerModels.model("attention", width: 16), shape)
        let tokens = 4 * 32
        let core = AttentionShape(batch: 4, length: 32, heads: 1, headWidth: 16, rowStride: 48).work
        let linears = 3 * 2 * tokens * (16 * 16 + 16 * 48 + 16 * 16)
        let head = 3 * 2 * (4 * 4) * 64 * 16
        let expected = Double(linears + head) + (core.forward + core.backward).productOperations
        #expect(abs(work.productOperations - expected) < 1e-6 * expected)
        #expect(work.vectorOperations == 0 && work.exponentials == 0)
    }

    @Test(arguments: MixerRegistry.mixers.map(\.name))
    func everyMixerHasWorkOfItsOwn(name: String) throws {
        let work = try StepBenchmark.work(PeerModels.model(name, width: 16), shape)
        let without = try StepBenchmark.work(PeerModels.model("base-conv", width: 16), shape)
        #expect(work.productOperations > 0 && work.bytes > 0)
        #expect(name == "base-conv" || work.products != without.products)
    }

    @Test func mambaCountsItsExponentials() throws {
        let work = try StepBenchmark.work(PeerModels.model("mamba", width: 16), shape)
        // Two layers of 2·D channels and 16 states, forward and backward.
        #expect(work.exponentials == Double(2 * 2 * 4 * 32 * 32 * 16))
    }

    @Test func everyStepOfEveryRunIsTimed() throws {
        let times = try StepBenchmark.run(
            PeerModels.model("based", width: 16), shape, steps: 3, threads: 1, jobs: 2)
        #expect(times.seconds.map(\.count) == [3, 3])
        #expect(times.seconds.allSatisfy { $0.allSatisfy { $0 > 0 } })
        #expect(times.minimum <= times.median)
        #expect(times.examplesPerSecond(batch: 4) >= 2 * 4 / times.seconds.flatMap { $0 }.max()!)
    }

    @Test func unknownNamesAreRefused() {
        #expect(throws: ConfigurationError.self) { try PeerModels.model("atention", width: 16) }
        #expect(throws: ConfigurationError.self) { try PeerModels.model("attention", width: 0) }
    }

    @Test func aFloorIsTheSumOfItsRates() {
        let rates = FloorRates()
        var work = Work()
        work.bytes = rates.bytes
        work.vectorOperations = 2 * rates.vectorOperations
        work.exponentials = 3 * rates.exponentials
        #expect(abs(rates.seconds(work) - 6) < 1e-9)
        let product = Work.Product(64, 64, 64)
        work = Work()
        work.products = [product: 1.5]
        #expect(rates.seconds(work) == 1.5 * rates.seconds(product))
    }
}
