import ArgumentParser
import Foundation
import RecallKernels
import RecallReport
import RecallStore
import RecallSuite

/// Where results are kept.
struct StoreOptions: ParsableArguments {
    @Option(name: .customLong("db"), help: "The SQLite file that results are kept in.")
    var path = "results/recall.sqlite"
}

/// How runs are trained: shared by `run` and `sweep`.
struct TrainingOptions: ParsableArguments {
    @Option(help: "Where to train: cpu.")
    var device = "cpu"

    @Option(help: "Runs at once. Default: the cores, shared out by --threads.")
    var jobs: Int?

    @Option(help: "Threads of one run. Results do not depend on it.")
    var threads = 1

    @Option(help: "The first seed of initialisation, dropout and order. Other seeds that were run stay.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Only the runs that meet the conditions: KEY=VALUE,… with keys model, task, d_model, learning_rate, seed.",
            discussion:
                "A comma joins conditions, repeating a key gives alternatives, numbers compare as numbers. Of a search of learning rates only what it needs so far is trained.",
            valueName: "KEY=VALUE,…"))
    var only: [String] = []

    @Flag(help: "List the runs, their number and an estimate of the time; train nothing.")
    var dryRun = false

    @Flag(help: "Forget earlier results of these runs and train them anew.")
    var fresh = false

    @Option(
        help: ArgumentHelp(
            "Where checkpoints are kept. Default: checkpoints/ beside the database.", valueName: "dir"))
    var checkpoints: String?

    @Flag(help: "Keep the last checkpoint of a finished run, for `recall-bench eval`.")
    var keepCheckpoints = false

    @Option(
        help: ArgumentHelp(
            "The runs whose number is I modulo N, I from 0: for job arrays. Points where learning rates are searched.",
            valueName: "I/N"))
    var shard: String?

    @Flag(help: "Nothing on standard error but failures.")
    var quiet = false

    @Flag(help: "Progress as JSON lines on standard error.")
    var json = false

    @Flag(
        inversion: .prefixedNo,
        help: "Sketch the frontier in letters below the table. Default: where standard output is a terminal.")
    var plot: Bool?

    func validate() throws {
        guard threads >= 1 else { throw ValidationError("--threads must be at least 1, not \(threads)") }
        if let jobs, jobs < 1 { throw ValidationError("--jobs must be at least 1, not \(jobs)") }
        _ = try deviceKind()
        if let shard { _ = try Shard(shard) }
        _ = try RunFilter(only)
    }

    /// Runs at once.
    var jobCount: Int { jobs ?? max(1, ProcessInfo.processInfo.activeProcessorCount / threads) }

    /// The runs of a suite that `--only` and `--shard` leave.
    ///
    /// - Throws: `OptionError` where they leave none, and no search can come to one.
    func selection(of runs: [PlannedRun], in suite: Suite) throws -> [PlannedRun] {
        _ = try RunFilter(only).select(from: runs, reach: suite.reach(seed: seed))
        return remaining(of: runs, in: suite)
    }

    /// The most learning rates of a point that `--only` leaves; nil where it leaves all.
    var mostRates: Int? { (try? RunFilter(only))?.mostRates }

    /// The same of runs that join those, which may be none.
    func remaining(of runs: [PlannedRun], in suite: Suite) -> [PlannedRun] {
        // Both were read before, in `validate`.
        guard let filter = try? RunFilter(only) else { return [] }
        guard let shard = shard.flatMap({ try? Shard($0) }) else { return runs.filter(filter.matches) }
        // A search's rates follow from one another: one job of an array has them all, whatever the filter.
        return suite.search == nil
            ? shard.select(from: runs.filter(filter.matches))
            : shard.select(from: runs, by: \.pointID).filter(filter.matches)
    }

    /// The folder for checkpoints.
    func checkpointFolder(besides database: String) -> String {
        checkpoints
            ?? URL(fileURLWithPath: database).deletingLastPathComponent().appendingPathComponent("checkpoints")
            .path
    }

    private func deviceKind() throws {
        if device == "cpu" { return }
        if device == "cuda" || device.hasPrefix("cuda:") {
            throw Failure(.unavailable, "--device \(device): this build has no CUDA backend; use --device cpu")
        }
        throw ValidationError("--device must be cpu, not '\(device)'")
    }
}
