import ArgumentParser
import Foundation
import RecallBenchmark
import RecallKernels
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining

/// Where results are kept.
struct StoreOptions: ParsableArguments {
    @Option(name: .customLong("db"), help: "The SQLite file that results are kept in.")
    var path = ShellCommand.defaultDatabase
}

/// How runs are trained: shared by `run` and `sweep`.
struct TrainingOptions: ParsableArguments {
    @Option(help: DeviceChoice.help)
    var device = "cpu"

    @Option(
        help:
            "What matrix products round their factors to, in place of the suite's precision: fp32, tf32 or bf16. Default on CUDA where the suite says nothing: tf32."
    )
    var precision: String?

    @Option(
        help:
            "Runs at once. Default: the cores that this process may use (affinity, cpuset and CPU quota count), shared out by --threads; on graphics cards as many as measurably train faster together."
    )
    var jobs: Int?

    @Option(help: "Threads of one run. Results do not depend on it.")
    var threads = 1

    @Option(help: "The first seed of initialisation, dropout and order. Other seeds that were run stay.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Only the runs that meet the conditions: KEY=VALUE,… with keys model, task, d_model, learning_rate, seed, or any setting of models and mixers, such as feature_dim.",
            discussion:
                "A comma joins conditions, repeating a key gives alternatives, numbers compare as numbers, * in a text stands for any characters and ? for one: --only 'model=based*,feature_dim=16'. A task is given by its id, its name or the beginning of its hash. Of a search of learning rates only what it needs so far is trained.",
            valueName: "KEY=VALUE,…"
        )
    )
    var only: [String] = []

    @Flag(
        help:
            "List the runs, how each stands in the database, and an estimate of the time for what is left; train and write nothing."
    )
    var dryRun = false

    @Flag(help: "Forget earlier results of these runs and train them anew.")
    var fresh = false

    @Option(
        help: ArgumentHelp(
            "The folder for checkpoints, kept ones too. Default: DATABASE.checkpoints/, and checkpoints/ beside the database for kept ones.",
            valueName: "dir"
        )
    )
    var checkpoints: String?

    @Flag(
        help:
            "Keep the last checkpoint of a finished run, for `recall-bench eval`: RUN_ID.safetensors in checkpoints/ beside the database, or in --checkpoints."
    )
    var keepCheckpoints = false

    @Flag(
        help:
            "Let the suite take the place of one of the same name that another file gave. That one's runs leave the suite; their results stay."
    )
    var replaceSuite = false

    @Option(
        help: ArgumentHelp(
            "The runs whose number is I modulo N, I from 0: for job arrays. Points where learning rates are searched.",
            valueName: "I/N"
        )
    )
    var shard: String?

    @Flag(
        help:
            "End with status 2 where all runs of the suite's control have ended below its minimum; status 1 where runs failed comes first. A control that is not finished, or that --only or --shard leaves out, is not invalid."
    )
    var requireControl = false

    @Flag(help: "Nothing on standard error but failures.")
    var quiet = false

    @Flag(help: "Progress as JSON lines on standard error.")
    var json = false

    @Flag(
        inversion: .prefixedNo,
        help: "Sketch the frontier in letters below the table. Default: where standard output is a terminal."
    )
    var plot: Bool?

    func validate() throws {
        try OptionRange.require(threads, in: OptionRange.threads, "--threads")
        if let jobs { try OptionRange.require(jobs, in: OptionRange.threads, "--jobs") }
        _ = try DeviceChoice(device).arithmetic(precision: precision)
        if let shard { _ = try Shard(shard) }
        _ = try RunFilter(only)
    }

    /// Runs at once.
    var jobCount: Int {
        if let jobs { return jobs }
        return deviceChoice.isCPU ? max(1, AvailableCores.current.count / threads) : 1
    }

    /// Says what the program is busy with where that takes long; nil where nothing is to be said but failures or JSON.
    func patience(_ text: String) -> Patience? { quiet || json ? nil : Patience { text } }

    /// Whether it is to be measured how many runs at once are best.
    var measuresJobs: Bool { jobs == nil && !deviceChoice.isCPU }

    /// Read before, in `validate`.
    var deviceChoice: DeviceChoice { (try? DeviceChoice(device)) ?? .cpu }

    /// A suite as it is trained here: with the precision that is asked for or, where neither the options nor the suite name
    /// one, the device's.
    ///
    /// - Throws: `Failure` (65) where the device does not have the suite's.
    func adapted(_ suite: Suite) throws -> Suite {
        var suite = suite
        let device = deviceChoice
        if let precision = precision.flatMap(Arithmetic.init(rawValue:))
            ?? (suite.namesPrecision ? nil : device.arithmetic)
        {
            for index in suite.trainings.indices { suite.trainings[index].precision = precision }
        }
        if device.isCPU, let other = suite.trainings.first(where: { $0.precision != .fp32 })?.precision {
            throw Failure(
                .data,
                "\(suite.name) has precision \(other.rawValue), and a CPU multiplies in fp32; use --precision fp32"
            )
        }
        return suite
    }

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

    /// Where the runs of a database keep their checkpoints.
    func checkpointFolder(of database: String) -> CheckpointFolder {
        guard let checkpoints else {
            return CheckpointFolder(ofDatabase: DatabaseFile.resolved(database))
        }
        // Another database may have been given the same folder.
        return CheckpointFolder(path: checkpoints, tag: shortHash(DatabaseFile.absolute(database)))
    }
}
