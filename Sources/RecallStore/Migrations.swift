import GRDB

/// The schema, as a list of steps that only ever grows: a step that has been released is never edited.
enum Migrations {
    /// PRAGMA application_id, "RCLB": tells our databases from those of other programs.
    static let applicationID: Int32 = 0x5243_4C42

    /// PRAGMA user_version is the number of steps applied, readable from the file's first 100 bytes.
    static let schemaVersion = Int32(steps.count)

    /// In the order in which they are applied.
    private static let steps: [(name: String, sql: String)] = [
        ("v1", v1),
        ("benchmarks.peak_bytes", "ALTER TABLE benchmarks ADD COLUMN peak_bytes INTEGER"),
        ("benchmarks.state_bytes", "ALTER TABLE benchmarks ADD COLUMN state_bytes INTEGER"),
        // Canonical JSON of the suite's LearningRateSearch; NULL where it lists its rates.
        ("suites.search", "ALTER TABLE suites ADD COLUMN search TEXT"),
        ("state_items", stateItems),
        // Where the suite is from: a file's resolved path, or a sweep's origin; NULL for a suite of the program's own, and
        // where an older version stored it.
        ("suites.path", "ALTER TABLE suites ADD COLUMN path TEXT"),
        ("identity", identity),
    ]

    /// The last step that readers need: what came after it is for those alone that write.
    private static let lastForReaders = "suites.path"

    /// Whether a file has all that readers look at.
    static func isReadable(_ db: Database) throws -> Bool {
        try migrator.completedMigrations(db).contains(lastForReaders)
    }

    static let migrator: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        for (index, step) in steps.enumerated() {
            // No step rebuilds a table, so no step can break a reference. Rows whose references are broken already are left
            // to the readers, which name them.
            migrator.registerMigration(step.name, foreignKeyChecks: .immediate) { db in
                try db.execute(sql: step.sql)
                try db.execute(
                    sql: "PRAGMA application_id = \(applicationID); PRAGMA user_version = \(index + 1)"
                )
            }
        }
        return migrator
    }()

    private static let v1 = """
        CREATE TABLE tasks (
            hash TEXT NOT NULL PRIMARY KEY,
            spec TEXT NOT NULL                      -- canonical JSON
        ) STRICT;

        -- A run is one specification: what it is, what became of it, and who works on it.
        CREATE TABLE runs (
            run_id TEXT NOT NULL PRIMARY KEY,
            spec TEXT NOT NULL,                     -- canonical JSON of the whole RunSpec
            task_hash TEXT NOT NULL REFERENCES tasks (hash),
            data_seed ANY NOT NULL,                 -- an integer; text above 2^63 - 1
            config TEXT NOT NULL,                   -- canonical JSON of the model
            d_model INTEGER NOT NULL,
            layers INTEGER NOT NULL,
            vocab_size INTEGER NOT NULL,
            learning_rate REAL NOT NULL,
            seed ANY NOT NULL,                      -- as data_seed
            precision TEXT NOT NULL,
            parameters INTEGER NOT NULL,
            state_bytes INTEGER NOT NULL,
            state_bytes_zoology INTEGER,
            status TEXT NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'running', 'finished', 'failed', 'interrupted')),
            error TEXT,
            epochs INTEGER,                         -- done so far
            steps INTEGER,
            train_loss REAL,
            validation_loss REAL,
            validation_accuracy REAL,
            test_loss REAL,
            test_accuracy REAL,
            train_seconds REAL,
            tokens_per_second REAL,
            device TEXT,
            version TEXT,
            "commit" TEXT,
            planned_at TEXT NOT NULL,
            started_at TEXT,
            finished_at TEXT,
            lease_host TEXT,
            lease_machine TEXT,
            lease_pid INTEGER,
            lease_process_start INTEGER,
            lease_heartbeat TEXT,
            CHECK ((status = 'running') = (lease_pid IS NOT NULL))
        ) STRICT;
        CREATE INDEX runs_on_status ON runs (status);
        CREATE INDEX runs_on_task_hash ON runs (task_hash);

        CREATE TABLE suites (
            name TEXT NOT NULL PRIMARY KEY,
            description TEXT NOT NULL,
            control_model TEXT,
            control_minimum REAL,
            content_hash TEXT,                      -- of the suite's file, when it came from one
            planned_at TEXT NOT NULL
        ) STRICT;

        -- A run may belong to several suites, under another name in each.
        CREATE TABLE suite_runs (
            suite TEXT NOT NULL REFERENCES suites (name) ON DELETE CASCADE,
            run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
            model TEXT NOT NULL,
            task TEXT NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (suite, run_id, model, task)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX suite_runs_on_run_id ON suite_runs (run_id);

        CREATE TABLE slices (
            run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
            split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
            segment INTEGER NOT NULL,               -- its place in the split, from 0
            sequence_length INTEGER NOT NULL,
            kv_pairs INTEGER NOT NULL,
            examples INTEGER NOT NULL,
            accuracy REAL,
            PRIMARY KEY (run_id, split, segment)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE history (
            run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
            epoch INTEGER NOT NULL,
            step INTEGER NOT NULL,
            learning_rate REAL NOT NULL,
            train_loss REAL,
            validation_loss REAL,
            validation_accuracy REAL,
            seconds REAL,
            PRIMARY KEY (run_id, epoch)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE benchmarks (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            device TEXT NOT NULL,
            precision TEXT NOT NULL,
            threads INTEGER NOT NULL,
            shape TEXT NOT NULL,                    -- compact JSON
            median_ms REAL NOT NULL,
            min_ms REAL NOT NULL,
            floor_ms REAL,
            gflop REAL,
            gbyte REAL,
            examples_per_second REAL,
            tokens_per_second REAL,
            "commit" TEXT,
            measured_at TEXT NOT NULL
        ) STRICT;
        CREATE INDEX benchmarks_on_kind_name ON benchmarks (kind, name);
        """

    private static let identity = """
        -- Tells the database from every other: its checkpoints name it. A copy has the same.
        CREATE TABLE identity (
            id TEXT NOT NULL PRIMARY KEY            -- random
        ) STRICT;
        \(newIdentity);
        """

    /// Gives a database that has none its identity.
    static let newIdentity =
        "INSERT INTO identity SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM identity)"

    private static let stateItems = """
        -- runs.state_bytes by layer and kind, which sum to it.
        CREATE TABLE state_items (
            run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
            layer INTEGER NOT NULL,                 -- from 0
            kind TEXT NOT NULL,                     -- kv-cache, recurrent, convolution
            mixer TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (run_id, layer, kind)
        ) STRICT, WITHOUT ROWID;
        """
}
