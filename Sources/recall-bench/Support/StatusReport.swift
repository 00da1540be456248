import RecallReport
import RecallStore
import RecallSuite

/// What `status` prints: a table of suites, then what is running and what failed.
struct StatusReport {
    let snapshot: StatusSnapshot
    /// The file that it is of.
    let database: String

    /// Failures shown a suite; the rest is counted.
    private static let mostFailures = 10

    init(_ snapshot: StatusSnapshot, database: String) { (self.snapshot, self.database) = (snapshot, database) }

    func lines(width: Int) -> [String] {
        var table = TextTable([
            .init("suite", shrinks: true), .init("runs", .right), .init("pending", .right),
            .init("running", .right), .init("finished", .right), .init("failed", .right),
            .init("interrupted", .right), .init("time left", .right),
        ])
        for suite in snapshot.suites {
            let counts = suite.counts
            let numbers = [
                counts.total, counts.pending, counts.running, counts.finished, counts.failed,
                counts.interrupted,
            ].map(String.init)
            let left = suite.secondsLeft.map { "≤ " + Format.duration($0) }
            table.add([suite.name] + numbers + [left ?? (suite.isOver ? "none" : "?")])
        }
        return table.lines(width: width) + snapshot.suites.flatMap { section(of: $0, width: width) }
    }

    private func section(of suite: StatusSnapshot.Suite, width: Int) -> [String] {
        var lines: [String] = []
        if !suite.running.isEmpty {
            var table = TextTable([.init("running", shrinks: true), .init("epoch", .right), .init("held by")])
            for run in suite.running {
                table.add([run.label, "\(run.epoch)/\(run.totalEpochs)", "\(run.host) \(run.pid)"])
            }
            lines +=
                ["", "\(suite.name): running"]
                + table.lines(width: width - 2).dropFirst(2).map { "  " + $0 }
        }
        if !suite.failures.isEmpty {
            lines += ["", "\(suite.name): failed"]
            for failure in suite.failures.prefix(Self.mostFailures) {
                lines.append(shortened("  \(failure.label)", to: width))
                lines += Listing.wrap(failure.error, to: width - 4).map { "    " + $0 }
            }
            if suite.failures.count > Self.mostFailures {
                // Not wrapped: a command that is broken into lines is another one.
                let command = ShellCommand("export", "csv", "--table", "runs").option("--suite", suite.name)
                    .on(database: database)
                lines.append(
                    "  and \(suite.failures.count - Self.mostFailures) more; `\(command)` has all errors"
                )
            }
        }
        return lines
    }
}
