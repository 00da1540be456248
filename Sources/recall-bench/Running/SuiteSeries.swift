import RecallReport
import RecallSuite

/// Suites that are trained one after another in one session, each with its table.
struct SuiteSeries {
    private var sittings: [Sitting]
    private let options: TrainingOptions

    /// - Throws: `Failure` (64) for two suites of one name.
    init(_ sittings: [Sitting], options: TrainingOptions) throws {
        (self.sittings, self.options) = (sittings, options)
        var names: Set<String> = []
        for sitting in sittings where !names.insert(sitting.planner.suite.name).inserted {
            throw Failure(
                .usage,
                "--suite: there are two suites named '\(sitting.planner.suite.name)'; give each once"
            )
        }
    }

    /// Lists or trains each. A suite whose runs failed does not stop those after it; an interruption, or a disk or a
    /// device that failed, does.
    ///
    /// - Throws: `Failure` of status 1 where runs of any suite failed, else of 2 where a required control is invalid; what
    ///   else ends a sitting.
    func perform() throws {
        guard sittings.count > 1 else {
            for sitting in sittings { try sitting.perform() }
            return
        }
        let selected = try selected()
        for sitting in selected { try sitting.requireControl() }
        // One for all, so that a request between two suites is not lost.
        let interrupts = options.dryRun ? nil : Interrupts()
        interrupts?.isIdle = true
        var worst: Failure.Status?
        for (index, var sitting) in selected.enumerated() {
            sitting.interrupts = interrupts
            Output.write("\(index > 0 ? "\n" : "")suite \(sitting.planner.suite.name)\n")
            do {
                try sitting.perform()
            } catch let failure as Failure
                where failure.status == Failure.Status.someRunsFailed.rawValue
                || failure.status == Failure.Status.invalidControl.rawValue
            {
                failure.say()
                if worst != .someRunsFailed { worst = Failure.Status(rawValue: failure.status) }
            }
        }
        if let worst { throw Failure(worst, nil) }
    }

    /// Those that have runs that `--only` names; it need not name some of each.
    ///
    /// - Throws: `OptionError` where none has.
    private func selected() throws -> [Sitting] {
        var selected: [Sitting] = []
        var refusals: [(suite: String, error: OptionError)] = []
        for sitting in sittings {
            do {
                _ = try sitting.planner.firstRuns()
                selected.append(sitting)
            } catch let error as OptionError {
                refusals.append((sitting.planner.suite.name, error))
            }
        }
        if selected.isEmpty, let first = refusals.first { throw first.error }
        if !options.quiet {
            for (suite, error) in refusals { Output.note("\(suite) is left out: \(error)") }
        }
        return selected
    }
}
