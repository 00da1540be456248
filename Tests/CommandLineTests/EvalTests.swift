import Foundation
import RecallData
import RecallTraining
import Testing

/// `eval`: checkpoints of our own and of others.
@Suite struct EvalTests {
    /// The tiny suite with segments of two lengths to test on.
    private static let suite = tiny(
        "test: [{sequence_length: 16, kv_pairs: 2, examples: 64}]",
        "test: [{sequence_length: 16, kv_pairs: 2, examples: 33}, {sequence_length: 24, kv_pairs: 4, examples: 10}]"
    )

    /// A workspace in which one model of the tiny suite was trained and its checkpoint kept as run.safetensors.
    private func trained(_ model: String = "based", suite: String = suite) throws -> Workspace {
        let workspace = try Workspace.withTinySuite(suite)
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--only",
            "model=\(model),learning_rate=0.01",
            "--keep-checkpoints",
            "--checkpoints",
            "kept",
            "--quiet"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let kept = try FileManager.default.contentsOfDirectory(atPath: workspace.path("kept"))
        try #require(kept.count == 1 && kept[0].hasSuffix(".safetensors"), "\(kept)")
        try FileManager.default.moveItem(
            atPath: workspace.path("kept/\(kept[0])"),
            toPath: workspace.path("run.safetensors")
        )
        return workspace
    }

    private func report(_ workspace: Workspace, _ arguments: String...) throws -> [String: Any] {
        let outcome = try workspace.run(
            "eval",
            "--checkpoint",
            "run.safetensors",
            "--json",
            more: arguments
        )
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        return try object(outcome.output)
    }

    /// The one line of a refusal, without the program's name.
    private func refusal(
        _ workspace: Workspace,
        status: Int32,
        _ arguments: String...,
        checkpoint: String = "run.safetensors"
    ) throws -> String {
        let outcome = try workspace.run("eval", "--checkpoint", checkpoint, more: arguments)
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(outcome.output == "" && outcome.errorLines.count == 1, "\(outcome.output)\(outcome.errors)")
        return outcome.errorLines.first.map { String($0.dropFirst("recall-bench: ".count)) } ?? ""
    }

    /// Puts the checkpoint there again with some of it changed.
    private func rewrite(
        _ workspace: Workspace,
        _ change: (inout [NamedArray], inout [String: String]) throws -> Void
    ) throws {
        var (arrays, metadata) = try SafeTensors.decode(workspace.data("run.safetensors"))
        try change(&arrays, &metadata)
        try SafeTensors.encode(arrays, metadata: metadata).write(
            to: workspace.folder.appending(path: "changed.safetensors")
        )
    }

    @Test func aFinishedRunsCheckpointStaysOnRequestOnly() throws {
        let workspace = try Workspace.withTinySuite()
        func kept(_ arguments: String...) throws -> [String] {
            let outcome = try workspace.run(
                "run",
                "--suite",
                "tiny.yaml",
                "--only",
                "model=based",
                "--quiet",
                more: arguments
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
            return workspace.content.filter { $0.hasSuffix(".safetensors") }
        }
        #expect(try kept() == [])
        let runs = try workspace.table("runs")
        let finished = zip(runs.column("run_id"), runs.column("status")).filter { $1 == "finished" }.map(\.0)
        #expect(finished.count == 2)
        let files = finished.sorted().map { "results/checkpoints/\($0).safetensors" }
        #expect(try kept("--fresh", "--keep-checkpoints") == files)
        // Trained anew without the flag, they go again.
        #expect(try kept("--fresh") == [])
    }

    // MARK: - What it says

    /// A number of JSON and one of CSV, but for the last bit, which readers of JSON may lose.
    private func isSame(_ number: Any?, _ text: String) -> Bool {
        guard let number = number as? Double, let expected = Double(text) else { return false }
        return abs(number - expected) <= 1e-15 * max(1, abs(expected))
    }

    @Test(arguments: ["attention", "based"]) func itSaysWhatTheRunSaid(_ model: String) throws {
        let workspace = try trained(model)
        let runs = try workspace.table("runs")
        let trained = try #require(runs.column("status").firstIndex(of: "finished"))
        let slices = try workspace.table("slices")
        for split in ["test", "validation"] {
            let report = try report(workspace, "--split", split)
            #expect(report["run_id"] as? String == runs.column("run_id")[trained])
            #expect(report["split"] as? String == split)
            for key in ["loss", "accuracy"] {
                let expected = runs.column("\(split)_\(key)")[trained]
                #expect(isSame(report[key], expected), "\(split) \(key): \(report[key] ?? "") \(expected)")
            }
            #expect(report["epoch"] as? Int == 2 && report["step"] as? Int == 26)
            let expected = slices.rows.indices.filter { slices.column("split")[$0] == split }
            let found = try #require(report["slices"] as? [[String: Any]])
            #expect(found.count == expected.count)
            for (slice, row) in zip(found, expected) {
                #expect(isSame(slice["accuracy"], slices.column("accuracy")[row]))
                #expect("\(try #require(slice["kv_pairs"] as? Int))" == slices.column("kv_pairs")[row])
            }
        }
        // The same for people, and whatever the threads.
        let table = try workspace.run("eval", "--checkpoint", "run.safetensors", "--threads", "2")
        #expect(table.status == 0 && table.errors == "")
        #expect(table.outputLines.count == 5 && table.outputLines[4].contains("all"), "\(table.output)")
        let accuracy = try #require(Double(runs.column("test_accuracy")[trained]))
        #expect(table.outputLines[4].contains(String(format: "%.3f", accuracy)), "\(table.output)")
    }

    @Test func aWrittenDatasetIsTheSplit() throws {
        let workspace = try trained()
        for split in ["train", "validation", "test"] {
            let written = try workspace.run(
                "data",
                "write",
                "--suite",
                "tiny.yaml",
                "--split",
                split,
                "--output",
                split
            )
            #expect(written.status == 0, "\(written.errors)")
            let (read, made) = (
                try report(workspace, "--dataset", split), try report(workspace, "--split", split)
            )
            #expect(NSDictionary(dictionary: read) == NSDictionary(dictionary: made))
        }
    }

    /// A row a label, in the order of `labels[labels != -100]`; what loss and accuracy are made of.
    @Test func logitsAreInTheLabelsOrder() throws {
        let workspace = try trained()
        _ = try workspace.run("data", "write", "--suite", "tiny.yaml", "--split", "test", "--output", "test")
        let report = try report(workspace, "--logits", "logits.npy")
        #expect(report["logits"] as? String == "logits.npy")
        let file = try NPYFile(path: workspace.path("logits.npy"))
        #expect(file.shape == [33 * 2 + 10 * 4, 64])
        guard case .float32(let logits) = file.elements else {
            Issue.record("\(file.elements.type)")
            return
        }
        var row = 0
        var (loss, accuracy) = (0.0, 0.0)
        for (segment, pairs) in [(0, 2.0), (1, 4.0)] {
            let labels = try NPYFile(path: workspace.path("test/segment-\(segment)/labels.npy"))
            guard case .int64(let values) = labels.elements else { continue }
            for label in values where label != -100 {
                let numbers = logits[row * 64..<(row + 1) * 64].map(Double.init)
                let largest = numbers.max() ?? 0
                let sum = numbers.reduce(0) { $0 + exp($1 - largest) }
                loss += (log(sum) + largest - numbers[Int(label)]) / pairs
                accuracy += (numbers[Int(label)] == largest ? 1 : 0) / pairs
                row += 1
            }
        }
        #expect(row == file.shape[0])
        #expect(abs(try #require(report["loss"] as? Double) - loss / 43) < 1e-5)
        #expect(abs(try #require(report["accuracy"] as? Double) - accuracy / 43) < 1e-12)
    }

    // MARK: - Other tasks

    @Test func anotherSuitesTask() throws {
        let workspace = try trained()
        try workspace.write(
            tiny("test: [{sequence_length: 16, kv_pairs: 2", "test: [{sequence_length: 64, kv_pairs: 9"),
            to: "longer.yaml"
        )
        let slices = try #require(
            try report(workspace, "--suite", "longer.yaml")["slices"] as? [[String: Any]]
        )
        #expect(slices.count == 1 && slices[0]["sequence_length"] as? Int == 64)
        try workspace.write(tiny("vocab_size: 64", "vocab_size: 128"), to: "wider.yaml")
        let wider = try refusal(workspace, status: 65, "--suite", "wider.yaml")
        #expect(wider == "wider.yaml has a vocabulary of 128, the model of run.safetensors one of 64")
        #expect(try refusal(workspace, status: 66, "--suite", "none.yaml").contains("none.yaml"))
    }

    /// Learned positions, and filters as long as the sequence, end with the longest sequence of their task.
    @Test(arguments: [
        "positions: learned, layers: [base-conv, attention]", "layers: [{mixer: base-conv, kernel_size: long}]",
    ])
    func modelsWithALongestLength(_ layers: String) throws {
        let workspace = try trained(
            "attention",
            suite: Self.suite.replacingOccurrences(of: "layers: [base-conv, attention]", with: layers)
        )
        try workspace.write(
            tiny("test: [{sequence_length: 16, kv_pairs: 2", "test: [{sequence_length: 24, kv_pairs: 6"),
            to: "as-long.yaml"
        )
        _ = try report(workspace, "--suite", "as-long.yaml")
        try workspace.write(
            tiny("test: [{sequence_length: 16, kv_pairs: 2", "test: [{sequence_length: 26, kv_pairs: 2"),
            to: "longer.yaml"
        )
        let longer = try refusal(workspace, status: 65, "--suite", "longer.yaml")
        #expect(longer.hasPrefix("longer.yaml has sequences of 26 tokens"), "\(longer)")
        #expect(longer.hasSuffix("takes at most 24"), "\(longer)")
    }

    // MARK: - Refusals

    @Test func checkpointsThatAreNone() throws {
        let workspace = try trained()
        #expect(
            try refusal(workspace, status: 66, checkpoint: "none.safetensors")
                == "none.safetensors: there is no such checkpoint"
        )
        try workspace.makeFolder("folder")
        #expect(try refusal(workspace, status: 65, checkpoint: "folder").hasPrefix("folder: it is a folder"))
        #expect(
            try refusal(workspace, status: 65, checkpoint: "tiny.yaml")
                .hasPrefix("tiny.yaml: not a whole .safetensors file: ")
        )
        let whole = try workspace.data("run.safetensors")
        try whole.prefix(whole.count - 1).write(to: workspace.folder.appending(path: "cut.safetensors"))
        #expect(
            try refusal(workspace, status: 65, checkpoint: "cut.safetensors")
                .hasPrefix("cut.safetensors: not a whole .safetensors file: ")
        )
        // With a terabyte of holes behind it nobody waits until they are read.
        try whole.write(to: workspace.folder.appending(path: "holes.safetensors"))
        try #require(truncate(workspace.path("holes.safetensors"), 1 << 40) == 0)
        let holes = try refusal(workspace, status: 65, checkpoint: "holes.safetensors")
        #expect(holes.hasPrefix("holes.safetensors: not a whole .safetensors file: bytes "), "\(holes)")
    }

    /// What is changed in a checkpoint, and what is said of it.
    @Test func checkpointsOfNoModel() throws {
        let workspace = try trained()
        func said(_ change: (inout [NamedArray], inout [String: String]) throws -> Void) throws -> String {
            try rewrite(workspace, change)
            return try refusal(workspace, status: 65, checkpoint: "changed.safetensors")
        }
        func index(_ name: String, in arrays: [NamedArray]) throws -> Int {
            try #require(arrays.firstIndex { $0.name == name })
        }
        let nameless = try said { _, metadata in metadata = [:] }
        #expect(
            nameless.contains("no 'specification'") && nameless.contains("docs/interchange.md"),
            "\(nameless)"
        )
        #expect(
            try said { _, metadata in metadata["version"] = "9" }
                == "changed.safetensors: a checkpoint of version 9; this program reads version 1"
        )
        let noJSON = try said { _, metadata in metadata["specification"] = "{" }
        #expect(noJSON.contains("it is not JSON"), "\(noJSON)")
        let empty = try said { _, metadata in metadata["specification"] = "{}" }
        #expect(empty.contains("'task' is missing"), "\(empty)")
        let strange = try said { _, metadata in
            metadata["specification"] = metadata["specification"]?.replacingOccurrences(
                of: "linear-attention",
                with: "lineal-attention"
            )
        }
        #expect(strange.contains("there is no mixer 'lineal-attention'"), "\(strange)")
        let odd = try said { _, metadata in
            metadata["specification"] = metadata["specification"]?.replacingOccurrences(
                of: #""vocab_size":64"#,
                with: #""vocab_size":63"#
            )
        }
        #expect(odd.contains("63 is odd"), "\(odd)")
        // What no suite may say, no checkpoint may.
        for (part, other, words) in [
            (#""epochs":2"#, #""epochs":-1"#, "training.epochs must be an integer from 1 to 1000000, not -1"),
            (#""batch_size":32"#, #""batch_size":0"#, "training.batch_size must be an integer from 1 to"),
            (#""batch_size":32"#, #""batch_size":2000000"#, "training.batch_size must be an integer from 1 to"),
            (
                #""weight_decay":0.1"#, #""weight_decay":-1"#,
                "training.weight_decay must be a number from 0, not -1.0"
            ),
            (
                #""learning_rate":0.01"#, #""learning_rate":-1"#,
                "training.learning_rate must be a number above 0"
            ),
            (
                #""learning_rate":0.01"#, #""learning_rate":-0.0"#,
                "training.learning_rate must be a number above 0"
            ),
            (
                #""precision":"fp32""#, #""precision":"fp32","stop_at_accuracy":2"#,
                "training.stop_at_accuracy must be"
            ),
            (
                #""embed_dropout":0.1"#, #""embed_dropout":5"#,
                "embed_dropout must be a number from 0 to below 1, not 5.0"
            ),
            (
                #""residual_dropout":0"#, #""residual_dropout":1"#,
                "residual_dropout must be a number from 0 to below 1"
            ),
            (
                #""norm_epsilon":1e-05"#, #""norm_epsilon":0"#,
                "norm_epsilon must be a number above 0 and at most 1"
            ),
            (
                #""d_model":16"#, #""d_model":16385"#,
                "model.d_model must be an integer from 1 to 16384, not 16385"
            ),
            (#""power_a":0.01"#, #""power_a":-1"#, "task.power_a: power_a ≥ 0 fails"),
        ] {
            let text = try said { _, metadata in
                let specification = try #require(metadata["specification"])
                try #require(specification.contains(part), "\(part) in \(specification)")
                metadata["specification"] = specification.replacingOccurrences(of: part, with: other)
            }
            #expect(text.contains(words), "\(other): \(text)")
        }
        let shape = try said { arrays, _ in
            let place = try index("layers.1.mixer.q.weight", in: arrays)
            arrays[place].shape = [2, 32]
        }
        #expect(
            shape
                == "changed.safetensors: layers.1.mixer.q.weight has the shape [2, 32] there, and [4, 16] in the model of its specification"
        )
        let missing = try said { arrays, _ in arrays.remove(at: try index("norm.bias", in: arrays)) }
        #expect(missing.contains("it has no norm.bias, of shape [16]"), "\(missing)")
        let more = try said { arrays, _ in
            arrays.append(NamedArray(name: "lm_head.weight", shape: [1], values: [0]))
        }
        #expect(more.contains("it has lm_head.weight, which the model"), "\(more)")
        // A program that changes parameters leaves their hash out.
        let infinite = try said { arrays, metadata in
            arrays[try index("norm.weight", in: arrays)].values[3] = .nan
            metadata["parameters_sha256"] = nil
        }
        #expect(infinite == "changed.safetensors: not finite: parameter norm.weight")
        let changed = try said { arrays, _ in arrays[try index("norm.weight", in: arrays)].values[3] = 2 }
        #expect(
            changed.contains("its parameters are not those that its 'parameters_sha256' is of"),
            "\(changed)"
        )
    }

    /// Of another program's checkpoint nothing else is asked than parameters and a specification.
    @Test func aCheckpointOfAnotherProgram() throws {
        let workspace = try trained()
        let expected = try report(workspace)
        try rewrite(workspace) { arrays, metadata in
            arrays.removeAll { $0.name.hasPrefix("optimizer.") }
            metadata = metadata.filter { $0.key == "specification" }
        }
        try FileManager.default.removeItem(atPath: workspace.path("run.safetensors"))
        try FileManager.default.moveItem(
            atPath: workspace.path("changed.safetensors"),
            toPath: workspace.path("run.safetensors")
        )
        let found = try report(workspace)
        #expect(found["loss"] as? Double == expected["loss"] as? Double)
        #expect(found["run_id"] == nil && found["step"] == nil)
    }

    @Test func datasetsThatDoNotFit() throws {
        let workspace = try trained()
        _ = try workspace.run("data", "write", "--suite", "tiny.yaml", "--split", "test", "--output", "test")
        #expect(
            try refusal(workspace, status: 66, "--dataset", "none")
                == "none/dataset.json: cannot be read: No such file or directory"
        )
        let labels = workspace.path("test/segment-1/labels.npy")
        let whole = try Data(contentsOf: URL(fileURLWithPath: labels))
        guard case .int64(var values) = try NPYFile(path: labels).elements else { return }
        func said(_ change: (inout [Int64]) -> Void) throws -> String {
            var changed = values
            change(&changed)
            try NPYFile(shape: [10, 24], elements: .int64(changed)).write(to: labels)
            return try refusal(workspace, status: 65, "--dataset", "test")
        }
        let first = try #require(values.firstIndex { $0 != -100 })
        #expect(
            try said { $0[first] = -100 }
                == "test/segment-1/labels.npy: example 0 has 3 labels; dataset.json says 4 for each"
        )
        #expect(
            try said { $0[first] = 64 }
                == "test/segment-1/labels.npy: example 0 has label 64, outside the vocabulary of 64"
        )
        values.removeLast(24)
        try NPYFile(shape: [9, 24], elements: .int64(values)).write(to: labels)
        #expect(
            try refusal(workspace, status: 65, "--dataset", "test")
                == "test/segment-1/labels.npy: it is int64 of shape [9, 24]; dataset.json says integers of [10, 24]"
        )
        try whole.write(to: URL(fileURLWithPath: labels))
        try workspace.write("{}", to: "test/dataset.json")
        #expect(
            try refusal(workspace, status: 65, "--dataset", "test").hasPrefix(
                "test/dataset.json: not the description of a dataset: it has no '"
            )
        )
    }

    @Test func logitsThatCannotBeWritten() throws {
        let workspace = try trained()
        #expect(
            try refusal(workspace, status: 74, "--logits", "none/l.npy")
                == "none/l.npy: cannot be written: No such file or directory"
        )
        try workspace.makeFolder("folder")
        #expect(
            try refusal(workspace, status: 74, "--logits", "folder")
                == "folder: cannot be written: Is a directory"
        )
        #expect(
            try refusal(workspace, status: 74, "--logits", "/dev/full")
                == "/dev/full: cannot be written: No space left on device"
        )
        // What is no file stays what it is.
        let null = try workspace.run("eval", "--checkpoint", "run.safetensors", "--logits", "/dev/null")
        #expect(null.status == 0, "\(null.errors)")
        var status = stat()
        #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
        #expect(!workspace.content.contains { $0.hasSuffix(".partial") })
    }

    @Test(arguments: [
        (["--dataset", "d", "--suite", "s"], "--dataset and --suite exclude each other"),
        (["--dataset", "d", "--split", "test"], "leave --split out"),
        (["--task-index", "0"], "--task-index is of the suite"), (["--threads", "0"], "at least 1, not 0"),
        (["--split", "dev"], "'validation'"), (["--logits", ""], "--logits names no file"),
    ])
    func wrongUsage(_ arguments: [String], _ part: String) throws {
        let outcome = try Workspace().run("eval", "--checkpoint", "c.safetensors", more: arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errorLines.count == 1 && outcome.errors.contains(part), "\(outcome.errors)")
    }
}
