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
    /// What the suite lists before anything is trained.
    private let first: [PlannedRun]

    // Guarded by `lock`, as is `measurement` once runs are trained.
    private let lock = NSLock()
    private var expansion: SuiteExpansion
    /// Ids of the runs that were handed out.
    private var known: Set<String> = []

    init(
        _ suite: Suite,
        membership: Store.Membership,
        measurement: ModelMeasurement,
        options: TrainingOptions
    ) {
        (self.suite, self.membership, self.measurement) = (suite, membership, measurement)
        self.options = options
        let patience = options.patience("planning the runs of \(suite.name)")
        defer { patience?.end() }
        expansion = SuiteExpansion(suite, seed: options.seed)
        first = expansion.runs { _ in nil }
        record = SuiteRecord(suite, listing: options.seed == 0 ? first : nil)
    }

    /// The runs to begin with that the options leave, as they are before anything is trained. Of a search there may be none:
    /// the options may name what it has yet to come to.
    ///
    /// - Throws: `OptionError` where they can leave none.
    func firstRuns() throws -> [PlannedRun] { try options.selection(of: first, in: suite) }

    /// What `plan` would return for some results, without a store: what the options leave of the runs that are needed.
    ///
    /// - Parameter trials: what runs came to, by their ids.
    func needed(given trials: [String: LearningRateTrial]) -> [PlannedRun] {
        lock.withLock { needed(trials) }
    }

    /// - Throws: `StoreError` where the store has another suite of this name, and the options do not let it go.
    func requireOrigin(in store: Store) throws {
        if !options.replaceSuite { try store.requireOrigin(of: record) }
    }

    /// Brings into the store what is known to be needed, in the suite's order.
    ///
    /// - Returns: of it, what the options leave.
    /// - Throws: `StoreError`, what measuring a model throws.
    func plan(in store: Store) throws -> [PlannedRun] {
        try lock.withLock {
            let runs = try needed(store)
            let ids = Set(runs.map(\.runID))
            var more: [PlannedRun] = []
            // Another process may have gone on with the search since; what it has added must not leave the suite.
            let step = SearchStep(suite: suite.name) { trials in
                more = self.expansion.runs { trials[$0] }.filter { !ids.contains($0.runID) }
                return try more.map { ($0, try self.measurement.facts($0)) }
            }
            try store.plan(
                runs,
                suite: record,
                membership: membership,
                replacing: options.replaceSuite,
                then: suite.search == nil ? nil : step,
                preparing: measurement.measure,
                facts: measurement.facts
            )
            let selected = options.remaining(of: runs + more, in: suite)
            known.formUnion(selected.map(\.runID))
            return selected
        }
    }

    /// As many runs as a search may come to at most beyond some of its runs: one that stands for each.
    ///
    /// - Parameter open: those that are to be trained; a point without one is settled.
    func mostFurther(beyond runs: [PlannedRun], open: [PlannedRun]) -> [PlannedRun] {
        guard suite.search != nil else { return [] }
        let points = Set(open.map(\.pointID))
        let mostOfAPoint = suite.mostRunsOfAPoint(rates: options.mostRates)
        return Dictionary(grouping: runs, by: \.pointID).filter { points.contains($0.key) }.values.flatMap {
            runs in
            repeatElement(runs[0], count: max(0, mostOfAPoint - runs.count))
        }
    }

    /// Forgets what is known of the runs, and with them where the searches stood.
    ///
    /// - Returns: the runs to begin with.
    func forget(_ runs: [PlannedRun], in store: Store) throws -> [PlannedRun] {
        try lock.withLock {
            try store.plan(
                runs,
                suite: record,
                fresh: true,
                membership: .additional,
                facts: measurement.facts
            )
            let selected = options.remaining(of: try needed(store), in: suite)
            known = Set(selected.map(\.runID))
            return selected
        }
    }

    /// The runs that results of others have made necessary since the last look.
    func additions(to store: Store) throws -> [SittingDetails.Run] {
        guard suite.search != nil else { return [] }
        return try lock.withLock {
            let added = try further(of: needed(try store.trials(suite: suite.name)))
            if !added.isEmpty {
                try store.plan(
                    added.map(\.planned),
                    suite: record,
                    membership: .additional,
                    facts: measurement.facts
                )
            }
            known.formUnion(added.map(\.planned.runID))
            return added
        }
    }

    /// Records that a run has ended, and with it what that has made necessary.
    ///
    /// - Parameter record: does so in one transaction.
    /// - Returns: what has become necessary since the last look.
    func end(_ record: (SearchStep?) throws -> Void) throws -> [SittingDetails.Run] {
        guard suite.search != nil else {
            try record(nil)
            return []
        }
        return try lock.withLock {
            var added: [SittingDetails.Run] = []
            try record(
                SearchStep(suite: suite.name) { trials in
                    let needed = self.needed(trials)
                    added = try self.further(of: needed)
                    // Another process may have left out what is still to be trained here: one that tries a failed run
                    // again, say, and so has to find the rates after it anew.
                    let open = needed.filter { trials[$0.runID] == nil && self.known.contains($0.runID) }
                    return try open.map { ($0, try self.measurement.facts($0)) }
                        + added.map { ($0.planned, $0.facts) }
                }
            )
            known.formUnion(added.map(\.planned.runID))
            return added
        }
    }

    /// What the options leave of the runs that are needed.
    private func needed(_ trials: [String: LearningRateTrial]) -> [PlannedRun] {
        options.remaining(of: expansion.runs { trials[$0] }, in: suite)
    }

    /// The runs that were not handed out. Their models have been measured: every point was among the runs to begin with.
    private func further(of needed: [PlannedRun]) throws -> [SittingDetails.Run] {
        try needed.filter { !known.contains($0.runID) }
            .map { SittingDetails.Run($0, try measurement.facts($0)) }
    }

    private func needed(_ store: Store) throws -> [PlannedRun] {
        guard suite.search != nil else { return first }
        // Of all suites: what another one has tried already is tried.
        let trials = try store.trials()
        return expansion.runs { trials[$0] }
    }
}
