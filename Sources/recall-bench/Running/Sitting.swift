import Foundation
import RecallReport
import RecallStore
import RecallSuite
import RecallTensor
import RecallTraining

/// One sitting over a suite's runs: what `run` and `sweep` share, from the checks to the table.
struct Sitting {
    let suite: SuiteRecord
    /// Every run of the suite, before `--only` and `--shard`.
    let runs: [PlannedRun]
    let database: String
    let options: TrainingOptions
    let measurement: ModelMeasurement
    /// What of the suite's earlier runs stays beside `runs`: other seeds of a suite, other sizes of a sweep.
    let membership: Store.Membership
    /// How to go on, for a message: "recall-bench run --suite quick".
    let command: String

    private var checkpoints: CheckpointFolder {
        CheckpointFolder(path: options.checkpointFolder(besides: database))
    }

    /// Lists, or trains and prints the tradeoff table.
    ///
    /// - Throws: `Failure` for what the exit status tells, `StoreError`, `OptionError`.
    func perform() throws {
        let selected = try options.selection(of: runs)
        if options.dryRun {
            try list(selected)
            return
        }
        try Store.check(path: database, for: selected)
        try checkpoints.check()
        let store = try Store(path: database, mode: .readWrite)
        try store.releaseStale()
        let notes = try RowOriginNotes(suite: suite.name, in: store).lines
        let memory = MemoryCheck(
            jobs: options.jobCount, available: try EnvironmentVariables.availableMemory())
        try store.plan(runs, suite: suite, membership: membership) { run in
            try memory.requireEmbedding(of: run)
            return try measurement.facts(run)
        }
        let open = try left(of: selected, store)
        // Before earlier results are forgotten.
        try memory.require(open, measurement)
        try checkpoints.checkSpace(
            for: open, jobs: options.jobCount, database: database, measurement: measurement)
        if options.fresh {
            try store.plan(
                selected, suite: suite, fresh: true, membership: .additional, facts: measurement.facts)
        }
        let outcome = train(open, of: selected.count, store, notes: options.fresh ? [] : notes)
        try report(store)
        if let error = outcome.error { throw error }
        if outcome.isInterrupted {
            throw Failure(
                .interrupted, "interrupted; what is finished is kept: the same command goes on (\(command))")
        }
        if outcome.failed > 0 {
            throw Failure(
                .someRunsFailed,
                "\(outcome.failed) of \(selected.count) runs failed; `recall-bench status --suite \(suite.name)` tells why"
            )
        }
    }

    /// The runs to train.
    private func left(of selected: [PlannedRun], _ store: Store) throws -> [PlannedRun] {
        let finished = try store.runs(suite: suite.name).filter { $0.status == .finished }.map(\.runID)
        // A process that died between recording a run's end and removing its checkpoint leaves the file.
        for runID in finished { checkpoints.file(of: runID).remove() }
        // A run that the suite has under two names is trained once.
        var seen = options.fresh ? [] : Set(finished)
        return selected.filter { seen.insert($0.runID).inserted }
    }

    /// - Parameter notes: said before anything is trained.
    private func train(
        _ open: [PlannedRun], of total: Int, _ store: Store, notes: [String]
    ) -> RunnerOutcome {
        guard !open.isEmpty else {
            if !options.quiet, !options.json {
                notes.forEach(Self.note)
                Self.note("all \(total) runs of \(suite.name) are finished; --fresh trains them anew")
            }
            return RunnerOutcome()
        }
        let interrupts = Interrupts()
        let display = ProgressDisplay(
            style: ProgressDisplay.Style(quiet: options.quiet, json: options.json), suite: suite.name,
            totalRuns: open.count, totalSteps: open.reduce(0) { $0 + $1.spec.totalSteps })
        notes.forEach(display.note)
        let runner = Runner(
            open, store: store, display: display, stop: interrupts.stop, options: options,
            checkpoints: checkpoints)
        let outcome = runner.run()
        display.finish(heldElsewhere: outcome.heldElsewhere)
        return outcome
    }

    private func report(_ store: Store) throws {
        guard let tradeoff = try Tradeoff(suite: suite.name, in: store) else { return }
        Output.write(TradeoffTable(tradeoff).render(width: Output.width))
        if !options.quiet, !options.json {
            Self.note(
                "everything is in \(database); `recall-bench export csv --table tradeoff --suite \(suite.name)` "
                    + "writes the table for a plot")
        }
    }

    private func list(_ selected: [PlannedRun]) throws {
        var table = TextTable([
            .init("#", .right), .init("run"), .init("model", shrinks: true), .init("d_model", .right),
            .init("state", .right), .init("params", .right), .init("lr", .right), .init("seed", .right),
            .init("steps", .right),
        ])
        for (index, run) in selected.enumerated() {
            let facts = try measurement.facts(run)
            table.add([
                "\(index)", run.runID, run.label, "\(run.spec.model.dModel)", Format.bytes(facts.stateBytes),
                Format.compactCount(facts.parameters), Format.learningRate(run.spec.training.learningRate),
                "\(run.spec.seed)", "\(run.spec.totalSteps)",
            ])
        }
        Output.write(table.lines(width: Output.width).joined(separator: "\n") + "\n\n")
        if !options.quiet { Self.note("timing a step of each kind of run …") }
        var lastNote = ContinuousClock.now
        let estimate = try TimeEstimate(selected).seconds(jobs: options.jobCount, threads: options.threads) {
            if options.quiet || ContinuousClock.now - lastNote < .seconds(2) { return }
            lastNote = .now
            Self.note("timed \($0) of \($1) kinds of run")
        }
        Output.write(
            "\(selected.count) runs, at most about \(Format.duration(estimate)) with \(options.jobCount) at once, "
                + "by timing a step of each kind; runs that stop early are not foreseen\n")
    }

    static func note(_ text: String) {
        Output.note(text)
    }
}

extension RunSpec {
    /// Optimiser steps, if nothing stops the run early.
    var totalSteps: Int {
        training.epochs
            * task.train.reduce(0) { $0 + ($1.examples + training.batchSize - 1) / training.batchSize }
    }
}
