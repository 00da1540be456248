import Foundation
import RecallReport
import RecallStore
import RecallSuite

/// A suite's runs as the store has them at one moment.
struct SuiteState {
    let suite: SuiteRecord
    let runs: [StoredRun]

    func count(_ status: RunStatus) -> Int { runs.count { $0.status == status } }

    /// Seconds until everything that is not finished or failed has been trained to the last epoch, with as many at once
    /// as are running now; nil where no run has a figure, or nothing is left.
    var secondsLeft: Double? {
        let open = runs.filter { [.pending, .running, .interrupted].contains($0.status) }
        guard !open.isEmpty else { return nil }
        // Runs that differ in learning rate and seed only take the same time; failing that, any run of the suite.
        var known: [RunSpec: [Double]] = [:]
        for run in runs {
            if let seconds = run.secondsPerStep { known[run.costKey, default: []].append(seconds) }
        }
        let all = known.values.flatMap(\.self)
        guard !all.isEmpty else { return nil }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        let total = open.reduce(0) { sum, run in
            sum + Double(run.spec.totalSteps - (run.steps ?? 0)) * mean(known[run.costKey] ?? all)
        }
        return total / Double(max(1, count(.running)))
    }
}

/// What `status` prints.
struct StatusReport {
    let states: [SuiteState]

    /// Failures shown a suite; the rest is counted.
    private static let mostFailures = 10

    init(_ states: [SuiteState]) { self.states = states }

    func lines(width: Int) -> [String] {
        var table = TextTable([
            .init("suite", shrinks: true), .init("runs", .right), .init("pending", .right),
            .init("running", .right), .init("finished", .right), .init("failed", .right),
            .init("interrupted", .right), .init("time left", .right),
        ])
        for state in states {
            let counts = [RunStatus.pending, .running, .finished, .failed, .interrupted].map {
                "\(state.count($0))"
            }
            let left = state.secondsLeft.map { "≤ " + Format.duration($0) }
            let isOver = state.count(.finished) + state.count(.failed) == state.runs.count
            table.add([state.suite.name, "\(state.runs.count)"] + counts + [left ?? (isOver ? "none" : "?")])
        }
        var lines = table.lines(width: width)
        for state in states { lines += section(of: state, width: width) }
        return lines
    }

    private func section(of state: SuiteState, width: Int) -> [String] {
        var lines: [String] = []
        let running = state.runs.filter { $0.status == .running }
        if !running.isEmpty {
            var table = TextTable([.init("running", shrinks: true), .init("epoch", .right), .init("held by")])
            for run in running {
                let holder = run.lease.map { "\($0.holder.host) \($0.holder.pid)" } ?? ""
                table.add([run.label, "\(run.epochs ?? 0)/\(run.spec.training.epochs)", holder])
            }
            lines +=
                ["", "\(state.suite.name): running"]
                + table.lines(width: width - 2).dropFirst(2).map { "  " + $0 }
        }
        let failed = state.runs.filter { $0.status == .failed }
        if !failed.isEmpty {
            lines += ["", "\(state.suite.name): failed"]
            for run in failed.prefix(Self.mostFailures) {
                lines.append(shortened("  \(run.label)", to: width))
                lines += Listing.wrap(run.error ?? "", to: width - 4).map { "    " + $0 }
            }
            if failed.count > Self.mostFailures {
                lines.append(
                    "  and \(failed.count - Self.mostFailures) more; `export csv --table runs` has all errors")
            }
        }
        return lines
    }
}

extension StoredRun {
    /// What people call the run.
    var label: String {
        PlannedRun(suite: suite, task: task, model: model, spec: spec, taskHash: taskHash).label
    }

    /// Seconds of work a step, evaluation included; nil before the first epoch.
    var secondsPerStep: Double? {
        guard let seconds, let steps, steps > 0 else { return nil }
        return seconds / Double(steps)
    }

    /// The same for runs that take the same time.
    var costKey: RunSpec {
        var key = spec
        key.seed = 0
        key.training.learningRate = 0
        return key
    }
}
