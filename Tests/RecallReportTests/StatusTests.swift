import Foundation
import RecallReport
import RecallStore
import Testing

private func counts(
    finished: Int = 0,
    running: Int = 0,
    failed: Int = 0,
    pending: Int = 0,
    interrupted: Int = 0
) -> StatusCounts {
    var counts = StatusCounts()
    (counts.finished, counts.running, counts.failed) = (finished, running, failed)
    (counts.pending, counts.interrupted) = (pending, interrupted)
    return counts
}

/// A suite in the middle of things.
private func midway(_ name: String = "quick") -> StatusSnapshot.Suite {
    StatusSnapshot.Suite(
        name: name,
        counts: counts(finished: 8, running: 2, failed: 1, pending: 3),
        running: [
            StatusSnapshot.Running(
                runID: "a",
                label: "based d=64 feature_dim=8 lr=0.01",
                epoch: 3,
                totalEpochs: 6,
                trainLoss: 1.25,
                validationAccuracy: 0.8125,
                secondsLeft: 21,
                host: "vm",
                pid: 12
            ),
            StatusSnapshot.Running(
                runID: "b",
                label: "日本 🧠",
                epoch: 0,
                totalEpochs: 6,
                secondsLeft: 3700,
                host: "vm",
                pid: 12
            ),
        ],
        failures: [
            StatusSnapshot.Failure(
                runID: "c",
                label: "mamba d=64 lr=0.01",
                error:
                    "not finite at step 12: the gradient of layers.1.mixer.selection.weight, and a line\nof its own"
            )
        ],
        secondsLeft: 62
    )
}

private func snapshot(_ suites: [StatusSnapshot.Suite], secondsLeft: Double? = nil) -> StatusSnapshot {
    var sum = StatusCounts()
    for suite in suites {
        sum.finished += suite.counts.finished
        sum.running += suite.counts.running
        sum.failed += suite.counts.failed
        sum.pending += suite.counts.pending
        sum.interrupted += suite.counts.interrupted
    }
    return StatusSnapshot(suites: suites, counts: sum, secondsLeft: secondsLeft)
}

@Suite struct StatusTests {
    @Test func aSuiteAtEightyColumns() {
        let lines = StatusRendering(snapshot([midway()], secondsLeft: 62), columns: 80).lines(rows: 24)
        #expect(
            lines == [
                "quick █████████████░░░░░░░  67%  14 runs  ≤ 1:02 left",
                "  8 finished, 2 running, 1 failed, 3 pending, 0 interrupted",
                "  based d=64 feature_dim=8 lr=0.01  epoch 3/6  loss 1.250  acc 0.812  ≤ 21 s",
                "  日本 🧠" + String(repeating: " ", count: 25) + "  epoch 0/6  ≤ 1:01:40",
                "  failed: mamba d=64 lr=0.01: not finite at step 12: the gradient of layers.1.m…",
            ]
        )
    }

    @Test func aSuiteAtFortyColumns() {
        let lines = StatusRendering(snapshot([midway()], secondsLeft: 62), columns: 40).lines(rows: 24)
        #expect(
            lines == [
                "quick ████░░░  67%  14 runs  ≤ 1:02 left", "  8 finished, 2 running, 1 failed,",
                "  3 pending, 0 interrupted", "  based d=64 featur…  epoch 3/6  ≤ 21 s",
                "  日本 🧠" + String(repeating: " ", count: 11) + "  epoch 0/6",
                "  failed: mamba d=64 lr=0.01: not finit…",
            ]
        )
    }

    @Test func severalSuitesHaveOneBarForAll() {
        let over = StatusSnapshot.Suite(name: "mqar-small", counts: counts(finished: 3))
        let empty = StatusSnapshot.Suite(name: "none", counts: counts())
        let lines = StatusRendering(
            snapshot([midway(), over, empty], secondsLeft: 62),
            columns: 80,
            unicode: false
        ).lines(rows: 24)
        #expect(lines[0].hasPrefix("quick      #############.......  67%  14 runs  <= 1:02 left"))
        #expect(lines.contains("mqar-small #################### 100%  3 runs"))
        #expect(lines.contains("none       #################### 100%  0 runs"))
        #expect(lines.last?.hasPrefix("3 suites   ") == true)
        #expect(lines.last?.hasSuffix("17 runs  <= 1:02 left") == true)
    }

    @Test func nothingYet() {
        #expect(
            StatusRendering(snapshot([]), columns: 80).lines(rows: 24) == ["no suite has been run yet"]
        )
        #expect(!snapshot([]).isOver)
        #expect(snapshot([StatusSnapshot.Suite(name: "none", counts: counts())]).isOver)
        let unknown = StatusSnapshot.Suite(name: "new", counts: counts(pending: 1))
        #expect(
            StatusRendering(snapshot([unknown]), columns: 80).lines(rows: 24)[0]
                == "new ░░░░░░░░░░░░░░░░░░░░   0%  1 run  time left unknown"
        )
    }

    /// Whatever is in it and however small the screen, it fits.
    @Test(arguments: [10, 12, 40, 80, 200], [1, 2, 3, 5, 8, 24, 60]) func itFits(columns: Int, rows: Int) {
        let names = [
            "quick", String(repeating: "a-very-long-name-", count: 10), "日本語の長い名前", "🧠👩‍👩‍👧‍👦é",
            "tab\tand\nline\u{1B}[2J",
        ]
        for count in [1, 2, 5] {
            var suites = names.prefix(count).map(midway)
            for index in suites.indices {
                for extra in 0..<index * 7 {
                    suites[index].running.append(
                        StatusSnapshot.Running(
                            runID: "\(index)/\(extra)",
                            label: names[extra % 5],
                            epoch: extra,
                            totalEpochs: 0,
                            trainLoss: 1e30,
                            validationAccuracy: 1,
                            secondsLeft: 1e8,
                            host: "h",
                            pid: 1
                        )
                    )
                    suites[index].failures.append(
                        StatusSnapshot.Failure(runID: "f\(extra)", label: names[extra % 5], error: names[1])
                    )
                }
            }
            let lines = StatusRendering(snapshot(suites, secondsLeft: 1e9), columns: columns).lines(rows: rows)
            #expect(!lines.isEmpty)
            // A suite's own head is shown whole or not at all; below that there is nothing to give way.
            #expect(lines.count <= max(rows, 2), "\(lines)")
            for line in lines {
                #expect(displayWidth(line) <= columns, "\(line)")
                #expect(!line.unicodeScalars.contains { $0.properties.generalCategory == .control })
            }
        }
    }

    @Test func whatDoesNotFitIsCounted() {
        var suite = midway()
        suite.running = (0..<20).map {
            StatusSnapshot.Running(
                runID: "\($0)",
                label: "run \($0)",
                epoch: 0,
                totalEpochs: 1,
                host: "vm",
                pid: 1
            )
        }
        suite.failures = (0..<20).map {
            StatusSnapshot.Failure(runID: "f\($0)", label: "bad \($0)", error: "NaN")
        }
        let lines = StatusRendering(snapshot([suite]), columns: 80).lines(rows: 11)
        #expect(lines.count == 11)
        #expect(lines[2].hasPrefix("  run 0 "))
        #expect(lines.contains("  and 15 more running"))
        #expect(lines[8] == "  failed: bad 0: NaN")
        #expect(lines[10] == "  and 18 more failed")

        let many = StatusRendering(
            snapshot((0..<9).map { midway("suite \($0)") }),
            columns: 80
        ).lines(rows: 10)
        #expect(many.count <= 10)
        #expect(many.contains { $0.hasSuffix(" more suites") })
        #expect(many.last?.hasPrefix("9 suites") == true)
    }

    @Test func aLineOfJSON() throws {
        var suite = midway()
        suite.running[1].trainLoss = .infinity
        let line = snapshot([suite], secondsLeft: 62).jsonLine(
            database: "results/a.sqlite",
            time: Date(timeIntervalSince1970: 1_700_000_000)
        )
        #expect(!line.contains("\n"))
        #expect(
            line == """
                {"database":"results/a.sqlite","failed":1,"finished":8,"interrupted":0,"is_over":false,"pending":3,\
                "running":2,"runs":14,"seconds_left":62,"suites":[{"failed":1,"failed_runs":[{"error":\
                "not finite at step 12: the gradient of layers.1.mixer.selection.weight, and a line\\nof its own",\
                "label":"mamba d=64 lr=0.01","run_id":"c"}],"finished":8,"interrupted":0,"pending":3,"running":2,\
                "running_runs":[{"epoch":3,"host":"vm","label":"based d=64 feature_dim=8 lr=0.01","pid":12,\
                "run_id":"a","seconds_left":21,"total_epochs":6,"train_loss":1.25,"validation_accuracy":0.8125},\
                {"epoch":0,"host":"vm","label":"日本 🧠","pid":12,"run_id":"b","seconds_left":3700,"total_epochs":6}],\
                "runs":14,"seconds_left":62,"suite":"quick"}],"time":"2023-11-14T22:13:20.000Z"}
                """
        )
    }

    /// From runs as a store has them: counts, labels, the time left by what runs of the same cost took.
    @Test func theSnapshotOfRuns() {
        func run(_ id: String, _ status: RunStatus, learningRate: Double = 0.01) -> StoredRun {
            var run = syntheticRun(learningRate: learningRate, status: status)
            run.runID = id
            return run
        }
        var done = run("done", .finished)
        (done.steps, done.seconds) = (done.spec.totalSteps, Double(done.spec.totalSteps) / 10)
        var going = run("going", .running, learningRate: 0.003)
        (going.steps, going.epochs, going.trainLoss) = (0, 0, nil)
        var broken = run("broken", .failed)
        broken.error = "NaN"
        let waiting = run("waiting", .pending, learningRate: 0.001)
        let runs = [done, going, broken, waiting]
        let found = StatusSnapshot([(name: "s", runs: runs)])
        #expect(found.suites.map(\.name) == ["s"])
        #expect(found.counts == counts(finished: 1, running: 1, failed: 1, pending: 1))
        #expect(found.suites[0].running.map(\.runID) == ["going"])
        #expect(found.suites[0].running[0].label == going.label)
        #expect(found.suites[0].failures.map(\.error) == ["NaN"])
        // Ten steps a second, two runs to make, one at a time.
        let expected = 2 * Double(done.spec.totalSteps) / 10
        #expect(abs((found.secondsLeft ?? -1) - expected) < 1e-9)
        #expect(found.suites[0].secondsLeft == found.secondsLeft)
        #expect(!found.isOver)
        // A run of two suites is counted once in the whole.
        let twice = StatusSnapshot([(name: "s", runs: runs), (name: "t", runs: runs)])
        #expect(twice.counts == found.counts && twice.secondsLeft == found.secondsLeft)
        // Nobody knows what a step takes.
        let unknown = StatusSnapshot([(name: "s", runs: [going, waiting])])
        #expect(unknown.secondsLeft == nil && unknown.suites[0].secondsLeft == nil)
        #expect(StatusSnapshot([(name: "s", runs: [done, broken])]).isOver)
    }

    /// A run on other data takes the time of its own kind, not that of all.
    @Test func theTimeLeftIsThatOfTheSameModelOnAnyData() {
        func run(_ id: String, dModel: Int, dataSeed: UInt64, secondsPerStep: Double?) -> StoredRun {
            var run = syntheticRun(
                dModel: dModel,
                dataSeed: dataSeed,
                status: secondsPerStep == nil ? .pending : .finished
            )
            run.runID = id
            let steps = run.spec.totalSteps
            if let secondsPerStep { (run.steps, run.seconds) = (steps, secondsPerStep * Double(steps)) }
            return run
        }
        let waiting = run("waiting", dModel: 64, dataSeed: 1, secondsPerStep: nil)
        let snapshot = StatusSnapshot([
            (
                name: "s",
                runs: [
                    run("narrow", dModel: 64, dataSeed: 0, secondsPerStep: 0.125),
                    run("wide", dModel: 128, dataSeed: 0, secondsPerStep: 1), waiting,
                ]
            )
        ])
        #expect(snapshot.secondsLeft == 0.125 * Double(waiting.spec.totalSteps))
    }
}
