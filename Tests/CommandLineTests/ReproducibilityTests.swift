import Foundation
import RecallRandom
import Testing

/// Every kind of mixer on two lengths, with what else draws random numbers: dropout, order, fresh data, two seeds.
private let mixedSuite = """
    name: mixed
    task:
      name: mqar
      vocab_size: 64
      train:
        - {sequence_length: 16, kv_pairs: 2, examples: 100}
        - {sequence_length: 34, kv_pairs: 4, examples: 60}
      validation: [{sequence_length: 34, kv_pairs: 4, examples: 40}]
      test: [{sequence_length: 16, kv_pairs: 2, examples: 40}, {sequence_length: 66, kv_pairs: 8, examples: 20}]
    training: {epochs: 4, batch_size: 24, learning_rate: 0.01, schedule: cosine-step, seeds: 2}
    control: {model: attention, minimum_accuracy: 0.0}
    models:
      - {name: attention, d_model: 16, layers: [base-conv, {mixer: attention, heads: 2, dropout: 0.1}]}
      - {name: window, d_model: 16, residual_dropout: 0.1, layers: [base-conv, {mixer: sliding-window, window: 9}]}
      - {name: linear, d_model: 16, layers: [base-conv, {mixer: linear-attention, feature_dim: 4}]}
      - {name: long-conv, d_model: 16, state_mixer: swiglu, layers: [{mixer: base-conv, kernel_size: long}]}
      - {name: mamba, d_model: 16, layers: {preset: mamba, state_size: 4}}
      - {name: based, d_model: 16, layers: {preset: based, feature_dim: 4}}

    """
private let models = ["attention", "window", "linear", "long-conv", "mamba", "based"]

/// The same specification on the same device and build gives the same bits in every stored figure, however it was run.
@Suite struct ReproducibilityTests {
    private static func run(_ arguments: [String], in workspace: Workspace) throws {
        let outcome = try workspace.run("run", "--suite", "mixed.yaml", "--quiet", more: arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome.errors)")
    }

    private static func workspace() throws -> Workspace {
        let workspace = try Workspace()
        try workspace.write(mixedSuite, to: "mixed.yaml")
        return workspace
    }

    /// One run after the other on one thread.
    private static let plain = Result {
        let workspace = try Self.workspace()
        try run(["--jobs", "1"], in: workspace)
        return try workspace.results()
    }

    /// Compares whole tables, and says which rows differ.
    private func expectSame(
        _ results: [String: [[String]]],
        _ comment: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let plain = try Self.plain.get()
        #expect(plain["runs"]?.count == 2 * models.count && plain["history"]?.count == 8 * models.count)
        for (name, rows) in plain {
            let differing = zip(rows, results[name] ?? []).first { $0 != $1 }
            #expect(
                results[name] == rows,
                "\(name): \(String(describing: differing)) \(comment)",
                sourceLocation: sourceLocation
            )
        }
    }

    @Test(arguments: [
        ["--jobs", "2"], ["--jobs", "5"], ["--jobs", "1", "--threads", "2"], ["--jobs", "2", "--threads", "3"],
    ])
    func jobsAndThreadsChangeNoBit(_ arguments: [String]) throws {
        let workspace = try Self.workspace()
        try Self.run(arguments, in: workspace)
        try expectSame(workspace.results())
    }

    /// Each model in a process of its own, from the last to the first.
    @Test func anotherOrderChangesNoBit() throws {
        let workspace = try Self.workspace()
        for model in models.reversed() {
            try Self.run(["--jobs", "2", "--only", "model=\(model)"], in: workspace)
        }
        try expectSame(workspace.results())
    }

    /// Another suite with the same runs under other names and in another order trains them; this one finds them done.
    @Test func anotherSuiteChangesNoBit() throws {
        let workspace = try Self.workspace()
        let lines = mixedSuite.split(separator: "\n").map(String.init)
        let (head, list) = (lines.prefix { !$0.contains("{name: attention") }, lines.suffix(models.count))
        let other =
            (head + list.reversed()).map {
                $0.replacingOccurrences(of: "name: mixed", with: "name: other")
                    .replacingOccurrences(of: "{name: mamba,", with: "{name: ssm,")
            }.joined(separator: "\n") + "\n"
        try workspace.write(other, to: "other.yaml")
        let trained = try workspace.run("run", "--suite", "other.yaml", "--quiet", "--jobs", "2")
        #expect(trained.status == 0, "\(trained.errors)")
        let before = try workspace.results(of: "other")["runs"]
        let found = try workspace.run("run", "--suite", "mixed.yaml", "--json")
        #expect(found.status == 0)
        #expect(!found.errors.contains("run_started"), "nothing was left to train: \(found.errors)")
        try expectSame(workspace.results(of: "mixed"))
        // They were trained in another order.
        let (first, plainFirst) = (before?.first, try Self.plain.get()["runs"]?.first)
        #expect(before?.count == 2 * models.count && first?.first != plainFirst?.first)
    }

    /// Killed without warning after so many events, and continued, again and again.
    @Test func killsChangeNoBit() throws {
        let seed =
            ProcessInfo.processInfo.environment["RECALL_BENCH_TEST_SEED"].flatMap(UInt64.init)
            ?? UInt64.random(in: 0..<1 << 32)
        print("killsChangeNoBit: RECALL_BENCH_TEST_SEED=\(seed) repeats its choices")
        var stream = RandomStream(seed: seed, purpose: .test)
        var (kills, rounds) = (0, 0)
        // A process may be done before the signal reaches it; then another suite has to serve.
        while kills < 20 {
            rounds += 1
            try #require(rounds <= 20, "too few processes could be killed; seed \(seed)")
            let workspace = try Self.workspace()
            while true {
                let event = 1 + Int(stream.nextWord() % 6)
                let outcome = try interrupted(workspace, atEvent: event, jobs: 1 + Int(stream.nextWord() % 2))
                if !outcome.isSignalled {
                    #expect(outcome.status == 0, "seed \(seed): \(outcome.errors)")
                    break
                }
                kills += 1
            }
            try expectSame(workspace.results(), "after \(kills) kills; seed \(seed)")
            // Nothing is left of what the killed were writing.
            #expect(!workspace.content.contains { $0.contains("safetensors") }, "seed \(seed)")
        }
    }

    /// Runs until the process has told of so many events, and kills it then.
    private func interrupted(_ workspace: Workspace, atEvent last: Int, jobs: Int) throws -> Outcome {
        let events = Counter()
        return try workspace.run("run", "--suite", "mixed.yaml", "--json", "--jobs", "\(jobs)") { _, pid in
            if events.next() == last { kill(pid, SIGKILL) }
        }
    }

    /// What decides the bits besides the specification stands in every row: the processor and the BLAS with its version
    /// and its kernel.
    @Test func rowsNameTheirBLAS() throws {
        let workspace = try Self.workspace()
        let arguments = ["run", "--suite", "mixed.yaml", "--quiet", "--only", "model=based"]
        // A kernel that every processor with what these kernels are compiled for has.
        let kernel = ["OPENBLAS_CORETYPE": "Haswell"]
        #expect(try workspace.run(more: arguments, environment: kernel).status == 0)
        let devices = Set(try workspace.table("runs").column("device").filter { !$0.isEmpty })
        let doctor = try workspace.run("doctor", environment: kernel)
        for device in devices {
            let match = try #require(
                device.wholeMatch(of: #/cpu: .+, (OpenBLAS [0-9]+\.[0-9]+\.[0-9]+ Haswell)/#),
                "\(device)"
            )
            #expect(doctor.output.contains(match.1), "\(doctor.output)")
        }
        #expect(devices.count == 1)
    }
}
