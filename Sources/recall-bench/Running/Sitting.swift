import Foundation
import RecallInput
import RecallReport
import RecallStore
import RecallSuite
import RecallTensor
import RecallTraining

/// One sitting over a suite's runs: what `run` and `sweep` share, from the checks to the table.
struct Sitting {
    let planner: RunPlanner
    let database: String
    private(set) var options: TrainingOptions
    let measurement: ModelMeasurement
    /// Those of a session of several suites; nil for a sitting's own.
    var interrupts: Interrupts?

    init(
        _ suite: Suite,
        membership: Store.Membership,
        database: String,
        options: TrainingOptions,
        measurement: ModelMeasurement = ModelMeasurement()
    ) {
        (self.database, self.options, self.measurement) = (database, options, measurement)
        planner = RunPlanner(suite, membership: membership, measurement: measurement, options: options)
    }

    private var suite: SuiteRecord { planner.record }

    /// A command on the suite's results, for a message.
    private func command(_ words: String...) -> ShellCommand {
        ShellCommand(words: words).option("--suite", suite.name).on(database: database)
    }

    private var checkpoints: CheckpointFolder { options.checkpointFolder(of: database) }

    /// Lists, or trains and prints the tradeoff table.
    ///
    /// - Throws: `Failure` for what the exit status tells, `StoreError`, `OptionError`.
    func perform() throws {
        try requireControl()
        var sitting = self
        try sitting.sit()
    }

    /// Refuses a control that is required and that the suite does not have: nothing could ever be invalid.
    ///
    /// - Throws: `Failure` (64).
    func requireControl() throws {
        guard options.requireControl, suite.controlModel == nil else { return }
        throw Failure(
            .usage,
            "--require-control: the suite \(suite.name) names no control; add "
                + "`control: {model: NAME, minimum_accuracy: 0.99}` to it, or leave the option out"
        )
    }

    private mutating func sit() throws {
        let patience = options.patience("looking at what is left of \(suite.name)")
        defer { patience?.end() }
        let first = try planner.firstRuns()
        // A device that is not there is told of before anything is written.
        let execution = try options.deviceChoice.execution()
        let devices = try options.deviceChoice.all()
        if options.dryRun {
            let plan = try DryRun(
                planner,
                in: database,
                fresh: options.fresh,
                on: execution,
                checkpoints: checkpoints
            )
            try measurement.measure(plan.selected)
            let refusals = try MemoryCheck(on: devices).refusals(of: plan.left, measurement)
            let fitting = refusals.isEmpty ? plan.left : plan.left.filter { refusals[$0.pointID] == nil }
            try chooseJobs(fitting, devices)
            patience?.end()
            if plan.selected.isEmpty { Self.note(nothingSelected) }
            if !options.quiet { planner.suite.notes.forEach(Self.note) }
            Output.write(StackTable(plan.selected).lines(width: Output.width) + [""])
            try plan.write(options, measurement, fitting: fitting, refusals: refusals)
            return
        }
        try Store.check(path: database, for: first)
        try checkpoints.check(keeping: options.keepCheckpoints)
        let isSilent = options.quiet || options.json
        let store = try Store(path: database, mode: .readWrite) { if !isSilent { Self.note($0) } }
        try store.releaseStale()
        let notes = try RowOriginNotes(suite: suite.name, in: store, besides: execution).lines
        let memory = try MemoryCheck(on: devices)
        var selected = try planner.plan(in: store)
        var open = try left(of: selected, store)
        // Another process may have ended what was missing, and so made something else necessary.
        if open.isEmpty { open = try planner.additions(to: store).map(\.planned) }
        // A run that cannot fit fails alone; what does not fit together is refused before results are forgotten.
        let refusals = try memory.refusals(of: open, measurement)
        let fitting = refusals.isEmpty ? open : open.filter { refusals[$0.pointID] == nil }
        try chooseJobs(fitting, devices)
        try memory.require(fitting, jobs: options.jobCount, measurement)
        try checkpoints.checkSpace(
            for: fitting,
            further: planner.mostFurther(beyond: selected, open: open),
            jobs: options.jobCount,
            keeping: options.keepCheckpoints,
            database: database,
            measurement: measurement
        )
        patience?.end()
        if options.fresh {
            selected = try planner.forget(selected, in: store)
            open = try left(of: selected, store)
        }
        let outcome = try train(
            open,
            of: selected.count,
            store,
            devices,
            execution,
            refusals: refusals,
            notes: planner.suite.notes + (options.fresh ? [] : notes)
                + (selected.isEmpty ? [nothingSelected] : [])
        )
        // What searches added stands at the end; now it takes its place. A store that failed stays as it is.
        if outcome.error == nil, planner.suite.search != nil {
            do { selected = try planner.plan(in: store) } catch let error as StoreError
                where error.kind == .busy
            {
                // Its place is for the eye; the next session puts it there.
            }
        }
        let verdict = try report(store)
        if let error = outcome.error { throw error }
        if outcome.isInterrupted {
            throw Failure(
                .interrupted,
                "interrupted; what is finished is kept, and this goes on: "
                    + "\(ShellCommand.continuing)"
            )
        }
        if outcome.failed > 0 {
            if let verdict { warn(of: verdict) }
            throw Failure(
                .someRunsFailed,
                "\(outcome.failed) of \(selected.count) runs failed; `\(command("status"))` tells why"
            )
        }
        if let verdict { try settle(verdict, isSelected: selected.contains { $0.model == suite.controlModel }) }
    }

    /// Says last of all what heads the table of an invalid control.
    ///
    /// - Parameter isSelected: whether the options leave runs of the control.
    /// - Throws: `Failure` of status 2 where the options require a valid control, and this one is not.
    private func settle(_ verdict: ControlVerdict, isSelected: Bool) throws {
        guard verdict.kind == .fails else { return }
        if options.requireControl, isSelected { throw Failure(.invalidControl, verdict.heading) }
        warn(of: verdict)
    }

    private func warn(of verdict: ControlVerdict) {
        guard verdict.kind == .fails, !options.quiet, !options.json else { return }
        verdict.heading.map(Self.note)
    }

    /// Where the options leave it open, measures how many runs at once the devices train fastest.
    ///
    /// - Throws: what training a step can meet.
    private mutating func chooseJobs(_ open: [PlannedRun], _ devices: [DeviceChoice]) throws {
        guard options.measuresJobs, !open.isEmpty else { return }
        let choice = try JobMeasurement(open, measurement).choose(on: devices[0])
        options.jobs = choice.jobs * devices.count
        if !options.quiet, !options.json {
            let cards = devices.count == 1 ? "" : " on each of \(devices.count) cards"
            Self.note("\(choice.jobs) at once\(cards), by measuring: \(choice.text)")
        }
    }

    /// The runs to train.
    private func left(of selected: [PlannedRun], _ store: Store) throws -> [PlannedRun] {
        let finished = try store.runs(suite: suite.name).filter { $0.status == .finished }.map(\.runID)
        // A process that died between recording a run's end and settling its checkpoint leaves the file.
        for runID in finished {
            try checkpoints.adopt(runID, database: store.databaseID ?? "") { try store.history(runID) }
            checkpoints.settle(runID, keeping: options.keepCheckpoints)
        }
        // A run that the suite has under two names is trained once.
        var seen = options.fresh ? [] : Set(finished)
        return selected.filter { seen.insert($0.runID).inserted }
    }

    /// - Parameters:
    ///   - refusals: why runs of some points cannot be trained, by `PlannedRun.pointID`.
    ///   - notes: said before anything is trained.
    private func train(
        _ open: [PlannedRun],
        of total: Int,
        _ store: Store,
        _ devices: [DeviceChoice],
        _ execution: Execution,
        refusals: [String: String],
        notes: [String]
    ) throws -> RunnerOutcome {
        // Programs are told of a sitting without runs as of any other.
        guard !open.isEmpty || options.json else {
            if !options.quiet {
                notes.forEach(Self.note)
                if total > 0 {
                    Self.note("all \(total) runs of \(suite.name) are finished; --fresh trains them anew")
                }
            }
            return RunnerOutcome()
        }
        // A thread per run, those of its kernels, and one that writes its checkpoints.
        let runs = suite.search == nil ? min(options.jobCount, max(open.count, 1)) : options.jobCount
        try SystemLimits.requireThreads(
            runs + SystemLimits.kernelThreads(options.threads, runs: runs) + 1,
            options: "--jobs and --threads"
        )
        let interrupts = interrupts ?? Interrupts()
        interrupts.isIdle = false
        defer { interrupts.isIdle = true }
        let planner = planner
        let display = ProgressDisplay(
            style: ProgressDisplay.Style(quiet: options.quiet, json: options.json),
            suite: suite.name,
            totalRuns: open.count,
            totalSteps: open.map(\.spec.totalSteps).saturatingSum(),
            details: try details(of: open, selected: total, store, execution)
        )
        notes.forEach(display.note)
        let runner = Runner(
            open,
            store: store,
            display: display,
            stop: interrupts.stop,
            options: options,
            checkpoints: checkpoints,
            planner: planner,
            devices: devices,
            execution: execution,
            refusals: refusals
        )
        let outcome = runner.run()
        if options.json, let tradeoff = try? Tradeoff(suite: suite.name, in: store) {
            display.control(tradeoff.verdict)
        }
        display.finish(
            heldElsewhere: outcome.heldElsewhere,
            error: outcome.error.flatMap { Failure($0).message }
        )
        return outcome
    }

    /// What the events of `--json` tell of the runs.
    private func details(
        of open: [PlannedRun],
        selected: Int,
        _ store: Store,
        _ execution: Execution
    ) throws -> SittingDetails {
        guard options.json else { return SittingDetails() }
        let facts = Dictionary(
            try store.runs(suite: suite.name).map { ($0.runID, $0.facts) },
            uniquingKeysWith: { first, _ in first }
        )
        let runs = open.compactMap { run in
            facts[run.runID].map { (run.runID, SittingDetails.Run(run, $0)) }
        }
        return SittingDetails(
            runs: Dictionary(runs, uniquingKeysWith: { first, _ in first }),
            selectedRuns: selected,
            alreadyFinished: selected - open.count,
            jobs: options.jobCount,
            threads: options.threads,
            execution: execution
        )
    }

    /// - Returns: what the suite's control says; nil for a suite that is not there any more.
    private func report(_ store: Store) throws -> ControlVerdict? {
        guard let tradeoff = try Tradeoff(suite: suite.name, in: store) else { return nil }
        Output.write(TradeoffTable(tradeoff).render(width: Output.width))
        let seeds = SeedTable(tradeoff).render(width: Output.width)
        if !seeds.isEmpty { Output.write("\n" + seeds) }
        if suite.search != nil, !tradeoff.rows.isEmpty {
            Output.write("\n" + LearningRateTable(tradeoff).render(width: Output.width))
        }
        if options.plot ?? (isatty(STDOUT_FILENO) == 1), !tradeoff.rows.isEmpty {
            Output.write("\n" + TradeoffSketch(tradeoff).render(width: Output.width))
        }
        try store.requireInPlace()
        if !options.quiet, !options.json {
            Self.note(
                "everything is in \(database); `\(command("export", "csv", "--table", "tradeoff"))` writes the table for "
                    + "a plot"
            )
        }
        return tradeoff.verdict
    }

    /// Why there is nothing to train where the options leave no run.
    private var nothingSelected: String {
        "nothing to train: --only and --shard leave none of the runs that \(suite.name) needs"
            + (suite.search == nil
                ? "" : " so far; its search comes to others when those that it begins with are trained")
    }

    static func note(_ text: String) {
        Output.note(text)
    }
}
