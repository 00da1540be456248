import Foundation
import RecallStore

extension StatusSnapshot {
    /// The snapshot as a line of JSON, keys sorted, without its newline. Keys without a value are left out.
    ///
    /// | key | what |
    /// | --- | --- |
    /// | time | when it was looked at, ISO 8601 |
    /// | database | the file, as the user named it |
    /// | runs, pending, running, finished, failed, interrupted | counts over all suites, a run of several counted once |
    /// | seconds_left | at most, with as many runs at once as now |
    /// | is_over | whether nothing is left to train |
    /// | suites | a list of objects: suite, the counts, seconds_left, running_runs, failed_runs |
    ///
    /// Of running_runs: run_id, label, epoch, total_epochs, train_loss, validation_accuracy, seconds_left, host, pid; of
    /// failed_runs: run_id, label, error.
    public func jsonLine(database: String, time: Date) -> String {
        let line = Line(
            time: Timestamp.text(time),
            database: database,
            counts: Counts(counts),
            secondsLeft: secondsLeft?.finite,
            isOver: isOver,
            suites: suites.map(SuiteLine.init)
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(line) else { preconditionFailure("a snapshot did not encode") }
        return String(decoding: data, as: UTF8.self)
    }
}

private struct Line: Encodable {
    let time: String
    let database: String
    let counts: Counts
    let secondsLeft: Double?
    let isOver: Bool
    let suites: [SuiteLine]

    enum CodingKeys: String, CodingKey {
        case time, database, suites
        case secondsLeft = "seconds_left"
        case isOver = "is_over"
    }

    func encode(to encoder: any Encoder) throws {
        try counts.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(time, forKey: .time)
        try container.encode(database, forKey: .database)
        try container.encodeIfPresent(secondsLeft, forKey: .secondsLeft)
        try container.encode(isOver, forKey: .isOver)
        try container.encode(suites, forKey: .suites)
    }
}

private struct Counts: Encodable {
    let runs, pending, running, finished, failed, interrupted: Int

    init(_ counts: StatusCounts) {
        (runs, pending, running) = (counts.total, counts.pending, counts.running)
        (finished, failed, interrupted) = (counts.finished, counts.failed, counts.interrupted)
    }
}

private struct SuiteLine: Encodable {
    let suite: StatusSnapshot.Suite

    enum CodingKeys: String, CodingKey {
        case suite
        case secondsLeft = "seconds_left"
        case runningRuns = "running_runs"
        case failedRuns = "failed_runs"
    }

    func encode(to encoder: any Encoder) throws {
        try Counts(suite.counts).encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(suite.name, forKey: .suite)
        try container.encodeIfPresent(suite.secondsLeft?.finite, forKey: .secondsLeft)
        try container.encode(suite.running.map(RunningLine.init), forKey: .runningRuns)
        try container.encode(suite.failures.map(FailureLine.init), forKey: .failedRuns)
    }
}

private struct RunningLine: Encodable {
    let runID, label: String
    let epoch, totalEpochs: Int
    let trainLoss, validationAccuracy, secondsLeft: Double?
    let host: String
    let pid: Int32

    init(_ run: StatusSnapshot.Running) {
        (runID, label, epoch, totalEpochs) = (run.runID, run.label, run.epoch, run.totalEpochs)
        (trainLoss, validationAccuracy) = (run.trainLoss?.finite, run.validationAccuracy?.finite)
        (secondsLeft, host, pid) = (run.secondsLeft?.finite, run.host, run.pid)
    }

    enum CodingKeys: String, CodingKey {
        case label, epoch, host, pid
        case runID = "run_id"
        case totalEpochs = "total_epochs"
        case trainLoss = "train_loss"
        case validationAccuracy = "validation_accuracy"
        case secondsLeft = "seconds_left"
    }
}

private struct FailureLine: Encodable {
    let runID, label, error: String

    init(_ failure: StatusSnapshot.Failure) {
        (runID, label, error) = (failure.runID, failure.label, failure.error)
    }

    enum CodingKeys: String, CodingKey {
        case label, error
        case runID = "run_id"
    }
}

extension Double {
    /// nil for what JSON has no number for.
    fileprivate var finite: Double? { isFinite ? self : nil }
}
