import RecallInput
import RecallStore
import RecallSuite

/// What `status --watch` draws: a function of the snapshot and the size of the screen alone.
public struct StatusRendering {
    private let snapshot: StatusSnapshot
    private let columns: Int
    private let glyphs: ProgressRendering.Glyphs
    private let atMost: String

    /// - Parameters:
    ///   - columns: of a terminal; no line is wider.
    ///   - unicode: false for ASCII bars.
    public init(_ snapshot: StatusSnapshot, columns: Int, unicode: Bool = true) {
        (self.snapshot, self.columns) = (snapshot, max(10, columns))
        (glyphs, atMost) = unicode ? (.unicode, "≤") : (.ascii, "<=")
    }

    private static let indent = "  "

    /// A bar and the counts of every suite, beneath them its runs under way and those that failed, and at the end the
    /// whole.
    ///
    /// - Parameter rows: no more lines than this: runs give way first, then suites; what is left out is counted.
    public func lines(rows: Int) -> [String] {
        guard !snapshot.suites.isEmpty else { return [fit("no suite has been run yet")] }
        let bars = barLines
        let whole = bars.dropFirst(snapshot.suites.count)
        var heads: [[String]] = []
        var left = max(1, rows - whole.count)
        for (place, suite) in snapshot.suites.enumerated() {
            // What is left out wants a line too.
            let room = place == snapshot.suites.count - 1 ? left : left - 1
            let head = [bars[place]] + countLines(suite.counts)
            guard room >= 1 else { break }
            heads.append(head.count <= room ? head : [bars[place]])
            left -= heads[place].count
        }
        let hidden = snapshot.suites.count - heads.count
        if hidden > 0 { left -= 1 }
        let bodies = bodies(of: Array(snapshot.suites.prefix(heads.count)), in: max(0, left))
        return zip(heads, bodies).flatMap { $0 + $1 }
            + (hidden > 0 ? [fit("and \(hidden) more \(hidden == 1 ? "suite" : "suites")")] : []) + whole
    }

    // MARK: - Bars

    private struct Bar {
        let label: String
        let fraction: Double
        let details: [(text: String?, weight: Int)]
    }

    private func bar(of suite: StatusSnapshot.Suite) -> Bar {
        bar(
            suite.name,
            suite.counts,
            running: suite.running,
            secondsLeft: suite.secondsLeft,
            isOver: suite.isOver
        )
    }

    private var wholeBar: Bar {
        var seen: Set<String> = []
        return bar(
            "\(snapshot.suites.count) suites",
            snapshot.counts,
            running: snapshot.suites.flatMap(\.running).filter { seen.insert($0.runID).inserted },
            secondsLeft: snapshot.secondsLeft,
            isOver: snapshot.isOver
        )
    }

    private func bar(
        _ label: String,
        _ counts: StatusCounts,
        running: [StatusSnapshot.Running],
        secondsLeft: Double?,
        isOver: Bool
    ) -> Bar {
        // An epoch of a run under way counts as much of a run as it is.
        let underWay = running.reduce(0) { $0 + Double($1.epoch) / Double(max(1, $1.totalEpochs)) }
        let ended = Double(counts.finished + counts.failed) + underWay
        return Bar(
            label: label,
            fraction: counts.total > 0 ? min(1, max(0, ended / Double(counts.total))) : 1,
            details: [
                ("\(Format.count(counts.total)) \(counts.total == 1 ? "run" : "runs")", 1),
                (left(secondsLeft, isOver: isOver), 2),
            ]
        )
    }

    private static let smallestBar = 6
    private static let largestBar = 20

    /// The bars of all suites and, where there are several, the whole's; all of one width, so that they compare.
    private var barLines: [String] {
        let bars = snapshot.suites.map(bar) + (snapshot.suites.count > 1 ? [wholeBar] : [])
        let widest = bars.map { displayWidth(oneLine($0.label)) }.max() ?? 0
        let labelWidth = min(widest, max(8, columns * 3 / 10))
        // What a line has besides its name and the smallest bar: a space on either side, and the percentage.
        let room = columns - labelWidth - 1 - Self.smallestBar - 5
        let details = bars.map { ProgressRendering.fitting($0.details, in: room) }
        let longest = details.map(displayWidth).max() ?? 0
        let width =
            Self.smallestBar + max(0, min(room - longest, Self.largestBar - Self.smallestBar))
        return zip(bars, details).map { bar, details in
            let full = Int(clamping: (bar.fraction * Double(width)).rounded(.down))
            let drawn =
                String(repeating: glyphs.full, count: full)
                + String(repeating: glyphs.empty, count: width - full)
            let percent = "\(Int(clamping: (bar.fraction * 100).rounded(.down)))%"
            let padding = String(repeating: " ", count: max(0, 4 - percent.count))
            return fit("\(padded(bar.label, to: labelWidth)) \(drawn) \(padding)\(percent)\(details)")
        }
    }

    private func left(_ seconds: Double?, isOver: Bool) -> String? {
        if isOver { return nil }
        return seconds.map { "\(atMost) \(Format.duration($0)) left" } ?? "time left unknown"
    }

    // MARK: - What stands beneath a bar

    private func countLines(_ counts: StatusCounts) -> [String] {
        let parts = [
            (counts.finished, "finished"), (counts.running, "running"), (counts.failed, "failed"),
            (counts.pending, "pending"), (counts.interrupted, "interrupted"),
        ].map { "\(Format.count($0.0)) \($0.1)" }
        var lines: [String] = []
        for part in parts {
            guard let last = lines.last else {
                lines.append(Self.indent + part)
                continue
            }
            // The comma that may follow wants its column too.
            if displayWidth(last + ", " + part) < columns {
                lines[lines.count - 1] += ", " + part
            } else {
                lines[lines.count - 1] += ","
                lines.append(Self.indent + part)
            }
        }
        return lines.map(fit)
    }

    /// For each suite the lines of its runs, in as many rows as there are: those under way first, then those that failed.
    private func bodies(of suites: [StatusSnapshot.Suite], in rows: Int) -> [[String]] {
        let failures = suites.reduce(0) { $0 + $1.failures.count }
        // Failures get a third of the rows where all does not fit.
        var left = max(rows - failures, rows - rows / 3)
        let running = suites.map { suite in
            take(suite.running.map { runningLine($0, among: suites) }, from: &left, what: "running")
        }
        left = rows - running.reduce(0) { $0 + $1.count }
        let failed = suites.map { take($0.failures.map(failureLine), from: &left, what: "failed") }
        return zip(running, failed).map { $0 + $1 }
    }

    /// As many lines as there are rows; the last of them counts what did not fit.
    private func take(_ lines: [String], from rows: inout Int, what: String) -> [String] {
        guard lines.count > rows else {
            rows -= lines.count
            return lines
        }
        guard rows > 0 else { return [] }
        let shown = rows - 1
        rows = 0
        return lines.prefix(shown) + [fit("\(Self.indent)and \(lines.count - shown) more \(what)")]
    }

    private func runningLine(_ run: StatusSnapshot.Running, among suites: [StatusSnapshot.Suite]) -> String {
        let widest =
            suites.flatMap(\.running).map { displayWidth(oneLine($0.label)) }.max() ?? 0
        let width = min(widest, max(8, columns / 2 - 2))
        let label = padded(run.label, to: width)
        let details = ProgressRendering.fitting(
            [
                ("epoch \(run.epoch)/\(run.totalEpochs)", 4),
                (run.trainLoss.map { "loss " + Format.decimals($0, 3) }, 1),
                (run.validationAccuracy.map { "acc " + Format.accuracy($0) }, 3),
                (run.secondsLeft.map { "\(atMost) \(Format.duration($0))" }, 2),
            ],
            in: columns - Self.indent.count - width
        )
        return fit(Self.indent + label + details)
    }

    private func failureLine(_ failure: StatusSnapshot.Failure) -> String {
        fit("\(Self.indent)failed: \(failure.label): \(failure.error)")
    }

    // MARK: - Texts

    private func fit(_ text: String) -> String {
        shortened(oneLine(text), to: columns)
    }

    private func padded(_ text: String, to width: Int) -> String {
        let name = shortened(oneLine(text), to: width)
        return name + String(repeating: " ", count: width - displayWidth(name))
    }
}
