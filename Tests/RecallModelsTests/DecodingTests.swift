import RecallKernels
import RecallModels
import RecallTensor
import TestSupport
import Testing

/// The three faces of every mixer: parallel forward, recurrent step, and the state between tokens.
struct DecodingTests {
    /// Token by token equals all at once; and a state that was serialised in mid-sequence and taken up in a fresh one
    /// gives the same bits.
    @Test(arguments: ModelCase.all) func stepsEqualTheParallelForward(_ modelCase: ModelCase) throws {
        let (length, vocabulary) = (33, 31)
        let model = try modelCase.stirredModel(vocabulary: vocabulary, maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        let batch = TokenBatch(batch: 2, length: length, vocabulary: vocabulary)
        let parallel = try model.logits(batch, arena)

        var states = model.makeStates(batch: 2, capacity: length)
        var resumed: [MixerState] = []
        var stepped = [Float](repeating: .nan, count: parallel.count)
        for position in 0..<length {
            if position == 14 {
                resumed = model.makeStates(batch: 2, capacity: length)
                for index in states.indices {
                    try resumed[index].restore(states[index].serialised(), position: position)
                }
                #expect(resumed == states)
            }
            let logits = try model.step(batch.column(position), &states, arena)
            if !resumed.isEmpty {
                #expect(try model.step(batch.column(position), &resumed, arena) == logits)
            }
            for sequence in 0..<2 {
                let row = (sequence * length + position) * vocabulary
                stepped.replaceSubrange(
                    row..<row + vocabulary,
                    with: logits[sequence * vocabulary..<(sequence + 1) * vocabulary]
                )
            }
        }
        #expect(relativeError(stepped, doubles(parallel)) < 1e-4)
        // Else the comparison would say little.
        #expect(parallel.map(abs).max() ?? 0 > 0.1)
        #expect(states.allSatisfy { $0.position == length })
    }

    /// A prompt read at once leaves what stepping through it would have left, and the tokens after it follow as
    /// they would (docs/math/identities.md, section 4). Three sequences go in slices of two and one.
    @Test(arguments: ModelCase.all, [1, 2, 14, 33])
    func prefillThenStepsEqualStepsAllTheWay(_ modelCase: ModelCase, prompt: Int) throws {
        let (length, vocabulary, sequences) = (prompt + 4, 31, 3)
        let model = try modelCase.stirredModel(vocabulary: vocabulary, maximumLength: length)
        let arena = try Arena(backend: model.store.backend)
        let batch = TokenBatch(batch: sequences, length: length, vocabulary: vocabulary)
        let parallel = try model.logits(batch, arena)
        func expected(_ position: Int) -> [Float] {
            (0..<sequences).flatMap { sequence in
                parallel[((sequence * length + position) * vocabulary)...].prefix(vocabulary)
            }
        }

        var stepped = model.makeStates(batch: sequences, capacity: length)
        for position in 0..<prompt { _ = try model.step(batch.column(position), &stepped, arena) }
        var states = model.makeStates(batch: sequences, capacity: length)
        let tape = Tape(arena: arena, isTraining: false)
        let prompts = (0..<sequences).flatMap { batch.tokens[($0 * length)...].prefix(prompt) }
        let logits = try tape.read(model.prefill(prompts, &states, tape, tokensAtOnce: 2 * prompt))
        #expect(relativeError(logits, doubles(expected(prompt - 1))) < 1e-4)
        for (read, walked) in zip(states, stepped) {
            #expect(read.position == walked.position && read.parts.map(\.rows) == walked.parts.map(\.rows))
            let (numbers, others) = (floats(read.serialised()), floats(walked.serialised()))
            #expect(numbers.isEmpty || relativeError(numbers, doubles(others)) < 1e-4)
        }
        for position in prompt..<length {
            let logits = try model.step(batch.column(position), &states, arena)
            #expect(relativeError(logits, doubles(expected(position))) < 1e-4)
        }
    }

    private func floats(_ bytes: [UInt8]) -> [Float] {
        stride(from: 0, to: bytes.count, by: 4).map { start in
            bytes[start..<start + 4].withUnsafeBytes { $0.loadUnaligned(as: Float.self) }
        }
    }

    /// The numbers a sequence carries, as the documentation states them; nil for a mixer that this test does not know.
    private func stateNumbers(_ layer: LayerConfig, width: Int, length: Int) -> Int? {
        func knob(_ name: String) -> Int {
            if case .integer(let value)? = layer.knobs[name] { value } else { 0 }
        }
        switch layer.mixer {
        case "attention": return 2 * width * length
        case "sliding-window": return 2 * width * min(knob("window") - 1, length)
        case "base-conv":
            return layer.knobs["kernel_size"] == .text("long")
                ? width * length : (knob("kernel_size") - 1) * width
        case "gated-conv": return (knob("kernel_size") - 1) * 2 * width
        case "linear-attention":
            let f = knob("feature_dim")
            let features = layer.knobs["feature_map"] == .text("taylor-2") ? (f + 1) * (f + 2) / 2 : f
            return features * (width / knob("heads") + 1) * knob("heads")
        case "mamba":
            let inner = knob("expand") * width
            return inner * knob("state_size") + inner * (knob("kernel_size") - 1)
        default: return nil
        }
    }

    @Test(arguments: ModelCase.all, [1, 20, 40]) func stateBytesAreTheAllocatedOnes(
        _ modelCase: ModelCase,
        length: Int
    )
        throws
    {
        let model = try modelCase.stirredModel(maximumLength: 40)
        let arena = try Arena(backend: model.store.backend)
        var states = model.makeStates(batch: 2, capacity: length)
        for _ in 0..<length { _ = try model.step([1, 2], &states, arena) }
        let measured = try model.measureStateBytes(length: length, arena: arena)
        let serialised = states.reduce(0) { $0 + $1.serialised().count }
        let allocated = states.flatMap(\.parts).reduce(0) { $0 + $1.capacity * $1.width * 4 }
        #expect(measured == allocated)
        #expect(serialised == 2 * measured)
        #expect(states.reduce(0) { $0 + $1.bytesPerSequence } == measured)
        let numbers = modelCase.config.layers.map {
            stateNumbers($0, width: ModelCase.width, length: length)
        }
        if numbers.allSatisfy({ $0 != nil }) {
            #expect(measured == 4 * numbers.reduce(0) { $0 + ($1 ?? 0) })
        }
    }

    @Test func bytesThatAreNoStateAreRefused() throws {
        let model = try #require(ModelCase.presets.first).stirredModel(maximumLength: 8)
        let arena = try Arena(backend: model.store.backend)
        var states = model.makeStates(batch: 1, capacity: 8)
        for _ in 0..<3 { _ = try model.step([1], &states, arena) }
        for index in states.indices {
            let bytes = states[index].serialised()
            var fresh = model.makeStates(batch: 1, capacity: 8)[index]
            #expect(throws: MixerStateError.self) { try fresh.restore(Array(bytes.dropLast()), position: 3) }
            #expect(throws: MixerStateError.self) { try fresh.restore(bytes + [0, 0, 0, 0], position: 3) }
            #expect(throws: MixerStateError.self) { try fresh.restore(bytes, position: -1) }
            try fresh.restore(bytes, position: 3)
            #expect(fresh == states[index])
        }
    }
}
