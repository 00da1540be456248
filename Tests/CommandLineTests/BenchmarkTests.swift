import Foundation
import RecallBenchmark
import Testing

@Suite struct BenchmarkTests {
    private let small = [
        "--widths", "8,16", "--shapes", "16:2", "--batch", "4", "--vocab", "64", "--steps", "2", "--jobs", "2",
    ]

    @Test func trainingStepsStandBesideTheirFloor() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(more: ["bench", "train", "--models", "based,mamba", "--json"] + small)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = try outcome.outputLines.map(object)
        #expect(lines.map { $0["name"] as? String } == ["based", "mamba", "based", "mamba"])
        for (line, width) in zip(lines, [8, 8, 16, 16]) {
            #expect(line["kind"] as? String == "train")
            #expect(line["jobs"] as? Int == 2 && line["threads"] as? Int == 1)
            let shape = try #require(line["shape"] as? [String: Any])
            #expect(shape["batch"] as? Int == 4 && shape["sequence_length"] as? Int == 16)
            #expect(shape["kv_pairs"] as? Int == 2 && shape["vocab_size"] as? Int == 64)
            #expect(shape["d_model"] as? Int == width)
            let knob = line["name"] as? String == "mamba" ? "state_size" : "feature_dim"
            #expect(shape[knob] as? Int == 16)
            let number = { (key: String) in line[key] as? Double ?? -1 }
            #expect(number("floor_ms") > 0 && number("min_ms") > 0)
            #expect(number("min_ms") <= number("median_ms"))
            #expect(number("gflop") > 0 && number("gbyte") > 0)
            #expect(abs(number("tokens_per_second") / number("examples_per_second") - 16) < 1e-9)
        }
        let table = try workspace.table("benchmarks")
        #expect(table.column("kind") == ["train", "train", "train", "train"])
        #expect(table.column("name") == ["based", "mamba", "based", "mamba"])
    }

    @Test func everyMixerIsTimed() throws {
        let outcome = try Workspace().run(
            more: ["bench", "train", "--models", "all"] + small.map { $0 == "8,16" ? "8" : $0 }
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        for name in ["attention", "sliding-window", "linear-attention", "base-conv", "gated-conv", "mamba"] {
            #expect(outcome.outputLines.contains { $0.hasPrefix(name) }, "\(name)")
        }
    }

    /// What is measured of a step's memory is what its tensors and parameters come to, and little more.
    @Test func theMemoryOfAStepIsMeasured() throws {
        let workspace = try Workspace()
        let options = ["--widths", "64", "--batch", "256", "--vocab", "512", "--steps", "1"]
        let shape = StepShape(batch: 256, length: 128, pairs: 8, vocabulary: 512)
        let counted = try StepBenchmark.plan(PeerModels.model("based", width: 64), shape).bytes
        for jobs in [1, 2] {
            let outcome = try workspace.run(
                more: [
                    "bench", "train", "--models", "based", "--shapes", "128:8", "--jobs", "\(jobs)", "--json",
                ]
                    + options
            )
            let measured = try #require(try outcome.outputLines.map(object).first?["peak_bytes"] as? Int)
            // Beside them: workspaces, the BLAS's buffer, a stack; and pages of the arena's gaps that nothing touched.
            #expect(measured > counted * 9 / 10 && measured < counted + 40 << 20, "\(measured) for \(counted)")
        }
        let table = try workspace.run("bench", "train", "--models", "based", "--shapes", "16:2", "--steps", "1")
        #expect(table.outputLines.first?.hasSuffix("peak") == true)
        let peaks = try workspace.table("benchmarks").column("peak_bytes")
        #expect(peaks.count == 4 && peaks.allSatisfy { Int($0) ?? 0 > 0 })
    }

    @Test func kernelsStandBesideFloorAndReference() throws {
        let workspace = try Workspace()
        let options = ["bench", "kernels", "--lengths", "16,33", "--check", "16"]
        let outcome = try workspace.run(more: options + ["--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = try outcome.outputLines.map(object)
        let names = lines.compactMap { $0["name"] as? String }
        #expect(Set(names).count * 2 == names.count && Set(names).contains("attention backward"))
        for line in lines {
            #expect(line["kind"] as? String == "kernel")
            #expect(["floor_ms", "median_ms", "min_ms"].allSatisfy { line[$0] as? Double ?? 0 > 0 })
            let length = (line["shape"] as? [String: Any])?["sequence_length"] as? Int
            #expect(length == 16 || length == 33)
        }
        #expect(try workspace.table("benchmarks").column("name") == names)
        let one = try workspace.run(more: options + ["--kernels", "selective-scan"])
        #expect(one.outputLines.filter { $0.hasPrefix("selective-scan") }.count == 3)
        let wrong = try workspace.run("bench", "kernels", "--kernels", "scan")
        #expect(wrong.status == 64 && wrong.errors.contains("there is no kernel 'scan'; there are attention"))
    }

    private let generation = [
        "bench", "generate", "--width", "16", "--vocab", "32", "--contexts", "24,8", "--batches", "1,3",
        "--tokens", "2",
    ]

    @Test func generationIsMeasuredByContextAndBatch() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(more: generation + ["--models", "attention,mamba", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errorLines.count == 8 && outcome.errors.contains("8 of 8: mamba context 24 batch 3"))
        let lines = try outcome.outputLines.map(object)
        let points = [8, 24].flatMap { context in [1, 3].map { (context, $0) } }
        #expect(lines.count == 2 * 2 * points.count)
        for (number, line) in lines.enumerated() {
            let (model, what) = (number < 8 ? "attention" : "mamba", number % 2 == 0 ? "prefill" : "decode")
            let (context, batch) = points[number / 2 % 4]
            #expect(line["kind"] as? String == "generate")
            #expect(line["name"] as? String == "\(model) \(what)")
            let shape = try #require(line["shape"] as? [String: Any])
            #expect(shape["batch"] as? Int == batch && shape["sequence_length"] as? Int == context)
            #expect(shape["d_model"] as? Int == 16 && shape["vocab_size"] as? Int == 32)
            #expect((shape["state_size"] as? Int == 16) == (model == "mamba"))
            let state = try #require(line["state_bytes"] as? Int)
            #expect(
                state == 4
                    * (model == "attention" ? 16 * 2 + 2 * 16 * context : 2 * 32 * (16 + 3))
            )
            let number = { (key: String) in line[key] as? Double ?? -1 }
            #expect(number("floor_ms") > 0 && number("gbyte") > 0 && number("gflop") > 0)
            #expect(number("min_ms") > 0 && number("min_ms") <= number("median_ms"))
            let tokens = what == "prefill" ? context : 1
            #expect(
                abs(number("tokens_per_second") * number("median_ms") / 1e3 - Double(batch * tokens)) < 1e-6
            )
        }
        let table = try workspace.table("benchmarks")
        #expect(table.column("kind") == lines.map { _ in "generate" })
        #expect(table.column("state_bytes") == lines.map { "\($0["state_bytes"] as? Int ?? -1)" })
    }

    @Test func generationsTablesNameEveryMixerAndTheCrossovers() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(more: generation)
        #expect(outcome.status == 0, "\(outcome.errors)")
        // Two tables of speeds by batch, one of states, one of crossovers.
        for (name, rows) in [
            ("attention", 5), ("sliding-window", 6), ("linear-attention", 6), ("base-conv", 6),
            ("gated-conv", 6), ("mamba", 6), ("based", 6),
        ] {
            #expect(outcome.outputLines.filter { $0.hasPrefix(name + " ") }.count == rows, "\(name)")
        }
        #expect(outcome.output.contains("decodes faster than attention from  state"))
        let last = try #require(outcome.outputLines.last)
        #expect(last.contains("the head over 32 words") && last.contains("at batch 3"))
        let without = try workspace.run(more: generation + ["--models", "mamba"])
        #expect(without.status == 0 && !without.output.contains("decodes faster"))
    }

    @Test func whatDoesNotFitInMemoryIsLeftOut() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(
            more: [
                "bench", "generate", "--models", "attention", "--width", "64", "--vocab", "32", "--contexts",
                "65536", "--batches", "1048576", "--tokens", "1",
            ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("left out: it needs 64"), "\(outcome.errors)")
        #expect(outcome.output.contains("no room"))
        #expect(try workspace.table("benchmarks").column("kind").isEmpty)
    }

    @Test(arguments: [
        (["--models", "atention"], "no model 'atention'"), (["--contexts", "64,x"], "'x' is not a number"),
        (["--batches", "0"], "'0' is not a number from 1"), (["--tokens", "0"], "--tokens must be at least 1"),
    ])
    func wrongOptionsOfGenerationAreRefused(options: [String], message: String) throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(more: ["bench", "generate"] + options)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains(message), "\(outcome.errors)")
        #expect(!workspace.exists("results"))
    }

    @Test(arguments: [
        (["--models", "atention"], "no model 'atention'"), (["--widths", "64,x"], "'x' is not a width"),
        (["--shapes", "64:17"], "4 × 17 = 68 > 64"), (["--jobs", "0"], "--jobs must be at least 1"),
    ])
    func wrongOptionsAreRefused(options: [String], message: String) throws {
        let workspace = try Workspace()
        let outcome = try workspace.run(more: ["bench", "train"] + options)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains(message), "\(outcome.errors)")
        #expect(!workspace.exists("results"))
    }
}
