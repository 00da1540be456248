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

    /// After an epoch's training and validation, when its checkpoint is safe; on a device that works behind the host's back
    /// the next epoch's first steps may come before. A continued run reports the epoch that it
    /// continues after once more.
    ///
    /// - Throws: whatever keeping the record can meet; the run ends with it.
    func didFinishEpoch(_ record: EpochRecord) throws

    /// Finished epochs that it has yet to record, in order: a run that is cut off now reports them again when it goes on.
    var epochsNotRecorded: [EpochRecord] { get }
}

extension TrainingObserver {
    public var epochsNotRecorded: [EpochRecord] { [] }
    public func willTrain(fromStep step: Int, refusal: String?) {}
}

/// Why a run ended without a result.
public enum RunError: Error, Equatable, Sendable {
    /// A stop was asked for; the last epoch's checkpoint stands.
    case stopped
    /// NaN or infinity, where it was first seen.
    case notFinite(step: Int, tensor: String)
    case outOfMemory(bytes: Int)
    /// The device or a library failed; the text says at what.
    case device(String)
    /// A checkpoint that is not this run's or not whole.
    case checkpoint(String)
}

extension RunError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .stopped: "interrupted"
        case .notFinite(let step, let tensor):
            "not finite at step \(step): \(tensor); a smaller learning rate may help"
        case .outOfMemory(let bytes): BackendError.outOfMemory(bytes: bytes).description
        case .device(let text), .checkpoint(let text): text
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
    let backend: any Backend
    let arena: Arena
    private let stop: StopRequest?
    public let model: LanguageModel

    private var step = 0
    private var trainSeconds = 0.0
    private var totalSeconds = 0.0
    private var lastRecord: EpochRecord?
    /// Those before it that a checkpoint says were not on record.
    private var epochsNotRecorded: [EpochRecord] = []
    /// Of the parameters as they are.
    private var lastValidation: Evaluation?
    /// An epoch whose checkpoint may be under way.
    private var unreported: EpochToReport?
    /// The fixed training data, made once.
    private var fixedData: [ExamplesOnDevice] = []
    /// The validation split, made once where it is small.
    private lazy var validation = KeptExamples(GeneratedExamples(generator, .validation, stop: stop))

    /// - Parameters:
    ///   - task: one that `validate()` accepts.
    ///   - model: resolved.
    ///   - seed: keys initialisation, dropout and order.
    ///   - stop: polled before every kernel, between its blocks, and while data are made.
    /// - Throws: `BackendError.outOfMemory`.
    public init(
        task: MQARTask,
        model: ModelConfig,
        training: TrainingConfig,
        seed: UInt64,
        backend: any Backend,
        stop: StopRequest? = nil
    ) throws {
        (self.task, self.training, self.seed, self.backend, self.stop) = (task, training, seed, backend, stop)
        generator = MQARGenerator(task)
        arena = try Arena(backend: backend)
        self.model = try LanguageModel(
            model,
            vocabulary: task.vocabSize,
            maximumLength: task.maximumLength,
            backend: backend,
            seed: seed
        )
    }

    /// The most memory that training has taken so far, in bytes: tensors, parameters with their gradients and moments, and
    /// the kernels' workspaces. Data are not in it. `model.plan` tells before training what a step will take.
    public var peakBytes: Int { arena.peakBytes + model.store.bytes + backend.workspaceBytes }
    /// How often that grew: constant in steady state.
    package var memoryGrowths: Int { arena.growths + backend.workspaceGrowths }

    /// Steps of the whole run, if nothing stops it early.
    public var totalSteps: Int { stepsPerEpoch.times(training.epochs) }

    private var stepsPerEpoch: Int {
        BatchPlan.count(counts: task.train.map(\.examples), batchSize: training.batchSize)
    }

    /// Trains from the beginning, or from the checkpoint's epoch on, and evaluates.
    ///
    /// - Parameters:
    ///   - checkpoint: written after every epoch, and continued from where it is whole and agrees with all that is given here;
    ///     otherwise the run begins anew, and the observer is told why.
    ///   - runID: the identity that a checkpoint must carry.
    ///   - origin: where the run is trained; nil where nobody keeps a record of it.
    ///   - history: the epochs on record; nil where nobody keeps one.
    /// - Throws: `RunError`, or what the observer or the disk threw.
    public func run(
        checkpoint: CheckpointFile?,
        runID: String,
        specification: String,
        origin: CheckpointOrigin? = nil,
        history: [EpochRecord]? = nil,
        observer: some TrainingObserver
    ) throws -> RunResult {
        let check = CheckpointCheck(
            runID: runID,
            origin: origin,
            history: history,
            stepsPerEpoch: stepsPerEpoch,
            epochs: training.epochs
        )
        let refusal = try resume(from: checkpoint, check)
        try observer.willTrain(fromStep: step, refusal: refusal)
        for record in epochsNotRecorded { try observer.didFinishEpoch(record) }
        if let lastRecord { try observer.didFinishEpoch(lastRecord) }
        var epoch = lastRecord?.epoch ?? 0
        let test: Evaluation
        do {
            while epoch < training.epochs, !hasReachedTarget {
                let record = try trainEpoch(epoch, observer)
                epoch += 1
                lastRecord = record
                try reportEpoch(observer, waiting: true)
                let metadata = CheckpointMetadata(
                    runID: runID,
                    specification: specification,
                    record: record,
                    trainSeconds: trainSeconds,
                    epochsNotRecorded: observer.epochsNotRecorded,
                    origin: origin
                )
                unreported = try EpochToReport(metadata, model.store, to: checkpoint)
                // Behind the host's back the next epoch can begin meanwhile.
                try reportEpoch(observer, waiting: backend.stepsAhead == 1)
            }
            test = try evaluate(.test)
        } catch {
            do { try reportEpoch(observer, waiting: true) } catch let lost {
                // What ended the run comes first, but a stop that lost an epoch says so.
                throw error as? RunError == .stopped ? lost : error
            }
            throw error
        }
        try reportEpoch(observer, waiting: true)
        // A run that goes on after its last epoch has no evaluation of it yet.
        let validation = try lastValidation ?? evaluate(.validation)
        return RunResult(
            epochs: epoch,
            steps: step,
            trainLoss: lastRecord?.trainLoss ?? .nan,
            validationLoss: validation.loss,
            validationAccuracy: validation.accuracy,
            testLoss: test.loss,
            testAccuracy: test.accuracy,
            slices: validation.accuracies(of: .validation) + test.accuracies(of: .test),
            trainSeconds: trainSeconds,
            tokensPerSecond: trainSeconds > 0
                ? Double(epoch) * Double(task.tokensPerEpoch) / trainSeconds : 0
        )
    }

    /// Reports the last epoch, if its checkpoint is safe and that has not been done.
    ///
    /// - Parameter isWaiting: whether to wait for the checkpoint.
    /// - Throws: what the disk refused, and what the observer threw.
    private func reportEpoch(_ observer: some TrainingObserver, waiting isWaiting: Bool = false) throws {
        guard let epoch = unreported, isWaiting || epoch.isSafe else { return }
        unreported = nil
        try observer.didFinishEpoch(try epoch.record())
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
            counts: data.map(\.count),
            batchSize: training.batchSize,
            order: training.order,
            seed: seed,
            epoch: epoch
        )
        let order = try ArrayOnDevice(batches.flatMap(\.examples), backend: backend)
        let sums = try ArrayOnDevice([Double](repeating: .nan, count: batches.count), backend: backend)
        var (loss, firstExample) = (MeanLoss(), 0)
        var rate = training.learningRate
        let firstStep = step
        var underWay = StepsUnderWay(backend)
        for (index, planned) in batches.enumerated() {
            rate = training.learningRate(epoch: epoch, step: firstStep + index, totalSteps: totalSteps)
            let batch = BatchOnDevice(
                data[planned.segment],
                count: planned.examples.count,
                order: order,
                first: firstExample
            )
            try queueStep(
                batch,
                learningRate: rate,
                after: firstStep + index - step,
                slot: index,
                losses: sums
            )
            firstExample += planned.examples.count
            let isLast = index + 1 == batches.count
            underWay.queued(index + 1, endsGroup: isLast)
            while let group = underWay.next(isLast: isLast) {
                for (slot, sum) in zip(group.steps, try sums.read(group.steps, after: group.mark)) {
                    try finishStep(batches[slot], sum, data[batches[slot].segment], &loss, observer)
                }
                try reportEpoch(observer)
            }
        }
        trainSeconds += seconds(since: began)
        let validation = try evaluate(.validation)
        lastValidation = validation
        totalSeconds += seconds(since: began)
        return EpochRecord(
            epoch: epoch + 1,
            step: step,
            learningRate: rate,
            trainLoss: loss.sum / Double(loss.labels),
            validationLoss: validation.loss,
            validationAccuracy: validation.accuracy,
            seconds: totalSeconds
        )
    }

    /// Losses of an epoch's steps and the labels that they are of.
    private struct MeanLoss {
        var sum = 0.0
        var labels = 0
    }

    /// Counts a step that the device has done.
    ///
    /// - Parameters:
    ///   - sum: of the losses at the batch's labelled positions.
    ///   - data: of the batch's segment.
    private func finishStep(
        _ batch: PlannedBatch,
        _ sum: Double,
        _ data: ExamplesOnDevice,
        _ loss: inout MeanLoss,
        _ observer: some TrainingObserver
    ) throws {
        guard sum.isFinite else { throw diagnose(try HostBatch(data, examples: batch.examples)) }
        let labels = batch.examples.count * data.pairs
        loss.sum += sum
        loss.labels += labels
        step += 1
        try observer.didStep(step, of: totalSteps, loss: sum / Double(labels))
    }

    private func trainingData(epoch: Int) throws -> [ExamplesOnDevice] {
        guard fixedData.isEmpty else { return fixedData }
        var data: [ExamplesOnDevice] = []
        for (index, segment) in task.train.enumerated() {
            let first =
                training.data == .fresh ? epoch * segment.examples : 0
            data.append(try trainingExamples(index, first: first, count: segment.examples))
        }
        if training.data == .fixed { fixedData = data }
        return data
    }

    /// Examples of a segment of the training split.
    ///
    /// - Throws: `RunError.stopped`, `BackendError.outOfMemory`.
    func trainingExamples(_ segment: Int, first: Int, count: Int) throws -> ExamplesOnDevice {
        try GeneratedExamples(generator, .train, stop: stop).examples(
            segment,
            first: first,
            count: count,
            on: backend
        )
    }

    private func update(step: Int, learningRate: Double) -> AdamWStep {
        AdamWStep(learningRate: Float(learningRate), weightDecay: Float(training.weightDecay), step: step)
    }

    /// Forward, backward and AdamW on one batch, whose loss is in its slot when the device has done it. A batch whose loss
    /// is not finite changes nothing.
    ///
    /// - Parameter unread: steps before this one that `step` does not count yet.
    func queueStep(
        _ batch: BatchOnDevice,
        learningRate: Double,
        after unread: Int = 0,
        slot: Int,
        losses: ArrayOnDevice<Double>
    ) throws(RunError) {
        let update = update(step: step + unread + 1, learningRate: learningRate)
        let scalars = batch.scalars(update, slot: slot, losses: losses, correct: losses)
        try batch.queue("train", scalars, arena: arena, stop: stop, step: update.step) {
            let tape = beginStep(isDiagnosing: false, profile: nil, step: update.step - 1)
            let (input, labels) = tape.batch(batch.shape)
            // No tensor of the head is kept: what backward does not need goes back before it.
            let goesOn = tape.recordLoss(model.loss(input, labels: labels, tape).losses)
            try tape.check()
            guard goesOn else { return }
            try tape.backward()
            applyUpdate(update)
        }
    }

    /// The same at once, for a batch that the host has.
    ///
    /// - Returns: the sum of the losses at its labelled positions.
    package func trainStep(
        _ batch: HostBatch,
        learningRate: Double,
        profile: StepProfile? = nil
    ) throws(RunError) -> Double {
        let loss = try gradients(batch, isDiagnosing: false, profile: profile)
        guard loss.isFinite else { throw diagnose(batch) }
        step += 1
        let began = ContinuousClock.now
        applyUpdate(update(step: step, learningRate: learningRate))
        profile?.addUpdate(seconds: seconds(since: began), numbers: model.parameterCount)
        return loss
    }

    private func applyUpdate(_ update: AdamWStep) {
        let decaysAll = training.decay == .all
        model.store.update(
            update,
            weightDecay: { decaysAll || !$0.isExemptFromDecay ? update.weightDecay : 0 }
        )
    }

    private func beginStep(isDiagnosing: Bool, profile: StepProfile?, step: Int) -> Tape {
        model.store.beginStep()
        return Tape(
            arena: arena,
            isTraining: true,
            seed: seed,
            step: step,
            stop: stop,
            isDiagnosing: isDiagnosing,
            profile: profile
        )
    }

    private func gradients(
        _ batch: HostBatch,
        isDiagnosing: Bool,
        profile: StepProfile? = nil
    ) throws(RunError) -> Double {
        let tape = beginStep(isDiagnosing: isDiagnosing, profile: profile, step: step)
        // No tensor of the head is kept: what backward does not need goes back before it.
        let loss = try tape.sum(
            model.loss(tape.input(batch), labels: tape.integers(batch.labels), tape).losses,
            step: step + 1
        )
        guard loss.isFinite || isDiagnosing else { return loss }
        do { try tape.backward() } catch { throw RunError(error, step: step + 1) }
        return loss
    }

    /// Does a step that gave NaN or infinity once more, looking at every tensor, to name the first that did.
    func diagnose(_ batch: HostBatch) -> RunError {
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
        let evaluator = Evaluator(model, arena: arena, batchSize: training.batchSize, stop: stop)
        if split == .validation {
            return try evaluator.evaluate(validation, name: split.rawValue, step: step)
        }
        return try evaluator.evaluate(
            GeneratedExamples(generator, split, stop: stop),
            name: split.rawValue,
            step: step
        )
    }

    // MARK: - Continuing

    /// - Returns: why the checkpoint cannot be used; nil where it can, or there is none.
    private func resume(from checkpoint: CheckpointFile?, _ check: CheckpointCheck) throws -> String? {
        guard let checkpoint, checkpoint.exists else { return nil }
        let metadata: CheckpointMetadata
        do {
            metadata = try checkpoint.read(into: model.store, refusal: check.refusal)
        } catch RunError.checkpoint(let reason) { return reason }
        step = metadata.record.step
        trainSeconds = metadata.trainSeconds
        totalSeconds = metadata.record.seconds
        (lastRecord, epochsNotRecorded) = (metadata.record, metadata.epochsNotRecorded)
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
        case .device(let error): self = RunError(error)
        }
    }

    init(_ error: BackendError) {
        if case .outOfMemory(let bytes) = error {
            self = .outOfMemory(bytes: bytes)
        } else {
            self = .device(error.description)
        }
    }
}

extension MQARTask {
    /// Tokens of one pass over the training split.
    public var tokensPerEpoch: Int { train.tokens }
}
