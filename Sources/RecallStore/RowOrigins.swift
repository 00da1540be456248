import GRDB
import RecallSuite

/// The rows of a suite that this program, on this device, would not write as they stand.
public struct RowOrigins: Equatable, Sendable {
    /// Rows with results, by the results version that wrote them; nil for one that this program does not know.
    public var byOtherVersion: [Int?: Int] = [:]
    /// Rows of this results version that another build wrote, or this one on another device.
    public var finishedElsewhere = 0
    public var unfinishedElsewhere = 0
    /// Of these, each once, in order.
    public var elsewhere: [Execution] = []

    public init() {}
}

extension Store {
    /// Looks where the rows of a suite come from. Those of an earlier results version that have left the suite count too,
    /// as long as the suite has their specifications.
    ///
    /// - Parameters:
    ///   - execution: what this program would write.
    ///   - changes: every results version there has been, the last the current one.
    public func origins(
        suite: String,
        besides execution: Execution,
        changes: [ResultsVersion.Change] = ResultsVersion.changes
    ) throws(StoreError) -> RowOrigins {
        guard let current = changes.last?.version else { preconditionFailure("no results version") }
        // A suite may have a run under two names.
        let runs = Dictionary(try self.runs(suite: suite).map { ($0.runID, $0) }) { first, _ in first }
        let begun = try read { db in
            try String.fetchSet(db, sql: "SELECT run_id FROM runs WHERE status <> 'pending'")
        }
        var origins = RowOrigins()
        var others: Set<[String]> = []
        for run in runs.values {
            for change in changes.dropLast() {
                let earlier = run.spec.runID(taskHash: run.taskHash, resultsVersion: change.version)
                if runs[earlier] == nil, begun.contains(earlier) {
                    origins.byOtherVersion[change.version, default: 0] += 1
                }
            }
            let version = run.spec.resultsVersion(of: run.runID, taskHash: run.taskHash, among: changes)
            guard begun.contains(run.runID), let device = run.device else { continue }
            if version != current {
                origins.byOtherVersion[version, default: 0] += 1
                continue
            }
            let writer = Execution(device: device, version: run.version ?? "", commit: run.commit)
            guard writer != execution else { continue }
            if run.status == .finished {
                origins.finishedElsewhere += 1
            } else {
                origins.unfinishedElsewhere += 1
            }
            if others.insert([writer.version, writer.commit ?? "", writer.device]).inserted {
                origins.elsewhere.append(writer)
            }
        }
        origins.elsewhere.sort {
            ($0.version, $0.commit ?? "", $0.device) < ($1.version, $1.commit ?? "", $1.device)
        }
        return origins
    }
}
