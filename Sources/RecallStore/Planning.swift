import GRDB
import RecallInput
import RecallModels
import RecallSuite
import RecallTraining

extension Store {
    /// Which of the runs that the suite had before, and that are not among those planned, stay in it. One that leaves keeps
    /// its results, and comes back with them when a suite asks for it again.
    public enum Membership: Sendable {
        /// The runs planned are all that the suite lists, for some seeds: other seeds of the same points stay, the data's
        /// among them, whoever added them; every other run leaves. Where the suite has changed (`SuiteRecord.contentHash`), seeds that nobody began
        /// leave too: it may list fewer of them now. Runs whose data another version generated always leave.
        case complete
        /// The runs planned join those on the same task with the same training, whatever their learning rate and seeds; runs
        /// that were trained otherwise do not compare with these, and leave, and so do a planned model's with other settings
        /// than layers and width.
        case extending
        /// All stay.
        case additional
    }

    /// Brings the suite and its runs into the store: what is missing is added as pending, what is there is left as it is.
    ///
    /// - Parameters:
    ///   - runs: in the suite's order.
    ///   - fresh: forget what is known of these runs, but of those that a live process is training.
    ///   - membership: what stays in the suite besides them. Give `complete` the list as it is before `--only` and
    ///     `--shard`, so that a changed suite does not mix with what it was.
    ///   - replacing: whether a suite of this name that is from elsewhere (`SuiteRecord.path`) gives way.
    ///   - step: adds what other processes' results have made necessary meanwhile.
    ///   - prepare: given, before `facts`, all runs that those will be asked of.
    ///   - facts: asked once a run that is not in the store, or is there without its state by layer and kind as an older
    ///     version left it, outside any transaction.
    /// - Throws: `StoreError`, or what `prepare` and `facts` throw; then nothing is changed.
    public func plan(
        _ runs: [PlannedRun],
        suite: SuiteRecord,
        fresh: Bool = false,
        membership: Membership = .complete,
        replacing: Bool = false,
        then step: SearchStep? = nil,
        preparing prepare: ([PlannedRun]) throws -> Void = { _ in },
        facts: (PlannedRun) throws -> ModelFacts
    ) throws {
        precondition(runs.allSatisfy { $0.suite == suite.name }, "a run of another suite was planned")
        // Before models are measured, and again inside the transaction, where no other process can interfere.
        if !replacing { try requireOrigin(of: suite) }
        let itemised = try read { try String.fetchSet($0, sql: "SELECT run_id FROM state_items") }
        var seen = itemised
        let unknown = runs.filter { seen.insert($0.runID).inserted }
        try prepare(unknown)
        let missing = try unknown.map { ($0, try facts($0)) }
        let time = Timestamp.text(now())
        try write { db in
            if !replacing { try self.requireOrigin(of: suite, db) }
            let formerHash = try String.fetchOne(
                db,
                sql: "SELECT content_hash FROM suites WHERE name = ?",
                arguments: [suite.name]
            )
            try db.execute(
                sql: """
                    INSERT INTO suites (name, description, control_model, control_minimum, content_hash, planned_at,
                        search, path)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET description = excluded.description,
                        control_model = excluded.control_model, control_minimum = excluded.control_minimum,
                        content_hash = excluded.content_hash, planned_at = excluded.planned_at,
                        search = excluded.search, path = excluded.path
                    """,
                arguments: [
                    suite.name, suite.description, suite.controlModel, suite.controlMinimum, suite.contentHash,
                    time, suite.search.map { RunSpec.json($0) }, suite.path,
                ]
            )
            for (run, facts) in missing {
                try Self.insert(run, facts: facts, time: time, db)
            }
            if fresh {
                for runID in Set(runs.map(\.runID)) { try self.forget(runID, db) }
            }
            let isChanged = formerHash != nil && suite.contentHash != nil && formerHash != suite.contentHash
            try self.place(
                runs,
                in: suite.name,
                membership: membership,
                isChanged: isChanged,
                isSearched: suite.search != nil,
                db
            )
            try self.take(step, db)
        }
    }

    /// Refuses a suite whose name another file's has.
    ///
    /// - Throws: `StoreError` of status 65.
    public func requireOrigin(of suite: SuiteRecord) throws(StoreError) {
        try read { try self.requireOrigin(of: suite, $0) }
    }

    private func requireOrigin(of suite: SuiteRecord, _ db: Database) throws {
        let former = try String.fetchOne(
            db,
            sql: "SELECT path FROM suites WHERE name = ?",
            arguments: [suite.name]
        )
        guard let former, former != suite.path else { return }
        throw StoreError.otherSuite(path, name: suite.name, former: former, current: suite.path)
    }

    static func insert(_ run: PlannedRun, facts: ModelFacts, time: String, _ db: Database) throws {
        let spec = run.spec
        try db.execute(
            sql: "INSERT INTO tasks (hash, spec) VALUES (?, ?) ON CONFLICT DO NOTHING",
            arguments: [run.taskHash, RunSpec.json(spec.task)]
        )
        // It may be there already: from another process a moment ago, or from an older version.
        try db.execute(
            sql: """
                INSERT INTO runs (run_id, spec, task_hash, data_seed, config, d_model, layers, vocab_size,
                    learning_rate, seed, precision, parameters, state_bytes, state_bytes_zoology, planned_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                """,
            arguments: [
                run.runID, spec.canonicalJSON(), run.taskHash, wide(spec.task.dataSeed),
                RunSpec.json(spec.model),
                spec.model.dModel, spec.model.layers.count, spec.task.vocabSize, spec.training.learningRate,
                wide(spec.seed), spec.training.precision.rawValue, facts.parameters, facts.stateBytes,
                facts.stateBytesZoology, time,
            ]
        )
        try insert(facts.stateItems, of: run.runID, db)
    }

    /// Adds a run's state by layer and kind, unless the run was stored with another count: then the bytes of an older
    /// version stand, and items that do not sum to them would contradict them.
    private static func insert(_ items: [StateItem], of runID: String, _ db: Database) throws {
        let stored = try Int.fetchOne(
            db,
            sql: "SELECT state_bytes FROM runs WHERE run_id = ?",
            arguments: [runID]
        )
        guard stored == items.map(\.bytes).saturatingSum() else { return }
        for item in items {
            try db.execute(
                sql: """
                    INSERT INTO state_items (run_id, layer, kind, mixer, bytes) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT DO NOTHING
                    """,
                arguments: [runID, item.layer, item.kind.rawValue, item.mixer, item.bytes]
            )
        }
    }

    /// Back to pending, with nothing known, unless a live process has it.
    private func forget(_ runID: String, _ db: Database) throws {
        if let lease = try Self.lease(of: runID, db), !lease.isStale(at: now(), seenBy: identity) { return }
        try Self.clearResults(of: runID, db)
        try db.execute(
            sql: """
                UPDATE runs SET status = 'pending', device = NULL, version = NULL, "commit" = NULL, lease_host = NULL,
                    lease_machine = NULL, lease_pid = NULL, lease_process_start = NULL, lease_heartbeat = NULL
                WHERE run_id = ?
                """,
            arguments: [runID]
        )
    }

    /// Removes the epochs, slices and figures of a run, and when it began.
    static func clearResults(of runID: String, _ db: Database) throws {
        try db.execute(sql: "DELETE FROM history WHERE run_id = ?", arguments: [runID])
        try db.execute(sql: "DELETE FROM slices WHERE run_id = ?", arguments: [runID])
        try db.execute(
            sql: """
                UPDATE runs SET error = NULL, epochs = NULL, steps = NULL, train_loss = NULL, validation_loss = NULL,
                    validation_accuracy = NULL, test_loss = NULL, test_accuracy = NULL, train_seconds = NULL,
                    tokens_per_second = NULL, started_at = NULL, finished_at = NULL
                WHERE run_id = ?
                """,
            arguments: [runID]
        )
    }

    /// An unsigned integer as SQLite can hold it: an integer up to 2^63 - 1, text above.
    static func wide(_ value: UInt64) -> DatabaseValue {
        Int64(exactly: value)?.databaseValue ?? String(value).databaseValue
    }
}
