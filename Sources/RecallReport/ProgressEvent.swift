import RecallTraining

/// One line of `--json`: an object with `event` and, besides `elapsed_seconds` since the display began, the keys below.
/// Keys without a value, and numbers that are not finite, are left out.
///
/// | event | keys |
/// | --- | --- |
/// | suite_started | suite, runs |
/// | run_started | run_id, label, step (where it goes on from), total_steps |
/// | progress | run_id, step, total_steps, loss, validation_accuracy, run_seconds_left, seconds_left (of the whole) |
/// | epoch_finished | run_id, epoch, step, learning_rate, train_loss, validation_loss, validation_accuracy, seconds |
/// | run_finished | run_id, epochs, steps, train_loss, validation_loss, validation_accuracy, test_loss, test_accuracy, train_seconds, tokens_per_second |
/// | run_failed | run_id, error |
/// | run_finished_elsewhere | run_id, label: another process has finished it |
/// | run_interrupted | run_id, step |
/// | note | message |
/// | suite_finished | suite, runs, finished (here), failed, interrupted, finished_elsewhere, held_elsewhere (in training by another process) |
struct ProgressEvent: Encodable {
    let event: String
    let elapsedSeconds: Double
    var suite: String?
    var runs: Int?
    var runID: String?
    var label: String?
    var step: Int?
    var totalSteps: Int?
    var epoch: Int?
    var epochs: Int?
    var steps: Int?
    var learningRate: Double?
    var loss: Double?
    var trainLoss: Double?
    var validationLoss: Double?
    var validationAccuracy: Double?
    var testLoss: Double?
    var testAccuracy: Double?
    var seconds: Double?
    var trainSeconds: Double?
    var tokensPerSecond: Double?
    var runSecondsLeft: Double?
    var secondsLeft: Double?
    var error: String?
    var message: String?
    var finished: Int?
    var failed: Int?
    var interrupted: Int?
    var finishedElsewhere: Int?
    var heldElsewhere: Int?

    init(_ event: String, elapsed: Double, runID: String? = nil) {
        (self.event, elapsedSeconds, self.runID) = (event, elapsed, runID)
    }

    enum CodingKeys: String, CodingKey {
        case event
        case elapsedSeconds = "elapsed_seconds"
        case suite, runs
        case runID = "run_id"
        case label, step
        case totalSteps = "total_steps"
        case epoch, epochs, steps
        case learningRate = "learning_rate"
        case loss
        case trainLoss = "train_loss"
        case validationLoss = "validation_loss"
        case validationAccuracy = "validation_accuracy"
        case testLoss = "test_loss"
        case testAccuracy = "test_accuracy"
        case seconds
        case trainSeconds = "train_seconds"
        case tokensPerSecond = "tokens_per_second"
        case runSecondsLeft = "run_seconds_left"
        case secondsLeft = "seconds_left"
        case error, message, finished, failed, interrupted
        case finishedElsewhere = "finished_elsewhere"
        case heldElsewhere = "held_elsewhere"
    }

    mutating func set(_ epoch: EpochRecord) {
        (self.epoch, step, learningRate) = (epoch.epoch, epoch.step, epoch.learningRate)
        (trainLoss, validationLoss) = (epoch.trainLoss, epoch.validationLoss)
        (validationAccuracy, seconds) = (epoch.validationAccuracy, epoch.seconds)
    }

    mutating func set(_ result: RunResult) {
        (epochs, steps, trainLoss) = (result.epochs, result.steps, result.trainLoss)
        (validationLoss, validationAccuracy) = (result.validationLoss, result.validationAccuracy)
        (testLoss, testAccuracy) = (result.testLoss, result.testAccuracy)
        (trainSeconds, tokensPerSecond) = (result.trainSeconds, result.tokensPerSecond)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        func put(_ value: Double?, _ key: CodingKeys) throws {
            // JSON has no infinity.
            if let value, value.isFinite { try container.encode(value, forKey: key) }
        }
        try container.encode(event, forKey: .event)
        try put(elapsedSeconds, .elapsedSeconds)
        try container.encodeIfPresent(suite, forKey: .suite)
        try container.encodeIfPresent(runID, forKey: .runID)
        try container.encodeIfPresent(label, forKey: .label)
        try container.encodeIfPresent(error, forKey: .error)
        try container.encodeIfPresent(message, forKey: .message)
        let counts: [(Int?, CodingKeys)] = [
            (runs, .runs), (step, .step), (totalSteps, .totalSteps), (epoch, .epoch), (epochs, .epochs),
            (steps, .steps), (finished, .finished), (failed, .failed), (interrupted, .interrupted),
            (finishedElsewhere, .finishedElsewhere), (heldElsewhere, .heldElsewhere),
        ]
        for (value, key) in counts { try container.encodeIfPresent(value, forKey: key) }
        let numbers: [(Double?, CodingKeys)] = [
            (learningRate, .learningRate), (loss, .loss), (trainLoss, .trainLoss),
            (validationLoss, .validationLoss), (validationAccuracy, .validationAccuracy), (testLoss, .testLoss),
            (testAccuracy, .testAccuracy), (seconds, .seconds), (trainSeconds, .trainSeconds),
            (tokensPerSecond, .tokensPerSecond), (runSecondsLeft, .runSecondsLeft), (secondsLeft, .secondsLeft),
        ]
        for (value, key) in numbers { try put(value, key) }
    }
}
