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
            var suites: [SuiteRecord] = []
            try self.forEachRow(of: "suites", "SELECT * FROM suites ORDER BY name", in: db) { row in
                let isSearched = try row.optional("search", as: String.self) != nil
                suites.append(
                    SuiteRecord(
                        name: try row.value("name"),
                        description: try row.value("description"),
                        controlModel: try row.optional("control_model"),
                        controlMinimum: try row.optional("control_minimum"),
                        contentHash: try row.optional("content_hash"),
                        search: isSearched
                            ? try row.json("search", as: LearningRateSearch.self, "a search of learning rates")
                            : nil,
                        path: try row.optional("path")
                    )
                )
            }
            return suites
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
            try self.forEachRow(
                of: "runs",
                """
                SELECT run_id, status, lease_host, lease_machine, lease_pid, lease_process_start, lease_heartbeat
                FROM runs WHERE ?1 IS NULL OR run_id IN (SELECT run_id FROM suite_runs WHERE suite = ?1)
                """,
                [suite],
                in: db
            ) { counts.add(try self.status(in: $0)) }
            return counts
        }
    }

    /// The runs of a suite in its order, or of all suites and none.
    public func runs(suite: String? = nil) throws(StoreError) -> [StoredRun] {
        try read { db in
            let items = try self.stateItems(suite: suite, db)
            let (curves, slices) = (
                try self.validationCurves(suite: suite, db), try self.sliceAccuracies(suite: suite, db)
            )
            var runs: [StoredRun] = []
            try self.forEachRow(
                of: "runs",
                """
                SELECT r.*, s.suite, s.model, s.task,
                    (SELECT MIN(train_loss) FROM history h WHERE h.run_id = r.run_id) AS lowest_train_loss,
                    (SELECT MAX(seconds) FROM history h WHERE h.run_id = r.run_id) AS seconds
                FROM runs r LEFT JOIN suite_runs s USING (run_id)
                WHERE ?1 IS NULL OR s.suite = ?1
                ORDER BY s.suite IS NULL, s.suite, s.position, r.run_id
                """,
                [suite],
                in: db
            ) { row in
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
        try read { try self.trials(suite: suite, $0) }
    }

    func trials(suite: String?, _ db: Database) throws -> [String: LearningRateTrial] {
        let members = "(SELECT DISTINCT run_id FROM suite_runs WHERE suite = ?) JOIN runs r USING (run_id)"
        var trials: [String: LearningRateTrial] = [:]
        try forEachRow(
            of: "runs",
            """
            SELECT r.run_id, status, vocab_size, validation_accuracy, validation_loss,
                (SELECT MIN(train_loss) FROM history h WHERE h.run_id = r.run_id) AS lowest_train_loss
            FROM \(suite == nil ? "runs r" : members) WHERE status IN ('finished', 'failed')
            """,
            suite.map { [$0] } ?? [],
            in: db
        ) { row in
            let isFinished = try row.value("status") == RunStatus.finished.rawValue
            trials[try row.value("run_id")] =
                isFinished
                ? LearningRateTrial(
                    accuracy: try row.optional("validation_accuracy") ?? 0,
                    loss: try row.optional("validation_loss") ?? .infinity,
                    hasLeftChance: MQARTask.hasLeftChance(
                        try row.joined("history").optional("lowest_train_loss") ?? .infinity,
                        vocabSize: try row.value("vocab_size")
                    )
                )
                : .failed
        }
        return trials
    }

    /// What the models of a suite's runs carry by layer and kind, by run; of every run where no suite is named.
    private func stateItems(suite: String?, _ db: Database) throws -> [String: [StateItem]] {
        var items: [String: [StateItem]] = [:]
        try forEachRow(
            of: "state_items",
            """
            SELECT run_id, layer, mixer, kind, bytes FROM state_items
            WHERE ?1 IS NULL OR run_id IN (SELECT run_id FROM suite_runs WHERE suite = ?1)
            """,
            [suite],
            in: db
        ) { row in
            guard let kind = StateKind(rawValue: try row.value("kind")) else {
                throw row.damage("there is no such kind of state")
            }
            items[try row.value("run_id"), default: []].append(
                StateItem(
                    layer: try row.value("layer"),
                    mixer: try row.value("mixer"),
                    kind: kind,
                    bytes: try row.value("bytes")
                )
            )
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
            var epochs: [EpochRecord] = []
            try self.forEachRow(
                of: "history",
                "SELECT * FROM history WHERE run_id = ? ORDER BY epoch",
                [runID],
                in: db
            ) { row in
                epochs.append(
                    EpochRecord(
                        epoch: try row.value("epoch"),
                        step: try row.value("step"),
                        learningRate: try row.value("learning_rate"),
                        trainLoss: try row.optional("train_loss") ?? .nan,
                        validationLoss: try row.optional("validation_loss") ?? .nan,
                        validationAccuracy: try row.optional("validation_accuracy") ?? .nan,
                        seconds: try row.optional("seconds") ?? .nan
                    )
                )
            }
            return epochs
        }
    }

    /// The slices of a finished run: train, validation, test, each in the task's order.
    public func slices(_ runID: String) throws(StoreError) -> [SliceAccuracy] {
        try read { db in
            var slices: [SliceAccuracy] = []
            try self.forEachRow(
                of: "slices",
                """
                SELECT * FROM slices WHERE run_id = ?
                ORDER BY CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END, segment
                """,
                [runID],
                in: db
            ) { slices.append(try Self.sliceAccuracy(in: $0)) }
            return slices
        }
    }

    /// Where a run stands, by its status and lease.
    func status(in row: TableRow) throws -> RunStatus {
        guard let status = RunStatus(rawValue: try row.value("status")) else {
            throw row.damage("there is no such status")
        }
        let lease = try Self.lease(in: row)
        if status == .running, lease?.isStale(at: now(), seenBy: identity) ?? true { return .interrupted }
        return status
    }

    private func storedRun(in row: TableRow) throws -> StoredRun {
        let (place, history) = (row.joined("suite_runs"), row.joined("history"))
        var run = StoredRun(
            runID: try row.value("run_id"),
            suite: try place.optional("suite") ?? "",
            model: try place.optional("model") ?? "",
            task: try place.optional("task") ?? "",
            taskHash: try row.value("task_hash"),
            spec: try row.specification(),
            facts: ModelFacts(
                parameters: try row.value("parameters"),
                stateBytes: try row.value("state_bytes"),
                stateBytesZoology: try row.optional("state_bytes_zoology")
            ),
            status: try status(in: row)
        )
        run.error = try row.optional("error")
        (run.epochs, run.steps) = (try row.optional("epochs"), try row.optional("steps"))
        run.trainLoss = try row.optional("train_loss")
        run.validationLoss = try row.optional("validation_loss")
        run.validationAccuracy = try row.optional("validation_accuracy")
        (run.testLoss, run.testAccuracy) = (try row.optional("test_loss"), try row.optional("test_accuracy"))
        run.trainSeconds = try row.optional("train_seconds")
        run.tokensPerSecond = try row.optional("tokens_per_second")
        run.lowestTrainLoss = try history.optional("lowest_train_loss")
        run.seconds = try history.optional("seconds")
        (run.device, run.version) = (try row.optional("device"), try row.optional("version"))
        run.commit = try row.optional("commit")
        run.startedAt = try row.optional("started_at").flatMap(Timestamp.date)
        run.finishedAt = try row.optional("finished_at").flatMap(Timestamp.date)
        run.lease = try Self.lease(in: row)
        return run
    }
}

extension TableRow {
    /// What a row of `runs`, or one joined with it, was run with.
    func specification() throws(RowDamage) -> RunSpec {
        try json("spec", as: RunSpec.self, "the specification of a run")
    }
}
