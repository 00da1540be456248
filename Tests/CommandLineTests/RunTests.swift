import Foundation
import Testing

import enum RecallStore.SettingColumns

@Suite struct RunTests {
    @Test func aSuiteRunsFromNothingToItsTables() throws {
        let workspace = try Workspace.withTinySuite()
        let first = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.outputLines.contains { $0.hasPrefix("attention ") })
        #expect(first.outputLines.contains { $0.hasPrefix("based ") })
        #expect(first.errors.contains("4 of 4 runs finished"))
        #expect(workspace.exists("results/recall.sqlite"))

        // A second time nothing is trained, and the table is the same.
        let before = try workspace.table("runs")
        let second = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(second.status == 0)
        #expect(second.output == first.output)
        #expect(second.errors.contains("all 4 runs of tiny are finished"))
        let after = try workspace.table("runs")
        #expect(after.column("finished_at") == before.column("finished_at"))

        let status = try workspace.run("status")
        #expect(status.status == 0)
        #expect(
            try #require(status.outputLines.last).split(separator: " ")
                == ["tiny", "4", "0", "0", "4", "0", "0", "none"]
        )

        // --fresh forgets.
        let fresh = try workspace.run("run", "--suite", "tiny.yaml", "--fresh", "--quiet")
        #expect(fresh.status == 0)
        #expect(fresh.errors == "")
        #expect(fresh.output == first.output)
        #expect(try workspace.table("runs").column("finished_at") != after.column("finished_at"))
    }

    private static let settings = SettingColumns.names.joined(separator: ",")

    static let columns = [
        "runs": """
        run_id,suite,task,task_hash,data_seed,model,config,d_model,layers,vocab_size,parameters,state_bytes,\
        state_bytes_zoology,learning_rate,seed,status,error,epochs,steps,train_loss,validation_loss,\
        validation_accuracy,test_loss,test_accuracy,train_seconds,tokens_per_second,device,precision,version,\
        commit,started_at,finished_at,order,data,batch_size,schedule,decay,weight_decay,stop_at_accuracy,\
        planned_epochs,train_segments,validation_segments,test_segments,random_non_queries,fillers,power_a,\
        \(settings)
        """,
        "slices": "run_id,split,sequence_length,kv_pairs,examples,accuracy,task,task_config,training",
        "history": "run_id,epoch,step,learning_rate,train_loss,validation_loss,validation_accuracy,seconds",
        "state": "run_id,layer,mixer,kind,bytes",
        "tradeoff": """
        suite,model,config,d_model,state_bytes,state_bytes_zoology,parameters,learning_rate,\
        learning_rate_at_edge,learning_rate_window_decades,seeds,test_accuracy_mean,test_accuracy_median,\
        test_accuracy_min,test_accuracy_max,test_accuracy_low,test_accuracy_high,outcome,on_frontier,\
        frontier,test_accuracy_sd_seeds,test_accuracy_sd_data,learning_rates_tried,learning_rates_full_grid,\
        train_loss_lowest,chance_loss,chance_loss_in_sequence,failed_seeds,control,chance_accuracy,\
        chance_accuracy_in_sequence,test_accuracy_seeds,seed_names,seeds_spread,test_labels,\
        test_accuracy_trained_lengths,test_accuracy_beyond,ranking,\
        task,task_config,training,\(settings)
        """,
        "learning-rates": """
        suite,model,config,d_model,state_bytes,learning_rate,seeds,validation_accuracy,validation_loss,\
        left_chance,best,learning_rate_at_edge,learning_rate_window_decades,task,task_config,training,\
        \(settings)
        """,
        "benchmarks": """
        kind,name,device,precision,threads,shape,median_ms,min_ms,floor_ms,gflop,gbyte,examples_per_second,\
        tokens_per_second,commit,measured_at,peak_bytes,state_bytes
        """,
    ]

    @Test func everyTableHasItsHeaderAndRows() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        #expect(try workspace.run("bench", "data", "--shapes", "16:2").status == 0)
        // Runs; validation and test of each; epochs of each; layers of each, with one kind of state; models; measurements.
        let rows = [
            "runs": 4, "slices": 8, "history": 8, "state": 8, "tradeoff": 2, "learning-rates": 4,
            "benchmarks": 1,
        ]
        for (name, header) in Self.columns {
            let outcome = try workspace.run("export", "csv", "--table", name)
            #expect(outcome.status == 0)
            #expect(outcome.outputLines.first == header)
            let table = CSVText(outcome.output)
            #expect(table.rows.count == rows[name], "\(name)")
            #expect(table.rows.allSatisfy { $0.count == table.header.count })

            let filed = try workspace.run("export", "csv", "--table", name, "--output", "t.csv")
            #expect(filed.status == 0)
            #expect(filed.output == "")
            #expect(try workspace.data("t.csv") == Data(outcome.output.utf8))
        }
        let runs = try workspace.table("runs", "--suite", "tiny")
        #expect(Set(runs.column("learning_rate")) == ["0.003", "0.01"])
        #expect(runs.column("steps") == Array(repeating: "26", count: 4))
        #expect(try object(runs.column("config")[0])["d_model"] as? Int == 16)
        #expect(!workspace.content.contains { $0.hasSuffix(".partial") })

        // The items of a run's state are all of it.
        let state = try workspace.table("state", "--suite", "tiny")
        var sums: [String: Int] = [:]
        for (runID, bytes) in zip(state.column("run_id"), state.column("bytes")) {
            sums[runID, default: 0] += try #require(Int(bytes))
        }
        let whole = zip(runs.column("run_id"), runs.column("state_bytes").map { Int($0) ?? -1 })
        #expect(sums == Dictionary(uniqueKeysWithValues: whole))
        #expect(Set(state.column("kind")) == ["kv-cache", "recurrent", "convolution"])
    }

    @Test func exportsRefuseWhatTheyCannotDo() throws {
        let workspace = try Workspace.withTinySuite(tiny("minimum_accuracy: 0.0", "minimum_accuracy: 1.0"))
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let missing = try workspace.run("export", "csv", "--table", "runs", "--suite", "tinny")
        #expect(missing.status == 66)
        #expect(missing.errors.contains("did you mean 'tiny'?"))
        for path in ["no/such/folder.csv", "results", "tiny.yaml/x.csv"] {
            let unwritable = try workspace.run("export", "csv", "--table", "runs", "--output", path)
            #expect(unwritable.status == 74, "\(path)")
            #expect(unwritable.errors.hasPrefix("recall-bench: \(path): cannot be written ("))
            #expect(unwritable.errorLines.count == 1)
        }
        // The disk is full.
        for arguments in [["export", "csv", "--table", "runs", "--output", "/dev/full"]] {
            #expect(try workspace.run(more: arguments).status == 74)
        }
        #expect(try workspace.run("export", "csv", "--table", "runs", "--output", "/dev/null").status == 0)

        // A control that fails is told beside the CSV, never in it.
        let tradeoff = try workspace.run("export", "csv", "--table", "tradeoff")
        #expect(tradeoff.status == 0)
        #expect(tradeoff.errors.hasPrefix("tiny: INVALID CONTROL: attention reached"))
        #expect(CSVText(tradeoff.output).rows.count == 2)
    }

    @Test func aDryRunListsAndWritesNothing() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run", "--jobs", "2")
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("4 runs, at most about"))
        #expect(outcome.outputLines.count { $0.contains(" attention d=16 lr=") } == 2)
        #expect(workspace.content == ["tiny.yaml"])
    }

    @Test(arguments: ["r/a.sqlite", "r", "r/s/t", "./r//a"]) func namesOfOneLetterWillDo(_ path: String) throws
    {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--db",
            path,
            "--only",
            "model=based,learning_rate=0.01"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(workspace.exists(path))
    }

    @Test func onlyAndShardTakePartOfASuite() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(
            try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--only", "model=based").status == 0
        )
        let runs = try workspace.table("runs")
        #expect(
            zip(runs.column("model"), runs.column("status")).allSatisfy {
                ($0 == "based") == ($1 == "finished")
            }
        )

        let jobs = try Workspace.withTinySuite()
        for shard in ["0/2", "1/2"] {
            #expect(try jobs.run("run", "--suite", "tiny.yaml", "--quiet", "--shard", shard).status == 0)
            #expect(
                try jobs.table("runs").column("status").count { $0 == "finished" } == (shard == "0/2" ? 2 : 4)
            )
        }
    }

    @Test func seedsThatWereAddedStayAndModelsThatLeftDoNot() throws {
        let workspace = try Workspace.withTinySuite(tiny("[0.003, 0.01]", "0.01"))
        for seed in ["0", "1", "0"] {
            #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--seed", seed).status == 0)
        }
        #expect(try workspace.table("runs").column("seed") == ["0", "1", "0", "1"])
        #expect(try workspace.table("tradeoff").column("seeds") == ["2", "2"])

        let lines = tiny("[0.003, 0.01]", "0.01").split(separator: "\n").filter { !$0.contains("name: based") }
        try workspace.write(lines.joined(separator: "\n"), to: "tiny.yaml")
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--seed", "1").status == 0)
        let runs = try workspace.table("runs", "--suite", "tiny")
        #expect(runs.column("model") == ["attention", "attention"])
        #expect(runs.column("seed") == ["0", "1"])
    }

    /// A run's bits depend on nothing but what is to be run.
    @Test func jobsAndThreadsChangeNothing() throws {
        let workspaces = try ["1 1", "2 1", "1 2"].map { setting in
            let workspace = try Workspace.withTinySuite()
            let numbers = setting.split(separator: " ").map(String.init)
            let outcome = try workspace.run(
                "run",
                "--suite",
                "tiny.yaml",
                "--quiet",
                "--jobs",
                numbers[0],
                "--threads",
                numbers[1]
            )
            #expect(outcome.status == 0)
            return workspace
        }
        let results = try workspaces.map { try $0.results() }
        #expect(results[0]["runs"]?.count == 4)
        #expect(results[1] == results[0])
        #expect(results[2] == results[0])
    }

    static let eventKeys = [
        "suite_started": ["suite", "runs"],
        "run_started": ["run_id", "label", "step", "total_steps"],
        "progress": ["run_id", "step", "total_steps", "loss"],
        "epoch_finished": [
            "run_id", "epoch", "step", "learning_rate", "train_loss", "validation_loss", "validation_accuracy",
            "seconds",
        ],
        "run_finished": [
            "run_id", "epochs", "steps", "train_loss", "validation_loss", "validation_accuracy", "test_loss",
            "test_accuracy", "train_seconds", "tokens_per_second",
        ],
        "suite_finished": [
            "suite", "runs", "finished", "failed", "interrupted", "finished_elsewhere", "held_elsewhere",
        ], "control_verdict": ["suite", "verdict"],
    ]

    /// Keys that programs have come to rely on; all of them are in docs/events.schema.json.
    @Test func progressAsJSONHasTheDocumentedKeys() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json")
        #expect(outcome.status == 0)
        var counts: [String: Int] = [:]
        for line in outcome.errorLines {
            let event = try object(line)
            let name = try #require(event["event"] as? String)
            counts[name, default: 0] += 1
            let expected = try #require(Self.eventKeys[name], "an unexpected event \(line)")
            for key in expected + ["elapsed_seconds"] { #expect(event[key] != nil, "\(key) in \(line)") }
        }
        counts["progress"] = nil
        #expect(
            counts == [
                "suite_started": 1, "run_started": 4, "epoch_finished": 8, "run_finished": 4,
                "control_verdict": 1, "suite_finished": 1,
            ]
        )
    }

    @Test func aSweepChoosesTrainsAndPrintsTheTradeoff() throws {
        let workspace = try Workspace.withTinySuite()
        let arguments = [
            "sweep", "state-size", "--task", "tiny.yaml", "--models", "based,sliding-window", "--sizes",
            "4KiB,8KiB", "--learning-rates", "0.003,0.01",
        ]
        let dry = try workspace.run(more: arguments + ["--dry-run"])
        #expect(dry.status == 0)
        #expect(workspace.content == ["tiny.yaml"])
        let outcome = try workspace.run(more: arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("4.0 KiB") && outcome.output.contains("8.0 KiB"))
        let tradeoff = try workspace.table("tradeoff", "--suite", "state-size-tiny")
        #expect(tradeoff.column("model").filter { $0 == "control" }.count == 1)
        // The largest states that are not above the targets.
        let sizes = zip(tradeoff.column("model"), tradeoff.column("state_bytes")).filter { $0.0 != "control" }
        #expect(sizes.count == 4)
        for (index, size) in sizes.enumerated() {
            let bytes = try #require(Int(size.1))
            #expect((index % 2 == 0 ? 1...4096 : 4097...8192).contains(bytes), "\(size)")
        }
        #expect(try workspace.table("runs").column("status") == Array(repeating: "finished", count: 10))
    }
}
