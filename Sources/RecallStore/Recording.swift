import GRDB
import RecallSuite
import RecallTraining

/// How a suite that searches learning rates goes on when a run of it has ended. It is asked in the transaction that records
/// the end: nobody sees the suite with nothing left while its search is not over.
public struct SearchStep {
    /// The suite's name.
    let suite: String
    let next: ([String: LearningRateTrial]) throws -> [(run: PlannedRun, facts: ModelFacts)]

    /// - Parameters:
    ///   - suite: one that has been planned.
    ///   - next: the runs that join the suite, from what its runs have come to by their ids. Must be quick: the database is
    ///     locked meanwhile.
    public init(
        suite: String,
        next: @escaping ([String: LearningRateTrial]) throws -> [(run: PlannedRun, facts: ModelFacts)]
    ) {
        (self.suite, self.next) = (suite, next)
    }
}

extension Store {
    /// Records an epoch of a run that this process holds, and beats its heart.
    ///
    /// A continued run may repeat an epoch: the record replaces the old one and removes those after it.
    public func recordEpoch(_ runID: String, _ epoch: EpochRecord) throws(StoreError) {
        try write { db in
            try self.requireLease(runID, db)
            try db.execute(
                sql: "DELETE FROM history WHERE run_id = ? AND epoch >= ?",
                arguments: [runID, epoch.epoch]
            )
            try db.execute(
                sql: """
                    INSERT INTO history (run_id, epoch, step, learning_rate, train_loss, validation_loss,
                        validation_accuracy, seconds)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    runID, epoch.epoch, epoch.step, epoch.learningRate, epoch.trainLoss, epoch.validationLoss,
                    epoch.validationAccuracy, epoch.seconds,
                ]
            )
            try db.execute(
                sql: """
                    UPDATE runs SET epochs = ?, steps = ?, train_loss = ?, validation_loss = ?, validation_accuracy = ?
                    WHERE run_id = ?
                    """,
                arguments: [
                    epoch.epoch, epoch.step, epoch.trainLoss, epoch.validationLoss, epoch.validationAccuracy,
                    runID,
                ]
            )
            try self.beat(runID, db)
            self.recorded.withLock { $0.epochs += 1 }
        }
    }

    /// Records a run's end, its slices with it and the runs that it has made necessary, and lets it go.
    public func finish(
        _ runID: String,
        _ result: RunResult,
        then step: SearchStep? = nil
    ) throws(StoreError) {
        try write { db in
            try self.requireLease(runID, db)
            try db.execute(sql: "DELETE FROM slices WHERE run_id = ?", arguments: [runID])
            var segments: [String: Int] = [:]
            for slice in result.slices {
                let split = slice.split.rawValue
                try db.execute(
                    sql: """
                        INSERT INTO slices (run_id, split, segment, sequence_length, kv_pairs, examples, accuracy)
                        VALUES (?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        runID, split, segments[split, default: 0], slice.sequenceLength, slice.kvPairs,
                        slice.examples,
                        slice.accuracy,
                    ]
                )
                segments[split, default: 0] += 1
            }
            try db.execute(
                sql: """
                    UPDATE runs SET epochs = ?, steps = ?, train_loss = ?, validation_loss = ?,
                        validation_accuracy = ?, test_loss = ?, test_accuracy = ?, train_seconds = ?,
                        tokens_per_second = ?, error = NULL, finished_at = ?
                    WHERE run_id = ?
                    """,
                arguments: [
                    result.epochs, result.steps, result.trainLoss, result.validationLoss,
                    result.validationAccuracy,
                    result.testLoss, result.testAccuracy, result.trainSeconds, result.tokensPerSecond,
                    Timestamp.text(self.now()), runID,
                ]
            )
            try Self.release(runID, as: .finished, db)
            try self.take(step, db)
            self.recorded.withLock { $0.ends += 1 }
        }
    }

    /// Records that a run failed, and why, with the runs that this has made necessary, and lets it go.
    public func fail(_ runID: String, error: String, then step: SearchStep? = nil) throws(StoreError) {
        try write { db in
            try self.requireLease(runID, db)
            try db.execute(
                sql: "UPDATE runs SET error = ?, finished_at = ? WHERE run_id = ?",
                arguments: [error, Timestamp.text(self.now()), runID]
            )
            try Self.release(runID, as: .failed, db)
            try self.take(step, db)
            self.recorded.withLock { $0.ends += 1 }
        }
    }

    /// Adds what a search has come to need to its suite.
    func take(_ step: SearchStep?, _ db: Database) throws {
        guard let step else { return }
        let added = try step.next(try trials(suite: step.suite, db))
        let time = Timestamp.text(now())
        for (run, facts) in added { try Self.insert(run, facts: facts, time: time, db) }
        try Self.append(added.map(\.run), to: step.suite, db)
    }

    /// Lets a run go that will be continued later.
    public func interrupt(_ runID: String) throws(StoreError) {
        try write { db in
            try self.requireLease(runID, db)
            try Self.release(runID, as: .interrupted, db)
        }
    }

    /// Adds a measurement.
    public func recordBenchmark(_ record: BenchmarkRecord) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: """
                    INSERT INTO benchmarks (kind, name, device, precision, threads, shape, median_ms, min_ms, floor_ms,
                        gflop, gbyte, examples_per_second, tokens_per_second, "commit", measured_at, peak_bytes,
                        state_bytes)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    record.kind, record.name, record.device, record.precision, record.threads, record.shape,
                    record.medianMilliseconds, record.minimumMilliseconds, record.floorMilliseconds,
                    record.gflop,
                    record.gbyte, record.examplesPerSecond, record.tokensPerSecond, record.commit,
                    Timestamp.text(record.measuredAt ?? self.now()), record.peakBytes, record.stateBytes,
                ]
            )
        }
    }
}
