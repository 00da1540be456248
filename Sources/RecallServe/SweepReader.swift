import Foundation
import RecallReport
import RecallStore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Looks at a database again and again, and reads no more than what has changed. Not for several threads at once.
final class SweepReader: @unchecked Sendable {
    private let path: String
    /// nil until there is a database.
    private var store: Store?
    private let names: Set<String>?

    private var file: FileIdentity?
    private var version: Int?
    /// Leases of the runs under way, to see when a process has gone: that changes nothing in the database.
    private var leases: [Lease] = []
    private var snapshot: StatusSnapshot?
    private var state: SweepState?
    private var curves: [String: Curve] = [:]
    private var tradeoffs: [String: KnownTradeoff] = [:]

    /// - Parameters:
    ///   - path: of the database, which may be yet to come.
    ///   - names: of the suites; none for all that there are.
    init(_ path: String, suites names: [String]) {
        (self.path, self.names) = (path, names.isEmpty ? nil : Set(names))
    }

    /// How everything stands: the same value as before where nothing has changed. Before there is a database, nothing is
    /// there.
    ///
    /// - Throws: `StoreError`; a later look may succeed.
    func look() throws(StoreError) -> SweepState {
        guard let store = try current() else {
            let nothing = SweepState(status: status(StatusSnapshot([])))
            state = nothing
            return nothing
        }
        let current = try store.dataVersion()
        if let state, current == version, !leases.contains(where: { isStale($0, store) }) { return state }
        let suites = try store.suites().filter { names?.contains($0.name) ?? true }
        var read: [(suite: SuiteRecord, runs: [StoredRun])] = []
        for suite in suites { read.append((suite, try store.runs(suite: suite.name))) }
        leases = read.flatMap(\.runs).filter { $0.status == .running }.compactMap(\.lease)
        let new = try state(of: read, store)
        // Only now, so that a look that failed is made again.
        (version, state) = (current, new)
        return new
    }

    private func isStale(_ lease: Lease, _ store: Store) -> Bool {
        lease.isStale(at: Date(), seenBy: store.identity)
    }

    /// The database; nil as long as there has been none. A file that was put in the place of another is another database.
    private func current() throws(StoreError) -> Store? {
        let found = FileIdentity(path)
        if let store, found == file { return store }
        // One that is gone is no longer waited for, but missing.
        let opened = store == nil ? try Store.ifThere(path) : try Store(path: path, mode: .readOnly)
        guard let opened else { return nil }
        (store, file, version, curves, tradeoffs) = (opened, found, nil, [:], [:])
        return opened
    }

    // MARK: - Pieces

    private func state(
        of read: [(suite: SuiteRecord, runs: [StoredRun])],
        _ store: Store
    ) throws(StoreError) -> SweepState {
        let found = StatusSnapshot(read.map { (name: $0.suite.name, runs: $0.runs) })
        var new = SweepState(status: status(found))
        for ((suite, runs), status) in zip(read, found.suites) {
            let known = tradeoff(of: suite, runs)
            new.pieces[.suites, default: [:]][suite.name] = Piece.text(
                SuitePiece(suite, known.verdict, runs: runs)
            )
            new.pieces[.tradeoffs, default: [:]][suite.name] = known.text
            let left = Dictionary(status.running.map { ($0.runID, $0.secondsLeft) }) { first, _ in first }
            for run in runs {
                new.pieces[.runs, default: [:]][run.key] = Piece.text(
                    RunPiece(run, secondsLeft: left[run.runID] ?? nil)
                )
                if let curve = try curve(of: run, store) {
                    new.pieces[.curves, default: [:]][run.runID] = curve
                }
            }
        }
        let ids = Set(read.flatMap(\.runs).map(\.runID))
        curves = curves.filter { ids.contains($0.key) }
        tradeoffs = tradeoffs.filter { name, _ in suites(read, have: name) }
        return new
    }

    private func suites(_ read: [(suite: SuiteRecord, runs: [StoredRun])], have name: String) -> Bool {
        read.contains { $0.suite.name == name }
    }

    /// The former text where nothing but the time is another.
    private func status(_ found: StatusSnapshot) -> String {
        if let state, found == snapshot { return state.status }
        snapshot = found
        return found.jsonLine(database: path, time: Date())
    }

    private struct Curve {
        /// Of the run's last epoch: other ones mean other epochs.
        let figures: [Double?]
        let text: String
    }

    /// nil before the first epoch.
    private func curve(of run: StoredRun, _ store: Store) throws(StoreError) -> String? {
        guard let epochs = run.epochs, epochs > 0 else { return nil }
        let figures = [Double(epochs), run.trainLoss, run.validationLoss, run.validationAccuracy, run.seconds]
        if let known = curves[run.runID], known.figures == figures { return known.text }
        let curve = Curve(figures: figures, text: Piece.text(CurvePiece(try store.history(run.runID))))
        curves[run.runID] = curve
        return curve.text
    }

    private struct KnownTradeoff {
        let suite: SuiteRecord
        let runs: [String]
        let verdict: ControlVerdict
        let text: String
    }

    /// Only runs that end change it.
    private func tradeoff(of suite: SuiteRecord, _ runs: [StoredRun]) -> KnownTradeoff {
        let standing = runs.map { run in
            let hasEnded = run.status == .finished || run.status == .failed
            return run.key + (hasEnded ? "\n\(run.status) \(run.testAccuracy ?? -1)" : "")
        }
        if let known = tradeoffs[suite.name], known.suite == suite, known.runs == standing { return known }
        let tradeoff = Tradeoff(suite: suite, runs: runs)
        let found = KnownTradeoff(
            suite: suite,
            runs: standing,
            verdict: tradeoff.verdict,
            text: Piece.text(TradeoffPiece(tradeoff))
        )
        tradeoffs[suite.name] = found
        return found
    }
}

/// Which file lies at a path.
private struct FileIdentity: Equatable {
    let device, number: UInt64

    /// nil where none does.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }
}
