import Foundation
import GRDB
import RecallData
import RecallModels
import RecallSuite
import RecallTraining

extension Store {
    /// Every suite, by name.
    public func suites() throws(StoreError) -> [SuiteRecord] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM suites ORDER BY name").map { row in
                let search: String? = row["search"]
                return SuiteRecord(
                    name: row["name"], description: row["description"], controlModel: row["control_model"],
                    controlMinimum: row["control_minimum"], contentHash: row["content_hash"],
                    search: search.flatMap {
                        try? JSONDecoder().decode(LearningRateSearch.self, from: Data($0.utf8))
                    }, path: row["path"])
            }
        }
    }

    /// The suite of a name; nil where there is none.
    public func suite(named name: String) throws(StoreError) -> SuiteRecord? {
        try suites().first { $0.name == name }
    }

    /// How many runs stand where, in a suite or in all; a run whose process is gone counts as interrupted.
    public func counts(suite: String? = nil) throws(StoreError) -> StatusCounts {
        try read { db in
            var counts = StatusCounts()
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT status, lease_host, lease_machine, lease_pid, lease_process_start, lease_heartbeat
                    FROM runs WHERE ?1 IS NULL OR run_id IN (SELECT run_id FROM suite_runs WHERE suite = ?1)
                    """, arguments: [suite])
            while let row = try rows.next() { counts.add(try self.status(in: row)) }
            return counts
        }
    }

    /// The runs of a suite in its order, or of all suites and none.
    public func runs(suite: String? = nil) throws(StoreError) -> [StoredRun] {
        try read { db in
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT r.*, s.suite, s.model, s.task,
                        (SELECT MIN(train_loss) FROM history h WHERE h.run_id = r.run_id) AS lowest_train_loss,
                        (SELECT MAX(seconds) FROM history h WHERE h.run_id = r.run_id) AS seconds
                    FROM runs r LEFT JOIN suite_runs s USING (run_id)
                    WHERE ?1 IS NULL OR s.suite = ?1
                    ORDER BY s.suite IS NULL, s.suite, s.position, r.run_id
                    """, arguments: [suite])
            let items = try self.stateItems(suite: suite, db)
            let (curves, slices) = (
                try Self.validationCurves(suite: suite, db), try Self.sliceAccuracies(suite: suite, db)
            )
            var runs: [StoredRun] = []
            while let row = try rows.next() {
                var run = try self.storedRun(in: row)
                run.facts.stateItems = items[run.runID] ?? []
                run.validationCurve = curves[run.runID] ?? [:]
                run.slices = slices[run.runID] ?? []
                runs.append(run)
            }
            return runs
        }
    }

    /// What the runs that have ended came to, by their ids: those of a suite, or all of the database.
    public func trials(suite: String? = nil) throws(StoreError) -> [String: LearningRateTrial] {
        try read { try Self.trials(suite: suite, $0) }
    }

    static func trials(suite: String?, _ db: Database) throws -> [String: LearningRateTrial] {
        let members = "(SELECT DISTINCT run_id FROM suite_runs WHERE suite = ?) JOIN runs r USING (run_id)"
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT r.run_id, status, vocab_size, validation_accuracy, validation_loss,
                    (SELECT MIN(train_loss) FROM history h WHERE h.run_id = r.run_id) AS lowest_train_loss
                FROM \(suite == nil ? "runs r" : members) WHERE status IN ('finished', 'failed')
                """, arguments: suite.map { [$0] } ?? [])
        var trials: [String: LearningRateTrial] = [:]
        while let row = try rows.next() {
            let isFinished = row["status"] == RunStatus.finished.rawValue
            trials[row["run_id"]] =
                isFinished
                ? LearningRateTrial(
                    accuracy: row["validation_accuracy"] ?? 0, loss: row["validation_loss"] ?? .infinity,
                    hasLeftChance: MQARTask.hasLeftChance(
                        row["lowest_train_loss"] ?? .infinity, vocabSize: row["vocab_size"]))
                : .failed
        }
        return trials
    }

    /// What the models of a suite's runs carry by layer and kind, by run; of every run where no suite is named.
    private func stateItems(suite: String?, _ db: Database) throws -> [String: [StateItem]] {
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT run_id, layer, mixer, kind, bytes FROM state_items
                WHERE ?1 IS NULL OR run_id IN (SELECT run_id FROM suite_runs WHERE suite = ?1)
                """, arguments: [suite])
        var items: [String: [StateItem]] = [:]
        while let row = try rows.next() {
            let (runID, text): (String, String) = (row["run_id"], row["kind"])
            guard let kind = StateKind(rawValue: text) else {
                throw StoreError.corrupted(path, "run \(runID) has state of the kind '\(text)'")
            }
            items[runID, default: []].append(
                StateItem(layer: row["layer"], mixer: row["mixer"], kind: kind, bytes: row["bytes"]))
        }
        // As they were measured; SQLite has kinds in the order of their names.
        let place = Dictionary(uniqueKeysWithValues: StateKind.allCases.enumerated().map { ($1, $0) })
        return items.mapValues { items in
            items.sorted { ($0.layer, place[$0.kind] ?? 0) < ($1.layer, place[$1.kind] ?? 0) }
        }
    }

    /// The runs of a suite that are not finished, in its order; those that failed among them when asked for.
    public func remaining(suite: String, failedToo: Bool = true) throws(StoreError) -> [StoredRun] {
        try runs(suite: suite).filter { $0.status != .finished && (failedToo || $0.status != .failed) }
    }

    /// The epochs of a run, in order. A number that was not finite is NaN.
    public func history(_ runID: String) throws(StoreError) -> [EpochRecord] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM history WHERE run_id = ? ORDER BY epoch", arguments: [runID]
            ).map {
                EpochRecord(
                    epoch: $0["epoch"], step: $0["step"], learningRate: $0["learning_rate"],
                    trainLoss: $0["train_loss"] ?? .nan, validationLoss: $0["validation_loss"] ?? .nan,
                    validationAccuracy: $0["validation_accuracy"] ?? .nan, seconds: $0["seconds"] ?? .nan)
            }
        }
    }

    /// The slices of a finished run: train, validation, test, each in the task's order.
    public func slices(_ runID: String) throws(StoreError) -> [SliceAccuracy] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM slices WHERE run_id = ?
                    ORDER BY CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END, segment
                    """, arguments: [runID]
            ).compactMap { Self.sliceAccuracy(in: $0) }
        }
    }

    /// The rows of a query, one after another, as SQLite has them; the cursor's row is reused.
    func forEachRow(
        _ sql: String, arguments: StatementArguments = [], _ body: (Row) throws -> Void
    ) throws {
        // What `body` throws, a failed write to the output say, is no error of the database.
        var thrown: (any Error)?
        try read { db in
            let rows = try Row.fetchCursor(db, sql: sql, arguments: arguments)
            while let row = try rows.next() {
                do { try body(row) } catch {
                    thrown = error
                    return
                }
            }
        }
        if let thrown { throw thrown }
    }

    /// Where a run stands, by its status and lease.
    func status(in row: Row) throws -> RunStatus {
        let text: String = row["status"]
        guard let status = RunStatus(rawValue: text) else {
            throw StoreError.corrupted(path, "a run has the status '\(text)'")
        }
        if status == .running, Self.lease(in: row)?.isStale(at: now(), seenBy: identity) ?? true {
            return .interrupted
        }
        return status
    }

    private func storedRun(in row: Row) throws -> StoredRun {
        let (runID, json): (String, String) = (row["run_id"], row["spec"])
        guard let spec = try? JSONDecoder().decode(RunSpec.self, from: Data(json.utf8)) else {
            throw StoreError.corrupted(path, "the specification of run \(runID) cannot be read")
        }
        var run = StoredRun(
            runID: runID, suite: row["suite"] ?? "", model: row["model"] ?? "", task: row["task"] ?? "",
            taskHash: row["task_hash"], spec: spec,
            facts: ModelFacts(
                parameters: row["parameters"], stateBytes: row["state_bytes"],
                stateBytesZoology: row["state_bytes_zoology"]),
            status: try status(in: row))
        (run.error, run.epochs, run.steps) = (row["error"], row["epochs"], row["steps"])
        (run.trainLoss, run.validationLoss) = (row["train_loss"], row["validation_loss"])
        (run.validationAccuracy, run.testLoss) = (row["validation_accuracy"], row["test_loss"])
        (run.testAccuracy, run.trainSeconds) = (row["test_accuracy"], row["train_seconds"])
        (run.tokensPerSecond, run.lowestTrainLoss) = (row["tokens_per_second"], row["lowest_train_loss"])
        (run.seconds, run.device) = (row["seconds"], row["device"])
        (run.version, run.commit) = (row["version"], row["commit"])
        run.startedAt = (row["started_at"] as String?).flatMap(Timestamp.date)
        run.finishedAt = (row["finished_at"] as String?).flatMap(Timestamp.date)
        run.lease = Self.lease(in: row)
        return run
    }
}
