import GRDB

/// How far a run is, by its row alone.
public struct RunStanding: Equatable, Sendable {
    /// As stored, but `interrupted` where it says running and its process is gone.
    public var status: RunStatus
    /// On record.
    public var epochs: Int
    /// What trains or trained it; nil where nothing has.
    public var execution: Execution?

    public init(_ status: RunStatus, epochs: Int = 0, execution: Execution? = nil) {
        (self.status, self.epochs, self.execution) = (status, epochs, execution)
    }
}

extension Store {
    /// How far each run is that was begun, by its id, whichever suites have it.
    public func standings() throws(StoreError) -> [String: RunStanding] {
        try read { db in
            var standings: [String: RunStanding] = [:]
            try self.forEachRow(
                of: "runs",
                """
                SELECT run_id, status, device, version, "commit", lease_host, lease_machine, lease_pid,
                    lease_process_start, lease_heartbeat,
                    (SELECT MAX(epoch) FROM history h WHERE h.run_id = r.run_id) AS epochs_on_record
                FROM runs r WHERE status <> 'pending'
                """,
                in: db
            ) { row in
                let device: String? = try row.optional("device")
                standings[try row.value("run_id")] = RunStanding(
                    try self.status(in: row),
                    epochs: try row.joined("history").optional("epochs_on_record") ?? 0,
                    execution: try device.map {
                        Execution(
                            device: $0,
                            version: try row.optional("version") ?? "",
                            commit: try row.optional("commit")
                        )
                    }
                )
            }
            return standings
        }
    }
}
