import ArgumentParser
import RecallBenchmark
import RecallModels
import RecallStore
import RecallSuite

/// Where measurements go: shared by every `bench`.
struct MeasurementOptions: ParsableArguments {
    @Flag(help: "A JSON object a line instead of tables.")
    var json = false

    @OptionGroup var store: StoreOptions

    /// The store that measurements are kept in.
    ///
    /// - Throws: `StoreError`, before anything is measured.
    func open() throws(StoreError) -> Store {
        try Store.check(path: store.path)
        return try Store(path: store.path, mode: .readWrite, say: Output.note)
    }

    /// Keeps a measurement, and writes it where JSON is asked for.
    func keep(_ record: BenchmarkRecord, _ shape: BenchmarkShape, jobs: Int = 1, in store: Store) throws {
        try store.recordBenchmark(record)
        if json { Output.write(RunSpec.json(BenchmarkLine(record: record, shape: shape, jobs: jobs)) + "\n") }
    }
}

/// What is measured of models, and where that goes: shared by `bench train` and `bench generate`.
struct ModelBenchmarkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Models, or all: every registered mixer. Default: the baseline's five to train, all to generate.",
            valueName: "name,…"
        )
    )
    var models: String?

    @Option(help: "Threads of a run.")
    var threads = 1

    @OptionGroup var measurements: MeasurementOptions

    func validate() throws { try OptionRange.require(threads, in: OptionRange.threads, "--threads") }

    /// The names given, or those of the default.
    ///
    /// - Parameter all: what "all" stands for.
    func names(default standard: [String], all: [String]) -> [String] {
        guard let models else { return standard }
        return models == "all"
            ? all : models.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    /// A model of the baseline, or a registered mixer.
    ///
    /// - Throws: `Failure` of wrong usage.
    static func model(_ name: String, width: Int) throws(Failure) -> ModelConfig {
        do { return try PeerModels.model(name, width: width) } catch {
            throw Failure(.usage, "--models \(name), d_model \(width): \(error.message)")
        }
    }

    /// - Throws: `ValidationError` naming the first option that is below 1.
    static func requirePositive(_ options: [(name: String, number: Int)]) throws {
        for (name, number) in options where number < 1 {
            throw ValidationError("--\(name) must be at least 1, not \(number)")
        }
    }
}
