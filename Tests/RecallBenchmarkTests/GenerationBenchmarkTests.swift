import RecallBenchmark
import RecallKernels
import RecallModels
import Testing

@Suite struct GenerationBenchmarkTests {
    private func measured(_ name: String, _ shape: GenerationShape, tokens: Int = 4) throws -> GenerationTimes {
        let model = try PeerModels.model(name, width: 16)
        let benchmark = try GenerationBenchmark(
            model,
            vocabulary: 32,
            longestContext: shape.context,
            threads: 1
        )
        return try benchmark.run(shape, tokens: tokens)
    }

    @Test func everyMixerStandsOnce() {
        let names = PeerModels.everyMixer
        #expect(names.count == MixerRegistry.names.count && Set(names).count == names.count)
        for mixer in MixerRegistry.mixers { #expect(names.contains(mixer.name)) }
        // The alias goes by the preset that ends in it.
        #expect(names.contains("based") && !names.contains("taylor-linear-attention"))
    }

    @Test(arguments: PeerModels.everyMixer) func everyMixerIsTimed(name: String) throws {
        let shape = GenerationShape(batch: 3, context: 20)
        let times = try measured(name, shape)
        #expect(times.decode.count == 4)
        #expect(!times.prefill.isEmpty && (times.prefill + times.decode).allSatisfy { $0 > 0 })
        let model = try LanguageModel(
            PeerModels.model(name, width: 16),
            vocabulary: 32,
            maximumLength: 20,
            backend: CPUBackend(),
            seed: 0
        )
        var bytes = 0
        for state in model.makeStates(batch: 1, capacity: 20) {
            bytes += state.parts.reduce(0) { $0 + 4 * $1.capacity * $1.width }
        }
        #expect(times.stateBytes == bytes)
        #expect(times.prefillWork.bytes > 0 && times.decodeWork.bytes > 0)
    }

    /// What a step must take through memory: attention's grows by its keys and values, a state of fixed size adds nothing.
    @Test(arguments: PeerModels.everyMixer) func workGrowsWithTheContextAsTheStateDoes(name: String) throws {
        // Beyond the window of sliding-window.
        let contexts = [64, 128, 256]
        let times = try contexts.map { try measured(name, GenerationShape(batch: 2, context: $0), tokens: 1) }
        let (bytes, states) = (times.map(\.decodeWork.bytes), times.map(\.stateBytes))
        for index in 1..<contexts.count {
            let more = contexts[index] - contexts[index - 1]
            let (moreBytes, moreState) = (bytes[index] - bytes[index - 1], states[index] - states[index - 1])
            switch name {
            case "attention":
                #expect(moreState == 4 * 2 * 16 * more)
                #expect(moreBytes == Double(2 * moreState))
            case "base-conv":
                // Each sequence's inputs, and one filter for all.
                #expect(moreState == 4 * 16 * more)
                #expect(moreBytes == Double(3 * moreState))
            default: #expect(moreState == 0 && moreBytes == 0)
            }
        }
        #expect(Set(times.map(\.decodeWork.products)).count == 1)
    }

    @Test func aShapeThatDoesNotFitIsRefused() throws {
        let benchmark = try GenerationBenchmark(
            PeerModels.model("attention", width: 16),
            vocabulary: 32,
            longestContext: 64,
            threads: 1
        )
        let shape = GenerationShape(batch: 1 << 20, context: 64)
        do {
            _ = try benchmark.run(shape, tokens: 3, available: 1 << 30)
            Issue.record("a batch of 2^20 sequences was run")
        } catch GenerationError.noRoom(let needed, let available) {
            // Twice the keys and values of all.
            #expect(needed > 2 * (1 << 20) * 4 * 2 * 16 * 64 && available == 1 << 30)
        }
        _ = try benchmark.run(GenerationShape(batch: 1, context: 64), tokens: 1, available: 1 << 30)
    }

    @Test func availableMemoryIsTheSystemsEstimate() {
        let text = "MemTotal:       24689764 kB\nMemFree:         1 kB\nMemAvailable:   22000000 kB\n"
        #expect(AvailableMemory.bytes(ofMemoryInformation: text) == 22_000_000 * 1024)
        #expect(AvailableMemory.bytes(ofMemoryInformation: "MemTotal: 5 kB\n") == nil)
        #expect(AvailableMemory.bytes > 0)
    }
}

@Suite struct CrossoverTests {
    private let attention = [100: 8.0, 200: 4, 400: 2, 800: 1]

    @Test func aSteadySpeedMeetsAFallingOne() {
        // Attention's speed is 800 over the context: 3 is met at 266.7.
        let steady = Dictionary(uniqueKeysWithValues: attention.keys.map { ($0, 3.0) })
        #expect(Crossover(steady, against: attention) == .from(267))
        #expect(Crossover(steady.mapValues { _ in 9 }, against: attention) == .always(from: 100))
        #expect(Crossover(steady.mapValues { _ in 0.5 }, against: attention) == .never(within: 800))
        // As fast is not faster.
        #expect(Crossover(attention, against: attention) == .never(within: 800))
    }

    @Test func theLastCrossingCounts() {
        let wavering = [100: 9.0, 200: 3, 400: 4, 800: 4]
        let crossing = Crossover(wavering, against: attention)
        guard case .from(let context)? = crossing else {
            Issue.record("\(String(describing: crossing))")
            return
        }
        #expect((201...399).contains(context))
    }

    @Test func onlyContextsThatBothHaveCount() {
        #expect(Crossover([100: 1, 1600: 9], against: attention) == .never(within: 100))
        #expect(Crossover([1600: 9], against: attention) == nil)
        #expect(Crossover([:], against: [:]) == nil)
    }

    @Test func theyReadWell() {
        #expect("\(Crossover.always(from: 128))" == "≤ 128")
        #expect("\(Crossover.from(300))" == "300")
        #expect("\(Crossover.never(within: 8192))" == "never within 8192")
    }
}
