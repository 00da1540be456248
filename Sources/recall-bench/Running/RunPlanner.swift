import Foundation
import RecallReport
import RecallStore
import RecallSuite

/// Knows which runs a suite needs, and brings them into the store: all at once where the suite lists them, step by step
/// where it searches learning rates.
final class RunPlanner: @unchecked Sendable {
    let suite: Suite
    let record: SuiteRecord
    /// What of the suite's earlier runs stays beside these: other seeds of a suite, other sizes of a sweep.
    private let membership: Store.Membership
    private let measurement: ModelMeasurement
    private let options: TrainingOptions

    // Guarded by `lock`, as is `measurement` once runs are trained.
    private let lock = NSLock()
    private var expansion: SuiteExpansion
    /// Ids of the runs that were handed out.
    private var known: Set<String> = []

    init(
        _ suite: Suite, membership: Store.Membership, measurement: ModelMeasurement, options: TrainingOptions
    ) {
        (self.suite, self.membership, self.measurement) = (suite, membership, measurement)
        (self.options, record) = (options, SuiteRecord(suite))
        expansion = SuiteExpansion(suite, seed: options.seed)
    }

    /// The runs to begin with that the options leave, as they are before anything is trained.
    ///
    /// - Throws: `OptionError` where they leave none.
    func firstRuns() throws -> [PlannedRun] {
        try lock.withLock { try options.selection(of: expansion.runs { _ in nil }, in: suite) }
    }

    /// Brings into the store what is known to be needed, in the suite's order.
    ///
    /// - Parameter memory: asked before a model is made to be measured.
    /// - Returns: of it, what the options leave.
    /// - Throws: `OptionError`, `StoreError`, `Failure` (69), what measuring a model throws.
    func plan(in store: Store, memory: MemoryCheck) throws -> [PlannedRun] {
        try lock.withLock {
            let runs = try needed(store)
            try store.plan(runs, suite: record, membership: membership) { run in
                try memory.requireEmbedding(of: run)
                return try measurement.facts(run)
            }
            let selected = try options.selection(of: runs, in: suite)
            known.formUnion(selected.map(\.runID))
            return selected
        }
    }

    /// Forgets what is known of the runs, and with them where the searches stood.
    ///
    /// - Returns: the runs to begin with.
    func forget(_ runs: [PlannedRun], in store: Store) throws -> [PlannedRun] {
        try lock.withLock {
            try store.plan(
                runs, suite: record, fresh: true, membership: .additional, facts: measurement.facts)
            let selected = try options.selection(of: try needed(store), in: suite)
            known = Set(selected.map(\.runID))
            return selected
        }
    }

    /// The runs that results have made necessary since the last look.
    func additions(to store: Store) throws -> [SittingDetails.Run] {
        guard suite.search != nil else { return [] }
        return try lock.withLock {
            let selected = options.remaining(of: try needed(store), in: suite)
            let added = selected.filter { known.insert($0.runID).inserted }
            if !added.isEmpty {
                try store.plan(added, suite: record, membership: .additional, facts: measurement.facts)
            }
            return try added.map { SittingDetails.Run($0, try measurement.facts($0)) }
        }
    }

    private func needed(_ store: Store) throws -> [PlannedRun] {
        guard suite.search != nil else { return expansion.runs { _ in nil } }
        let trials = try store.trials()
        return expansion.runs { trials[$0] }
    }
}
