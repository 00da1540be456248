import Foundation
import GRDB

extension Store {
    /// Takes a run for this process, unless it is finished or a live process has it.
    ///
    /// A run that failed or was interrupted goes on from its last recorded epoch; one whose epochs were trained on another
    /// device or by another build starts anew, because a run's bits belong to one device and build.
    public func claim(_ runID: String, on execution: Execution) throws(StoreError) -> ClaimResult {
        try write { db in
            let found = try Row.fetchOne(
                db,
                sql: "SELECT run_id, status, device, version, \"commit\" FROM runs WHERE run_id = ?",
                arguments: [runID]
            )
            // Planned a while ago; since then another program may have written to the file.
            guard let row = found.map({ TableRow($0, of: "runs") }) else {
                throw RowDamage(table: "runs", row: "run_id '\(runID)'", what: "it was planned, and is gone")
            }
            if try row.value("status") == RunStatus.finished.rawValue { return .finished }
            let time = self.now()
            if let lease = try Self.lease(of: runID, db), !lease.isStale(at: time, seenBy: self.identity) {
                return .heldBy(host: lease.holder.host, pid: lease.holder.pid)
            }
            let build: [String?] = [try row.optional("version"), try row.optional("commit")]
            if let device: String = try row.optional("device"),
                device != execution.device || build != [execution.version, execution.commit]
            {
                try Self.clearResults(of: runID, db)
            }
            try db.execute(
                sql: """
                    UPDATE runs SET status = 'running', error = NULL, finished_at = NULL, device = ?, version = ?,
                        "commit" = ?, started_at = COALESCE(started_at, ?), lease_host = ?, lease_machine = ?,
                        lease_pid = ?, lease_process_start = ?, lease_heartbeat = ?
                    WHERE run_id = ?
                    """,
                arguments: [
                    execution.device, execution.version, execution.commit, Timestamp.text(time),
                    self.identity.host,
                    self.identity.machine, self.identity.pid, self.identity.startTime, Timestamp.text(time),
                    runID,
                ]
            )
            let last = try Row.fetchOne(
                db,
                sql: "SELECT MAX(epoch) AS epoch FROM history WHERE run_id = ?",
                arguments: [runID]
            )
            let epoch: Int? = try last.flatMap { try TableRow($0, of: "history").optional("epoch") }
            return .claimed(resumeFromEpoch: epoch ?? 0)
        }
    }

    /// Shows that this process still works on a run. Every ten seconds or so is enough.
    ///
    /// - Throws: `leaseLost` when another process has taken it; then stop training it.
    public func heartbeat(_ runID: String) throws(StoreError) {
        try write { db in
            try self.requireLease(runID, db)
            try self.beat(runID, db)
        }
    }

    /// Marks as interrupted the runs whose process is gone.
    ///
    /// - Returns: their ids.
    @discardableResult
    public func releaseStale() throws(StoreError) -> [String] {
        try write { db in
            let time = self.now()
            let running = try String.fetchAll(
                db,
                sql: "SELECT run_id FROM runs WHERE status = 'running' ORDER BY run_id"
            )
            let stale = try running.filter {
                try Self.lease(of: $0, db)?.isStale(at: time, seenBy: self.identity) ?? true
            }
            for runID in stale { try Self.release(runID, as: .interrupted, db) }
            return stale
        }
    }

    // MARK: - Inside a transaction

    static func lease(of runID: String, _ db: Database) throws -> Lease? {
        try Row.fetchOne(
            db,
            sql: """
                SELECT run_id, lease_host, lease_machine, lease_pid, lease_process_start, lease_heartbeat FROM runs
                WHERE run_id = ?
                """,
            arguments: [runID]
        ).flatMap { try lease(in: TableRow($0, of: "runs")) }
    }

    static func lease(in row: TableRow) throws(RowDamage) -> Lease? {
        guard let pid: Int32 = try row.optional("lease_pid") else { return nil }
        let heartbeat: String? = try row.optional("lease_heartbeat")
        return Lease(
            holder: ProcessIdentity(
                host: try row.optional("lease_host") ?? "",
                machine: try row.optional("lease_machine") ?? "",
                pid: pid,
                startTime: try row.optional("lease_process_start") ?? 0
            ),
            heartbeat: heartbeat.flatMap(Timestamp.date) ?? .distantPast
        )
    }

    /// Refuses to write to a run that another process has taken over.
    func requireLease(_ runID: String, _ db: Database) throws {
        guard try Self.lease(of: runID, db)?.holder == identity else {
            throw StoreError.leaseLost(path, runID: runID)
        }
    }

    func beat(_ runID: String, _ db: Database) throws {
        try db.execute(
            sql: "UPDATE runs SET lease_heartbeat = ? WHERE run_id = ?",
            arguments: [Timestamp.text(now()), runID]
        )
    }

    static func release(_ runID: String, as status: RunStatus, _ db: Database) throws {
        try db.execute(
            sql: """
                UPDATE runs SET status = ?, lease_host = NULL, lease_machine = NULL, lease_pid = NULL,
                    lease_process_start = NULL, lease_heartbeat = NULL
                WHERE run_id = ?
                """,
            arguments: [status.rawValue, runID]
        )
    }
}
