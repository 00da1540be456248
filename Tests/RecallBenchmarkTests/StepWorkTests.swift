import RecallBenchmark
import RecallKernels
import RecallModels
import RecallTensor
import Testing

@Suite struct StepWorkTests {
    private let shape = StepShape(batch: 4, length: 32, pairs: 4, vocabulary: 64)

    /// A step's products are its linear layers three times over, its mixer's core, and its head at labelled positions.
    @Test func aStepIsTheSumOfItsParts() throws {
        let work = try StepBenchmark.plan(PeerModels.model("attention", width: 16), shape).work
        let tokens = 4 * 32
        let core = AttentionShape(batch: 4, length: 32, heads: 1, headWidth: 16, rowStride: 48).work
        // The last mixer's own projection is at labelled positions too.
        let linears = 3 * 2 * (tokens * (16 * 16 + 16 * 48) + (4 * 4) * (16 * 16))
        let head = 3 * 2 * (4 * 4) * 64 * 16
        let expected = Double(linears + head) + (core.forward + core.backward).productOperations
        #expect(abs(work.productOperations - expected) < 1e-6 * expected)
        #expect(work.vectorOperations == 0 && work.exponentials == 0)
    }

    /// A mixer's work grows with its linear layers and, beyond them, with what it does between tokens.
    @Test(arguments: MixerRegistry.mixers.map(\.name))
    func everyMixerHasWorkOfItsOwn(name: String) throws {
        let model = try PeerModels.model(name, width: 16)
        let work = try StepBenchmark.plan(model, shape).work
        let backend = CPUBackend()
        let parameters = try LanguageModel(model, vocabulary: 64, maximumLength: 32, backend: backend, seed: 0)
            .store.parameters
        let weights = parameters.filter { $0.name.hasSuffix(".weight") && $0.shape.count == 2 }
        let mixers = weights.filter { $0.name.contains(".mixer.") && !$0.name.contains("conv") }
        // The last mixer's own projection is at labelled positions only.
        let linears = mixers.reduce(0) {
            $0 + 3 * 2 * ($1.name == "layers.1.mixer.out.weight" ? 4 * 4 : 4 * 32) * $1.count
        }
        let head = 3 * 2 * (4 * 4) * 64 * 16
        let between = work.productOperations + work.vectorOperations - Double(linears + head)
        switch name {
        case "gated-conv": #expect(abs(between) < 1)
        // Its filter's own layers see one sequence's positions, not the batch's.
        case "base-conv": #expect(work.vectorOperations > 1e4)
        default: #expect(between > 1e4)
        }
        #expect(work.bytes > 0)
    }

    @Test func mambaCountsItsExponentials() throws {
        let work = try StepBenchmark.plan(PeerModels.model("mamba", width: 16), shape).work
        // Two layers of 2·D channels and 16 states, forward and backward.
        #expect(work.exponentials == Double(2 * 2 * 4 * 32 * 32 * 16))
    }

    @Test func everyStepOfEveryRunIsTimed() throws {
        let times = try StepBenchmark.run(
            PeerModels.model("based", width: 16),
            shape,
            steps: 3,
            jobs: 2,
            makeBackend: { CPUBackend() }
        )
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
        work.passes[12 << 20] = rates.bytesPerSecond(pass: 12 << 20) / Double(12 << 20)
        work.reads[12 << 20] = rates.bytesPerSecond(read: 12 << 20) / Double(12 << 20)
        work.vectorOperations = 2 * rates.vectorOperations
        work.exponentials = 3 * rates.exponentials
        #expect(abs(rates.seconds(work) - 7) < 1e-9)
        let product = Work.Product(64, 64, 64)
        work = Work()
        work.products = [product: 1.5]
        #expect(rates.seconds(work) == 1.5 * rates.seconds(product))
    }
}
