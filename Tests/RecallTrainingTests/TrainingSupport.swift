import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTensor
import RecallTraining
import Testing

/// A small task: V = 64, 2 pairs in 16 tokens.
func smallTask(train: Int = 64, validation: Int = 20, test: Int = 20, segments: Int = 1) -> MQARTask {
    func split(_ examples: Int) -> [Segment] {
        (0..<segments).map { Segment(sequenceLength: 16 + 8 * $0, kvPairs: 2 + $0, examples: examples) }
    }
    return MQARTask(vocabSize: 64, train: split(train), validation: split(validation), test: split(test))
}

/// A preset at a width, resolved.
func presetModel(_ name: String, dModel: Int = 16, embedDropout: Double = 0.1) throws -> ModelConfig {
    let preset = try #require(ModelPresets.preset(name))
    return try ModelConfig(
        dModel: dModel,
        layers: preset.layers(),
        block: preset.block,
        stateMixer: preset.block == .mamba ? .none : preset.stateMixer ?? .identity,
        embedDropout: embedDropout,
        residualDropout: preset.block == .mamba ? 0 : 0.1,
        norm: preset.norm ?? .layer
    ).resolved()
}

/// Keeps what a run tells, and may ask it to stop.
final class Recorder: TrainingObserver {
    private(set) var records: [EpochRecord] = []
    private(set) var losses: [Double] = []
    /// Where the run began, and why not where its checkpoint ends.
    private(set) var start: (step: Int, refusal: String?)?
    private let stop: StopRequest?
    private let stopAfterEpoch: Int?
    private let stopAfterStep: Int?

    init(stop: StopRequest? = nil, stopAfterEpoch: Int? = nil, stopAfterStep: Int? = nil) {
        (self.stop, self.stopAfterEpoch, self.stopAfterStep) = (stop, stopAfterEpoch, stopAfterStep)
    }

    func willTrain(fromStep step: Int, refusal: String?) { start = (step, refusal) }

    func didStep(_ step: Int, of totalSteps: Int, loss: Double) {
        losses.append(loss)
        if step == stopAfterStep { stop?.raise() }
    }

    func didFinishEpoch(_ record: EpochRecord) {
        records.append(record)
        if record.epoch == stopAfterEpoch { stop?.raise() }
    }

    /// The records without their times.
    var timeless: [EpochRecord] {
        records.map {
            var record = $0
            record.seconds = 0
            return record
        }
    }
}

extension RunResult {
    /// The result without its times.
    var timeless: RunResult {
        var result = self
        result.trainSeconds = 0
        result.tokensPerSecond = 0
        return result
    }
}

extension Trainer {
    /// Every parameter's bits and its moments', by name.
    var bits: [String: [UInt32]] {
        var bits: [String: [UInt32]] = [:]
        for parameter in model.store.parameters {
            bits[parameter.name] = [parameter.value, parameter.firstMoment, parameter.secondMoment].flatMap {
                model.store.read($0, count: parameter.count).map(\.bitPattern)
            }
        }
        return bits
    }

    /// The values of a parameter.
    func values(_ parameter: Parameter) -> [Float] {
        model.store.read(parameter.value, count: parameter.count)
    }

    func run(_ observer: Recorder = Recorder()) throws -> RunResult {
        try run(checkpoint: nil, runID: "run", specification: "{}", observer: observer)
    }
}

/// A folder that goes when the test ends.
final class TemporaryFolder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
