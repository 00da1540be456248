import Foundation
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining

/// What `--dry-run` lists: the runs, how each stands in the database, and the time that what is left will take.
struct DryRun {
    /// What the options leave of the runs that are needed so far.
    let selected: [PlannedRun]
    /// Those of them to train here, a run that the suite has under two names once.
    let left: [PlannedRun]
    private let planner: RunPlanner
    private let standings: [String: RunStanding]
    private let execution: Execution
    private let checkpoints: CheckpointFolder

    /// Looks at a database without making or changing it; one that is not there has no run.
    ///
    /// - Parameters:
    ///   - fresh: whether what is finished will be trained again.
    ///   - execution: what trains here: it continues what it began itself.
    /// - Throws: `OptionError` where the options can leave no run; `StoreError`.
    init(
        _ planner: RunPlanner,
        in database: String,
        fresh: Bool,
        on execution: Execution,
        checkpoints: CheckpointFolder
    ) throws {
        self.planner = planner
        self.execution = execution
        self.checkpoints = checkpoints
        var runs = try planner.firstRuns()
        let store = try Store.ifThere(database)
        if let store { try planner.requireOrigin(in: store) }
        let standings = try store?.standings() ?? [:]
        if let store, !fresh, planner.suite.search != nil { runs = planner.needed(given: try store.trials()) }
        // What another process has it keeps, whatever is trained again.
        self.standings = fresh ? standings.filter { $0.value.status == .running } : standings
        selected = runs
        var seen: Set<String> = []
        let done = self.standings.filter { [.finished, .running].contains($0.value.status) }
        left = runs.filter { done[$0.runID] == nil && seen.insert($0.runID).inserted }
    }

    private func status(of run: PlannedRun) -> RunStatus { standings[run.runID]?.status ?? .pending }

    /// Epochs that are yet to be trained: a run continues where the same build on the same device has its checkpoint.
    private func epochsLeft(of run: PlannedRun) -> Int {
        let epochs = run.spec.training.epochs
        guard let standing = standings[run.runID], standing.execution == execution, standing.epochs > 0,
            checkpoints.canContinue(run.runID)
        else { return epochs }
        return max(0, epochs - standing.epochs)
    }

    // MARK: - What is written

    /// Writes the table, then the number of runs and how long what is left takes.
    ///
    /// - Parameters:
    ///   - fitting: what of those left has room in memory, each alone.
    ///   - refusals: why the others will fail, by `PlannedRun.pointID`.
    /// - Throws: what measuring a model or training a step throws.
    func write(
        _ options: TrainingOptions,
        _ measurement: ModelMeasurement,
        fitting: [PlannedRun],
        refusals: [String: String]
    ) throws {
        try Output.write(table(measurement).lines(width: Output.width).joined(separator: "\n") + "\n\n")
        let isSearched = planner.suite.search != nil
        var summary = counts
        if !fitting.isEmpty || selected.isEmpty {
            summary +=
                try
                ", \(isSearched ? "" : "at most ")about \(duration(options, fitting)), by timing a step of each kind; "
                + "runs that stop early are not foreseen"
        }
        if let reason = refusals.values.min() {
            summary +=
                "\n\(Format.runs(left.count - fitting.count)) will fail for want of memory: one \(reason)"
        }
        Output.write(summary + "\n" + (isSearched ? further : ""))
    }

    private func table(_ measurement: ModelMeasurement) throws -> TextTable {
        var table = TextTable([
            .init("#", .right), .init("run"), .init("model", shrinks: true), .init("d_model", .right),
            .init("state", .right), .init("params", .right), .init("lr", .right), .init("seed", .right),
            .init("steps", .right), .init("status"),
        ])
        for (index, run) in selected.enumerated() {
            let facts = try measurement.facts(run)
            table.add([
                "\(index)", run.runID, run.label, "\(run.spec.model.dModel)", Format.bytes(facts.stateBytes),
                Format.compactCount(facts.parameters), Format.learningRate(run.spec.training.learningRate),
                "\(run.spec.seed)", "\(run.spec.totalSteps)", status(of: run).rawValue,
            ])
        }
        return table
    }

    /// "14 runs: 9 finished, 2 running elsewhere, 3 left (1 of them failed before)".
    private var counts: String {
        var counts = StatusCounts()
        for run in selected { counts.add(status(of: run)) }
        let runs = Format.runs(selected.count)
        guard counts.pending < selected.count else {
            return planner.suite.search == nil ? runs : "\(runs) to begin with"
        }
        var parts: [String] = []
        if counts.finished > 0 { parts.append("\(counts.finished) finished") }
        if counts.running > 0 { parts.append("\(counts.running) running elsewhere") }
        let begun = [(counts.failed, "failed before"), (counts.interrupted, "interrupted")]
            .filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let open = counts.pending + counts.interrupted + counts.failed
        parts.append(
            open == 0
                ? "nothing is left to train"
                : "\(open) left" + (begun.isEmpty ? "" : " (\(begun.joined(separator: ", ")))")
        )
        return "\(runs)\(planner.suite.search == nil ? "" : " so far"): " + parts.joined(separator: ", ")
    }

    private func duration(_ options: TrainingOptions, _ runs: [PlannedRun]) throws -> String {
        if !options.quiet { Output.note("timing a step of each kind of run …") }
        var lastNote = ContinuousClock.now
        let seconds = try TimeEstimate(runs, options, epochs: epochsLeft).seconds {
            if options.quiet || ContinuousClock.now - lastNote < .seconds(2) { return }
            lastNote = .now
            Output.note("timed \($0) of \($1) kinds of run")
        }
        return "\(Format.duration(seconds)) with \(options.jobCount) at once"
    }

    /// The further runs that a search may need.
    private var further: String {
        let open = selected.filter { status(of: $0) != .finished }
        if open.isEmpty, !selected.isEmpty { return "" }
        let most = selected.count + planner.mostFurther(beyond: selected, open: open).count
        return "Learning rates are searched: what these come to decides about the next"
            + (selected.isEmpty ? ".\n" : ", \(Format.runs(most)) in all at most.\n")
    }
}

extension Format {
    /// "1 run", "14 runs".
    fileprivate static func runs(_ count: Int) -> String { count == 1 ? "1 run" : "\(count) runs" }
}
