import Foundation
import RecallSuite
import Testing

@Suite struct LookingTests {
    @Test func suitesAreListedAndShownInFull() throws {
        let workspace = try Workspace.withTinySuite()
        let list = try workspace.run("suites")
        #expect(list.status == 0)
        #expect(list.outputLines.contains { $0.hasPrefix("quick ") })
        #expect(list.outputLines.contains { $0.hasPrefix("based-figure2") && $0.contains("112 runs") })
        let full = try workspace.run("suites", "tiny.yaml")
        #expect(full.status == 0)
        let words = full.outputLines.map { $0.split(separator: " ").joined(separator: " ") }
        for line in [
            "tiny: Two models on next to nothing.", "runs 4", "train 400 × (16 tokens, 2 pairs)",
            "learning_rate 0.003, 0.01", "weight_decay 0.1", "schedule cosine-epoch", "seeds 1",
            "model based: 2 runs", "layers.1 linear-attention", "layers.1.feature_dim 4", "power_a 0.01",
        ] {
            #expect(words.contains(line), "\(line)")
        }
    }

    @Test func modelsAreListedAndTheirStateIsItemised() throws {
        let workspace = try Workspace()
        let list = try workspace.run("models")
        #expect(list.status == 0)
        let names = Set(list.outputLines.compactMap { $0.split(separator: " ").first.map(String.init) })
        #expect(names.isSuperset(of: ["attention", "mamba", "based", "taylor-linear-attention", "base-conv"]))
        for name in names {
            #expect(
                try workspace.run("models", name, "--length", "8", "--d-model", "16").status == 0,
                "\(name)"
            )
        }
        // 2·D·L numbers of attention; the short convolution's two past columns.
        let attention = try workspace.run("models", "attention", "--length", "10", "--d-model", "32")
        #expect(attention.output.contains("2,560 B (2.5 KiB)"))
        #expect(attention.output.contains("2,816 B (2.8 KiB)"))
        #expect(attention.output.contains("paper"))
        let words = Self.words(attention)
        for line in ["0 attention kv-cache 2,560", "1 attention kv-cache 2,560", "difference none"] {
            #expect(words.contains(line), "\(line) in \(attention.output)")
        }
        let based = try workspace.run(
            "models",
            "based",
            "--config",
            "feature_dim=8,arrangement=sliding-last,window=5"
        )
        #expect(Self.words(based).contains("2 sliding-window kv-cache 2,048"))
        #expect(based.output.contains("feature_dim"))
        // Mamba's published count leaves its convolution out: 3 past columns of 2 D.
        let mamba = try workspace.run("models", "mamba", "--config", "state_size=16")
        #expect(Self.words(mamba).contains("difference +1,536 B (+18.8 %)"))
        // The default of a setting that the block changes is said of both blocks.
        let text = mamba.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(text.contains("embed_dropout: 0.0 unless a suite states another"))
        #expect(text.contains("default 0.1; 0.0 in block: mamba"))
    }

    /// Lines with their columns a space apart.
    private static func words(_ outcome: Outcome) -> [String] {
        outcome.outputLines.map { $0.split(separator: " ").joined(separator: " ") }
    }

    /// What the tables' config column holds can be shown again, and comes to the bytes beside it.
    @Test func aModelOfTheTablesIsShownByItsConfig() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        for name in ["runs", "tradeoff"] {
            let table = try workspace.table(name)
            for ((model, config), bytes) in zip(
                zip(table.column("model"), table.column("config")),
                table.column("state_bytes")
            ) {
                for heading in [[model], []] {
                    let outcome = try workspace.run(
                        "models",
                        more: heading + ["--length", "16", "--config", config]
                    )
                    #expect(outcome.status == 0, "\(outcome.errors)")
                    let number = try #require(Int(bytes))
                    #expect(
                        Self.words(outcome).contains { $0.hasPrefix("measured ") && Self.bytes($0) == number },
                        "\(number) in \(outcome.output)"
                    )
                    #expect(outcome.outputLines.first == heading.first ?? "the model of --config")
                }
            }
        }
        let config = try #require(try workspace.table("runs").column("config").first)
        for (changed, part) in [
            (config.replacingOccurrences(of: "d_model", with: "d_modle"), "did you mean 'd_model'?"),
            (config.replacingOccurrences(of: "\"block\":\"transformer\",", with: ""), "lacks 'block'"),
            (config.replacingOccurrences(of: "\"transformer\"", with: "\"former\""), "'block'"),
            (config.replacingOccurrences(of: "16", with: "0"), "d_model"), ("{", "not the JSON of a model"),
        ] {
            let outcome = try workspace.run("models", "attention", "--config", changed)
            #expect(outcome.status == 64)
            #expect(outcome.errorLines.count == 1 && outcome.errors.contains(part), "\(outcome.errors)")
        }
        let twice = try workspace.run("models", "--config", config, "--d-model", "16")
        #expect(twice.status == 64 && twice.errors.contains("--d-model does not go with a JSON --config"))
    }

    /// 2816 of "measured 2,816 B (2.8 KiB)".
    private static func bytes(_ line: String) -> Int? {
        line.split(separator: " ").dropFirst().first.flatMap { Int($0.filter { $0 != "," }) }
    }

    @Test func tasksAreListedAndTheirRulesShown() throws {
        let workspace = try Workspace()
        #expect(try workspace.run("tasks").output.hasPrefix("mqar  "))
        let full = try workspace.run("tasks", "mqar")
        #expect(full.status == 0)
        #expect(full.output.contains("4 × kv_pairs ≤ sequence_length"))
        #expect(full.output.contains("default 0.01"))
    }

    @Test func samplesAreAnnotated() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(
            "data",
            "sample",
            "--suite",
            "tiny.yaml",
            "--count",
            "2",
            "--split",
            "test",
            "--first",
            "3"
        )
        #expect(outcome.status == 0)
        #expect(outcome.outputLines.first == "test segment 0, example 3")
        #expect(outcome.output.contains("\n\ntest segment 0, example 4\n"))
        #expect(outcome.output.contains("·"))
        let numbers = try workspace.run("data", "sample", "--suite", "tiny.yaml", "--numbers")
        #expect(!numbers.output.contains("·"))
    }

    @Test func severalTasksHaveToBeTold() throws {
        let tasks = [400, 200].map { examples in
            """
              - name: mqar
                vocab_size: 64
                train: [{sequence_length: 16, kv_pairs: 2, examples: \(examples)}]
                validation: [{sequence_length: 16, kv_pairs: 2, examples: 64}]
                test: [{sequence_length: 16, kv_pairs: 2, examples: 64}]

            """
        }
        let lines: [String] = tinySuite.split(separator: "\n").map { "\($0)\n" }
        let workspace = try Workspace.withTinySuite((lines[..<3] + tasks + lines[8...]).joined())
        let untold = try workspace.run("data", "sample", "--suite", "tiny.yaml")
        #expect(untold.status == 64)
        #expect(untold.errors.contains("0 (V=64, L/pairs 16/2), 1 (V=64, L/pairs 16/2)"), "\(untold.errors)")
        #expect(try workspace.run("data", "sample", "--suite", "tiny.yaml", "--task-index", "1").status == 0)
    }

    @Test func aSplitIsWrittenForOthers() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(
            "data",
            "write",
            "--suite",
            "tiny.yaml",
            "--split",
            "test",
            "--output",
            "d"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(
            workspace.content == [
                "d", "d/dataset.json", "d/segment-0", "d/segment-0/inputs.npy", "d/segment-0/labels.npy",
                "tiny.yaml",
            ]
        )
        for name in ["inputs", "labels"] {
            let data = try workspace.data("d/segment-0/\(name).npy")
            #expect(data.prefix(8) == Data([0x93] + Array("NUMPY".utf8) + [1, 0]))
            let length = Int(data[8]) + 256 * Int(data[9])
            #expect((10 + length) % 64 == 0)
            let header = String(decoding: data[10..<10 + length], as: UTF8.self)
            #expect(header.hasPrefix("{'descr': '<i8', 'fortran_order': False, 'shape': (64, 16)"), "\(header)")
            #expect(data.count == 10 + length + 64 * 16 * 8)
        }
        let description = try object(String(decoding: workspace.data("d/dataset.json"), as: UTF8.self))
        #expect(description["split"] as? String == "test")
        #expect(description["ignored_label"] as? Int == -100)

        // The same again is no harm; another dataset is not written over it.
        let again = ["data", "write", "--suite", "tiny.yaml", "--output", "d", "--split"]
        #expect(try workspace.run(more: again + ["test"]).status == 0)
        let before = try workspace.data("d/segment-0/inputs.npy")
        let other = try workspace.run(more: again + ["train"])
        #expect(other.status == 65)
        #expect(
            other.errors == "recall-bench: d/dataset.json: another dataset is there; "
                + "name another folder with --output, or delete this one\n"
        )
        #expect(try workspace.data("d/segment-0/inputs.npy") == before)
        // What the system refuses is another matter.
        let refused = ["data", "write", "--suite", "tiny.yaml", "--split", "test", "--output", "tiny.yaml"]
        let unwritable = try workspace.run(more: refused)
        #expect(unwritable.status == 74)
        #expect(unwritable.errorLines.count == 1)
    }

    @Test func benchmarksOfTheGeneratorAreTabledStoredAndJSON() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run("bench", "data", "--shapes", "16:2,32:4", "--vocab", "128", "--json")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = try outcome.outputLines.map(object)
        #expect(lines.count == 2)
        for (line, shape) in zip(lines, [(16, 2), (32, 4)]) {
            #expect(line["kind"] as? String == "data")
            #expect(line["jobs"] as? Int == 1 && line["threads"] as? Int == 1)
            let dimensions = try #require(line["shape"] as? [String: Int])
            #expect(
                dimensions == [
                    "batch": 4096, "sequence_length": shape.0, "kv_pairs": shape.1, "vocab_size": 128,
                ]
            )
            let number = { (key: String) in line[key] as? Double ?? -1 }
            #expect(number("floor_ms") > 0 && number("floor_ms") < number("median_ms"))
            #expect(number("min_ms") <= number("median_ms"))
            #expect(abs(number("examples_per_second") * number("median_ms") / 4.096e6 - 1) < 1e-9)
            for key in ["name", "device", "precision", "gbyte", "tokens_per_second", "measured_at"] {
                #expect(line[key] != nil, "\(key)")
            }
        }
        let table = try workspace.table("benchmarks")
        #expect(table.column("kind") == ["data", "data"])
        #expect(try object(table.column("shape")[1])["sequence_length"] as? Int == 32)
        #expect(table.column("measured_at") == lines.compactMap { $0["measured_at"] as? String })
    }

    @Test func doctorMeasuresThisMachine() throws {
        let outcome = try Workspace().run("doctor")
        #expect(outcome.status == 0, "\(outcome.errors)")
        for word in [
            "results version \(ResultsVersion.current)", "processor", "kernels", "OpenBLAS",
            "GFLOP/s at 4096×64×64", "SQLite", "gnuplot", "CUDA",
        ] {
            #expect(outcome.output.contains(word), "\(word)")
        }
        // How fast a machine is, and how busy, is its own affair: what is printed must be a measurement.
        let shares = outcome.outputLines.compactMap { line in
            line.split(separator: ", ").last.flatMap {
                $0.hasSuffix("% of the core's") ? Int($0.prefix { $0 != " " }) : nil
            }
        }
        #expect(shares.count == 2)
        #expect(shares.allSatisfy { $0 >= 1 }, "\(shares)")
    }
}
