import Foundation
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining

/// The events of `--json`, by their names there. What each holds is in docs/events.md and, for programs, in
/// docs/events.schema.json; tests hold both to what is printed.
package enum ProgressEventName: String, CaseIterable, Sendable {
    case suiteStarted = "suite_started"
    case runsAdded = "runs_added"
    case runStarted = "run_started"
    case progress
    case epochFinished = "epoch_finished"
    case runFinished = "run_finished"
    case runFailed = "run_failed"
    case runInterrupted = "run_interrupted"
    case runHeldElsewhere = "run_held_elsewhere"
    case runFinishedElsewhere = "run_finished_elsewhere"
    case note
    case controlVerdict = "control_verdict"
    case suiteFinished = "suite_finished"
}

/// One line of `--json`: an object with `event`, when and in which process it happened, and what the event has besides.
/// Keys without a value, and numbers that are not finite, are left out.
struct ProgressEvent {
    let event: ProgressEventName
    let time: Date
    let process: ProcessIdentity
    let elapsedSeconds: Double
    var runID: String?
    /// The keys of this event alone.
    private var values: [Key: any Encodable & Sendable] = [:]

    init(
        _ event: ProgressEventName,
        time: Date,
        elapsed: Double,
        process: ProcessIdentity,
        runID: String? = nil
    ) {
        (self.event, self.time, self.process) = (event, time, process)
        (elapsedSeconds, self.runID) = (elapsed, runID)
    }

    /// Every key that an event may have besides those that all have.
    enum Key: String, CodingKey {
        case suite, label, model, config, epoch, epochs, step, steps, seed, parameters, loss, seconds, slices
        case runs, jobs, threads, device, version, commit, error, message, finished, failed, interrupted
        case verdict, accuracy, added
        case dataSeed = "data_seed"
        case selectedRuns = "selected_runs"
        case alreadyFinished = "already_finished"
        case totalEpochs = "total_epochs"
        case totalSteps = "total_steps"
        case dModel = "d_model"
        case stateBytes = "state_bytes"
        case stateBytesZoology = "state_bytes_zoology"
        case learningRate = "learning_rate"
        case trainLoss = "train_loss"
        case validationLoss = "validation_loss"
        case validationAccuracy = "validation_accuracy"
        case testLoss = "test_loss"
        case testAccuracy = "test_accuracy"
        case trainSeconds = "train_seconds"
        case tokensPerSecond = "tokens_per_second"
        case runSecondsLeft = "run_seconds_left"
        case secondsLeft = "seconds_left"
        case holderHost = "holder_host"
        case holderPID = "holder_pid"
        case controlModel = "control_model"
        case minimumAccuracy = "minimum_accuracy"
        case finishedElsewhere = "finished_elsewhere"
        case heldElsewhere = "held_elsewhere"
    }

    subscript<Value: Encodable & Sendable>(key: Key) -> Value? {
        get { values[key] as? Value }
        set {
            // JSON has no infinity.
            if let number = newValue as? Double, !number.isFinite {
                values[key] = nil
                return
            }
            values[key] = newValue
        }
    }
}

extension ProgressEvent: Encodable {
    private enum CommonKey: String, CodingKey {
        case event, time, host, pid
        case elapsedSeconds = "elapsed_seconds"
        case runID = "run_id"
    }

    func encode(to encoder: any Encoder) throws {
        var common = encoder.container(keyedBy: CommonKey.self)
        try common.encode(event.rawValue, forKey: .event)
        try common.encode(Timestamp.text(time), forKey: .time)
        try common.encode(process.host, forKey: .host)
        try common.encode(process.pid, forKey: .pid)
        try common.encode(elapsedSeconds, forKey: .elapsedSeconds)
        try common.encodeIfPresent(runID, forKey: .runID)
        var container = encoder.container(keyedBy: Key.self)
        for (key, value) in values { try container.encode(value, forKey: key) }
    }

    /// The event as a line of JSON, keys sorted, with its newline.
    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("a progress event did not encode")
        }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}

// MARK: - What events take over whole

extension ProgressEvent {
    mutating func set(_ details: SittingDetails) {
        self[.selectedRuns] = details.selectedRuns
        self[.alreadyFinished] = details.alreadyFinished
        self[.jobs] = details.jobs
        self[.threads] = details.threads
        self[.device] = details.execution?.device
        self[.version] = details.execution?.version
        self[.commit] = details.execution?.commit
    }

    mutating func set(_ run: SittingDetails.Run) {
        let spec = run.planned.spec
        self[.model] = run.planned.model
        self[.config] = spec.model
        self[.dModel] = spec.model.dModel
        self[.learningRate] = spec.training.learningRate
        self[.seed] = spec.seed
        self[.dataSeed] = spec.task.dataSeed
        self[.totalEpochs] = spec.training.epochs
        self[.parameters] = run.facts.parameters
        self[.stateBytes] = run.facts.stateBytes
        self[.stateBytesZoology] = run.facts.stateBytesZoology
    }

    mutating func set(_ epoch: EpochRecord) {
        self[.epoch] = epoch.epoch
        self[.step] = epoch.step
        self[.learningRate] = epoch.learningRate
        self[.trainLoss] = epoch.trainLoss
        self[.validationLoss] = epoch.validationLoss
        self[.validationAccuracy] = epoch.validationAccuracy
        self[.seconds] = epoch.seconds
    }

    mutating func set(_ result: RunResult) {
        self[.epochs] = result.epochs
        self[.steps] = result.steps
        self[.trainLoss] = result.trainLoss
        self[.validationLoss] = result.validationLoss
        self[.validationAccuracy] = result.validationAccuracy
        self[.testLoss] = result.testLoss
        self[.testAccuracy] = result.testAccuracy
        self[.trainSeconds] = result.trainSeconds
        self[.tokensPerSecond] = result.tokensPerSecond
        self[.slices] = result.slices.map(Slice.init)
    }

    mutating func set(_ verdict: ControlVerdict) {
        self[.verdict] = verdict.name
        self[.message] = verdict.heading
        switch verdict {
        case .uncontrolled: break
        case .passes(let model, let accuracy, let minimum):
            self[.controlModel] = model
            self[.accuracy] = accuracy
            self[.minimumAccuracy] = minimum
        case .fails(let model, let accuracy, let minimum):
            self[.controlModel] = model
            self[.accuracy] = accuracy
            self[.minimumAccuracy] = minimum
        case .absent(let model): self[.controlModel] = model
        case .unfinished(let model, let finished, let runs):
            self[.controlModel] = model
            self[.finished] = finished
            self[.runs] = runs
        }
    }

    /// An accuracy by segment; its keys are those of the CSV table.
    private struct Slice: Encodable, Sendable {
        let split: String
        let sequenceLength, kvPairs, examples: Int
        let accuracy: Double?

        init(_ slice: SliceAccuracy) {
            (split, sequenceLength) = (slice.split.rawValue, slice.sequenceLength)
            (kvPairs, examples) = (slice.kvPairs, slice.examples)
            accuracy = slice.accuracy.isFinite ? slice.accuracy : nil
        }

        enum CodingKeys: String, CodingKey {
            case split, examples, accuracy
            case sequenceLength = "sequence_length"
            case kvPairs = "kv_pairs"
        }
    }
}

extension ControlVerdict {
    /// As `--json` has it.
    fileprivate var name: String {
        switch self {
        case .uncontrolled: "uncontrolled"
        case .passes: "passes"
        case .fails: "fails"
        case .absent: "absent"
        case .unfinished: "unfinished"
        }
    }
}
