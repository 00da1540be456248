import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTensor
import RecallTraining
import Testing

/// Runs that are interrupted and continued.
struct CheckpointTests {
    private let training = TrainingConfig(
        epochs: 4,
        batchSize: 24,
        learningRate: 0.01,
        schedule: .cosineStep,
        data: .fresh
    )

    private func trainer(_ preset: String = "based", stop: StopRequest? = nil, dModel: Int = 16) throws
        -> Trainer
    {
        try Trainer(
            task: smallTask(segments: 2),
            model: try presetModel(preset, dModel: dModel),
            training: training,
            seed: 3,
            backend: CPUBackend(),
            stop: stop
        )
    }

    private func run(_ trainer: Trainer, _ file: CheckpointFile?, _ recorder: Recorder, id: String = "run")
        throws
        -> RunResult
    {
        try trainer.run(checkpoint: file, runID: id, specification: #"{"a":1}"#, observer: recorder)
    }

    /// Stopped after an epoch or in the middle of one: continued, it is the run that was never stopped.
    @Test(arguments: ["attention", "based", "mamba", "base-conv"], [nil, 7])
    func aContinuedRunIsTheUninterruptedOne(preset: String, stopAfterStep: Int?) throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("deep/run.safetensors"))
        let whole = try trainer(preset)
        let wholeRecorder = Recorder()
        let expected = try run(whole, nil, wholeRecorder)

        let stop = StopRequest()
        let first = Recorder(
            stop: stop,
            stopAfterEpoch: stopAfterStep == nil ? 2 : nil,
            stopAfterStep: stopAfterStep
        )
        #expect(throws: RunError.stopped) { try run(trainer(preset, stop: stop), file, first) }
        #expect(file.exists)
        // Six steps an epoch.
        let done = stopAfterStep == nil ? 2 : 1
        #expect(first.records.map(\.epoch) == Array(1...done))

        let second = Recorder()
        let continued = try trainer(preset)
        let result = try run(continued, file, second)
        #expect(second.records.map(\.epoch) == Array(done...4))
        #expect(second.records.first == first.records.last)
        #expect(first.timeless + second.timeless.dropFirst() == wholeRecorder.timeless)
        #expect(continued.bits == whole.bits)
        #expect(result.timeless == expected.timeless)
        #expect(zip(second.records, second.records.dropFirst()).allSatisfy { $0.seconds < $1.seconds })
    }

    /// Stopped after its last epoch, a run only has its evaluation left; finished, the same again.
    @Test func aRunWithNothingLeftOnlyEvaluates() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        let stop = StopRequest()
        let first = Recorder(stop: stop, stopAfterEpoch: 4)
        #expect(throws: RunError.stopped) { try run(trainer(stop: stop), file, first) }
        let (second, third) = (Recorder(), Recorder())
        let result = try run(trainer(), file, second)
        #expect(second.records.count == 1 && second.losses.isEmpty)
        #expect(result.epochs == 4 && result.steps == 24)
        #expect(try run(trainer(), file, third).timeless == result.timeless)
        file.remove()
        #expect(!file.exists)
        file.remove()
    }

    @Test func everyBitComesBack() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        let (source, target) = (try trainer(), try trainer())
        for (index, parameter) in source.model.store.parameters.enumerated() {
            for (part, address) in [parameter.value, parameter.firstMoment, parameter.secondMoment].enumerated()
            {
                let numbers = (0..<parameter.count).map { Float($0) * 0.37 + Float(index * 3 + part) }
                source.model.store.write(numbers, to: address)
            }
        }
        let record = EpochRecord(
            epoch: 2,
            step: 99,
            learningRate: 0.1 + 0.2,
            trainLoss: 1.0 / 3,
            validationLoss: 2e-300,
            validationAccuracy: 0.7,
            seconds: 12.345678901234567
        )
        let metadata = CheckpointMetadata(
            runID: "ü",
            specification: #"{"x": [1, "\n"]}"#,
            record: record,
            trainSeconds: 1.1
        )
        try file.write(source.model.store, metadata)
        #expect(try file.read(into: target.model.store) == metadata)
        #expect(target.bits == source.bits)
        // Beside and renamed: nothing is left beside.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["run.safetensors"])
    }

    /// Others read parameters by their paths, in PyTorch's shapes.
    @Test func aCheckpointNamesItsParameters() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer("attention"), file, Recorder())
        let (arrays, metadata) = try SafeTensors.decode(Data(contentsOf: URL(fileURLWithPath: file.path)))
        let shapes = Dictionary(uniqueKeysWithValues: arrays.map { ($0.name, $0.shape) })
        #expect(shapes["layers.1.mixer.qkv.weight"] == [48, 16])
        #expect(shapes["optimizer.m.layers.1.mixer.qkv.weight"] == [48, 16])
        #expect(shapes["optimizer.v.embedding.weight"] == [64, 16])
        #expect(metadata["specification"] == #"{"a":1}"# && metadata["run_id"] == "run")
        #expect(metadata["epoch"] == "4" && metadata["step"] == "24" && metadata["version"] == "1")
    }

    private func refusal(_ file: CheckpointFile, _ trainer: Trainer, id: String = "run") -> String? {
        do {
            let check = CheckpointCheck(runID: id, stepsPerEpoch: 6, epochs: 4)
            _ = try file.read(into: trainer.model.store, refusal: check.refusal)
            return nil
        } catch RunError.checkpoint(let text) { return text } catch { return "another error: \(error)" }
    }

    @Test func checkpointsOfOtherRunsAreRefused() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer(), file, Recorder())
        let other = try #require(refusal(file, try trainer(), id: "other"))
        #expect(other.contains("run") && other.contains("other") && other.contains(file.path))
        let wider = try #require(refusal(file, try trainer(dModel: 24)))
        #expect(wider.contains("embedding.weight") && wider.contains("24") && wider.contains(file.path))
        #expect(try #require(refusal(file, try trainer("mamba"))).contains(file.path))
    }

    /// A checkpoint that cannot be used is told of, and then the run is the one without it.
    @Test func aRunWithAnUnusableCheckpointBeginsAnew() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        let whole = Recorder()
        let expected = try run(trainer(), file, whole)
        #expect(whole.start?.step == 0 && whole.start?.refusal == nil)
        let url = URL(fileURLWithPath: file.path)
        try Data(contentsOf: url).dropLast(1).write(to: url)
        let anew = Recorder()
        #expect(try run(trainer(), file, anew).timeless == expected.timeless)
        #expect(anew.start?.step == 0 && anew.start?.refusal?.contains("cannot be used") == true)
        #expect(anew.timeless == whole.timeless && anew.losses == whole.losses)
        // The file is whole again.
        let evaluated = Recorder()
        #expect(try run(trainer(), file, evaluated).timeless == expected.timeless)
        #expect(evaluated.start?.step == 24 && evaluated.start?.refusal == nil && evaluated.losses.isEmpty)
    }

    /// Whatever is wrong with it, a checkpoint that is refused has changed nothing.
    @Test func aRefusedCheckpointLeavesTheModelAsItWas() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer(), file, Recorder())
        let url = URL(fileURLWithPath: file.path)
        let whole = try Data(contentsOf: url)
        let target = try trainer()
        let bits = target.bits
        #expect(refusal(file, target, id: "other") != nil)
        #expect(target.bits == bits)
        // The last array of the last parameter is missing; then the metadata are.
        let last = try #require(target.model.store.parameters.last).name
        let (arrays, metadata) = try SafeTensors.decode(whole)
        let fewer = arrays.filter { $0.name != "optimizer.v.\(last)" }
        #expect(fewer.count == arrays.count - 1)
        for data in [
            try SafeTensors.encode(fewer, metadata: metadata), try SafeTensors.encode(arrays, metadata: [:]),
        ] {
            try data.write(to: url)
            #expect(try #require(refusal(file, target)).contains("cannot be used"))
            #expect(target.bits == bits)
        }
        try whole.write(to: url)
        #expect(refusal(file, target) == nil)
        #expect(target.bits != bits)
    }

    /// One bit anywhere after the length is found; what is beside the file is no other process's.
    @Test func everyFlippedBitIsFound() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer(), file, Recorder())
        let url = URL(fileURLWithPath: file.path)
        let whole = try Data(contentsOf: url)
        let target = try trainer()
        #expect(refusal(file, target) == nil)
        var state: UInt64 = 7
        for _ in 0..<300 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var spoilt = whole
            spoilt[8 + Int(state >> 33) % (whole.count - 8)] ^= 1 << UInt8(state >> 61)
            try spoilt.write(to: url)
            let isFound = refusal(file, target)?.contains("cannot be used: ") == true
            // A space that ends the header says nothing.
            #expect(isFound, "\(state)")
        }
    }

    /// The order of arrays and keys is another writer's business.
    @Test func theHashesAreOfTheContent() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer(), file, Recorder())
        let url = URL(fileURLWithPath: file.path)
        let (arrays, metadata) = try SafeTensors.decode(Data(contentsOf: url))
        #expect(metadata["sha256"]?.count == 64 && metadata["parameters_sha256"]?.count == 64)
        try SafeTensors.encode(arrays.reversed(), metadata: metadata).write(to: url)
        #expect(refusal(file, try trainer()) == nil)
        try CheckpointContent(path: file.path).write(to: trainer().model.store)
        // A parameter that was changed is told from it by whoever evaluates too; a moment is nobody's business there.
        for (name, isEvaluated) in [("embedding.weight", false), ("optimizer.m.embedding.weight", true)] {
            var changed = arrays
            let index = try #require(arrays.firstIndex { $0.name == name })
            changed[index].values[0] += 1
            try SafeTensors.encode(changed, metadata: metadata).write(to: url)
            #expect(try #require(refusal(file, try trainer())).contains("it is damaged"))
            let content = try CheckpointContent(path: file.path)
            let isRead = (try? content.write(to: trainer().model.store)) != nil
            #expect(isRead == isEvaluated)
        }
        var changed = arrays
        changed[0].values[0] += 1
        try SafeTensors.encode(changed, metadata: metadata.filter { !$0.key.hasSuffix("sha256") }).write(
            to: url
        )
        try CheckpointContent(path: file.path).write(to: trainer().model.store)
    }

    /// Where a run was trained goes into its checkpoints, and is asked for when it goes on.
    @Test func aRunGoesOnWhereItWasTrained() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        let origin = CheckpointOrigin(database: "d1", device: "cpu", build: "1")
        func run(_ origin: CheckpointOrigin?, _ history: [EpochRecord]?) throws -> Recorder {
            let recorder = Recorder()
            _ = try trainer().run(
                checkpoint: file,
                runID: "run",
                specification: "{}",
                origin: origin,
                history: history,
                observer: recorder
            )
            return recorder
        }
        let first = try run(origin, [])
        #expect(first.records.count == 4 && first.start?.refusal == nil)
        #expect(try file.parse(Data(contentsOf: URL(fileURLWithPath: file.path))).metadata.origin == origin)
        let second = try run(origin, first.records)
        #expect(second.start?.step == 24 && second.start?.refusal == nil)
        var elsewhere = origin
        elsewhere.device = "another cpu"
        let third = try run(elsewhere, first.records)
        #expect(third.start?.step == 0 && third.start?.refusal?.contains("another device (cpu)") == true)
        let fourth = try run(elsewhere, Array(first.records.prefix(1)))
        #expect(fourth.start?.step == 0 && fourth.start?.refusal?.contains("an older copy") == true)
        #expect(fourth.timeless == first.timeless)
    }

    @Test func damagedCheckpointsAreRefused() throws {
        let folder = try TemporaryFolder()
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try run(trainer(), file, Recorder())
        let url = URL(fileURLWithPath: file.path)
        let whole = try Data(contentsOf: url)
        for damaged in [
            Data(), whole.prefix(7), whole.prefix(whole.count / 2), whole.dropLast(1), Data("text".utf8),
        ] {
            try damaged.write(to: url)
            #expect(try #require(refusal(file, try trainer())).contains("cannot be used"))
        }
        let (arrays, metadata) = try SafeTensors.decode(whole)
        for key in ["version", "run_id", "specification", "record", "train_seconds"] {
            var lacking = metadata
            lacking[key] = nil
            try SafeTensors.encode(arrays, metadata: lacking).write(to: url)
            #expect(try #require(refusal(file, try trainer())).contains("metadata"), "\(key)")
        }
        var older = metadata
        older["version"] = "0"
        try SafeTensors.encode(arrays, metadata: older).write(to: url)
        #expect(refusal(file, try trainer()) != nil)
    }

    /// A disk that takes nothing: the error comes out, and no half file stays.
    @Test func anUnwritableFolderThrows() throws {
        let folder = try TemporaryFolder()
        try Data().write(to: URL(fileURLWithPath: folder.path("file")))
        let file = CheckpointFile(path: folder.path("file/run.safetensors"))
        #expect(throws: (any Error).self) { try run(trainer(), file, Recorder()) }
        #expect(!file.exists)
    }
}
