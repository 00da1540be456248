import RecallKernels

/// How the learning rate moves over a run (docs/math/backbone.md, section 9).
public enum ScheduleKind: String, Codable, CaseIterable, Sendable {
    /// lr/2·(1 + cos(π·epoch/epochs)), constant inside an epoch: the published harness's.
    case cosineEpoch = "cosine-epoch"
    /// The same curve, moved at every step.
    case cosineStep = "cosine-step"
    case constant
}

/// Which parameters weight decay touches.
public enum DecayKind: String, Codable, CaseIterable, Sendable {
    /// All but biases, norm gains, A_log, D and the dt bias.
    case exempt
    /// Every parameter: the published harness's.
    case all
}

/// The order in which an epoch walks its batches.
public enum OrderKind: String, Codable, CaseIterable, Sendable {
    /// Segments and examples as they stand, the same in every epoch: the published harness's.
    case published
    /// Examples shuffled within their segment and batches over all segments, anew every epoch: the default.
    case shuffled
}

/// Whether an epoch sees the examples of the epoch before.
public enum DataKind: String, Codable, CaseIterable, Sendable {
    /// One set, reused every epoch: the published harness's.
    case fixed
    /// New examples every epoch from the same generator, at no cost: the default, since nothing can be learnt by heart.
    case fresh
}

/// How one run trains: a suite's `training` with every grid resolved to one value.
public struct TrainingConfig: Hashable, Codable, Sendable {
    public var epochs: Int
    /// Examples a step.
    public var batchSize: Int
    public var learningRate: Double
    public var weightDecay: Double
    public var decay: DecayKind
    public var schedule: ScheduleKind
    public var order: OrderKind
    public var data: DataKind
    /// Stops after an epoch whose validation accuracy is above this; nil trains all epochs.
    public var stopAtAccuracy: Double?
    /// Of matrix products; a CPU has fp32 alone.
    public var precision: Arithmetic

    public init(
        epochs: Int,
        batchSize: Int,
        learningRate: Double,
        weightDecay: Double = 0.1,
        decay: DecayKind = .exempt,
        schedule: ScheduleKind = .cosineEpoch,
        order: OrderKind = .shuffled,
        data: DataKind = .fresh,
        stopAtAccuracy: Double? = nil,
        precision: Arithmetic = .fp32
    ) {
        (self.epochs, self.batchSize, self.learningRate) = (epochs, batchSize, learningRate)
        (self.weightDecay, self.decay, self.schedule) = (weightDecay, decay, schedule)
        (self.order, self.data, self.stopAtAccuracy, self.precision) = (order, data, stopAtAccuracy, precision)
    }

    enum CodingKeys: String, CodingKey {
        case epochs
        case batchSize = "batch_size"
        case learningRate = "learning_rate"
        case weightDecay = "weight_decay"
        case decay, schedule, order, data
        case stopAtAccuracy = "stop_at_accuracy"
        case precision
    }
}
