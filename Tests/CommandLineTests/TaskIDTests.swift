import Foundation
import Testing

/// A suite of two tasks, with and without ids, through the commands that name tasks.
@Suite struct TaskIDTests {
    /// The tiny suite on two vocabularies under two orders, with these keys before each task's own.
    private func twoTasks(_ first: String, _ second: String) -> String {
        let segments = "[{sequence_length: 16, kv_pairs: 2, examples: 64}]"
        let tasks = zip([first, second], [32, 64]).map { keys, vocabulary in
            "  - {\(keys), vocab_size: \(vocabulary), train: \(segments), validation: \(segments), test: \(segments)}"
        }
        return """
            name: tiny
            task:
            \(tasks.joined(separator: "\n"))
            training: {epochs: 1, batch_size: 32, learning_rate: 0.01, order: [published, shuffled]}
            models:
              - {name: attention, d_model: 16, layers: [base-conv, attention]}

            """
    }

    private var unnamed: String { twoTasks("name: mqar", "name: mqar") }
    private var named: String { twoTasks("name: mqar, id: short", "name: mqar, id: long") }

    @Test func anIDNamesATaskInEveryOutput() throws {
        let workspace = try Workspace.withTinySuite(named)
        let run = try workspace.run("run", "--suite", "tiny.yaml", "--plot")
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.outputLines.contains { $0.hasPrefix("short  attention") }, "\(run.output)")
        #expect(run.outputLines.contains("long order=published"), "\(run.output)")
        #expect(run.errors.contains("task=long"), "\(run.errors)")
        let (runs, slices) = (try workspace.table("runs"), try workspace.table("slices"))
        #expect(Set(runs.column("task")) == ["short", "long"])
        let tasks = Dictionary(uniqueKeysWithValues: zip(runs.column("run_id"), runs.column("task")))
        #expect(tasks.count == 4 && Set(slices.column("run_id")).count == 4)
        #expect(slices.column("task") == slices.column("run_id").map { tasks[$0] })
        let one = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", "--only", "task=long")
        #expect(one.output.contains("task=long") && !one.output.contains("task=short"), "\(one.output)")
        let none = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", "--only", "task=lang")
        #expect(none.status == 64 && none.errors.contains("did you mean 'long'?"), "\(none.errors)")
        #expect(try workspace.run("suites", "tiny.yaml").output.contains("short"))
    }

    /// `config` is a model whatever a suite has several of, and nothing in the table is a setting that no run had.
    @Test func everyConfigIsAModel() throws {
        let workspace = try Workspace.withTinySuite(unnamed)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        for name in ["tradeoff", "learning-rates", "runs"] {
            let table = try workspace.table(name)
            #expect(table.rows.count == 4)
            for config in Set(table.column("config")) {
                let model = try workspace.run("models", "any", "--length", "16", "--config", config)
                #expect(model.status == 0, "\(model.errors)")
            }
        }
        let table = try workspace.table("tradeoff")
        #expect(Set(zip(table.column("task_config"), table.column("training")).map { "\($0)\($1)" }).count == 4)
        for text in table.column("task_config") + table.column("training") {
            #expect(!text.contains("seed") && !text.contains("learning_rate"))
        }
        // As earlier versions wrote it.
        let former =
            "{\"model\":\(table.column("config")[0]),\"training\":\(table.column("training")[0])}"
        #expect(try workspace.run("models", "any", "--length", "16", "--config", former).status == 0)
    }

    /// A suite that gains ids has its runs already.
    @Test func resultsStayWhenASuiteGainsIDs() throws {
        let workspace = try Workspace.withTinySuite(unnamed)
        let run = ["run", "--suite", "tiny.yaml", "--quiet"]
        #expect(try workspace.run(more: run).status == 0)
        let before = try workspace.table("runs")
        #expect(Set(before.column("task")) == ["mqar"])
        try workspace.write(named, to: "tiny.yaml")
        #expect(try workspace.run(more: run).status == 0)
        let after = try workspace.table("runs")
        #expect(after.column("run_id") == before.column("run_id"))
        #expect(after.column("finished_at") == before.column("finished_at"))
        let tasks = zip(after.column("vocab_size"), after.column("task")).map { "\($0) \($1)" }
        #expect(Set(tasks) == ["32 short", "64 long"])
        #expect(try workspace.table("tradeoff").rows.count == 4)
    }
}
