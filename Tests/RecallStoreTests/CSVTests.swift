import Foundation
import RecallStore
import RecallSuite
import Synchronization
import Testing

@Suite struct CSVTests {
    let folder = try! TemporaryFolder()
    let clock = TestClock()
    private static let slices =
        "run_id,split,sequence_length,kv_pairs,examples,accuracy,task,task_config,training\n"

    private func text(_ export: CSVExport, _ table: CSVExport.StoredTable) throws -> String {
        let pieces = Mutex("")
        try export.write(table) { piece in pieces.withLock { $0 += piece } }
        return pieces.withLock { $0 }
    }

    private func store() throws -> Store {
        try Store(path: folder.file(), mode: .readWrite, identity: .current, now: clock.now)
    }

    @Test func headersAreThereWithoutARow() throws {
        let export = CSVExport(try store())
        #expect(
            try text(export, .runs)
                == "run_id,suite,task,task_hash,data_seed,model,config,d_model,layers,vocab_size,parameters,state_bytes,"
                + "state_bytes_zoology,learning_rate,seed,status,error,epochs,steps,train_loss,validation_loss,"
                + "validation_accuracy,test_loss,test_accuracy,train_seconds,tokens_per_second,device,precision,version,"
                + "commit,started_at,finished_at,order,data,batch_size,schedule,decay,weight_decay,stop_at_accuracy,"
                + "planned_epochs,train_segments,validation_segments,test_segments,random_non_queries,fillers,power_a,"
                + SettingColumns.names.joined(separator: ",") + "\n"
        )
        #expect(try text(export, .slices) == Self.slices)
        #expect(
            try text(export, .history)
                == "run_id,epoch,step,learning_rate,train_loss,validation_loss,validation_accuracy,seconds\n"
        )
        #expect(
            try text(export, .benchmarks)
                == "kind,name,device,precision,threads,shape,median_ms,min_ms,floor_ms,gflop,gbyte,"
                + "examples_per_second,tokens_per_second,commit,measured_at,peak_bytes,state_bytes\n"
        )
    }

    @Test(arguments: [
        ("plain 🧠", "plain 🧠"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""), ("a\nb", "\"a\nb\""),
        ("a\r\nb", "\"a\r\nb\""), ("", ""), (" spaced ", " spaced "),
    ])
    func quoting(_ value: String, _ expected: String) {
        #expect(CSVField.text(value).encoded == expected)
    }

    /// What spreadsheets compute is guarded where that is asked for, and nothing else.
    @Test(arguments: [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"),
        ("\r=1", "\"'\r=1\""), ("=a,b", "\"'=a,b\""), ("a=1", "a=1"), ("'=1", "'=1"), ("", ""),
        ("\u{301}=", "\u{301}="),
        ("=\u{301}x", "'=\u{301}x"),
    ])
    func formulasAreGuarded(_ value: String, _ expected: String) throws {
        #expect(CSVField.text(value).guarded.encoded == expected)
        for field in [CSVField.number(-1.5), .integer(-3), .flag(true), .missing] {
            #expect(field.guarded == field)
        }
        for isGuarded in [false, true] {
            let pieces = Mutex("")
            var writer = CSVWriter(columns: ["a", "b"], guarded: isGuarded) { piece in
                pieces.withLock { $0 += piece }
            }
            try writer.write([.text(value), .number(-1)])
            try writer.flush()
            let field = isGuarded ? expected : CSVField.text(value).encoded
            #expect(pieces.withLock { $0 } == "a,b\n\(field),-1.0\n")
        }
    }

    @Test func numbersAreTheShortestThatReadBack() {
        #expect(CSVField.number(0.1).encoded == "0.1")
        #expect(CSVField.number(1e-5).encoded == "1e-05")
        #expect(CSVField.number(1.0 / 3).encoded == "0.3333333333333333")
        #expect(CSVField.number(.nan).encoded == "")
        #expect(CSVField.number(nil).encoded == "")
        #expect(CSVField.flag(true).encoded == "true")
        for value in [0.1 + 0.2, 1e300, -5e-324, 123_456_789.123] {
            #expect(Double(CSVField.number(value).encoded) == value)
        }
    }

    @Test func aRunIsARowInEachOfItsSuites() throws {
        let store = try store()
        let name = "ba,sed \"🧠\"\nx"
        let run = plannedRun(model: name, seed: .max)
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        var other = plannedRun(suite: "other", seed: .max)
        other.task = "long"
        try store.plan([other], suite: SuiteRecord(name: "other", description: "")) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        try store.recordEpoch(run.runID, epochRecord(1, trainLoss: .infinity))
        try store.finish(run.runID, runResult())
        let config =
            "\"{\"\"block\"\":\"\"transformer\"\",\"\"d_model\"\":64,\"\"embed_dropout\"\":0.1,\"\"init\"\":\"\"paper\"\","
            + "\"\"layers\"\":[{\"\"feature_dim\"\":8,\"\"mixer\"\":\"\"linear-attention\"\"}],"
            + "\"\"norm_epsilon\"\":1e-05,\"\"positions\"\":\"\"none\"\",\"\"residual_dropout\"\":0,"
            + "\"\"state_mixer\"\":\"\"none\"\"}\""
        let tail =
            ",64,1,512,1000,2048,,0.01,18446744073709551615,finished,,3,30,0.5,0.6,0.8,0.7,0.75,12.5,100000.0,cpu test,"
            + "fp32,1.0,abc123,2023-11-14T22:13:20.000Z,2023-11-14T22:13:20.000Z,shuffled,fresh,10,cosine-epoch,exempt,"
            + "0.1,,3,64/8/100,64/8/100,64/8/100,true,any,0.01,"
            + SettingColumns.fields(of: run.spec.model).map(\.encoded).joined(separator: ",") + "\n"
        let row = "\(run.runID),quick,mqar,\(run.taskHash),0,\"ba,sed \"\"🧠\"\"\nx\",\(config)\(tail)"
        #expect(try text(CSVExport(store, suites: ["quick"]), .runs).hasSuffix("\n" + row))
        #expect(
            try text(CSVExport(store), .runs).hasSuffix(
                "\n\(run.runID),other,long,\(run.taskHash),0,based,\(config)\(tail)\(row)"
            )
        )
        #expect(
            try text(CSVExport(store), .history).hasSuffix("\n\(run.runID),1,10,0.01,inf,1.25,0.5,1.0\n")
        )
        let settings = [RunSpec.json(run.spec.task), RunSpec.json(run.spec.training)].map {
            CSVField.text($0).encoded
        }.joined(separator: ",")
        func slices(_ task: String) -> String {
            ["validation,64,8,100,0.8", "test,64,8,100,0.75", "test,64,8,50,0.1"].map {
                "\(run.runID),\($0),\(task),\(settings)\n"
            }.joined()
        }
        #expect(try text(CSVExport(store), .slices) == Self.slices + slices("long;mqar"))
        #expect(try text(CSVExport(store, suites: ["other"]), .slices) == Self.slices + slices("long"))
        #expect(
            try text(CSVExport(store, suites: ["none"]), .history)
                == "run_id,epoch,step,learning_rate,train_loss,validation_loss,validation_accuracy,seconds\n"
        )
    }

    @Test func benchmarks() throws {
        let store = try store()
        try store.recordBenchmark(
            BenchmarkRecord(
                kind: "data",
                name: "mqar",
                device: "cpu",
                precision: "fp32",
                threads: 1,
                shape: "{\"batch\":256}",
                medianMilliseconds: 1.5,
                minimumMilliseconds: 1.25,
                examplesPerSecond: 2e5,
                peakBytes: 1 << 33
            )
        )
        try store.recordBenchmark(
            BenchmarkRecord(
                kind: "generate",
                name: "mamba decode",
                device: "cpu",
                precision: "fp32",
                threads: 1,
                shape: "{}",
                medianMilliseconds: 1.5,
                minimumMilliseconds: 1.25,
                stateBytes: 4096
            )
        )
        #expect(
            try text(CSVExport(store), .benchmarks).hasSuffix(
                "\ndata,mqar,cpu,fp32,1,\"{\"\"batch\"\":256}\",1.5,1.25,,,,200000.0,,,2023-11-14T22:13:20.000Z,8589934592,\n"
                    + "generate,mamba decode,cpu,fp32,1,{},1.5,1.25,,,,,,,2023-11-14T22:13:20.000Z,,4096\n"
            )
        )
    }

    @Test func longTablesComeInPiecesAndTheSinkMayRefuse() throws {
        struct Full: Error {}
        let store = try store()
        let runs = (0..<300).map { plannedRun(seed: $0) }
        try store.plan(runs, suite: suiteRecord) { _ in modelFacts }
        let pieces = Mutex<[Int]>([])
        try CSVExport(store).write(CSVExport.StoredTable.runs) { piece in
            pieces.withLock { $0.append(piece.utf8.count) }
        }
        #expect(pieces.withLock { $0.count } > 1)
        #expect(pieces.withLock { $0.max() ?? 0 } < 70_000)
        #expect(throws: Full.self) {
            try CSVExport(store).write(CSVExport.StoredTable.runs) { _ in throw Full() }
        }
    }

    @Test func aFileTakesTheTable() throws {
        let store = try store()
        let path = folder.file("out.csv")
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        let file = try #require(FileHandle(forWritingAtPath: path))
        try CSVExport(store).write(CSVExport.StoredTable.slices, to: file.csvSink)
        try file.close()
        #expect(
            try String(contentsOfFile: path, encoding: .utf8) == Self.slices
        )
    }
}
