import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTensor
import RecallTraining
import Testing

/// A CPU that lets the host queue steps before it looks at any, as a graphics card does.
private final class AheadBackend: ForwardingBackend {
    override var stepsAhead: Int { 4 }
}

/// Keeps what a run tells, and of which epoch the checkpoint on disk was at each report.
private final class Told: TrainingObserver {
    private(set) var losses: [Double] = []
    private(set) var records: [EpochRecord] = []
    private(set) var epochsOnDisk: [Int] = []
    private let file: CheckpointFile
    private let stop: (request: StopRequest, step: Int)?

    init(_ file: CheckpointFile, stop: (request: StopRequest, step: Int)? = nil) {
        (self.file, self.stop) = (file, stop)
    }

    func didStep(_ step: Int, of totalSteps: Int, loss: Double) {
        losses.append(loss)
        if step == stop?.step { stop?.request.raise() }
    }

    func didFinishEpoch(_ record: EpochRecord) throws {
        var record = record
        record.seconds = 0
        records.append(record)
        let data = try Data(contentsOf: URL(fileURLWithPath: file.path))
        epochsOnDisk.append(try file.parse(data).metadata.record.epoch)
    }
}

/// What the host does behind a device that works ahead changes nothing but when it is told.
struct StepsAheadTests {
    private let segments = [
        Segment(sequenceLength: 16, kvPairs: 2, examples: 50),
        Segment(sequenceLength: 24, kvPairs: 3, examples: 90),
    ]

    private func trainer(_ backend: any Backend, stop: StopRequest? = nil) throws -> Trainer {
        let layers = [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "attention")]
        return try Trainer(
            task: MQARTask(vocabSize: 64, train: segments, validation: segments, test: segments),
            model: try ModelConfig(dModel: 16, layers: layers).resolved(),
            training: TrainingConfig(epochs: 3, batchSize: 8, learningRate: 0.01),
            seed: 1,
            backend: backend,
            stop: stop
        )
    }

    private func withFile(_ body: (CheckpointFile) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(CheckpointFile(path: folder.appendingPathComponent("run.safetensors").path))
    }

    private func run(_ trainer: Trainer, _ file: CheckpointFile, _ told: Told) throws -> RunResult {
        var result = try trainer.run(checkpoint: file, runID: "run", specification: "{}", observer: told)
        (result.trainSeconds, result.tokensPerSecond) = (0, 0)
        return result
    }

    @Test func lookingLaterChangesNoResult() throws {
        try withFile { file in
            let (one, ahead) = (Told(file), Told(file))
            let expected = try run(trainer(CPUBackend()), file, one)
            file.remove()
            #expect(try run(trainer(AheadBackend()), file, ahead) == expected)
            #expect(ahead.losses == one.losses && ahead.losses.count == 3 * 19)
            #expect(ahead.records == one.records)
            #expect(one.epochsOnDisk == [1, 2, 3])
            #expect(zip(ahead.epochsOnDisk, 1...3).allSatisfy { $0 >= $1 })
        }
    }

    /// An epoch whose checkpoint is still being written when the run is stopped is reported before the run ends.
    @Test func aStoppedRunHasReportedItsEpochs() throws {
        try withFile { file in
            let stop = StopRequest()
            let told = Told(file, stop: (stop, 21))
            #expect(throws: RunError.stopped) { try run(trainer(AheadBackend(), stop: stop), file, told) }
            #expect(told.records.map(\.epoch) == [1])
            // The run goes on from there to where an unbroken one comes.
            let (rest, whole) = (Told(file), Told(file))
            let result = try run(trainer(AheadBackend()), file, rest)
            file.remove()
            #expect(try run(trainer(AheadBackend()), file, whole) == result)
            #expect(rest.records == whole.records)
        }
    }

    /// A run continued after its last epoch evaluates what the run that trained it had kept.
    @Test func aRunContinuedAtItsEndComesToTheSame() throws {
        try withFile { file in
            let first = try run(trainer(AheadBackend()), file, Told(file))
            #expect(try run(trainer(AheadBackend()), file, Told(file)) == first)
        }
    }
}
