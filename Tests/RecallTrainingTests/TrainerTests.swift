import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTensor
import RecallTraining
import Testing

/// Training itself: what it learns, what it must not depend on, and how it fails.
struct TrainerTests {
    private func trainer(
        _ preset: String,
        task: MQARTask = smallTask(),
        training: TrainingConfig,
        seed: UInt64 = 1,
        threads: Int = 1,
        dModel: Int = 16,
        stop: StopRequest? = nil
    ) throws -> Trainer {
        try Trainer(
            task: task,
            model: try presetModel(preset, dModel: dModel),
            training: training,
            seed: seed,
            backend: CPUBackend(threads: threads),
            stop: stop
        )
    }

    @Test func attentionLearnsToRecall() throws {
        let task = smallTask(train: 4000, validation: 200, test: 200)
        let training = TrainingConfig(epochs: 6, batchSize: 64, learningRate: 0.01, stopAtAccuracy: 0.95)
        let trainer = try trainer("attention", task: task, training: training, dModel: 32)
        let recorder = Recorder()
        let result = try trainer.run(recorder)
        #expect(result.testAccuracy > 0.9)
        #expect(result.validationAccuracy > 0.9)
        #expect(recorder.losses.count == result.steps && result.steps <= 63 * 6)
        // The first batch's loss is a uniform guess's.
        #expect(abs(recorder.losses[0] - log(64)) < 0.2)
        #expect(recorder.records.last?.trainLoss == result.trainLoss)
        #expect(result.tokensPerSecond > 0 && result.trainSeconds > 0)
    }

    /// One step of Based's language model: a finite loss, a uniform guess's before it, and every parameter moved.
    @Test func basedsLanguageModelTakesAStep() throws {
        let training = TrainingConfig(epochs: 1, batchSize: 64, learningRate: 0.01)
        let trainer = try trainer("based-lm", training: training)
        #expect(trainer.model.config.norm == .rms && trainer.model.config.stateMixer == .swiglu)
        let before = trainer.bits
        let recorder = Recorder()
        let result = try trainer.run(recorder)
        #expect(result.steps == 1 && result.testLoss.isFinite)
        #expect(abs(recorder.losses[0] - log(64)) < 0.2)
        for (name, bits) in trainer.bits {
            #expect(bits != before[name], "\(name)")
            #expect(bits.allSatisfy { Float(bitPattern: $0).isFinite }, "\(name)")
        }
    }

    @Test func trainingStopsAboveItsTargetOnly() throws {
        let training = TrainingConfig(epochs: 3, batchSize: 32, learningRate: 0.001, stopAtAccuracy: -1)
        #expect(try trainer("attention", training: training).run().epochs == 1)
        var never = training
        never.stopAtAccuracy = 1
        #expect(try trainer("attention", training: never).run().epochs == 3)
    }

    /// The number of threads changes no bit; nor does running a second time. The seed changes all.
    @Test(arguments: ModelPresets.presets.map(\.name)) func bitsDependOnTheSpecificationAlone(_ preset: String)
        throws
    {
        let training = TrainingConfig(epochs: 2, batchSize: 20, learningRate: 0.01)
        func train(threads: Int, seed: UInt64 = 1) throws -> ([String: [UInt32]], RunResult, [EpochRecord]) {
            let trainer = try trainer(
                preset,
                task: smallTask(segments: 2),
                training: training,
                seed: seed,
                threads: threads,
                dModel: 24
            )
            let recorder = Recorder()
            let result = try trainer.run(recorder)
            return (trainer.bits, result.timeless, recorder.timeless)
        }
        let first = try train(threads: 1)
        for threads in [1, 2, 3] {
            let again = try train(threads: threads)
            #expect(again.0 == first.0 && again.1 == first.1 && again.2 == first.2, "\(threads) threads")
        }
        #expect(try train(threads: 1, seed: 2).0 != first.0)
    }

    @Test(arguments: ModelPresets.presets.map(\.name)) func stepsTakeNoMoreMemory(_ preset: String) throws {
        let training = TrainingConfig(epochs: 2, batchSize: 16, learningRate: 0.01)
        let trainer = try trainer(preset, training: training)
        final class Watch: TrainingObserver {
            let trainer: Trainer
            var growths: [Int] = []
            init(_ trainer: Trainer) { self.trainer = trainer }
            func didStep(_ step: Int, of totalSteps: Int, loss: Double) {
                growths.append(trainer.memoryGrowths)
            }
            func didFinishEpoch(_ record: EpochRecord) {}
        }
        let watch = Watch(trainer)
        _ = try trainer.run(checkpoint: nil, runID: "run", specification: "", observer: watch)
        #expect(watch.growths.count == 8)
        // Evaluation has batches of another size, hence the second epoch.
        #expect(Set(watch.growths[0..<4]).count == 1 && Set(watch.growths[4..<8]).count == 1)
    }

    /// What training counts is what was planned, and its workspaces; twice the length takes at most 2.1 times as much.
    @Test(arguments: MixerRegistry.names) func memoryIsLinearInTheLength(_ mixer: String) throws {
        let bytes = try [256, 512].map { length in
            let segment = Segment(sequenceLength: length, kvPairs: 4, examples: 32)
            let task = MQARTask(vocabSize: 64, train: [segment], validation: [segment], test: [segment])
            let layers = [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: mixer)]
            let backend = CPUBackend()
            let trainer = try Trainer(
                task: task,
                model: try ModelConfig(dModel: 32, layers: layers).resolved(),
                training: TrainingConfig(epochs: 1, batchSize: 32, learningRate: 0.01),
                seed: 1,
                backend: backend
            )
            _ = try trainer.timeSteps(segment: 0, examples: 32, steps: 1)
            let plan = try trainer.model.plan(batch: 32, length: length, labels: 4)
            #expect(trainer.peakBytes == plan.bytes + backend.workspaceBytes)
            return trainer.peakBytes
        }
        #expect(Double(bytes[1]) <= 2.1 * Double(bytes[0]), "\(bytes)")
    }

    @Test func recordsAndSlicesSayWhatWasDone() throws {
        let training = TrainingConfig(epochs: 3, batchSize: 30, learningRate: 0.01, schedule: .cosineEpoch)
        let trainer = try trainer("base-conv", task: smallTask(segments: 2), training: training)
        let recorder = Recorder()
        let result = try trainer.run(recorder)
        // 64 examples in batches of 30, two segments: 6 steps an epoch.
        #expect(trainer.totalSteps == 18)
        #expect(recorder.records.map(\.epoch) == [1, 2, 3])
        #expect(recorder.records.map(\.step) == [6, 12, 18])
        for (record, expected) in zip(recorder.records, [0.01, 0.0075, 0.0025]) {
            #expect(abs(record.learningRate - expected) < 1e-12)
            #expect(record.trainLoss > 0 && record.validationLoss > 0)
            #expect((0...1).contains(record.validationAccuracy))
        }
        #expect(zip(recorder.records, recorder.records.dropFirst()).allSatisfy { $0.seconds <= $1.seconds })
        #expect(result.epochs == 3 && result.steps == 18)
        #expect(result.slices.map(\.split) == [.validation, .validation, .test, .test])
        #expect(result.slices.map(\.sequenceLength) == [16, 24, 16, 24])
        #expect(result.slices.map(\.kvPairs) == [2, 3, 2, 3])
        // Examples weigh equally.
        let mean = (result.slices[2].accuracy + result.slices[3].accuracy) / 2
        #expect(abs(mean - result.testAccuracy) < 1e-12)
        #expect(result.validationAccuracy == recorder.records.last?.validationAccuracy)
        #expect(result.validationLoss == recorder.records.last?.validationLoss)
    }

    /// The mean over the epoch's labels of the steps' mean losses.
    @Test func theEpochsLossIsTheMeanOverItsLabels() throws {
        let training = TrainingConfig(epochs: 1, batchSize: 30, learningRate: 0.01, order: .published)
        let recorder = Recorder()
        _ = try trainer("attention", training: training).run(recorder)
        let weights = [30.0, 30, 4]
        let mean = zip(recorder.losses, weights).reduce(0) { $0 + $1.0 * $1.1 } / 64
        #expect(abs(mean - recorder.records[0].trainLoss) < 1e-9)
    }

    @Test func freshDataDiffersFromTheSecondEpochOn() throws {
        func losses(_ data: DataKind) throws -> [Double] {
            let training = TrainingConfig(
                epochs: 2,
                batchSize: 64,
                learningRate: 1e-12,
                schedule: .constant,
                order: .published,
                data: data
            )
            let config = try presetModel("attention", embedDropout: 0)
            var plain = config
            plain.residualDropout = 0
            let trainer = try Trainer(
                task: smallTask(),
                model: plain,
                training: training,
                seed: 1,
                backend: CPUBackend()
            )
            let recorder = Recorder()
            _ = try trainer.run(recorder)
            return recorder.losses
        }
        let (fixed, fresh) = (try losses(.fixed), try losses(.fresh))
        #expect(fixed[0] == fresh[0])
        #expect(abs(fixed[0] - fixed[1]) < 1e-6)
        #expect(abs(fresh[0] - fresh[1]) > 1e-6)
    }

    // MARK: - Weight decay

    /// p ← p(1 - lr·wd) - …: after one step, with and without decay, parameters differ by lr·wd·p where decay touches
    /// them and not at all elsewhere.
    @Test(arguments: DecayKind.allCases, ["attention", "mamba"])
    func decayTouchesWhatItShould(_ decay: DecayKind, preset: String) throws {
        func step(weightDecay: Double) throws -> (before: [String: [Float]], after: [String: [Float]]) {
            let training = TrainingConfig(
                epochs: 1,
                batchSize: 64,
                learningRate: 0.1,
                weightDecay: weightDecay,
                decay: decay
            )
            let trainer = try trainer(preset, training: training)
            var (before, after) = ([String: [Float]](), [String: [Float]]())
            for parameter in trainer.model.store.parameters {
                let moved = trainer.values(parameter).map { $0 + 0.05 }
                trainer.model.store.write(moved, to: parameter.value)
                before[parameter.name] = moved
            }
            #expect(try trainer.run().steps == 1)
            for parameter in trainer.model.store.parameters {
                after[parameter.name] = trainer.values(parameter)
            }
            return (before, after)
        }
        let (plain, decayed) = (try step(weightDecay: 0), try step(weightDecay: 0.5))
        for parameter in try trainer(preset, training: TrainingConfig(epochs: 1, batchSize: 1, learningRate: 0))
            .model.store.parameters
        {
            let name = parameter.name
            let start = try #require(plain.before[name])
            let (a, b) = (try #require(plain.after[name]), try #require(decayed.after[name]))
            let factor: Float = decay == .exempt && parameter.isExemptFromDecay ? 0 : 0.1 * 0.5
            let asExpected = start.indices.allSatisfy { abs(a[$0] - b[$0] - factor * start[$0]) < 1e-5 }
            #expect(asExpected, "\(name)")
            #expect(a != start, "\(name) got no gradient")
        }
    }

    // MARK: - Failures

    private func failure(_ trainer: Trainer) throws -> RunError {
        do {
            _ = try trainer.run()
            throw RunError.checkpoint("the run did not fail")
        } catch let error as RunError { return error }
    }

    @Test func aParameterThatIsNotFiniteIsNamed() throws {
        let training = TrainingConfig(epochs: 2, batchSize: 16, learningRate: 0.01)
        for number in [Float.infinity, .nan] {
            let trainer = try trainer("based", training: training)
            let parameter = try #require(
                trainer.model.store.parameters.first { $0.name == "layers.1.mixer.k.weight" }
            )
            trainer.model.store.write(Array(repeating: number, count: parameter.count), to: parameter.value)
            guard case .notFinite(let step, let tensor) = try failure(trainer) else {
                Issue.record("another error")
                return
            }
            #expect(step == 1)
            #expect(tensor.contains("layers.1.mixer.k.weight"))
        }
    }

    /// Finite parameters that overflow on the way: the first tensor that does is named, and the step is the first.
    @Test func theFirstTensorThatOverflowsIsNamed() throws {
        let training = TrainingConfig(epochs: 2, batchSize: 16, learningRate: 0.01)
        let trainer = try trainer("based", training: training)
        for parameter in trainer.model.store.parameters where parameter.name.hasPrefix("layers.1.mixer.v") {
            trainer.model.store.write(Array(repeating: 3e38, count: parameter.count), to: parameter.value)
        }
        let error = try failure(trainer)
        #expect(error == .notFinite(step: 1, tensor: "layers.1.mixer.v"))
        #expect(error.description.contains("step 1") && error.description.contains("layers.1.mixer.v"))
    }

    /// Queries and keys whose products overflow: the kernel without parameters is named with its layer, and in evaluation
    /// the split besides.
    @Test func aKernelThatOverflowsIsNamedWithItsLayer() throws {
        let training = TrainingConfig(epochs: 1, batchSize: 16, learningRate: 0.01)
        func overflow(_ trainer: Trainer) {
            for parameter in trainer.model.store.parameters
            where ["layers.1.mixer.q.weight", "layers.1.mixer.k.weight"].contains(parameter.name) {
                trainer.model.store.write(
                    Array(repeating: 1e25, count: parameter.count),
                    to: parameter.value
                )
            }
        }
        let trainer = try trainer("based", training: training)
        overflow(trainer)
        #expect(try failure(trainer) == .notFinite(step: 1, tensor: "linear attention of layers.1.mixer"))

        // A run whose training is over, whose checkpoint overflows.
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        let record = EpochRecord(
            epoch: 1,
            step: 4,
            learningRate: 0.01,
            trainLoss: 1,
            validationLoss: 1,
            validationAccuracy: 0,
            seconds: 1
        )
        let source = try self.trainer("based", training: training)
        overflow(source)
        try file.write(
            source.model.store,
            CheckpointMetadata(runID: "run", specification: "", record: record, trainSeconds: 1)
        )
        #expect(
            throws: RunError.notFinite(step: 4, tensor: "linear attention of layers.1.mixer, in test")
        ) {
            try self.trainer("based", training: training).run(
                checkpoint: file,
                runID: "run",
                specification: "",
                observer: Recorder()
            )
        }
    }

    @Test(arguments: ["attention", "mamba"]) func anAbsurdLearningRateEndsTheRun(_ preset: String) throws {
        let training = TrainingConfig(epochs: 50, batchSize: 16, learningRate: 1e6, schedule: .constant)
        guard case .notFinite(let step, let tensor) = try failure(trainer(preset, training: training)) else {
            Issue.record("another error")
            return
        }
        #expect(step >= 1 && step <= 200)
        #expect(!tensor.isEmpty)
    }

    /// Raised while a step is under way, a stop ends the run without another one.
    @Test func aStopEndsTheRunAtOnce() throws {
        let stop = StopRequest()
        let training = TrainingConfig(epochs: 5, batchSize: 16, learningRate: 0.01)
        let trainer = try trainer("attention", training: training, stop: stop)
        let recorder = Recorder(stop: stop, stopAfterStep: 3)
        #expect(throws: RunError.stopped) { try trainer.run(recorder) }
        #expect(recorder.losses.count == 3)
        #expect(recorder.records.isEmpty)
    }

    /// A stop is seen wherever it comes, in the midst of a kernel too, and what a kernel that was given up has left
    /// behind never passes for a result or for NaN.
    @Test(arguments: ["attention", "mamba", "based"]) func aStopIsSeenAtEveryLook(_ preset: String) throws {
        let training = TrainingConfig(epochs: 1, batchSize: 32, learningRate: 0.01)
        func run(stoppingAt look: Int) throws -> (looks: Int, losses: Int) {
            let looks = Looks()
            let stop = StopRequest { looks.next() >= look }
            let recorder = Recorder()
            do {
                _ = try trainer(preset, training: training, stop: stop).run(recorder)
                #expect(look == .max)
            } catch { #expect(error as? RunError == .stopped, "\(error)") }
            return (looks.count, recorder.losses.count)
        }
        let whole = try run(stoppingAt: .max)
        #expect(whole.losses == 2)
        // Data, two steps, validation and test: far more looks than launches.
        #expect(whole.looks > 200)
        var losses: [Int] = []
        for look in stride(from: 1, through: whole.looks, by: max(1, whole.looks / 60)) {
            losses.append(try run(stoppingAt: look).losses)
        }
        #expect(losses.first == 0 && losses.last == 2 && losses == losses.sorted())
    }
}

/// Counts looks at a stop request.
private final class Looks: @unchecked Sendable {
    private(set) var count = 0
    private let lock = NSLock()

    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}
