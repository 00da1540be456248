import RecallData
import RecallModels
import RecallTraining

/// What the figures of a run mean. It is part of every run's id, so that rows which do not compare are never taken for
/// one another.
///
/// Raise it, with a new entry at the end, when the same specification on the same data comes to mean something else: another
/// initialisation or dropout stream, another schedule, loss or measure of accuracy, another model under an old name. Do not
/// raise it for data that change (the task's content hash is in the id already), for a new setting whose default is what was
/// before, or for other rounding: builds differ in that, and the store keeps them apart by version and commit.
public enum ResultsVersion {
    /// One step: what changed, and why rows by the version before do not compare.
    public struct Change: Hashable, Sendable {
        public let version: Int
        /// What changed in the program, for people: follows "version N: ".
        public let change: String
        /// Why older rows are incomparable; empty for the first.
        public let reason: String

        package init(_ version: Int, _ change: String, reason: String) {
            (self.version, self.change, self.reason) = (version, change, reason)
        }
    }

    /// Every version there has been, in order. A list that only ever grows.
    public static let changes = [
        Change(
            1,
            "the first: Philox streams keyed by purpose, accuracy as the mean within each example",
            reason: ""
        )
    ]

    /// What this program writes.
    public static var current: Int { changes[changes.count - 1].version }
}

extension RunSpec {
    /// The results version by which a run of this specification got its id; nil where no known one gives it.
    ///
    /// Such an id is of a newer program, or the program has since come to write the specification otherwise.
    public func resultsVersion(of runID: String, taskHash: String, among changes: [ResultsVersion.Change])
        -> Int?
    {
        changes.last { self.runID(taskHash: taskHash, resultsVersion: $0.version) == runID }?.version
    }
}
