import Foundation
import RecallReport
import RecallStore
import RecallSuite
import RecallTensor

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

    /// Lists, or trains and prints the tradeoff table.
    ///
    /// - Throws: `Failure` for what the exit status tells, `StoreError`, `OptionError`.
    func perform() throws {
        let selected = try options.selection(of: runs)
        if options.dryRun {
            try list(selected)
            return
        }
        try Store.check(path: database)
        try CheckpointFolder(path: options.checkpointFolder(besides: database)).check()
        let store = try Store(path: database, mode: .readWrite)
        try store.releaseStale()
        try store.plan(runs, suite: suite, membership: membership, facts: measurement.facts)
        if options.fresh {
            try store.plan(
                selected, suite: suite, fresh: true, membership: .additional, facts: measurement.facts)
        }
        let (outcome, total) = try train(selected, store)
        try report(store)
        if let error = outcome.error { throw error }
        if outcome.isInterrupted {
            throw Failure(
                .interrupted, "interrupted; what is finished is kept: the same command goes on (\(command))")
        }
        if outcome.failed > 0 {
            throw Failure(
                .someRunsFailed,
                "\(outcome.failed) of \(total) runs failed; `recall-bench status --suite \(suite.name)` tells why"
            )
        }
    }

    private func train(_ selected: [PlannedRun], _ store: Store) throws -> (RunnerOutcome, total: Int) {
        let done = Set(try store.runs(suite: suite.name).filter { $0.status == .finished }.map(\.runID))
        // A run that the suite has under two names is trained once.
        var seen = done
        let open = selected.filter { seen.insert($0.runID).inserted }
        guard !open.isEmpty else {
            if !options.quiet, !options.json {
                Self.note("all \(selected.count) runs of \(suite.name) are finished; --fresh trains them anew")
            }
            return (RunnerOutcome(), selected.count)
        }
        let interrupts = Interrupts()
        let display = ProgressDisplay(
            style: ProgressDisplay.Style(quiet: options.quiet, json: options.json), suite: suite.name,
            totalRuns: open.count, totalSteps: open.reduce(0) { $0 + $1.spec.totalSteps })
        let runner = Runner(
            open, store: store, display: display, stop: interrupts.stop, options: options,
            checkpoints: options.checkpointFolder(besides: database))
        let outcome = runner.run()
        display.finish(heldElsewhere: outcome.heldElsewhere)
        return (outcome, selected.count)
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
        let estimate = try TimeEstimate(selected).seconds(jobs: options.jobCount, threads: options.threads)
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
