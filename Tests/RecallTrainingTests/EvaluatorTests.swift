import RecallData
import RecallKernels
import RecallTensor
import RecallTraining
import Testing

/// Evaluation by itself, on whatever examples.
struct EvaluatorTests {
    private let task = smallTask(test: 21, segments: 2)

    private func trainer() throws -> Trainer {
        try Trainer(
            task: task,
            model: try presetModel("based"),
            training: TrainingConfig(epochs: 1, batchSize: 8, learningRate: 0.01),
            seed: 3,
            backend: CPUBackend()
        )
    }

    /// In pieces that a bound makes small, the logits are the same numbers.
    @Test(arguments: [1, 130, 700, 1 << 24]) func logitsComeInPieces(_ most: Int) throws {
        let trainer = try trainer()
        let evaluator = Evaluator(
            trainer.model,
            arena: try Arena(backend: trainer.model.store.backend),
            batchSize: 8
        )
        for (index, segment) in task.test.enumerated() {
            let data = try ExamplesOnDevice(
                SegmentData.make(MQARGenerator(task), .test, index),
                backend: trainer.model.store.backend
            )
            var (whole, pieces) = ([Float](), [[Float]]())
            try evaluator.logits(data) { whole += $0 }
            try evaluator.logits(data, mostAtOnce: most) { pieces.append($0) }
            let numbersOfAnExample = segment.kvPairs * task.vocabSize
            #expect(whole.count == segment.examples * numbersOfAnExample)
            #expect(pieces.allSatisfy { $0.count <= max(most, numbersOfAnExample) })
            let together = pieces.flatMap { $0 }
            try #require(together.count == whole.count)
            // Products of other shapes may round otherwise.
            #expect(zip(together, whole).allSatisfy { abs($0 - $1) < 1e-5 })
        }
    }

    /// The whole is the mean over examples, whatever their segment.
    @Test func slicesMakeTheWhole() throws {
        let trainer = try trainer()
        let evaluator = Evaluator(
            trainer.model,
            arena: try Arena(backend: trainer.model.store.backend),
            batchSize: 8
        )
        var sizes: [Int] = []
        let evaluation = try evaluator.evaluate(
            GeneratedExamples(MQARGenerator(task), .test),
            name: "test",
            step: 0
        ) { sizes.append($0.count) }
        #expect(sizes == [8, 8, 5, 8, 8, 5])
        #expect(evaluation.examples == 42)
        #expect(evaluation.slices.map(\.segment) == task.test)
        let (first, second) = (evaluation.slices[0], evaluation.slices[1])
        #expect(abs((first.loss + second.loss) / 2 - evaluation.loss) < 1e-12)
        #expect(abs((first.accuracy + second.accuracy) / 2 - evaluation.accuracy) < 1e-12)
    }

    @Test func aStopEndsIt() throws {
        let trainer = try trainer()
        let stop = StopRequest()
        let evaluator = Evaluator(
            trainer.model,
            arena: try Arena(backend: trainer.model.store.backend),
            batchSize: 8,
            stop: stop
        )
        var batches = 0
        #expect(throws: RunError.stopped) {
            try evaluator.evaluate(GeneratedExamples(MQARGenerator(task), .test), name: "test", step: 0) { _ in
                batches += 1
                stop.raise()
            }
        }
        #expect(batches == 1)
    }

    /// Two thousand million examples take no more memory than those that are asked for.
    @Test func anyNumberOfExamplesMayCome() throws {
        let trainer = try trainer()
        var long = task
        long.test = [
            Segment(sequenceLength: 16, kvPairs: 2, examples: 3),
            Segment(sequenceLength: 16, kvPairs: 2, examples: Int(Int32.max)),
        ]
        try long.validate()
        let stop = StopRequest()
        let evaluator = Evaluator(
            trainer.model,
            arena: try Arena(backend: trainer.model.store.backend),
            batchSize: 8,
            stop: stop
        )
        var sizes: [Int] = []
        #expect(throws: RunError.stopped) {
            try evaluator.evaluate(GeneratedExamples(MQARGenerator(long), .test), name: "test", step: 0) {
                sizes.append($0.count)
                if sizes.count == 4 { stop.raise() }
            }
        }
        #expect(sizes == [3, 8, 8, 8])
    }
}
