import RecallStore
import RecallSuite

/// What `run` and `status` say of a suite's rows that this program, on the device at hand, would not write as they stand: a
/// line a kind, with what happens to them.
struct RowOriginNotes {
    /// What the rows are, and what happens to them; neither names the suite or ends in a full stop.
    let notes: [(what: String, consequence: String)]
    private let suite: String

    var lines: [String] { notes.map { "\(suite): \($0.what): \($0.consequence)" } }

    /// - Parameter execution: what runs would be trained by.
    /// - Throws: `StoreError`.
    init(suite: String, in store: Store, besides execution: Execution = .current) throws {
        self.init(suite: suite, try store.origins(suite: suite, besides: execution))
    }

    init(suite: String, _ origins: RowOrigins, changes: [ResultsVersion.Change] = ResultsVersion.changes) {
        var notes: [(String, String)] = []
        for (version, count) in origins.byOtherVersion.sorted(by: { ($0.key ?? .max) < ($1.key ?? .max) }) {
            notes.append(
                (
                    "\(Self.rows(count)) by \(Self.name(version)), which this program's do not compare with",
                    "the next training of the suite keeps them in the database, takes them out of the suite and trains those runs again"
                        + Self.reasons(since: version, changes)
                )
            )
        }
        let others = Self.name(origins.elsewhere)
        if origins.finishedElsewhere > 0 {
            notes.append(
                (
                    "\(Self.rows(origins.finishedElsewhere, "finished ")) by \(others)",
                    "taken as they are, though their last bits may differ from this one's; --fresh trains them anew"
                )
            )
        }
        if origins.unfinishedElsewhere > 0 {
            notes.append(
                (
                    "\(Self.rows(origins.unfinishedElsewhere, "unfinished ")) by \(others)",
                    "begun anew, because a run's bits belong to one build and device"
                )
            )
        }
        (self.notes, self.suite) = (notes, suite)
    }

    private static func rows(_ count: Int, _ kind: String = "") -> String {
        count == 1 ? "1 \(kind)row is" : "\(count) \(kind)rows are"
    }

    private static func name(_ version: Int?) -> String {
        version.map { "results version \($0)" } ?? "a results version that is not known here"
    }

    private static func name(_ executions: [Execution]) -> String {
        guard executions.count == 1 else { return "\(executions.count) other builds or devices" }
        let one = executions[0]
        let isDevice = one.build == ProgramVersion.text
        return isDevice ? "another device (\(one.device))" : "another build (\(one.build) on \(one.device))"
    }

    private static func reasons(since version: Int?, _ changes: [ResultsVersion.Change]) -> String {
        guard let version else { return "" }
        return changes.filter { $0.version > version }.map { " (\($0.version): \($0.reason))" }.joined()
    }
}
