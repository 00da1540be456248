import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTraining
import Testing

/// A device that fails at some norm or some copy to the host, as a GPU does that has run out of memory: no call throws, and
/// from then on nothing that it returns means anything.
private final class FailingBackend: ForwardingBackend {
    private var normsLeft: Int
    private var copiesLeft: Int
    private let reason: BackendError
    private var reached: BackendError?

    init(afterNorms norms: Int = .max, afterCopies copies: Int = .max, _ reason: BackendError) {
        (normsLeft, copiesLeft, self.reason) = (norms, copies, reason)
    }

    override var failure: BackendError? { reached }

    override func addNormForward(
        _ shape: NormShape,
        residual: Floats,
        branch: Floats?,
        gain: Floats,
        bias: Floats?,
        sum: MutableFloats?,
        y: MutableFloats,
        statistics: MutableFloats
    ) {
        if normsLeft == 0 { reached = reason }
        normsLeft -= 1
        super.addNormForward(
            shape,
            residual: residual,
            branch: branch,
            gain: gain,
            bias: bias,
            sum: sum,
            y: y,
            statistics: statistics
        )
    }

    override func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int
    ) {
        if copies(destination, bytes: bytes) { super.copyToHost(source, destination, bytes: bytes) }
    }

    override func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        after mark: Int
    ) {
        if copies(destination, bytes: bytes) {
            super.copyToHost(source, destination, bytes: bytes, after: mark)
        }
    }

    /// Whether a copy is made; what a failed device does not copy is no number.
    private func copies(_ destination: UnsafeMutableRawPointer, bytes: Int) -> Bool {
        if copiesLeft == 0 { reached = reason }
        copiesLeft -= 1
        if reached != nil { destination.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes) }
        return reached == nil
    }
}

private struct Silent: TrainingObserver {
    func didStep(_ step: Int, of totalSteps: Int, loss: Double) {}
    func didFinishEpoch(_ record: EpochRecord) {}
}

/// A run whose device fails ends with the reason, wherever that happens, and keeps the checkpoint of the epoch before.
@Suite struct DeviceFailureTests {
    private static let broken = BackendError.failed("a kernel: CUDA_ERROR_ILLEGAL_ADDRESS")

    private static func trainer(on backend: any Backend) throws -> Trainer {
        func split(_ examples: Int) -> [Segment] {
            [Segment(sequenceLength: 16, kvPairs: 2, examples: examples)]
        }
        let model = try ModelConfig(
            dModel: 16,
            layers: try #require(ModelPresets.preset("attention")).layers(),
            stateMixer: .identity
        ).resolved()
        return try Trainer(
            task: MQARTask(vocabSize: 64, train: split(64), validation: split(20), test: split(20)),
            model: model,
            training: TrainingConfig(epochs: 2, batchSize: 16, learningRate: 0.005),
            seed: 0,
            backend: backend
        )
    }

    private static func run(on backend: any Backend, checkpoint: CheckpointFile? = nil) throws -> RunResult {
        try trainer(on: backend).run(
            checkpoint: checkpoint,
            runID: "run",
            specification: "{}",
            observer: Silent()
        )
    }

    @Test(arguments: [0, 1, 7, 20, 30, 45]) func aKernelThatFailsEndsTheRunWithItsReason(norms: Int) throws {
        #expect(throws: RunError.device(Self.broken.description)) {
            try Self.run(on: FailingBackend(afterNorms: norms, Self.broken))
        }
    }

    @Test func memoryThatRunsOutIsSaidInBytes() throws {
        let error = #expect(throws: RunError.self) {
            try Self.run(on: FailingBackend(afterNorms: 3, .outOfMemory(bytes: 12_345)))
        }
        #expect(error == .outOfMemory(bytes: 12_345))
        #expect(try #require(error).description.contains("12345 bytes; use a smaller batch_size"))
    }

    @Test func everyCopyThatFailsEndsTheRun() throws {
        var copies = 0
        while true {
            do {
                _ = try Self.run(on: FailingBackend(afterCopies: copies, Self.broken))
                break
            } catch let error as RunError {
                #expect(error == .device(Self.broken.description), "copy \(copies)")
            }
            copies += 1
        }
        #expect(copies > 8)
    }

    @Test func numbersOfAFailedDeviceReplaceNoCheckpoint() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "failure-\(UUID().uuidString)"
        )
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = CheckpointFile(path: folder.appendingPathComponent("run.safetensors").path)
        let whole = try Self.run(on: FailingBackend(Self.broken))
        // Late in the second epoch: the first one's checkpoint is there.
        #expect(throws: RunError.self) {
            try Self.run(on: FailingBackend(afterNorms: 40, Self.broken), checkpoint: file)
        }
        #expect(file.exists)
        let continued = try Self.run(on: FailingBackend(Self.broken), checkpoint: file)
        #expect(continued.testLoss == whole.testLoss && continued.epochs == 2)
    }

    @Test func aDeviceThatFailsWhileAModelIsMadeIsNotTrained() throws {
        let backend = FailingBackend(afterNorms: 0, Self.broken)
        _ = try? Self.run(on: backend)
        #expect(throws: Self.broken) { try Self.trainer(on: backend) }
    }
}
