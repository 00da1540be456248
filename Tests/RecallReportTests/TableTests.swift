import Foundation
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining
import Synchronization
import Testing

@Suite struct TableTests {
    @Test func columnsAlignAndEmptyOnesGo() {
        var table = TextTable([.init("name"), .init("n", .right), .init("nothing")])
        table.add(["a", "1", ""])
        table.add(["日本", "1000", ""])
        #expect(table.render() == "name     n\n────  ────\na        1\n日本  1000\n")
    }

    @Test func theColumnThatMayShrinksToTheWidth() {
        var table = TextTable([.init("model"), .init("knobs", shrinks: true), .init("accuracy", .right)])
        table.add(["based", String(repeating: "feature_dim=8 ", count: 10), "0.997"])
        let lines = table.lines(width: 40)
        #expect(lines.allSatisfy { displayWidth($0) <= 40 })
        #expect(lines[2] == "based  feature_dim=8 feature_…     0.997")
    }

    @Test func theColumnThatWrapsLosesNothing() {
        var table = TextTable([.init("model"), .init("knobs", wraps: true), .init("accuracy", .right)])
        table.add(["based", "feature_dim=8 heads=2 window=16", "0.997"])
        table.add(["mamba", "", "0.5"])
        #expect(
            table.render(width: 38) == """
                model  knobs                  accuracy
                ─────  ─────────────────────  ────────
                based  feature_dim=8 heads=2     0.997
                       window=16
                mamba                              0.5

                """
        )
        // Down to the longest word, and not further.
        #expect(
            table.lines(width: 1).count == 6 && table.lines(width: 1)[2].hasPrefix("based  feature_dim=8  ")
        )
        #expect(table.lines(width: 100).count == 4)
    }

    @Test func widths() {
        #expect(displayWidth("abc") == 3)
        #expect(displayWidth("日本") == 4)
        #expect(displayWidth("🧠") == 2)
        #expect(displayWidth("é") == 1 && displayWidth("e\u{301}") == 1)
        #expect(shortened("日本語", to: 5) == "日本…")
        #expect(shortened("日本語", to: 4) == "日…")
        #expect(shortened("abc", to: 3) == "abc" && shortened("abc", to: 0) == "")
    }

    @Test func formats() {
        #expect(Format.bytes(512) == "512 B")
        #expect(Format.bytes(12_544) == "12.2 KiB")
        #expect(Format.bytes(1_048_575) == "1.0 MiB")
        #expect(
            Format.count(1_234_567) == "1,234,567" && Format.count(999) == "999"
                && Format.count(-1000) == "-1,000"
        )
        #expect(Format.compactCount(812) == "812" && Format.compactCount(67_840) == "67.8k")
        #expect(Format.compactCount(1_234_567) == "1.23M" && Format.compactCount(999_999) == "1.00M")
        #expect(Format.accuracy(0.99996) == "0.999" && Format.accuracy(1) == "1.000")
        #expect(
            Format.duration(7.2) == "7 s" && Format.duration(185) == "3:05"
                && Format.duration(3723) == "1:02:03"
        )
        #expect(Format.duration(200_000) == "2 d 7 h" && Format.duration(.infinity) == "?")
        #expect(Format.learningRate(0.003) == "0.003" && Format.learningRate(1e-5) == "1e-05")
    }

    @Test func theTradeoffReadsAsATable() {
        let runs = [
            syntheticRun(model: "attention", knobs: [:], stateBytes: 32_768, validation: 0.9, test: 0.93),
            syntheticRun(
                knobs: ["feature_dim": .integer(16)],
                learningRate: 0.003,
                stateBytes: 12_544,
                validation: 0.9,
                test: 0.997
            ),
            syntheticRun(
                knobs: ["feature_dim": .integer(16)],
                learningRate: 0.01,
                stateBytes: 12_544,
                validation: 0.8,
                test: 0.9
            ),
            syntheticRun(learningRate: 0.003, stateBytes: 4096, test: 0.75),
        ]
        let text = TradeoffTable(Tradeoff(suite: controlledSuite, runs: runs)).render(width: 120)
        #expect(
            text == """
                INVALID CONTROL: attention reached 0.93, below 0.99: no number of this table can be trusted.

                model      knobs           d_model     state  params      lr  rates  seeds  accuracy  outcome
                ─────────  ──────────────  ───────  ────────  ──────  ──────  ─────  ─────  ────────  ───────────────  ─
                attention                       64  32.0 KiB   67.8k   0.01       1      1     0.930  below-threshold
                based      feature_dim=8        64   4.0 KiB   67.8k  0.003       1      1     0.750  below-threshold  ◆
                based      feature_dim=16       64  12.2 KiB   67.8k  0.003*      2      1     0.997  solved           ◆

                ◆ on the frontier: nothing with as little state is more accurate
                ranking undetermined at 1 seed: the frontier describes these runs; a ranking takes 6 paired seeds
                * at the edge of the learning rates tried: the best may lie beyond

                """
        )
    }

    @Test func seedsHaveARangeAndTheTableFitsAHundredColumns() {
        var runs: [StoredRun] = []
        for seed in 0..<3 {
            for feature in [8, 16] {
                runs.append(
                    syntheticRun(
                        model: "linear-attention",
                        knobs: ["feature_dim": .integer(feature), "heads": .integer(feature / 8)],
                        seed: UInt64(seed),
                        stateBytes: 1024 * feature,
                        test: 0.75 + Double(seed) / 100
                    )
                )
            }
        }
        let lines = TradeoffTable(Tradeoff(suite: uncontrolledSuite, runs: runs)).render().split(
            separator: "\n"
        )
        #expect(lines[0] == "no control in this suite: nothing was controlled")
        #expect(lines.allSatisfy { line in displayWidth(String(line)) <= 100 })
        #expect(lines[3].hasPrefix("linear-attention  feature_dim=8 heads=1 "))
        // The outcome is broken after its hyphen, and nothing of it is lost.
        #expect(lines[1].contains("  95 %  ") && lines[3].contains(" 0.760  0.734–0.784  below- "))
        #expect(lines[3].hasSuffix("  ◆") && lines[4].drop { $0 == " " } == "threshold")
        #expect(lines[5].contains(" 0.760  0.734–0.784  below-") && lines[5].hasSuffix("  ◇"))
        #expect(lines[7] == "every row: d_model 64, 3 seeds")
        #expect(lines.contains { $0.hasPrefix("ranking undetermined at 3 seeds: ") })
    }

    /// Settings of many letters, as in a comparison of data regimes, are said in words where there is no room for more.
    @Test func longKnobsGetShortOrWrap() throws {
        let runs = [OrderKind.published, .shuffled].flatMap { order in
            [DataKind.fixed, .fresh].flatMap { data in
                (0..<3).map { seed in
                    var run = syntheticRun(
                        model: "linear-attention",
                        seed: UInt64(seed),
                        test: 0.75 + Double(seed) / 100
                    )
                    (run.spec.training.order, run.spec.training.data) = (order, data)
                    return run
                }
            }
        }
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs)
        func text(_ width: Int) -> String { TradeoffTable(tradeoff).render(width: width) }
        #expect(text(120).contains("  data=fixed order=published  "))
        let short = text(96)
        #expect(short.contains("  fixed published  ") && !short.contains("…") && !short.contains("data="))
        #expect(short.contains("\nknobs: data fixed or fresh, order published or shuffled\n"))
        let narrow = text(88)
        #expect(!narrow.contains("…") && narrow.contains("  fixed      "))
        for (width, text) in [(96, short), (88, narrow)] {
            let table = text.split(separator: "\n").dropFirst().prefix { !$0.hasPrefix("every row") }
            #expect(table.allSatisfy { displayWidth(String($0)) <= width }, "\(text)")
        }
        #expect(SeedTable(tradeoff).render(width: 90).contains("knobs: data fixed or fresh"))
        #expect(!LearningRateTable(tradeoff).render(width: 60).contains("…"))
    }

    @Test func learningRatesSideBySide() {
        let runs = [
            syntheticRun(model: "mamba", learningRate: 0.001, validation: 0.5),
            syntheticRun(model: "mamba", learningRate: 0.01, validation: 0.9),
            syntheticRun(model: "mamba", learningRate: 0.1, validation: 0.87),
            syntheticRun(model: "based", learningRate: 0.01, validation: 0.25),
        ]
        #expect(
            LearningRateTable(Tradeoff(suite: uncontrolledSuite, runs: runs)).render() == """
                model  d_model  0.001     0.01     0.1   decades
                ─────  ───────  ──────  ───────  ──────  ───────
                mamba       64  0.500   [0.900]  0.870      1.00
                based       64          [0.250]

                """
        )
    }

    @Test func anUnfinishedSuiteSaysSo() {
        let text = TradeoffTable(
            Tradeoff(suite: controlledSuite, runs: [syntheticRun(model: "attention", status: .pending)])
        ).render()
        #expect(text.contains("CONTROL NOT FINISHED: 0 of 1 runs"))
        #expect(text.hasSuffix("no run of suite is finished yet\n"))
    }

    @Test func theTradeoffAsCSV() throws {
        let path = NSTemporaryDirectory() + "recall-report-\(UUID().uuidString).sqlite"
        defer {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        let store = try Store(path: path, mode: .readWrite)
        func csv(_ suites: [String] = []) throws -> String {
            let text = Mutex("")
            try CSVExport(store, suites: suites).write(CSVTable.tradeoff) { piece in
                text.withLock { $0 += piece }
            }
            return text.withLock { $0 }
        }
        let header =
            "suite,model,config,d_model,state_bytes,state_bytes_zoology,parameters,learning_rate,"
            + "learning_rate_at_edge,learning_rate_window_decades,seeds,test_accuracy_mean,test_accuracy_median,"
            + "test_accuracy_min,test_accuracy_max,test_accuracy_low,test_accuracy_high,outcome,on_frontier,"
            + "frontier,test_accuracy_sd_seeds,test_accuracy_sd_data,learning_rates_tried,learning_rates_full_grid,"
            + "train_loss_lowest,chance_loss,chance_loss_in_sequence,failed_seeds,control,chance_accuracy,"
            + "chance_accuracy_in_sequence,test_accuracy_seeds,seed_names,seeds_spread,test_labels,"
            + "test_accuracy_trained_lengths,test_accuracy_beyond,ranking,"
            + "task,task_config,training," + SettingColumns.names.joined(separator: ",") + "\n"
        #expect(try csv() == header)

        let model = syntheticRun()
        let run = PlannedRun(suite: "suite", task: "mqar", model: "ba,sed", spec: model.spec, taskHash: "hash")
        try store.plan([run], suite: uncontrolledSuite) { _ in model.facts }
        #expect(try csv() == header)
        _ = try store.claim(run.runID, on: Execution(device: "cpu", version: "1"))
        try store.finish(run.runID, syntheticResult(testAccuracy: 0.995))
        let config = CSVField.text(RunSpec.json(model.spec.model)).encoded
        let row = try #require(try Tradeoff(suite: "suite", in: store)?.rows.first)
        let settings =
            [.text("mqar"), .text(row.taskConfig), .text(row.training)]
            + SettingColumns.fields(of: model.spec.model)
        #expect(
            try csv() == header
                + "suite,\"ba,sed\",\(config),64,2048,,67840,0.01,false,,1,0.995,0.995,0.995,0.995,,,solved,true,"
                + "on,,,1,,0.5,\(log(256.0)),\(log(8.0)),0,uncontrolled,\(2.0 / 512),0.125,0.995,0/0,false,800,,,,"
                + settings.map(\.encoded).joined(separator: ",") + "\n"
        )
        #expect(try csv(["another"]) == header)
        #expect(try Tradeoff(suite: "another", in: store)?.rows == nil)
        #expect(try Tradeoff(suite: "suite", in: store)?.rows.count == 1)
    }

    @Test func everyTableHasItsHeader() {
        for table in CSVTable.allCases {
            #expect(Set(table.columns).count == table.columns.count && table.columns.count >= 5)
        }
    }
}
