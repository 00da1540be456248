import RecallStore
import RecallSuite
import RecallTraining

/// What `--json` tells of a sitting besides how its runs get on: it is known before the first of them begins.
public struct SittingDetails: Sendable {
    /// A run that is to be trained.
    public struct Run: Sendable {
        public var planned: PlannedRun
        public var facts: ModelFacts

        public init(_ planned: PlannedRun, _ facts: ModelFacts) {
            (self.planned, self.facts) = (planned, facts)
        }
    }

    /// By run id.
    public var runs: [String: Run]
    /// Runs that were asked for, those among them that were finished before.
    public var selectedRuns: Int?
    public var alreadyFinished: Int?
    /// Runs at once, and threads of each.
    public var jobs: Int?
    public var threads: Int?
    public var execution: Execution?

    public init(
        runs: [String: Run] = [:],
        selectedRuns: Int? = nil,
        alreadyFinished: Int? = nil,
        jobs: Int? = nil,
        threads: Int? = nil,
        execution: Execution? = nil
    ) {
        (self.runs, self.selectedRuns, self.alreadyFinished) = (runs, selectedRuns, alreadyFinished)
        (self.jobs, self.threads, self.execution) = (jobs, threads, execution)
    }
}
