import ArgumentParser
import RecallStore
import RecallSuite

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Train and evaluate every run of a suite.",
        discussion: """
            Runs that are finished are not trained again; one that was interrupted goes on from its last epoch. \
            Progress goes to standard error, the tradeoff table to standard output, every number into the database.

            EXAMPLES
              recall-bench run --suite quick
              recall-bench run --suite Suites/mqar-small.yaml --jobs 2 --only model=based,d_model=64
              recall-bench run --suite quick --only 'model=based*,feature_dim=16' --seeds 3
              recall-bench run --suite quick --learning-rates 0.001,0.003
              recall-bench run --suite quick --suite mqar-small --require-control
              recall-bench run --suite based-figure2 --dry-run
              recall-bench run --suite based-figure2 --shard 3/16      one job of an array of sixteen

            \(EnvironmentVariables.help)
            """
    )

    @Option(
        help: ArgumentHelp(
            "A suite's name (a file of Suites/ without .yaml) or a path; more than once for several, one after another.",
            valueName: "name|path"
        )
    )
    var suite: [String]

    @OptionGroup var grid: GridOptions
    @OptionGroup var store: StoreOptions
    @OptionGroup var training: TrainingOptions

    func run() throws {
        // All are read before one is trained.
        let suites = try suite.map {
            try training.adapted(try grid.adapted(try SuiteLibrary().loadToTrain($0)))
        }
        try SuiteSeries(
            suites.map {
                Sitting($0, membership: grid.membership, database: store.path, options: training)
            },
            options: training
        ).perform()
    }
}

extension SuiteRecord {
    /// - Parameter runs: those that the suite lists from seed 0 on, for who has them.
    init(_ suite: Suite, listing runs: [PlannedRun]? = nil) {
        self.init(
            name: suite.name,
            description: suite.description ?? "",
            controlModel: suite.control?.model,
            controlMinimum: suite.control?.minimumAccuracy,
            contentHash: suite.contentHash(of: runs),
            search: suite.search,
            path: suite.path
        )
    }
}
