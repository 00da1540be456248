import ArgumentParser
import RecallReport
import RecallStore
import RecallSuite

struct PlotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot",
        abstract: "Draw results as SVG or PNG.",
        discussion: """
            gnuplot draws; without it (install gnuplot-nox) --script still writes what it would draw, data and all. The same \
            results give the same bytes.

            EXAMPLES
              recall-bench plot tradeoff --suite quick --output quick.svg
              recall-bench plot learning-curves --suite quick --output curves.png
              recall-bench plot throughput --csv results/benchmarks.csv > throughput.svg
            """,
        subcommands: [Tradeoff.self, LearningCurves.self, LearningRates.self, Throughput.self]
    )

    struct Tradeoff: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tradeoff",
            abstract: "Test accuracy against the bytes of state.",
            discussion: """
                A colour and a marker a model, the same in every figure; its points are joined where they differ in state. \
                Each of several seeds is a dot. Solid bars are 95 % intervals over seeds, dashed ones the range of seeds that \
                are too few for an interval; open markers are the points whose best learning rate is at the edge of those \
                tried, a ring the points that may be on the frontier and may not. A model without state stands left of a \
                dashed line, at 0 B. Guessing is marked. Several tasks or trainings have a panel each, with a frontier of \
                its own. A control that failed is said in the title.

                --csv reads what other programs write, too: columns in any order and others beside them, True or TRUE for \
                true, a byte order mark, CRLF. The frontier is computed from the rows of the file.

                EXAMPLES
                  recall-bench plot tradeoff --suite quick --output quick.svg
                  recall-bench plot tradeoff --csv results/quick-tradeoff.csv --output quick.png
                  recall-bench plot tradeoff --suite quick --script quick.gp      for gnuplot, later or changed
                """
        )

        @OptionGroup var source: SuiteSource

        @Option(
            help: ArgumentHelp(
                "Draws from this file instead of a database: the table tradeoff of `export csv`.",
                valueName: "file"
            )
        )
        var csv: String?

        @Option(
            help: ArgumentHelp(
                "With --csv: the accuracy of guessing is of this suite's task, where the file does not say.",
                valueName: "suite"
            )
        )
        var task: String?

        @OptionGroup var figure: FigureOptions

        func validate() throws {
            if task != nil, csv == nil {
                throw ValidationError("--task goes with --csv; a database knows its tasks")
            }
        }

        func run() throws {
            var plot =
                if let csv {
                    try TradeoffPlot(csv: csv, suite: source.suite)
                } else {
                    TradeoffPlot(try source.tradeoff().tradeoff)
                }
            if let task {
                let tasks = try SuiteLibrary().load(task).tasks.map(\.task)
                guard tasks.count == 1, let only = tasks.first else {
                    throw Failure(.usage, "--task: \(task) has \(tasks.count) tasks; name a suite of one")
                }
                plot.fillChance(from: only)
            }
            plot.notes.forEach(Output.note)
            let script = try Patience.during("comparing the rows") { try plot.script(title: figure.title) }
            try figure.draw(script)
        }
    }

    struct LearningCurves: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "learning-curves",
            abstract: "Validation accuracy and loss by epoch.",
            discussion: """
                Every point of the tradeoff at its best learning rate, a line a seed; thin ones where there are several.

                EXAMPLES
                  recall-bench plot learning-curves --suite quick --output curves.svg
                  recall-bench plot learning-curves --suite mqar-small --width 1400 --output curves.png
                """
        )

        @OptionGroup var source: SuiteSource
        @OptionGroup var figure: FigureOptions

        func run() throws {
            let (tradeoff, store) = try source.tradeoff()
            let plot = try LearningCurvePlot(tradeoff) { runID throws(StoreError) in try store.history(runID) }
            try figure.draw(try plot.script(title: figure.title))
        }
    }

    struct LearningRates: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "learning-rates",
            abstract: "Validation accuracy against the learning rate.",
            discussion: """
                What every best learning rate was chosen from: a panel a model, a curve a point of the tradeoff. The best has a \
                ring, open where it is at the edge of those tried; the rates around it that are within 0.05 of its accuracy, \
                without a gap, lie on a broad band.

                EXAMPLES
                  recall-bench plot learning-rates --suite quick --output rates.svg
                  recall-bench plot learning-rates --suite state-size-quick --db other.sqlite > rates.svg
                """
        )

        @OptionGroup var source: SuiteSource
        @OptionGroup var figure: FigureOptions

        func run() throws {
            try figure.draw(try LearningRatePlot(try source.tradeoff().tradeoff).script(title: figure.title))
        }
    }

    struct Throughput: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "throughput",
            abstract: "Tokens a second against the context's length.",
            discussion: """
                What `recall-bench bench generate` measured, the last time where it did so twice: prefill and decoding, a line \
                a mixer.

                EXAMPLES
                  recall-bench plot throughput --output throughput.svg
                  recall-bench plot throughput --batch 128 --csv results/benchmarks.csv --output throughput.png
                """
        )

        @Option(help: "Sequences side by side.")
        var batch = 16

        @Option(
            help: ArgumentHelp(
                "Draws from this file instead of a database: the table benchmarks of `export csv`.",
                valueName: "file"
            )
        )
        var csv: String?

        @OptionGroup var store: StoreOptions
        @OptionGroup var figure: FigureOptions

        func validate() throws {
            guard batch >= 1 else { throw ValidationError("--batch must be at least 1, not \(batch)") }
        }

        func run() throws {
            let plot =
                if let csv {
                    try ThroughputPlot(csv: csv, batch: batch)
                } else {
                    try ThroughputPlot(try store.openForReading(), batch: batch)
                }
            try figure.draw(plot.script(title: figure.title))
        }
    }
}
