import ArgumentParser
import RecallStore
import RecallSuite

/// Seeds and learning rates in place of a suite's own: of `run`.
struct GridOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Learning rates tried at every point, in place of the suite's own list or search. They join the suite's rows until it is run without the option.",
            valueName: "rate,…"
        )
    )
    var learningRates: String?

    @Option(
        help:
            "Seeds of initialisation per point, at all of a list of learning rates; after a search, at the best rate and its two neighbors. Default: the suite's."
    )
    var seeds: Int?

    @Option(help: "Seeds of the data per point, likewise. Default: the suite's.")
    var dataSeeds: Int?

    func validate() throws {
        for (option, count) in [("--seeds", seeds), ("--data-seeds", dataSeeds)] {
            if let count, !(1...Suite.maximumRuns).contains(count) {
                throw ValidationError("\(option) must be from 1 to \(Suite.maximumRuns), not \(count)")
            }
        }
        _ = try OptionList.learningRates(learningRates)
    }

    /// - Throws: `Failure` (64) where the suite would have more runs than a suite may.
    func adapted(_ suite: Suite) throws -> Suite {
        var suite = suite
        if let rates = try OptionList.learningRates(learningRates) { suite = suite.trying(rates) }
        suite.seeds = seeds ?? suite.seeds
        suite.dataSeeds = dataSeeds ?? suite.dataSeeds
        guard suite.mostRuns <= Suite.maximumRuns else {
            throw Failure(
                .usage,
                "\(suite.name) would have up to \(suite.mostRuns) runs; a suite may have at most "
                    + "\(Suite.maximumRuns), so ask for fewer --seeds, --data-seeds or --learning-rates"
            )
        }
        return suite
    }

    /// What stays of the suite's earlier runs: other learning rates only where these were asked for besides.
    var membership: Store.Membership { learningRates == nil ? .complete : .extending }
}
