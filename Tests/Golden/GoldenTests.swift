import RecallData
import RecallKernels
import RecallModels
import RecallTensor
import RecallTraining
import TestSupport
import Testing

/// Whole models against PyTorch in Float64: logits, loss, every parameter's gradient and ten steps of AdamW.
///
/// Errors are the largest difference in a tensor over the largest number of the tensor expected; a loss's over itself.
struct GoldenTests {
    private static let tolerance = 1e-4

    /// A trainer whose model has the fixture's weights.
    private func trainer(_ fixture: GoldenFixture, decay: DecayKind) throws -> (Trainer, CPUBackend) {
        let content = fixture.content
        // Of the task only the vocabulary and the longest sequence have a part in the model.
        let segment = Segment(sequenceLength: content.longest, kvPairs: 1, examples: 1)
        let task = MQARTask(
            vocabSize: content.vocabulary,
            train: [segment],
            validation: [segment],
            test: [segment]
        )
        let backend = CPUBackend()
        let trainer = try Trainer(
            task: task,
            model: content.model,
            training: TrainingConfig(
                epochs: 1,
                batchSize: content.tokens.count,
                learningRate: content.learningRate,
                weightDecay: content.weightDecay,
                decay: decay
            ),
            seed: 0,
            backend: backend
        )
        let store = trainer.model.store
        for parameter in store.parameters {
            #expect(fixture.shape(parameter.name) == parameter.shape, "\(parameter.name)")
            store.write(try #require(fixture.values(parameter.name)), to: parameter.value)
        }
        #expect(Set(store.parameters.map(\.name)) == fixture.parameterNames)
        return (trainer, backend)
    }

    private func batch(_ content: GoldenFixture.Case) -> HostBatch {
        HostBatch(
            tokens: content.tokens.flatMap { $0 },
            labelledRows: content.labelledRows,
            labels: content.labels,
            batch: content.tokens.count
        )
    }

    private func requireClose(_ actual: [Float], _ fixture: GoldenFixture, _ name: String) throws {
        let expected = doubles(try #require(fixture.values(name), "no \(name)"))
        let error = relativeError(actual, expected)
        #expect(error < Self.tolerance, "\(name): \(error)")
    }

    @Test(arguments: GoldenFixture.all) func logits(_ fixture: GoldenFixture) throws {
        let (trainer, backend) = try trainer(fixture, decay: .exempt)
        let content = fixture.content
        let tape = Tape(arena: try Arena(backend: backend), isTraining: false)
        let input = ModelInput(
            batch: content.tokens.count,
            tokens: tape.integers(content.tokens.flatMap { $0 }),
            labelledRows: tape.integers(content.labelledRows)
        )
        let logits = trainer.model.logits(input, tape)
        #expect(logits.shape == fixture.shape("logits"))
        try requireClose(try tape.read(logits), fixture, "logits")
    }

    /// Decoding reads the same numbers off, token by token.
    @Test(arguments: GoldenFixture.all) func logitsOfDecoding(_ fixture: GoldenFixture) throws {
        let (trainer, backend) = try trainer(fixture, decay: .exempt)
        let content = fixture.content
        let (batch, length) = (content.tokens.count, content.tokens[0].count)
        let arena = try Arena(backend: backend)
        var states = trainer.model.makeStates(batch: batch, capacity: content.longest)
        var rows = [[Float]](repeating: [], count: batch * length)
        for position in 0..<length {
            let tape = Tape(arena: arena, isTraining: false)
            let logits = try tape.read(
                trainer.model.step(content.tokens.map { $0[position] }, &states, tape)
            )
            for sequence in 0..<batch {
                rows[sequence * length + position] = Array(
                    logits[sequence * content.vocabulary..<(sequence + 1) * content.vocabulary]
                )
            }
        }
        try requireClose(content.labelledRows.flatMap { rows[Int($0)] }, fixture, "logits")
    }

    @Test(arguments: GoldenFixture.all) func lossAndEveryGradient(_ fixture: GoldenFixture) throws {
        let (trainer, _) = try trainer(fixture, decay: .exempt)
        let batch = batch(fixture.content)
        let loss = try trainer.trainStep(batch, learningRate: fixture.content.learningRate)
        try requireClose([Float(loss / Double(batch.labels.count))], fixture, "loss")
        let store = trainer.model.store
        for parameter in store.parameters {
            // The step has moved the parameters; the gradients are those that moved them.
            try requireClose(
                store.read(parameter.gradient, count: parameter.count),
                fixture,
                "gradient.\(parameter.name)"
            )
        }
    }

    @Test(arguments: GoldenFixture.all, [DecayKind.exempt, .all])
    func tenStepsOfAdamW(_ fixture: GoldenFixture, _ decay: DecayKind) throws {
        let (trainer, _) = try trainer(fixture, decay: decay)
        let batch = batch(fixture.content)
        let expected = try #require(fixture.values("losses.\(decay.rawValue)"))
        #expect(expected.count == 10)
        _ = try trainer.trainStep(batch, learningRate: fixture.content.learningRate)
        for (step, expected) in expected.enumerated() {
            // The next step's loss is the one after this step.
            let loss =
                try trainer.trainStep(batch, learningRate: fixture.content.learningRate)
                / Double(batch.labels.count)
            #expect(
                abs(loss / Double(expected) - 1) < Self.tolerance,
                "after step \(step + 1): \(loss), expected \(expected)"
            )
        }
    }
}

/// What the fixtures must have between them.
struct GoldenCoverageTests {
    private let models = GoldenFixture.all.map(\.content.model)
    private var layers: [LayerConfig] { models.flatMap(\.layers) }

    @Test(arguments: MixerRegistry.mixers.map(\.name)) func everyMixerHasAFixture(_ mixer: String) {
        #expect(
            layers.contains { $0.mixer == mixer },
            "no fixture has a \(mixer) layer: add a case to make_golden.py and a module to modules.py"
        )
    }

    /// Every value of every knob that is a word or a flag: feature maps, long filters, rotary positions.
    @Test(arguments: MixerRegistry.mixers.map(\.name)) func everyChoiceHasAFixture(_ mixer: String) throws {
        let description = try #require(MixerRegistry.description(of: mixer))
        for knob in description.knobs {
            let values = layers.filter { $0.mixer == mixer }.map { $0.knobs[knob.name] ?? knob.defaultValue }
            for choice in knob.choices {
                #expect(values.contains(choice), "no fixture has a \(mixer) layer with \(knob.name): \(choice)")
            }
        }
    }

    @Test func everyKindOfModelHasAFixture() {
        #expect(Set(models.map(\.block)) == Set(BlockKind.allCases))
        for block in BlockKind.allCases {
            #expect(Set(models.filter { $0.block == block }.map(\.norm)) == Set(NormChoice.allCases))
        }
        #expect(Set(models.map(\.positions)) == Set(PositionKind.allCases))
        let transformers = models.filter { $0.block == .transformer }
        #expect(Set(transformers.map(\.stateMixer)) == Set(StateMixerKind.allCases))
        #expect(models.allSatisfy { $0.layers.count == 2 })
    }

    /// A fixture with dropout could not be compared.
    @Test func noFixtureHasDropout() {
        #expect(models.allSatisfy { $0.embedDropout == 0 && $0.residualDropout == 0 })
        #expect(layers.allSatisfy { [nil, .number(0)].contains($0.knobs["dropout"]) })
    }
}

extension Knob {
    /// Its values, where they are words or a flag.
    fileprivate var choices: [KnobValue] {
        switch kind {
        case .flag: [.flag(false), .flag(true)]
        case .choice(let words), .integerOrChoice(_, let words): words.map { .text($0) }
        case .integer, .number: []
        }
    }
}
