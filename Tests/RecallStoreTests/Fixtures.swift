import Foundation
import RecallData
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining
import Synchronization
import Testing

/// A folder of its own, removed with the value.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "recall-store-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String = "recall.sqlite") -> String { path + "/" + name }

    /// Every file beneath the folder.
    func contents() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: path).sorted() }
}

/// A clock that tests move.
final class TestClock: Sendable {
    private let seconds = Mutex(1_700_000_000.0)
    var now: @Sendable () -> Date { { Date(timeIntervalSince1970: self.seconds.withLock { $0 }) } }
    func advance(_ by: Double) { seconds.withLock { $0 += by } }
}

func plannedRun(
    suite: String = "quick",
    model: String = "based",
    mixer: String = "linear-attention",
    knobs: [String: KnobValue] = ["feature_dim": .integer(8)],
    dModel: Int = 64,
    learningRate: Double = 0.01,
    seed: UInt64 = 0,
    dataSeed: UInt64 = 0,
    vocabSize: Int = 512,
    epochs: Int = 3,
    stateMixer: StateMixerKind = .none,
    taskHash: String? = nil
) -> PlannedRun {
    let segment = Segment(sequenceLength: 64, kvPairs: 8, examples: 100)
    let task = MQARTask(
        vocabSize: vocabSize,
        train: [segment],
        validation: [segment],
        test: [segment],
        dataSeed: dataSeed
    )
    return PlannedRun(
        suite: suite,
        task: "mqar",
        model: model,
        spec: RunSpec(
            task: task,
            model: ModelConfig(
                dModel: dModel,
                layers: [LayerConfig(mixer: mixer, knobs: knobs)],
                stateMixer: stateMixer
            ),
            training: TrainingConfig(epochs: epochs, batchSize: 10, learningRate: learningRate),
            seed: seed
        ),
        taskHash: taskHash ?? task.contentHash()
    )
}

let suiteRecord = SuiteRecord(
    name: "quick",
    description: "six mixers",
    controlModel: "attention",
    controlMinimum: 0.99,
    contentHash: "abc"
)
let modelFacts = ModelFacts(
    parameters: 1000,
    stateBytes: 2048,
    stateBytesZoology: nil,
    stateItems: [
        StateItem(layer: 0, mixer: "base-conv", kind: .convolution, bytes: 512),
        StateItem(layer: 1, mixer: "linear-attention", kind: .recurrent, bytes: 1536),
    ]
)
let execution = Execution(device: "cpu test", version: "1.0", commit: "abc123")

func epochRecord(_ epoch: Int, trainLoss: Double = 1.5, accuracy: Double = 0.5) -> EpochRecord {
    EpochRecord(
        epoch: epoch,
        step: 10 * epoch,
        learningRate: 0.01,
        trainLoss: trainLoss,
        validationLoss: 1.25,
        validationAccuracy: accuracy,
        seconds: Double(epoch)
    )
}

func runResult(testAccuracy: Double = 0.75) -> RunResult {
    RunResult(
        epochs: 3,
        steps: 30,
        trainLoss: 0.5,
        validationLoss: 0.6,
        validationAccuracy: 0.8,
        testLoss: 0.7,
        testAccuracy: testAccuracy,
        slices: [
            SliceAccuracy(split: .test, sequenceLength: 64, kvPairs: 8, examples: 100, accuracy: testAccuracy),
            SliceAccuracy(split: .validation, sequenceLength: 64, kvPairs: 8, examples: 100, accuracy: 0.8),
            // The same lengths again: a task may repeat a segment.
            SliceAccuracy(split: .test, sequenceLength: 64, kvPairs: 8, examples: 50, accuracy: 0.1),
        ],
        trainSeconds: 12.5,
        tokensPerSecond: 1e5
    )
}

/// The identity of a process on this machine that has ended.
func deadProcess() throws -> ProcessIdentity {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sleep")
    process.arguments = ["60"]
    try process.run()
    var identity = ProcessIdentity.current
    identity.pid = process.processIdentifier
    identity.startTime = try #require(ProcessIdentity.processStart(process.processIdentifier))
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    return identity
}
