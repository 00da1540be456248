import Foundation
import RecallReport
import RecallStore
import RecallTraining
import Synchronization
import Testing

/// A display with a clock that tests move and an output that they read.
private final class Harness: Sendable {
    private let time = Mutex(0.0)
    private let text = Mutex("")
    private let columns: Int
    private let rows: Int

    init(columns: Int = 80, rows: Int = 24) { (self.columns, self.rows) = (columns, rows) }

    func display(
        _ style: ProgressDisplay.Style,
        runs: Int = 4,
        steps: Int? = nil,
        unicode: Bool = true
    ) -> ProgressDisplay {
        ProgressDisplay(
            style: style,
            suite: "quick",
            totalRuns: runs,
            totalSteps: steps,
            process: ProcessIdentity(host: "vm", machine: "", pid: 7, startTime: 0),
            date: { Date(timeIntervalSince1970: 1_700_000_000 + self.time.withLock { $0 }) },
            clock: { self.time.withLock { $0 } },
            output: { piece in self.text.withLock { $0 += piece } },
            size: { (columns: self.columns, rows: self.rows) },
            unicode: unicode
        )
    }

    func advance(_ seconds: Double) { time.withLock { $0 += seconds } }

    /// What was written since the last look.
    func take() -> String {
        text.withLock { text in
            defer { text = "" }
            return text
        }
    }

    /// The lines of the last frame on a terminal.
    func takeFrame() -> [String] {
        let frame = take().components(separatedBy: "\u{1B}[J").last ?? ""
        return frame.split(separator: "\n").map(String.init)
    }
}

private func epochRecord(_ epoch: Int, step: Int) -> EpochRecord {
    EpochRecord(
        epoch: epoch,
        step: step,
        learningRate: 0.01,
        trainLoss: 1.5,
        validationLoss: .nan,
        validationAccuracy: 0.625,
        seconds: 2
    )
}

@Suite struct ProgressTests {
    @Test func barsAtSeveralWidths() {
        func lines(_ columns: Int, unicode: Bool = true) -> [String] {
            let harness = Harness(columns: columns + 1)
            let display = harness.display(.terminal, unicode: unicode)
            display.runStarted("a", label: "based lr=0.01 seed=1", totalSteps: 100)
            display.runStarted("b", label: "日本", totalSteps: 100, startStep: 50)
            harness.advance(20)
            display.runProgress("a", step: 50, loss: 2.3456, validationAccuracy: 0.8125)
            harness.advance(1)
            display.runProgress("b", step: 75)
            let frame = harness.takeFrame()
            #expect(frame.allSatisfy { displayWidth($0) <= columns })
            return frame
        }
        #expect(
            lines(120) == [
                "based lr=0.01 seed=1 ███████████████░░░░░░░░░░░░░░░  50%  loss 2.346  acc 0.812  21 s left",
                "日本                 ██████████████████████░░░░░░░░  75%  21 s left",
                "0/4 runs             █████████░░░░░░░░░░░░░░░░░░░░░  31%  1:17 left",
            ]
        )
        #expect(
            lines(80) == [
                "based lr=0.01 seed=1 ██████████░░░░░░░░░░  50%  loss 2.346  acc 0.812  21 s left",
                "日本                 ███████████████░░░░░  75%  21 s left",
                "0/4 runs             ██████░░░░░░░░░░░░░░  31%  1:17 left",
            ]
        )
        #expect(
            lines(40) == [
                "based lr=0.01 s… ███░░░░  50%  21 s left", "日本             █████░░  75%  21 s left",
                "0/4 runs         ██░░░░░  31%  1:17 left",
            ]
        )
        #expect(lines(40, unicode: false)[0] == "based lr=0.01 s… ###....  50%  21 s left")
        #expect(lines(12).count == 3)
    }

    @Test func aFinishedRunLeavesALineAboveTheBars() {
        let harness = Harness(columns: 60)
        let display = harness.display(.terminal, runs: 2)
        display.runStarted("a", label: "based", totalSteps: 100)
        display.runStarted("b", label: "mamba", totalSteps: 100)
        #expect(harness.take().contains("\u{1B}[2A\u{1B}[J"))
        harness.advance(1)
        display.runFinished("a", syntheticResult())
        let text = harness.take()
        #expect(
            text.hasPrefix(
                "\r\u{1B}[3A\u{1B}[Jdone         based: test accuracy 0.750, 6 epochs, 34 s of training\nmamba "
            )
        )
        #expect(text.contains("\n1/2 runs "))
        display.runFailed("b", error: "NaN in\nlayers.1")
        #expect(
            harness.take().hasPrefix("\r\u{1B}[2A\u{1B}[Jfailed       mamba: NaN in\\nlayers.1\n2/2 runs ")
        )
        harness.advance(60)
        display.finish()
        #expect(
            harness.take() == "\r\u{1B}[1A\u{1B}[J1 of 2 runs finished, 1 failed in 1:01\n"
        )
        display.note("too late")
        #expect(harness.take() == "")
    }

    @Test func redrawsAreAtMostEightASecond() {
        let harness = Harness()
        let display = harness.display(.terminal)
        display.runStarted("a", label: "based", totalSteps: 10_000)
        _ = harness.take()
        for step in 1...1000 {
            harness.advance(0.001)
            display.runProgress("a", step: step, loss: 1)
        }
        let frames = harness.take().components(separatedBy: "\u{1B}[J").count - 1
        #expect((7...8).contains(frames))
    }

    @Test func moreRunsThanRowsAreCounted() {
        let harness = Harness(rows: 8)
        let display = harness.display(.terminal, runs: 20)
        for run in 0..<10 { display.runStarted("\(run)", label: "run \(run)", totalSteps: 100) }
        let frame = harness.takeFrame()
        #expect(frame.count == 7)
        #expect(frame[5] == "and 5 more")
    }

    @Test func plainLines() {
        let harness = Harness()
        let display = harness.display(.plain, runs: 2)
        display.runStarted("a", label: "based lr=0.01", totalSteps: 1000, startStep: 100)
        #expect(harness.take() == "start        based lr=0.01: 1,000 steps, continued at 100\n")
        harness.advance(9)
        display.runProgress("a", step: 190, loss: 2)
        #expect(harness.take() == "")
        harness.advance(1)
        display.runProgress("a", step: 200, loss: 2)
        #expect(
            harness.take() == "             based lr=0.01: step 200 of 1,000, loss 2.000, 1:20 left\n"
        )
        harness.advance(5)
        display.epochFinished("a", epochRecord(1, step: 250))
        display.epochFinished("a", epochRecord(2, step: 251))
        #expect(
            harness.take() == "epoch        based lr=0.01: 1, train loss 1.500, validation accuracy 0.625\n"
        )
        display.runFinished("a", syntheticResult(steps: 1000))
        #expect(
            harness.take() == "done         based lr=0.01: test accuracy 0.750, 6 epochs, 34 s of training\n"
                + "             1 of 2 runs (50%), 17 s left\n"
        )
        display.runStarted("b", label: "mamba", totalSteps: 10)
        display.runInterrupted("b")
        display.note("run again to continue")
        display.finish()
        #expect(
            harness.take() == "start        mamba: 10 steps\ninterrupted  mamba: at step 0 of 10\n"
                + "run again to continue\n1 of 2 runs finished, 1 interrupted in 15 s\n"
        )
    }

    /// What other processes do is told apart from what was done here.
    @Test func runsOfOtherProcesses() {
        let harness = Harness()
        let display = harness.display(.plain, runs: 4)
        display.waiting(forRuns: 4, holders: ["vm, process 12"])
        display.runFinishedElsewhere("a", label: "based", totalSteps: 100)
        #expect(
            harness.take() == "4 runs are being trained by another process (vm, process 12); waiting for them\n"
                + "done         based: by another process\n             1 of 4 runs (25%)\n"
        )
        display.waiting(forRuns: 1, holders: ["vm, process 12"])
        display.waiting(forRuns: 3, holders: ["a", "b"])
        #expect(
            harness.take() == "1 run is being trained by another process (vm, process 12); waiting for it\n"
                + "3 runs are being trained by 2 other processes; waiting for them\n"
        )
        harness.advance(3)
        display.finish(heldElsewhere: 3)
        #expect(
            harness.take() == "1 of 4 runs finished (1 by another process) in 3 s; "
                + "3 runs are being trained by another process\n"
        )
    }

    @Test func quietSaysOnlyWhatFailed() {
        let harness = Harness()
        let display = harness.display(.quiet)
        display.runStarted("a", label: "based", totalSteps: 10)
        harness.advance(100)
        display.runProgress("a", step: 1)
        display.epochFinished("a", epochRecord(1, step: 5))
        display.runFinished("a", syntheticResult())
        display.runStarted("b", label: "mamba", totalSteps: 10)
        display.note("note")
        #expect(harness.take() == "")
        display.runFailed("b", error: "NaN")
        display.finish()
        #expect(harness.take() == "failed       mamba: NaN\n")
    }

    @Test func jsonLines() throws {
        let harness = Harness()
        let display = harness.display(.json, runs: 2, steps: 200)
        display.runStarted("a", label: "based \"🧠\"\n", totalSteps: 100)
        harness.advance(10)
        display.runProgress("a", step: 20, loss: 2.5)
        display.runProgress("a", step: 21, loss: 2.5)
        display.epochFinished("a", epochRecord(1, step: 50))
        display.runFinished("a", syntheticResult())
        display.runStarted("b", label: "mamba", totalSteps: 100, startStep: 30)
        display.runInterrupted("b")
        display.runFailed("c", error: "no room")
        display.runHeldElsewhere("d", label: "based", host: "other", pid: 9)
        display.runHeldElsewhere("d", label: "based", host: "other", pid: 9)
        display.runHeldElsewhere("d", label: "based", host: "other", pid: 10)
        display.control(.fails(model: "attention", accuracy: 0.5, minimum: 0.99))
        display.control(.unfinished(model: "attention", finished: 1, runs: 2))
        display.control(.uncontrolled)
        display.finish(error: "the disk is full")
        let lines = harness.take().split(separator: "\n").map(String.init)
        // Where and when is in every line.
        for (line, seconds) in zip(lines, ["20", "20"] + Array(repeating: "30", count: lines.count)) {
            for part in [#""host":"vm","#, #""pid":7,"#, #""time":"2023-11-14T22:13:\#(seconds).000Z""#] {
                #expect(line.contains(part), "\(part) in \(line)")
            }
        }
        let bare = lines.map { line in
            line.replacingOccurrences(of: #""host":"vm","#, with: "").replacingOccurrences(
                of: #""pid":7,"#,
                with: ""
            ).replacingOccurrences(
                of: #"("time":"[^"]*",|,"time":"[^"]*"(?=\}))"#,
                with: "",
                options: .regularExpression
            )
        }
        let expected = [
            #"{"elapsed_seconds":0,"event":"suite_started","runs":2,"suite":"quick","total_steps":200}"#,
            #"{"elapsed_seconds":0,"event":"run_started","label":"based \"🧠\"\n","run_id":"a","step":0,"suite":"quick","#
                + #""total_steps":100}"#,
            #"{"elapsed_seconds":10,"event":"progress","loss":2.5,"run_id":"a","run_seconds_left":40,"seconds_left":90,"#
                + #""step":20,"total_steps":100}"#,
            #"{"elapsed_seconds":10,"epoch":1,"event":"epoch_finished","learning_rate":0.01,"run_id":"a","seconds":2,"#
                + #""step":50,"total_steps":100,"train_loss":1.5,"validation_accuracy":0.625}"#,
            #"{"elapsed_seconds":10,"epochs":6,"event":"run_finished","label":"based \"🧠\"\n","run_id":"a","slices":[],"#
                + #""steps":100,"test_accuracy":0.75,"tokens_per_second":100000,"train_loss":0.5,"train_seconds":34,"#
                + #""validation_accuracy":0.8,"validation_loss":0.6}"#,
            #"{"elapsed_seconds":10,"event":"run_started","label":"mamba","run_id":"b","step":30,"suite":"quick","#
                + #""total_steps":100}"#,
            #"{"elapsed_seconds":10,"event":"run_interrupted","label":"mamba","run_id":"b","step":30,"total_steps":100}"#,
            #"{"elapsed_seconds":10,"error":"no room","event":"run_failed","run_id":"c"}"#,
            #"{"elapsed_seconds":10,"event":"run_held_elsewhere","holder_host":"other","holder_pid":9,"label":"based","#
                + #""run_id":"d"}"#,
            #"{"elapsed_seconds":10,"event":"run_held_elsewhere","holder_host":"other","holder_pid":10,"label":"based","#
                + #""run_id":"d"}"#,
            #"{"accuracy":0.5,"control_model":"attention","elapsed_seconds":10,"event":"control_verdict","message":"#
                + #""INVALID CONTROL: attention reached 0.5, below 0.99: no number of this table can be trusted.","#
                + #""minimum_accuracy":0.99,"suite":"quick","verdict":"fails"}"#,
            #"{"control_model":"attention","elapsed_seconds":10,"event":"control_verdict","finished":1,"message":"#
                + #""CONTROL NOT FINISHED: 1 of 2 runs of attention are done: no number of this table can be trusted yet.","#
                + #""runs":2,"suite":"quick","verdict":"unfinished"}"#,
            #"{"elapsed_seconds":10,"event":"control_verdict","message":"no control in this suite: nothing was "#
                + #"controlled","suite":"quick","verdict":"uncontrolled"}"#,
            #"{"elapsed_seconds":10,"error":"the disk is full","event":"suite_finished","failed":0,"finished":1,"#
                + #""finished_elsewhere":0,"held_elsewhere":0,"interrupted":1,"runs":2,"suite":"quick"}"#,
        ]
        #expect(bare == expected)
    }

    @Test func timeLeft() throws {
        let harness = Harness()
        func left(_ body: (ProgressDisplay) -> Void, runs: Int, steps: Int? = nil) throws -> Double? {
            let display = harness.display(.json, runs: runs, steps: steps)
            body(display)
            let last = try #require(harness.take().split(separator: "\n").last { $0.contains("\"progress\"") })
            let object = try JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any]
            return object?["seconds_left"] as? Double
        }
        // Two at once, a step a second each, of four runs of 100 steps: 400 - 20 steps at 2 a second.
        #expect(
            try left(
                { display in
                    display.runStarted("a", label: "a", totalSteps: 100)
                    display.runStarted("b", label: "b", totalSteps: 100)
                    harness.advance(10)
                    display.runProgress("b", step: 10)
                    display.runProgress("a", step: 10)
                    harness.advance(1)
                    display.runProgress("b", step: 11)
                    display.runProgress("a", step: 11)
                },
                runs: 4
            ) == 189
        )
        // Steps of earlier sittings say nothing about speed: 90 left at one a second.
        #expect(
            try left(
                { display in
                    display.runStarted("a", label: "a", totalSteps: 1000, startStep: 900)
                    harness.advance(10)
                    display.runProgress("a", step: 910)
                },
                runs: 1
            ) == 90
        )
        // The last long run takes its own time, however many work beside it.
        #expect(
            try left(
                { display in
                    display.runStarted("long", label: "long", totalSteps: 1000)
                    display.runStarted("short", label: "short", totalSteps: 10)
                    harness.advance(10)
                    display.runProgress("short", step: 9)
                    display.runProgress("long", step: 10)
                },
                runs: 2
            ) == 990
        )
        // What a run needs to start says nothing about its speed: 1000 + 999 steps at 12 seconds for 101.
        let started = try #require(
            try left(
                { display in
                    display.runStarted("over", label: "over", totalSteps: 100)
                    harness.advance(10)
                    display.runFinished("over", syntheticResult(steps: 100))
                    display.runStarted("a", label: "a", totalSteps: 1000)
                    harness.advance(2)
                    display.runProgress("a", step: 1)
                },
                runs: 3,
                steps: 2100
            )
        )
        #expect(abs(started - 1999 * 12 / 101) < 1)
        // A run that stopped early leaves nothing to do, and its speed counts what it did.
        #expect(
            try left(
                { display in
                    display.runStarted("a", label: "a", totalSteps: 100)
                    harness.advance(10)
                    display.runFinished("a", syntheticResult(steps: 20))
                    display.runStarted("b", label: "b", totalSteps: 100)
                    harness.advance(10)
                    display.runProgress("b", step: 20)
                },
                runs: 2
            ) == 40
        )
        // Known steps of runs not yet started count instead of a mean.
        #expect(
            try left(
                { display in
                    display.runStarted("a", label: "a", totalSteps: 100)
                    harness.advance(10)
                    display.runProgress("a", step: 10)
                },
                runs: 2,
                steps: 1100
            ) == 1090
        )
    }
}
