import Foundation
import RecallData
import RecallModels
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining
import Synchronization
import TestSupport
import Testing

/// Rows of several tasks and trainings: what names them, and what their tables say that they were run with.
@Suite struct TaskTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "tasks-\(UUID().uuidString)"
    )

    private func run(
        _ task: String,
        vocabSize: Int = 512,
        examples: Int = 100,
        weightDecay: Double = 0.1,
        learningRate: Double = 0.01,
        seed: UInt64 = 0
    ) -> StoredRun {
        var run = syntheticRun(
            learningRate: learningRate,
            seed: seed,
            dataSeed: 123,
            vocabSize: vocabSize,
            weightDecay: weightDecay
        )
        run.spec.task.train[0].examples = examples
        run.task = task
        return run
    }

    /// Two tasks under two trainings each, at two rates with two seeds.
    private func runs(_ tasks: [String]) -> [StoredRun] {
        zip(tasks, [64, 512]).flatMap { task, vocabulary in
            [0.0, 0.1].flatMap { decay in
                [0.003, 0.01].flatMap { rate in
                    (0..<2).map {
                        run(task, vocabSize: vocabulary, weightDecay: decay, learningRate: rate, seed: $0)
                    }
                }
            }
        }
    }

    private func titles(_ runs: [StoredRun]) throws -> [String] {
        try TradeoffPlot(Tradeoff(suite: uncontrolledSuite, runs: runs)).script().panels.map(\.title)
    }

    @Test func aTaskIsCalledByItsIDEverywhere() throws {
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs(["short", "long"]))
        #expect(
            try titles(runs(["short", "long"])) == [
                "short weight_decay=0", "short weight_decay=0.1", "long weight_decay=0",
                "long weight_decay=0.1",
            ]
        )
        #expect(tradeoff.labelledRows.map(\.task) == [0, 0, 1, 1])
        #expect(tradeoff.labelledRows.map(\.setting) == (try titles(runs(["short", "long"]))))
        for table in [
            TradeoffTable(tradeoff).render(), SeedTable(tradeoff).render(),
            LearningRateTable(tradeoff).render(),
        ] {
            let lines = table.split(separator: "\n")
            #expect(lines.contains { $0.hasPrefix("task ") }, "\(table)")
            #expect(lines.count { $0.hasPrefix("short  based") } == 2, "\(table)")
            #expect(lines.count { $0.hasPrefix("long   based") } == 2, "\(table)")
        }
        #expect(try LearningRatePlot(tradeoff).script().panels.map(\.title) == ["based short", "based long"])
        #expect(TradeoffSketch(tradeoff).render(width: 80).hasPrefix("short weight_decay=0\n"))
        #expect(run("long").label.contains(" task=long ") && !run("mqar").label.contains("task"))
        // One task needs no column.
        let one = Tradeoff(suite: uncontrolledSuite, runs: [run("long")])
        #expect(!TradeoffTable(one).render().contains("long"))
    }

    @Test func tasksWithoutIDsAreToldApartByTheirSettings() throws {
        #expect(
            try titles([run("mqar", vocabSize: 64), run("mqar")]) == ["V=64", "V=512"]
        )
        #expect(
            try titles([run("mqar"), run("mqar", examples: 50)])
                == ["train L/pairs/examples=64/8/100", "train L/pairs/examples=64/8/50"]
        )
        // A batch size that a task has of its own is no other training.
        var other = run("mqar")
        other.spec.training.batchSize = 8
        other.spec.task.vocabSize = 64
        #expect(try titles([run("mqar"), other]) == ["V=512", "V=64"])
    }

    // MARK: CSV

    /// The runs in a store, finished.
    private func store(_ runs: [StoredRun]) throws -> Store {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let store = try Store(path: folder.appendingPathComponent("r.sqlite").path, mode: .readWrite)
        let planned = runs.map {
            PlannedRun(
                suite: "suite",
                task: $0.task,
                model: $0.model,
                spec: $0.spec,
                taskHash: "\($0.spec.task.vocabSize)"
            )
        }
        try store.plan(planned, suite: uncontrolledSuite) { _ in runs[0].facts }
        for run in planned {
            _ = try store.claim(run.runID, on: Execution(device: "cpu", version: "1"))
            var result = syntheticResult()
            result.slices = [
                SliceAccuracy(split: .test, sequenceLength: 64, kvPairs: 8, examples: 100, accuracy: 0.5)
            ]
            try store.finish(run.runID, result)
        }
        return store
    }

    private func csv(_ table: CSVTable, _ store: Store) throws -> CSVRecords {
        let text = Mutex("")
        try CSVExport(store).write(table) { piece in text.withLock { $0 += piece } }
        return try CSVRecords(text.withLock { $0 }, path: table.rawValue, requiring: ["task", "training"])
    }

    @Test(arguments: [CSVTable.tradeoff, .learningRates, .slices])
    func whatWasRunIsInColumnsOfItsOwn(_ table: CSVTable) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let all = runs(["short", "long"])
        let records = try csv(table, try store(all)).records
        #expect(records.count == [.tradeoff: 4, .learningRates: 8, .slices: 16][table])
        var seen: Set<String> = []
        for record in records {
            let (task, training) = (try #require(record["task_config"]), try #require(record["training"]))
            let run = try #require(
                all.first { run in
                    let decay = run.spec.training.weightDecay == 0 ? "0" : "0.1"
                    return run.task == record["task"] && training.hasSuffix("\"weight_decay\":\(decay)}")
                }
            )
            var (taskJSON, trainingJSON) = (RunSpec.json(run.spec.task), RunSpec.json(run.spec.training))
            if table == .slices {
                // A run of the table has a rate and a seed; a row of the others is over several.
                let rates = ["0.003", "0.01"].map { "\"learning_rate\":\($0)," }
                let rate = try #require(rates.first { training.contains($0) })
                trainingJSON = trainingJSON.replacingOccurrences(of: "\"learning_rate\":0.003,", with: rate)
                #expect(task.contains("\"data_seed\":123"))
            } else {
                taskJSON = taskJSON.replacingOccurrences(of: "\"data_seed\":123,", with: "")
                trainingJSON = trainingJSON.replacingOccurrences(of: "\"learning_rate\":0.003,", with: "")
                #expect(record["config"] == RunSpec.json(run.spec.model))
                #expect(record["setting_feature_dim"] == "8" && record["setting_window"] == nil)
            }
            #expect(task == taskJSON && training == trainingJSON)
            seen.insert("\(task)\(training)")
        }
        #expect(seen.count == (table == .slices ? 8 : 4))
    }

    @Test func everyTableThatHasAModelHasItsSettings() {
        for table in CSVTable.allCases where table.columns.contains("config") {
            for mixer in MixerRegistry.mixers {
                for knob in mixer.knobs {
                    #expect(table.columns.contains("setting_\(knob.name)"), "\(table.rawValue) \(knob.name)")
                }
            }
        }
    }

    /// A figure of the exported table has the panels of the database's.
    @Test func theTableDrawsAsTheDatabase() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for tasks in [["short", "long"], ["mqar", "mqar"]] {
            try? FileManager.default.removeItem(at: folder)
            let store = try store(runs(tasks))
            let file = folder.appendingPathComponent("tradeoff.csv")
            #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
            let handle = try FileHandle(forWritingTo: file)
            try CSVExport(store).write(CSVTable.tradeoff, to: handle.csvSink)
            try handle.close()
            let tradeoff = try #require(try Tradeoff(suite: "suite", in: store))
            let drawn = try TradeoffPlot(csv: file.path, suite: nil).script().panels
            #expect(drawn.map(\.title) == (try TradeoffPlot(tradeoff).script().panels.map(\.title)))
            #expect(drawn.count == 4)
        }
    }

    /// Tables of earlier versions have the task and the training in `config`, where they tell rows apart.
    @Test func earlierTablesAreDrawnAsTheyWere() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let spec = run("mqar").spec
        let model = RunSpec.json(spec.model)
        let rows = [64, 512].flatMap { vocabulary in
            ["fixed", "fresh"].map { data in
                let task = RunSpec.json(spec.task).replacingOccurrences(of: ":512", with: ":\(vocabulary)")
                let training = RunSpec.json(spec.training).replacingOccurrences(of: "fresh", with: data)
                let config = "{\"model\":\(model),\"task\":\(task),\"training\":\(training)}"
                return "suite,based,\(CSVField.text(config).encoded),1000,0.5\n"
            }
        }
        let path = folder.appendingPathComponent("old.csv").path
        try ("suite,model,config,state_bytes,test_accuracy_mean\n" + rows.joined()).write(
            toFile: path,
            atomically: true,
            encoding: .utf8
        )
        #expect(
            try TradeoffPlot(csv: path, suite: nil).script().panels.map(\.title) == [
                "V=64 data=fixed", "V=64 data=fresh", "V=512 data=fixed", "V=512 data=fresh",
            ]
        )
    }
}
