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
        let store = try Store(path: database, mode: .readWrite)
        try store.releaseStale()
        try store.plan(runs, suite: suite, facts: measurement.facts)
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
        let failed = try failures(among: selected, store)
        if failed > 0 {
            throw Failure(
                .someRunsFailed,
                "\(failed) of \(total) runs failed; `recall-bench status --suite \(suite.name)` tells why")
        }
    }

    private func train(_ selected: [PlannedRun], _ store: Store) throws -> (RunnerOutcome, total: Int) {
        let done = Set(try store.runs(suite: suite.name).filter { $0.status == .finished }.map(\.runID))
        let open = selected.filter { !done.contains($0.runID) }
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
        display.finish()
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

    private func failures(among selected: [PlannedRun], _ store: Store) throws -> Int {
        let ids = Set(selected.map(\.runID))
        return try store.runs(suite: suite.name).count { ids.contains($0.runID) && $0.status == .failed }
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
        let estimate = try TimeEstimate(selected).seconds(jobs: options.jobCount, threads: options.threads)
        Output.write(
            "\(selected.count) runs, at most about \(Format.duration(estimate)) with \(options.jobCount) at once, "
                + "by timing a few steps of each; runs that stop early are not foreseen\n")
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
