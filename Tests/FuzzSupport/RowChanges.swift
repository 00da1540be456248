import Foundation
import GRDB
import RecallData
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining

/// What is changed in the rows of a database, a change a line: table, column, row from 0, value. A value is NULL, a number, a
/// text in single quotes or a blob as x'00FF'; what is neither is a text.
public struct RowChanges {
    public struct Change: Equatable {
        public let table: String
        public let column: String
        public let row: Int
        public let value: DatabaseValue
    }

    public let changes: [Change]
    /// Which part of the operations on the database is tried, from 0; nil for all of them.
    ///
    /// A line "part 3" says so: all of them take a hundredth of a second, too long for each of a million inputs.
    public let part: Int?

    /// Parts that the operations are divided into.
    static let parts = 8

    public init(_ text: String) {
        let lines = text.split(whereSeparator: \.isNewline).map {
            $0.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
        }
        part = lines.last { $0.count == 2 && $0[0] == "part" }.flatMap { Int($0[1]) }
        changes = lines.compactMap { words in
            guard words.count == 4, let row = Int(words[2]), row >= 0 else { return nil }
            return Change(
                table: String(words[0]),
                column: String(words[1]),
                row: row,
                value: Self.value(String(words[3]))
            )
        }
    }

    private static func value(_ text: String) -> DatabaseValue {
        if text == "NULL" { return .null }
        if let integer = Int64(text) { return integer.databaseValue }
        if let number = Double(text) { return number.databaseValue }
        if text.hasPrefix("x'") { return Data(text.dropFirst(2).utf8).databaseValue }
        return text.trimmingCharacters(in: ["'"]).databaseValue
    }
}

/// A database of a few rows whose columns take anything, as those of a damaged file do: no types, no rules but the keys.
public final class LooseDatabase: @unchecked Sendable {
    public let path: String
    private let folder: URL
    private let queue: DatabaseQueue
    /// Every table by its rows, each a list in the order of its columns.
    private let rows: [String: [[DatabaseValue]]]
    private let columns: [String: [String]]
    /// The runs in it: the first is finished, the second under way, the third failed, the last pending.
    public let runs: [PlannedRun]

    public init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "recall-rows-\(UUID().uuidString)"
        )
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let strict = folder.appendingPathComponent("strict.sqlite").path
        path = folder.appendingPathComponent("loose.sqlite").path
        runs = try Self.fill(strict)
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        queue = try DatabaseQueue(path: path, configuration: configuration)
        let source = try DatabaseQueue(path: strict)
        let (tables, version, application) = try source.read { db in
            (
                try Self.tables(db), try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0,
                try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
            )
        }
        var (rows, columns) = ([String: [[DatabaseValue]]](), [String: [String]]())
        for (table, (names, key)) in tables {
            columns[table] = names
            rows[table] = try source.read { db in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { Array($0.databaseValues) }
            }
            let list = names.map { "\"\($0)\"" }.joined(separator: ", ")
            try queue.write {
                try $0.execute(
                    sql: "CREATE TABLE \(table) (\(list)\(key.isEmpty ? "" : ", PRIMARY KEY (\(key))"))"
                )
            }
        }
        (self.rows, self.columns) = (rows, columns)
        try queue.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA user_version = \(version); PRAGMA application_id = \(application)")
        }
        try restore()
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private static func tables(_ db: Database) throws -> [String: (names: [String], key: String)] {
        var tables: [String: (names: [String], key: String)] = [:]
        for table in try String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'table'") {
            let columns = try db.columns(in: table)
            let key = columns.filter { $0.primaryKeyIndex > 0 }.sorted {
                $0.primaryKeyIndex < $1.primaryKeyIndex
            }
            tables[table] = (columns.map(\.name), key.map(\.name).joined(separator: ", "))
        }
        return tables
    }

    /// Puts every row back as it was.
    ///
    /// - Parameter tables: those whose rows may have changed; nil for all.
    public func restore(_ tables: Set<String>? = nil) throws {
        try queue.write { db in
            for (table, rows) in rows where tables?.contains(table) ?? true {
                try db.execute(sql: "DELETE FROM \(table)")
                let marks = (columns[table] ?? []).map { _ in "?" }.joined(separator: ", ")
                for row in rows {
                    try db.execute(
                        sql: "INSERT INTO \(table) VALUES (\(marks))",
                        arguments: StatementArguments(row)
                    )
                }
            }
        }
    }

    /// Makes those changes that the tables' keys allow.
    ///
    /// - Returns: how many were made.
    public func apply(_ changes: RowChanges) throws -> Int {
        try queue.write { db in
            changes.changes.count { change in
                guard let columns = columns[change.table], columns.contains(change.column) else { return false }
                let isMade: Void? = try? db.execute(
                    sql: """
                        UPDATE \(change.table) SET "\(change.column)" = ? WHERE rowid =
                            (SELECT rowid FROM \(change.table) ORDER BY rowid LIMIT 1 OFFSET ?)
                        """,
                    arguments: [change.value, change.row]
                )
                return isMade != nil && db.changesCount > 0
            }
        }
    }

    /// The values of a column, in the order of the rows.
    public func values(_ column: String, of table: String) throws -> [DatabaseValue] {
        try queue.read {
            try Row.fetchAll($0, sql: "SELECT \"\(column)\" FROM \(table) ORDER BY rowid").map {
                $0.databaseValues.first ?? .null
            }
        }
    }

    // MARK: - What is in it

    /// A suite that searches its rates with four runs, and a measurement.
    private static func fill(_ path: String) throws -> [PlannedRun] {
        let segment = Segment(sequenceLength: 64, kvPairs: 8, examples: 100)
        let task = MQARTask(
            vocabSize: 512,
            train: [segment],
            validation: [segment],
            test: [segment],
            dataSeed: 7
        )
        let layer = LayerConfig(mixer: "linear-attention", knobs: ["feature_dim": .integer(8)])
        let runs = (0..<4).map { seed in
            PlannedRun(
                suite: "rows",
                task: "mqar",
                model: "based",
                spec: RunSpec(
                    task: task,
                    model: ModelConfig(dModel: 64, layers: [layer], stateMixer: .none),
                    training: TrainingConfig(epochs: 3, batchSize: 10, learningRate: 0.01),
                    seed: seed == 3 ? .max : UInt64(seed)
                ),
                taskHash: "0123456789abcdef"
            )
        }
        let facts = ModelFacts(
            parameters: 1000,
            stateBytes: 2048,
            stateBytesZoology: nil,
            stateItems: [
                StateItem(layer: 0, mixer: "linear-attention", kind: .convolution, bytes: 512),
                StateItem(layer: 0, mixer: "linear-attention", kind: .recurrent, bytes: 1536),
            ]
        )
        let store = try Store(path: path, mode: .readWrite)
        let suite = SuiteRecord(
            name: "rows",
            description: "four runs",
            controlModel: "based",
            controlMinimum: 0.99,
            contentHash: "abc",
            path: "/suites/rows.yaml"
        )
        try store.plan(runs, suite: suite) { _ in facts }
        let execution = Execution(device: "cpu", version: "1.0", commit: "abc1234")
        for (run, epochs) in zip(runs, [3, 2, 1]) {
            _ = try store.claim(run.runID, on: execution)
            for epoch in 1...epochs {
                try store.recordEpoch(
                    run.runID,
                    EpochRecord(
                        epoch: epoch,
                        step: 10 * epoch,
                        learningRate: 0.01,
                        trainLoss: 1.5,
                        validationLoss: 1.25,
                        validationAccuracy: 0.5,
                        seconds: Double(epoch)
                    )
                )
            }
        }
        let slices = [Split.validation, .test].map {
            SliceAccuracy(split: $0, sequenceLength: 64, kvPairs: 8, examples: 100, accuracy: 0.75)
        }
        try store.finish(
            runs[0].runID,
            RunResult(
                epochs: 3,
                steps: 30,
                trainLoss: 0.5,
                validationLoss: 0.6,
                validationAccuracy: 0.8,
                testLoss: 0.7,
                testAccuracy: 0.75,
                slices: slices,
                trainSeconds: 12.5,
                tokensPerSecond: 1e5
            )
        )
        try store.fail(runs[2].runID, error: "not finite at step 11: loss")
        try store.recordBenchmark(
            BenchmarkRecord(
                kind: "kernel",
                name: "scan",
                device: "cpu",
                precision: "fp32",
                threads: 1,
                shape: "{}",
                medianMilliseconds: 2,
                minimumMilliseconds: 1
            )
        )
        try store.close()
        return runs
    }
}

/// Reads a database whose rows hold anything, and writes to it.
enum RowReader {
    private static let database = Result { try LooseDatabase() }
    private static let stores = Result {
        let path = try database.get().path
        return (
            reader: try Store(path: path, mode: .readOnly), writer: try Store(path: path, mode: .readWrite),
            lenient: try Store(path: path, mode: .readOnly, leavingOut: DamagedRows { _ in })
        )
    }

    /// There is one database, and tests run side by side.
    private static let lock = NSLock()

    /// - Returns: how far it came; every table is read, whatever one before it held.
    static func read(_ bytes: [UInt8]) -> FileReader.Depth {
        lock.lock()
        defer { lock.unlock() }
        do {
            let (database, stores) = (try database.get(), try stores.get())
            let changes = RowChanges(String(decoding: bytes, as: UTF8.self))
            var changed: Set<String>? = Set(changes.changes.map(\.table))
            defer { try? database.restore(changed) }
            guard try database.apply(changes) > 0 else { return .refusedAtSight }
            var isRefused = false
            func attempt(_ body: () throws -> Void) throws {
                do { try body() } catch let error as StoreError {
                    guard error.kind != .unexpected else { fatalError("\(error)") }
                    isRefused = true
                }
            }
            let reads = reads(stores.reader, database.runs) + reads(stores.lenient, database.runs)
            let operations = reads + writes(stores.writer, database.runs)
            for (index, operation) in operations.enumerated()
            where changes.part.map({ index % RowChanges.parts == $0 }) ?? true {
                if index >= reads.count { changed = nil }
                try attempt(operation)
            }
            return isRefused ? .refused : .read
        } catch {
            fatalError("\(error)")
        }
    }

    private static func reads(_ store: Store, _ runs: [PlannedRun]) -> [() throws -> Void] {
        let exports = CSVExport.StoredTable.allCases.map { table in
            { try CSVExport(store).write(table) { _ in } }
        }
        return exports + [
            { _ = try store.suites() }, { _ = try store.counts() }, { _ = try store.runs(suite: "rows") },
            { _ = try store.trials() }, { _ = try store.standings() },
            { for run in runs { _ = (try store.history(run.runID), try store.slices(run.runID)) } },
        ]
    }

    private static func writes(_ store: Store, _ runs: [PlannedRun]) -> [() throws -> Void] {
        let execution = Execution(device: "cpu", version: "1.0", commit: "abc1234")
        let suite = SuiteRecord(name: "rows", description: "", path: "/suites/rows.yaml")
        let record = EpochRecord(
            epoch: 4,
            step: 40,
            learningRate: 0.01,
            trainLoss: 1,
            validationLoss: 1,
            validationAccuracy: 1,
            seconds: 4
        )
        return [
            { try store.releaseStale() },
            {
                try store.plan(runs, suite: suite) { _ in
                    ModelFacts(parameters: 1, stateBytes: 1, stateBytesZoology: nil)
                }
            },
            { for run in runs { _ = try store.claim(run.runID, on: execution) } },
            { for run in runs { try store.recordEpoch(run.runID, record) } },
            { for run in runs { try store.fail(run.runID, error: "") } },
        ]
    }
}

extension Mutator {
    private static let rowTables: [(name: String, columns: [String])] = [
        (
            "runs",
            [
                "run_id", "spec", "task_hash", "data_seed", "config", "d_model", "layers", "vocab_size",
                "learning_rate", "seed", "precision", "parameters", "state_bytes", "state_bytes_zoology",
                "status", "error", "epochs", "steps", "train_loss", "validation_loss", "validation_accuracy",
                "test_loss", "test_accuracy", "train_seconds", "tokens_per_second", "device", "version",
                "commit", "planned_at", "started_at", "finished_at", "lease_host", "lease_machine",
                "lease_pid", "lease_process_start", "lease_heartbeat",
            ]
        ),
        (
            "suites",
            [
                "name", "description", "control_model", "control_minimum", "content_hash", "planned_at",
                "search", "path",
            ]
        ),
        ("suite_runs", ["suite", "run_id", "model", "task", "position"]),
        ("slices", ["run_id", "split", "segment", "sequence_length", "kv_pairs", "examples", "accuracy"]),
        (
            "history",
            [
                "run_id", "epoch", "step", "learning_rate", "train_loss", "validation_loss",
                "validation_accuracy", "seconds",
            ]
        ),
        ("benchmarks", ["kind", "name", "threads", "shape", "median_ms", "tokens_per_second", "measured_at"]),
        ("state_items", ["run_id", "layer", "kind", "mixer", "bytes"]),
        ("tasks", ["hash", "spec"]),
    ]

    private static let rowValues = [
        "NULL", "0", "-1", "1", "2", "2147483648", "9223372036854775807", "-9223372036854775808", "0.5",
        "1e308", "-1e308", "inf", "1.5e-320", "''", "'kills'", "'5'", "'running'", "'finished'", "'pending'",
        "'interrupted'", "'rows'", "'test'", "'recurrent'", "x'00ff'", "'{}'", "'[]'", "'{\"from\":0.1}'",
        "'2025-03-01T12:00:00.000Z'", "'18446744073709551615'", "'18446744073709551616'", "'a\u{202E}b'",
    ]

    /// Changes of rows, with one more, one fewer or one made another.
    public mutating func rows(_ source: [UInt8]) -> [UInt8] {
        var lines = source.split(separator: 0x0A).map(Array.init)
        for _ in 0...below(3) {
            if below(4) == 0, !lines.isEmpty { lines.remove(at: below(lines.count)) }
            let table = Self.rowTables[below(Self.rowTables.count)]
            let column = table.columns[below(table.columns.count)]
            let value = Self.rowValues[below(Self.rowValues.count)]
            lines.append(Array("\(table.name) \(column) \(below(4)) \(value)".utf8))
        }
        lines.append(Array("part \(below(RowChanges.parts))".utf8))
        return below(16) == 0
            ? bytes(Array(lines.joined(separator: [0x0A]))) : Array(lines.joined(separator: [0x0A]))
    }
}
