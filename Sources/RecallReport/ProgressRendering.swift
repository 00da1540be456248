import RecallInput
import RecallSuite
import RecallTraining

/// The texts of the progress display: functions of the state alone.
enum ProgressRendering {
    /// What a bar is drawn with.
    struct Glyphs: Sendable {
        let full: Character
        let empty: Character
        static let unicode = Glyphs(full: "█", empty: "░")
        static let ascii = Glyphs(full: "#", empty: ".")
    }

    /// The bars: a line a run under way, then one for the whole; none wider than `columns`, no more than fit in `rows`.
    static func bars(
        _ state: ProgressState,
        at now: Double,
        columns: Int,
        rows: Int = 24,
        glyphs: Glyphs = .unicode
    ) -> [String] {
        let shown = Array(state.jobs.prefix(max(1, rows - 3)))
        let whole = "\(state.ended)/\(state.totalRuns) runs"
        let widest = (shown.map(\.label) + [whole]).map(displayWidth).max() ?? 0
        let labelWidth = min(widest, max(8, columns * 2 / 5))
        // What a line has besides its label and the smallest bar: a space on either side, and the percentage.
        let room = columns - labelWidth - 1 - smallestBar - 5
        let wholeDetails = fitting(
            [
                (state.failed > 0 ? "\(state.failed) failed" : nil, 2),
                (state.timeLeft(at: now).map { Format.duration($0) + " left" }, 3),
            ],
            in: room
        )
        let jobDetails = shown.map { job in
            fitting(
                [
                    (job.loss.map { "loss " + decimals($0) }, 1),
                    (job.validationAccuracy.map { "acc " + Format.accuracy($0) }, 2),
                    (job.timeLeft(at: now).map { Format.duration($0) + " left" }, 3),
                ],
                in: room
            )
        }
        // One width for all, so that bars compare.
        let longest = (jobDetails + [wholeDetails]).map(displayWidth).max() ?? 0
        let barWidth = smallestBar + max(0, min(room - longest, largestBar - smallestBar))
        func line(_ label: String, _ fraction: Double, _ details: String) -> String {
            let name = shortened(label, to: labelWidth)
            let padding = String(repeating: " ", count: labelWidth - displayWidth(name))
            // Full only when all is done.
            let full = Int(clamping: (fraction * Double(barWidth)).rounded(.down))
            let bar =
                String(repeating: glyphs.full, count: full)
                + String(repeating: glyphs.empty, count: barWidth - full)
            let percent = "\(Int(clamping: (fraction * 100).rounded(.down)))%"
            let percentPadding = String(repeating: " ", count: max(0, 4 - percent.count))
            return shortened("\(name)\(padding) \(bar) \(percentPadding)\(percent)\(details)", to: columns)
        }
        var lines = zip(shown, jobDetails).map { line(oneLine($0.label), $0.fraction, $1) }
        if state.jobs.count > shown.count {
            lines.append(shortened("and \(state.jobs.count - shown.count) more", to: columns))
        }
        return lines + [line(whole, state.fraction, wholeDetails)]
    }

    private static let smallestBar = 6
    private static let largestBar = 30

    /// Those details, by their weight, for which there is room, each after two spaces.
    static func fitting(_ details: [(text: String?, weight: Int)], in room: Int) -> String {
        var room = room
        var kept = Set<Int>()
        for index in details.indices.sorted(by: { details[$0].weight > details[$1].weight }) {
            guard let text = details[index].text, displayWidth(text) + 2 <= room else { continue }
            kept.insert(index)
            room -= displayWidth(text) + 2
        }
        return details.indices.filter(kept.contains).compactMap { details[$0].text }.map { "  " + $0 }.joined()
    }

    /// What puts `lines` in the place of the bars drawn before, beneath lines that stay.
    static func frame(permanent: [String], lines: [String], over previous: Int) -> String {
        let up = previous > 0 ? "\u{1B}[\(previous)A" : ""
        return "\r\(up)\u{1B}[J" + (permanent + lines).map { $0 + "\n" }.joined()
    }

    // MARK: - Lines that stay

    static func started(_ job: ProgressState.Job) -> String {
        let continued = job.startStep > 0 ? ", continued at \(Format.count(job.startStep))" : ""
        return "start        \(oneLine(job.label)): \(Format.count(job.totalSteps)) steps\(continued)"
    }

    static func progress(_ job: ProgressState.Job, at now: Double) -> String {
        var parts = ["step \(Format.count(job.step)) of \(Format.count(job.totalSteps))"]
        if let loss = job.loss { parts.append("loss \(decimals(loss))") }
        if let accuracy = job.validationAccuracy {
            parts.append("validation accuracy \(Format.accuracy(accuracy))")
        }
        if let left = job.timeLeft(at: now) { parts.append("\(Format.duration(left)) left") }
        return "             \(oneLine(job.label)): " + parts.joined(separator: ", ")
    }

    static func epoch(_ label: String, _ epoch: EpochRecord) -> String {
        "epoch        \(oneLine(label)): \(epoch.epoch), train loss \(decimals(epoch.trainLoss)), "
            + "validation accuracy \(Format.accuracy(epoch.validationAccuracy))"
    }

    static func finished(_ label: String, _ result: RunResult) -> String {
        "done         \(oneLine(label)): test accuracy \(Format.accuracy(result.testAccuracy)), "
            + "\(result.epochs) \(result.epochs == 1 ? "epoch" : "epochs"), "
            + "\(Format.duration(result.trainSeconds)) of training"
    }

    static func finishedElsewhere(_ label: String) -> String {
        "done         \(oneLine(label)): by another process"
    }

    static func failed(_ label: String, _ error: String) -> String {
        "failed       \(oneLine(label)): \(oneLine(error))"
    }

    static func interrupted(_ job: ProgressState.Job) -> String {
        "interrupted  \(oneLine(job.label)): at step \(Format.count(job.step)) of \(Format.count(job.totalSteps))"
    }

    static func whole(_ state: ProgressState, at now: Double) -> String {
        let left = state.timeLeft(at: now).map { ", \(Format.duration($0)) left" } ?? ""
        return
            "             \(state.ended) of \(state.totalRuns) runs (\(Int(clamping: (state.fraction * 100).rounded(.down)))%)\(left)"
    }

    static func summary(_ state: ProgressState, at now: Double) -> String {
        let elsewhere = state.finishedElsewhere
        let done = "\(state.finished + elsewhere) of \(state.totalRuns) runs finished"
        var parts = [elsewhere > 0 ? "\(done) (\(elsewhere) by another process)" : done]
        if state.failed > 0 { parts.append("\(state.failed) failed") }
        if state.interrupted > 0 { parts.append("\(state.interrupted) interrupted") }
        let summary = parts.joined(separator: ", ") + " in \(Format.duration(now - state.startedAt))"
        let held = state.heldElsewhere
        return held > 0 ? "\(summary); \(beingTrainedElsewhere(held, holders: []))" : summary
    }

    /// "2 runs are being trained by another process (vm, process 12)".
    ///
    /// - Parameter holders: each process in words; none where that is not worth saying.
    static func beingTrainedElsewhere(_ runs: Int, holders: [String]) -> String {
        let who =
            switch holders.count {
            case 0: "another process"
            case 1: "another process (\(holders[0]))"
            default: "\(holders.count) other processes"
            }
        return "\(Format.count(runs)) \(runs == 1 ? "run is" : "runs are") being trained by \(who)"
    }

    private static func decimals(_ value: Double) -> String { Format.decimals(value, 3) }
}
