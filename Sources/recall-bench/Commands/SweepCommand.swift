import ArgumentParser
import Foundation
import RecallModels
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining

struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Sweep one property of every mixer.",
        discussion: """
            EXAMPLES
              recall-bench sweep state-size
              recall-bench sweep state-size --models based,mamba --sizes 4KiB,16KiB,64KiB --seeds 3
            """,
        subcommands: [StateSize.self]
    )

    struct StateSize: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "state-size",
            abstract: "The tradeoff of state size and accuracy.",
            discussion: """
                For each model and target size it holds d_model at 64 and takes the largest value of the mixer's own knob \
                (window, feature_dim, state_size) whose state is not above the target; the width changes only where \
                there is no knob, or where the knob would exceed the sequence. It prints what it chose, searches the \
                learning rate of each on validation (from three rates between 0.002 and 0.02, refined around the best to a \
                quarter of a decade and carried past an edge, unless the suite says otherwise), and prints the tradeoff \
                at the best. The control is a point of its own: softmax attention at d_model 64.

                EXAMPLES
                  recall-bench sweep state-size
                  recall-bench sweep state-size --models based,mamba --sizes 4KiB,16KiB,64KiB --seeds 3
                  recall-bench sweep state-size --learning-rates 0.005,0.01      two rates, nothing searched
                  recall-bench sweep state-size --task mqar-small --dry-run

                \(EnvironmentVariables.help)
                """
        )

        @Option(help: ArgumentHelp("Models, by preset.", valueName: "a,b,…"))
        var models = ModelPresets.presets.filter(\.isSweptByDefault).map(\.name).joined(separator: ",")

        @Option(help: ArgumentHelp("Target sizes of the state of one sequence.", valueName: "size,…"))
        var sizes = "4KiB,16KiB,64KiB"

        @Option(
            help: ArgumentHelp(
                "Learning rates tried at every point, instead of a search.",
                valueName: "rate,…"
            )
        )
        var learningRates: String?

        @Option(help: "Seeds of initialisation per point, at its best learning rate or at all of a list.")
        var seeds = 1

        @Option(help: "Seeds of the data per point, likewise.")
        var dataSeeds = 1

        @Option(help: ArgumentHelp("Takes this suite's task and training.", valueName: "suite"))
        var task = "quick"

        @OptionGroup var store: StoreOptions
        @OptionGroup var training: TrainingOptions

        func validate() throws {
            try OptionRange.require(seeds, in: 1...Suite.maximumRuns, "--seeds")
            try OptionRange.require(dataSeeds, in: 1...Suite.maximumRuns, "--data-seeds")
            _ = try presets()
            _ = try targets()
            _ = try rates()
        }

        func run() throws {
            let base = try training.adapted(try SuiteLibrary().loadToTrain(task))
            if !training.dryRun { try Store.check(path: store.path) }
            let measurement = ModelMeasurement()
            let sweep = StateSizeSweep(
                base: base,
                presets: try presets(),
                targets: try targets(),
                rates: try rates(),
                seeds: seeds,
                dataSeeds: dataSeeds
            )
            let choices = try sweep.choose {
                try measurement.facts($0, maximumLength: $1, testLength: $2).stateBytes
            }
            let suite = try sweep.suite(choices)
            guard suite.mostRuns <= Suite.maximumRuns else {
                throw Failure(
                    .usage,
                    "the sweep would have up to \(suite.mostRuns) runs, and may have at most \(Suite.maximumRuns); ask for "
                        + "fewer --sizes, --seeds, --data-seeds or --learning-rates"
                )
            }
            Output.write(StateSizeSweep.table(choices, width: Output.width) + "\n")
            try Sitting(
                suite,
                membership: .extending,
                database: store.path,
                options: training,
                measurement: measurement
            ).perform()
        }

        private func presets() throws -> [ModelPreset] {
            try OptionList.items(models, option: "--models").map { name in
                guard let preset = ModelPresets.preset(name) else {
                    let names = ModelPresets.presets.map(\.name)
                    let hint =
                        nearest(name, in: names).map { "did you mean '\($0)'?" }
                        ?? "there are \(names.joined(separator: ", "))"
                    throw ValidationError("--models: there is no model '\(name)'; \(hint)")
                }
                return preset
            }
        }

        private func targets() throws -> [ByteSize] {
            try OptionList.items(sizes, option: "--sizes").map { try ByteSize($0) }.sorted()
        }

        private func rates() throws -> [Double]? { try OptionList.learningRates(learningRates) }
    }
}
