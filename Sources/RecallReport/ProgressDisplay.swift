import Dispatch
import Foundation
import RecallInput
import RecallStore
import RecallSuite
import RecallTraining

/// Shows how the runs of a suite get on, on standard error. Every method may be called from any thread.
public final class ProgressDisplay: @unchecked Sendable {
    public enum Style: Sendable {
        /// A bar a run and one for the whole, redrawn in place; a run that ends leaves a line.
        case terminal
        /// A line when a run starts, when an epoch ends, every ten seconds, and when the run ends.
        case plain
        /// Failures only.
        case quiet
        /// A JSON object a line; the keys are `ProgressEvent`'s.
        case json

        /// What the options ask for, or what suits the output.
        public init(quiet: Bool, json: Bool, output: FileHandle = .standardError) {
            self = json ? .json : quiet ? .quiet : Terminal.drawsBars(output) ? .terminal : .plain
        }
    }

    /// Redraws are at least an eighth of a second apart.
    static let redrawInterval = 0.125
    static let plainInterval = 10.0
    /// Epochs may last milliseconds: a run has at most one epoch line in this time.
    static let plainEpochInterval = 1.0
    static let jsonInterval = 0.25

    private let style: Style
    private let suite: String
    private let process: ProcessIdentity
    private let date: @Sendable () -> Date
    private let clock: @Sendable () -> Double
    private let output: @Sendable (String) -> Void
    private let size: @Sendable () -> (columns: Int, rows: Int)
    private let glyphs: ProgressRendering.Glyphs

    // Guarded by `lock`.
    private let lock = NSLock()
    private var state: ProgressState
    private var details: SittingDetails
    private var drawnLines = 0
    private var lastDraw = -Double.infinity
    private var lastLine: [String: Double] = [:]
    /// Runs that another process holds, and which one was told of.
    private var holders: [String: Int32] = [:]
    private var isOver = false

    /// - Parameters:
    ///   - totalRuns: runs to be trained now.
    ///   - totalSteps: their steps in all, if known; it makes the time left truer where runs differ in length.
    ///   - details: for `json`.
    public convenience init(
        style: Style,
        suite: String,
        totalRuns: Int,
        totalSteps: Int? = nil,
        details: SittingDetails,
        output: FileHandle = .standardError
    ) {
        self.init(
            style: style,
            suite: suite,
            totalRuns: totalRuns,
            totalSteps: totalSteps,
            details: details,
            clock: { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 },
            output: { StandardError.write(raw: $0, to: output) },
            size: { Terminal.size(output) },
            unicode: Terminal.speaksUnicode()
        )
    }

    package init(
        style: Style,
        suite: String,
        totalRuns: Int,
        totalSteps: Int? = nil,
        details: SittingDetails = SittingDetails(),
        process: ProcessIdentity = .current,
        date: @escaping @Sendable () -> Date = { Date() },
        clock: @escaping @Sendable () -> Double,
        output: @escaping @Sendable (String) -> Void,
        size: @escaping @Sendable () -> (columns: Int, rows: Int),
        unicode: Bool = true
    ) {
        (self.style, self.suite, self.clock, self.output, self.size) = (style, suite, clock, output, size)
        (self.details, self.process, self.date) = (details, process, date)
        glyphs = unicode ? .unicode : .ascii
        state = ProgressState(totalRuns: totalRuns, plannedSteps: totalSteps, startedAt: clock())
        emit(.suiteStarted) {
            $0[.suite] = suite
            $0[.runs] = totalRuns
            $0[.totalSteps] = totalSteps
            $0.set(details)
        }
    }

    /// Results have made further runs necessary.
    public func runsAdded(_ runs: [SittingDetails.Run]) {
        locked { now in
            state.add(runs: runs.count, steps: runs.map(\.planned.spec.totalSteps).saturatingSum())
            for run in runs { details.runs[run.planned.runID] = run }
            emit(.runsAdded) {
                $0[.suite] = suite
                ($0[.added], $0[.runs], $0[.totalSteps]) = (runs.count, state.totalRuns, state.plannedSteps)
            }
            draw(at: now)
        }
    }

    /// A run begins or goes on.
    ///
    /// - Parameters:
    ///   - label: what people call it: model, learning rate, seed.
    ///   - totalSteps: its steps if it does not stop early.
    ///   - startStep: those that earlier sittings did.
    public func runStarted(_ id: String, label: String, totalSteps: Int, startStep: Int = 0) {
        locked { now in
            state.start(id, label: label, totalSteps: totalSteps, startStep: startStep, at: now)
            lastLine[id] = now
            say(state[id].map(ProgressRendering.started), only: .plain)
            emit(.runStarted, id) {
                $0[.suite] = suite
                $0[.label] = label
                $0[.step] = startStep
                $0[.totalSteps] = totalSteps
                if let run = details.runs[id] { $0.set(run) }
            }
            draw(at: now)
        }
    }

    /// - Parameters:
    ///   - step: optimiser steps done, over all sittings.
    ///   - loss: of that step's batch.
    ///   - validationAccuracy: the latest; nil keeps the one before.
    public func runProgress(_ id: String, step: Int, loss: Double? = nil, validationAccuracy: Double? = nil) {
        locked { now in
            state.update(id) {
                $0.step = step
                $0.loss = loss ?? $0.loss
                $0.validationAccuracy = validationAccuracy ?? $0.validationAccuracy
            }
            let interval =
                switch style {
                case .plain: Self.plainInterval
                case .json: Self.jsonInterval
                case .terminal, .quiet: Double.infinity
                }
            if now - (lastLine[id] ?? 0) >= interval, let job = state[id] {
                lastLine[id] = now
                say(ProgressRendering.progress(job, at: now), only: .plain)
                emit(.progress, id) {
                    $0[.step] = job.step
                    $0[.totalSteps] = job.totalSteps
                    $0[.loss] = job.loss
                    $0[.validationAccuracy] = job.validationAccuracy
                    $0[.runSecondsLeft] = job.timeLeft(at: now)
                    $0[.secondsLeft] = state.timeLeft(at: now)
                }
            }
            if now - lastDraw >= Self.redrawInterval { draw(at: now) }
        }
    }

    public func epochFinished(_ id: String, _ epoch: EpochRecord) {
        locked { now in
            state.update(id) {
                // A graphics card may be in the next epoch already.
                ($0.step, $0.epoch) = (max($0.step, epoch.step), epoch.epoch)
                ($0.loss, $0.validationAccuracy) = (epoch.trainLoss, epoch.validationAccuracy)
            }
            if style == .plain, now - (lastLine[id] ?? 0) >= Self.plainEpochInterval {
                lastLine[id] = now
                say(ProgressRendering.epoch(state[id]?.label ?? id, epoch), only: .plain)
            }
            emit(.epochFinished, id) {
                $0.set(epoch)
                $0[.totalSteps] = state[id]?.totalSteps
                $0[.totalEpochs] = details.runs[id]?.planned.spec.training.epochs
            }
            if now - lastDraw >= Self.redrawInterval { draw(at: now) }
        }
    }

    public func runFinished(_ id: String, _ result: RunResult) {
        locked { now in
            let job = state.end(id, .finished, steps: result.steps, at: now)
            emit(.runFinished, id) {
                $0[.label] = job?.label
                $0.set(result)
            }
            leave(ProgressRendering.finished(job?.label ?? id, result), withWhole: true, at: now)
        }
    }

    /// A run that was to be trained here is being trained by another process. Told once for each such process.
    public func runHeldElsewhere(_ id: String, label: String, host: String, pid: Int32) {
        locked { _ in
            guard holders.updateValue(pid, forKey: id) != pid else { return }
            emit(.runHeldElsewhere, id) {
                $0[.label] = label
                $0[.holderHost] = host
                $0[.holderPID] = pid
            }
        }
    }

    /// A run that was to be trained here has been finished by another process.
    ///
    /// - Parameter totalSteps: its steps if it did not stop early.
    public func runFinishedElsewhere(_ id: String, label: String, totalSteps: Int) {
        locked { now in
            state.endElsewhere(steps: totalSteps)
            holders[id] = nil
            emit(.runFinishedElsewhere, id) { $0[.label] = label }
            leave(ProgressRendering.finishedElsewhere(label), withWhole: true, at: now)
        }
    }

    public func runFailed(_ id: String, error: String) {
        locked { now in
            let job = state.end(id, .failed, at: now)
            emit(.runFailed, id) {
                // One that failed before it could begin is under way nowhere.
                $0[.label] = job?.label ?? details.runs[id]?.planned.label
                $0[.step] = job?.step
                $0[.error] = error
            }
            let line = ProgressRendering.failed(job?.label ?? id, error)
            say(line, only: .quiet)
            leave(line, withWhole: true, at: now)
        }
    }

    public func runInterrupted(_ id: String) {
        locked { now in
            guard let job = state.end(id, .interrupted, at: now) else { return }
            emit(.runInterrupted, id) {
                $0[.label] = job.label
                $0[.step] = job.step
                $0[.totalSteps] = job.totalSteps
            }
            leave(ProgressRendering.interrupted(job), at: now)
        }
    }

    /// Nothing is left to begin here: a thread waits for runs that others are training.
    ///
    /// - Parameter holders: those processes, each in words.
    public func waiting(forRuns count: Int, holders: [String]) {
        note(
            ProgressRendering.beingTrainedElsewhere(count, holders: holders)
                + "; waiting for \(count == 1 ? "it" : "them")"
        )
    }

    /// Leaves a line of any content, above the bars.
    public func note(_ message: String) {
        locked { now in
            emit(.note) { $0[.message] = message }
            leave(message, at: now)
        }
    }

    /// Whether the suite's control allows to believe its numbers, for `json`: people read it above the table.
    public func control(_ verdict: ControlVerdict) {
        locked { _ in
            emit(.controlVerdict) {
                $0[.suite] = suite
                $0.set(verdict)
            }
        }
    }

    /// Takes the bars away and says how it all went. Calls after this show nothing.
    ///
    /// - Parameters:
    ///   - heldElsewhere: runs that other processes are still training.
    ///   - error: what ended the sitting before its runs, for `json`; people are told by whoever called.
    public func finish(heldElsewhere: Int = 0, error: String? = nil) {
        locked { now in
            state.heldElsewhere = heldElsewhere
            emit(.suiteFinished) {
                $0[.suite] = suite
                $0[.runs] = state.totalRuns
                $0[.finished] = state.finished
                $0[.failed] = state.failed
                $0[.interrupted] = state.interrupted
                $0[.finishedElsewhere] = state.finishedElsewhere
                $0[.heldElsewhere] = state.heldElsewhere
                $0[.error] = error
            }
            let summary = ProgressRendering.summary(state, at: now)
            say(summary, only: .plain)
            if style == .terminal {
                output(ProgressRendering.frame(permanent: [summary], lines: [], over: drawnLines))
                drawnLines = 0
            }
            isOver = true
        }
    }

    // MARK: - With the lock held

    private func locked(_ body: (_ now: Double) -> Void) {
        lock.withLock { if !isOver { body(clock()) } }
    }

    private func say(_ line: String?, only wanted: Style) {
        if style == wanted, let line { output(oneLine(line) + "\n") }
    }

    /// A line that stays: above the bars, or as it is.
    private func leave(_ line: String, withWhole: Bool = false, at now: Double) {
        say(line, only: .plain)
        if withWhole { say(ProgressRendering.whole(state, at: now), only: .plain) }
        draw(permanent: [oneLine(line)], at: now)
    }

    private func draw(permanent: [String] = [], at now: Double) {
        guard style == .terminal else { return }
        let (columns, rows) = size()
        // A line of the full width would make some terminals wrap.
        let lines = ProgressRendering.bars(
            state,
            at: now,
            columns: max(10, columns - 1),
            rows: rows,
            glyphs: glyphs
        )
        output(ProgressRendering.frame(permanent: permanent, lines: lines, over: drawnLines))
        (drawnLines, lastDraw) = (lines.count, now)
    }

    private func emit(
        _ event: ProgressEventName,
        _ id: String? = nil,
        _ fill: (inout ProgressEvent) -> Void
    ) {
        guard style == .json else { return }
        var object = ProgressEvent(
            event,
            time: date(),
            elapsed: clock() - state.startedAt,
            process: process,
            runID: id
        )
        fill(&object)
        output(object.line)
    }
}
