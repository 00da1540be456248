import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTensor

/// What a run tells while it trains. Called on the run's own thread.
public protocol TrainingObserver {
    /// Before anything is trained.
    ///
    /// - Parameters:
    ///   - step: steps that a checkpoint has done already; 0 for a run that begins.
    ///   - refusal: why the checkpoint that is there could not be used; nil where it could, or there is none.
    func willTrain(fromStep step: Int, refusal: String?) throws

    /// After every optimiser step. Must be quick.
    ///
    /// - Parameters:
    ///   - step: steps done, over the whole run.
    ///   - loss: the mean over the step's labelled positions.
    func didStep(_ step: Int, of totalSteps: Int, loss: Double) throws

    /// After an epoch's training and validation, when its checkpoint is safe. A continued run reports the epoch that it
    /// continues after once more.
    ///
    /// - Throws: whatever keeping the record can meet; the run ends with it.
    func didFinishEpoch(_ record: EpochRecord) throws
}

extension TrainingObserver {
    public func willTrain(fromStep step: Int, refusal: String?) {}
}

/// Why a run ended without a result.
public enum RunError: Error, Equatable, Sendable {
    /// A stop was asked for; the last epoch's checkpoint stands.
    case stopped
    /// NaN or infinity, where it was first seen.
    case notFinite(step: Int, tensor: String)
    case outOfMemory(bytes: Int)
    /// A checkpoint that is not this run's or not whole.
    case checkpoint(String)
}

extension RunError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .stopped: "interrupted"
        case .notFinite(let step, let tensor):
            "not finite at step \(step): \(tensor); a smaller learning rate may help"
        case .outOfMemory(let bytes): "out of memory: a tensor of \(bytes) bytes did not fit"
        case .checkpoint(let text): text
        }
    }
}

/// Trains one model on one task and measures it.
///
/// Learning rate and stopping look at validation only; what is reported is the test split's, once, at the end.
public final class Trainer {
    private let task: MQARTask
    private let training: TrainingConfig
    private let seed: UInt64
    private let generator: MQARGenerator
    private let backend: any Backend
    let arena: Arena
    private let stop: StopRequest?
    public let model: LanguageModel

    private var step = 0
    private var trainSeconds = 0.0
    private var totalSeconds = 0.0
    private var lastRecord: EpochRecord?
    /// The fixed training data, made once.
    private var fixedData: [SegmentData] = []

    /// - Parameters:
    ///   - task: one that `validate()` accepts.
    ///   - model: resolved.
    ///   - seed: keys initialisation, dropout and order.
    ///   - stop: polled before every kernel, between its blocks, and while data are made.
    /// - Throws: `BackendError.outOfMemory`.
    public init(
        task: MQARTask, model: ModelConfig, training: TrainingConfig, seed: UInt64, backend: any Backend,
        stop: StopRequest? = nil
    ) throws {
        (self.task, self.training, self.seed, self.backend, self.stop) = (task, training, seed, backend, stop)
        generator = MQARGenerator(task)
        arena = try Arena(backend: backend)
        self.model = try LanguageModel(
            model, vocabulary: task.vocabSize, maximumLength: task.maximumLength, backend: backend, seed: seed)
    }

    /// The most memory that training has taken so far, in bytes: tensors, parameters with their gradients and moments, and
    /// the kernels' workspaces. Data on the host are not in it. `model.plan` tells before training what a step will take.
    public var peakBytes: Int { arena.peakBytes + model.store.bytes + backend.workspaceBytes }
    /// How often that grew: constant in steady state.
    package var memoryGrowths: Int { arena.growths + backend.workspaceGrowths }

    /// Steps of the whole run, if nothing stops it early.
    public var totalSteps: Int { stepsPerEpoch * training.epochs }

    private var stepsPerEpoch: Int {
        BatchPlan.count(counts: task.train.map(\.examples), batchSize: training.batchSize)
    }

    /// Trains from the beginning, or from the checkpoint's epoch on, and evaluates.
    ///
    /// - Parameters:
    ///   - checkpoint: written after every epoch, and continued from where it exists and is this run's and whole; otherwise
    ///     the run begins anew, and the observer is told why.
    ///   - runID: the identity that a checkpoint must carry.
    /// - Throws: `RunError`, or what the observer or the disk threw.
    public func run(
        checkpoint: CheckpointFile?, runID: String, specification: String, observer: some TrainingObserver
    ) throws -> RunResult {
        let refusal = try resume(from: checkpoint, runID: runID)
        try observer.willTrain(fromStep: step, refusal: refusal)
        if let lastRecord { try observer.didFinishEpoch(lastRecord) }
        var epoch = lastRecord?.epoch ?? 0
        while epoch < training.epochs, !hasReachedTarget {
            let record = try trainEpoch(epoch, observer)
            epoch += 1
            lastRecord = record
            try checkpoint?.write(
                model.store,
                CheckpointMetadata(
                    runID: runID, specification: specification, record: record, trainSeconds: trainSeconds))
            try observer.didFinishEpoch(record)
        }
        let test = try evaluate(.test)
        let validation = try evaluate(.validation)
        return RunResult(
            epochs: epoch, steps: step, trainLoss: lastRecord?.trainLoss ?? .nan,
            validationLoss: validation.loss, validationAccuracy: validation.accuracy, testLoss: test.loss,
            testAccuracy: test.accuracy,
            slices: validation.accuracies(of: .validation) + test.accuracies(of: .test),
            trainSeconds: trainSeconds,
            tokensPerSecond: trainSeconds > 0
                ? Double(epoch) * Double(task.tokensPerEpoch) / trainSeconds : 0)
    }

    private var hasReachedTarget: Bool {
        guard let target = training.stopAtAccuracy, let lastRecord else { return false }
        return lastRecord.validationAccuracy > target
    }

    // MARK: - Training

    private func trainEpoch(_ epoch: Int, _ observer: some TrainingObserver) throws -> EpochRecord {
        let began = ContinuousClock.now
        let data = try trainingData(epoch: epoch)
        let batches = BatchPlan.batches(
            counts: data.map(\.count), batchSize: training.batchSize, order: training.order, seed: seed,
            epoch: epoch)
        var lossSum = 0.0
        var labels = 0
        var rate = training.learningRate
        for planned in batches {
            rate = training.learningRate(epoch: epoch, step: step, totalSteps: totalSteps)
            let batch = HostBatch(data[planned.segment], examples: planned.examples)
            let batchLoss = try trainStep(batch, learningRate: rate)
            lossSum += batchLoss
            labels += batch.labels.count
            try observer.didStep(step, of: totalSteps, loss: batchLoss / Double(batch.labels.count))
        }
        trainSeconds += seconds(since: began)
        let validation = try evaluate(.validation)
        totalSeconds += seconds(since: began)
        return EpochRecord(
            epoch: epoch + 1, step: step, learningRate: rate, trainLoss: lossSum / Double(labels),
            validationLoss: validation.loss, validationAccuracy: validation.accuracy, seconds: totalSeconds)
    }

    private func trainingData(epoch: Int) throws(RunError) -> [SegmentData] {
        guard fixedData.isEmpty else { return fixedData }
        var data: [SegmentData] = []
        for (index, segment) in task.train.enumerated() {
            let first = training.data == .fresh ? epoch * segment.examples : 0
            data.append(try makeData(.train, index, first: first, count: segment.examples))
        }
        if training.data == .fixed { fixedData = data }
        return data
    }

    func makeData(
        _ split: Split, _ index: Int, first: Int, count: Int
    ) throws(RunError) -> SegmentData {
        try GeneratedExamples(generator, split, stop: stop).examples(index, first: first, count: count)
    }

    /// Forward, backward and AdamW on one batch.
    ///
    /// - Returns: the sum of the losses at its labelled positions.
    package func trainStep(
        _ batch: HostBatch, learningRate: Double, profile: StepProfile? = nil
    ) throws(RunError) -> Double {
        let loss = try gradients(batch, isDiagnosing: false, profile: profile)
        guard loss.isFinite else { throw diagnose(batch) }
        step += 1
        let decaysAll = training.decay == .all
        let decay = Float(training.weightDecay)
        let began = ContinuousClock.now
        model.store.update(
            AdamWStep(learningRate: Float(learningRate), weightDecay: decay, step: step),
            weightDecay: { decaysAll || !$0.isExemptFromDecay ? decay : 0 })
        profile?.addUpdate(seconds: seconds(since: began), numbers: model.parameterCount)
        return loss
    }

    private func gradients(
        _ batch: HostBatch, isDiagnosing: Bool, profile: StepProfile? = nil
    ) throws(RunError) -> Double {
        model.store.beginStep()
        let tape = Tape(
            arena: arena, isTraining: true, seed: seed, step: step, stop: stop, isDiagnosing: isDiagnosing,
            profile: profile)
        // No tensor of the head is kept: what backward does not need goes back before it.
        let loss = try tape.sum(
            model.loss(tape.input(batch), labels: tape.integers(batch.labels), tape).losses, step: step + 1)
        guard loss.isFinite || isDiagnosing else { return loss }
        do { try tape.backward() } catch { throw RunError(error, step: step + 1) }
        return loss
    }

    /// Does a step that gave NaN or infinity once more, looking at every tensor, to name the first that did.
    private func diagnose(_ batch: HostBatch) -> RunError {
        if let parameter = model.store.firstNotFinite() {
            return .notFinite(step: step + 1, tensor: "parameter \(parameter), after the step before")
        }
        do {
            _ = try gradients(batch, isDiagnosing: true)
            return .notFinite(step: step + 1, tensor: "loss")
        } catch { return error }
    }

    // MARK: - Evaluation

    func evaluate(_ split: Split) throws -> Evaluation {
        try Evaluator(model, arena: arena, batchSize: training.batchSize, stop: stop).evaluate(
            GeneratedExamples(generator, split, stop: stop), name: split.rawValue, step: step)
    }

    // MARK: - Continuing

    /// - Returns: why the checkpoint cannot be used; nil where it can, or there is none.
    private func resume(from checkpoint: CheckpointFile?, runID: String) throws -> String? {
        guard let checkpoint, checkpoint.exists else { return nil }
        let metadata: CheckpointMetadata
        do {
            metadata = try checkpoint.read(into: model.store, runID: runID)
        } catch RunError.checkpoint(let reason) { return reason }
        step = metadata.record.step
        trainSeconds = metadata.trainSeconds
        totalSeconds = metadata.record.seconds
        lastRecord = metadata.record
        return nil
    }

    func seconds(since start: ContinuousClock.Instant) -> Double {
        (ContinuousClock.now - start) / .seconds(1)
    }
}

extension RunError {
    init(_ error: TapeError, step: Int) {
        switch error {
        case .stopped: self = .stopped
        case .outOfMemory(let bytes): self = .outOfMemory(bytes: bytes)
        case .notFinite(let tensor): self = .notFinite(step: step, tensor: tensor)
        }
    }
}

extension MQARTask {
    /// Tokens of one pass over the training split.
    public var tokensPerEpoch: Int { train.reduce(0) { $0 + $1.examples * $1.sequenceLength } }
}
