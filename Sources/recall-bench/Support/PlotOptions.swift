import ArgumentParser
import Foundation
import RecallReport
import RecallStore

/// Which results a figure or a page is of.
struct SuiteSource: ParsableArguments {
    @Option(help: ArgumentHelp("Which suite. Default: the only one there is.", valueName: "name"))
    var suite: String?

    @OptionGroup var store: StoreOptions

    /// - Parameter verb: what is done with it, for a message.
    /// - Throws: `StoreError`; `Failure` where the suite is not there, or where there are several to choose from.
    func found(to verb: String) throws -> (suite: SuiteRecord, store: Store) {
        let opened = try store.openForReading()
        let suites = try opened.suites(named: suite.map { [$0] } ?? [])
        guard suites.count < 2 else {
            let names = suites.map(\.name).joined(separator: ", ")
            throw Failure(.usage, "\(store.path) has \(suites.count) suites, choose one with --suite: \(names)")
        }
        guard let found = suites.first else {
            throw Failure(.missing, "\(store.path): no suite is in this database: there is nothing to \(verb)")
        }
        return (found, opened)
    }

    /// What a figure is drawn from.
    ///
    /// - Throws: as above.
    func tradeoff() throws -> (tradeoff: RecallReport.Tradeoff, store: Store) {
        let (suite, store) = try found(to: "draw")
        return (RecallReport.Tradeoff(suite: suite, runs: try store.runs(suite: suite.name)), store)
    }
}

/// Where a figure goes, and how large it is.
struct FigureOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The file to write, .svg or .png. Default: SVG to standard output, where that is no terminal.",
            valueName: "file"
        )
    )
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Writes gnuplot's commands with the data here; without --output nothing else.",
            valueName: "file.gp"
        )
    )
    var script: String?

    @Option(help: "Instead of the figure's own title.")
    var title: String?

    @Option(help: "Pixels of the whole figure. Default: what suits it.")
    var width: Int?

    @Option(help: "Pixels of the whole figure. Default: what suits it.")
    var height: Int?

    private static let sizes = 100...20_000

    func validate() throws {
        for (name, size) in [("--width", width), ("--height", height)] {
            if let size, !Self.sizes.contains(size) {
                throw ValidationError(
                    "\(name) must be from \(Self.sizes.lowerBound) to \(Self.sizes.upperBound) pixels, not \(size)"
                )
            }
        }
        if let output, PlotFormat(path: output) == nil {
            throw ValidationError("--output: '\(output)' is no file name that ends in .svg or .png")
        }
    }

    /// Writes the script and the figure that are asked for.
    ///
    /// - Throws: `PlotError`; `Failure` for a file that cannot be written, or where there is nowhere to write to.
    func draw(_ plot: PlotScript) throws {
        let format = output.flatMap(PlotFormat.init(path:)) ?? .svg
        func text(_ output: String?) throws -> String {
            try plot.text(format, width: width, height: height, output: output)
        }
        if let script {
            try OutputFile.write(to: script) { try $0(try text(output)) }
            if output == nil { return }
        }
        guard output != nil || isatty(STDOUT_FILENO) == 0 else {
            throw Failure(
                .usage,
                "a figure is no text for a terminal: name a file with --output FILE.svg or FILE.png, or pipe it"
            )
        }
        guard let gnuplot = Gnuplot() else { throw PlotError.noGnuplot }
        let figure = try gnuplot.draw { try text($0) }
        if let output {
            try OutputFile.write(to: output, bytes: figure)
        } else {
            Output.write(bytes: figure)
        }
    }
}
