import ArgumentParser
import RecallReport
import RecallStore
import RecallSuite

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write results for other programs.",
        discussion: """
            EXAMPLES
              recall-bench export csv --table runs
              recall-bench export csv --table tradeoff --suite quick --output t.csv
              recall-bench export sqlite --output copy.sqlite
            """,
        subcommands: [CSV.self, SQLite.self]
    )

    struct CSV: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "csv",
            abstract: "Write one table as CSV.",
            discussion: """
                Tables: runs (a row a run and suite), slices (accuracy by segment), history (a row an epoch), state (what a \
                run's model carries from token to token: a row a layer and kind), tradeoff (a row a model and \
                configuration at its best learning rate), learning-rates (a row each rate that it was chosen from), \
                benchmarks (a row a measurement of speed). \
                A row that cannot be read, in a damaged database, ends it with status 65; with --skip-damaged such rows \
                are told of on standard error, and the others are written. \
                docs/tables.md describes every column. A header row, commas, RFC 4180 quoting, decimal points, empty for missing.

                EXAMPLES
                  recall-bench export csv --table runs | head -3
                  recall-bench export csv --table tradeoff --suite quick --output t.csv
                  recall-bench export csv --table history --db other.sqlite
                  recall-bench export csv --table runs --guard-formulas --output for-a-spreadsheet.csv
                """
        )

        @Option(
            help: "runs, slices, history, state, tradeoff, learning-rates or benchmarks.",
            transform: CSVTable.named
        )
        var table: CSVTable

        @Option(help: ArgumentHelp("Only this suite's rows; may be repeated. Default: all.", valueName: "name"))
        var suite: [String] = []

        @Option(help: ArgumentHelp("The file to write. Default: standard output.", valueName: "file"))
        var output: String?

        @Flag(
            help:
                "An apostrophe before every text that begins with =, +, - or @: a spreadsheet would take it for a formula and compute it. Numbers stay."
        )
        var guardFormulas = false

        @Flag(
            help:
                "Leave out the rows of a damaged database that cannot be read, each with a line on standard error."
        )
        var skipDamaged = false

        @OptionGroup var store: StoreOptions

        func run() throws {
            let damaged = DamagedRows { Output.note("recall-bench: left out: \($0)") }
            let opened = try store.openForReading(leavingOut: skipDamaged ? damaged : nil)
            let suites = try opened.suites(named: suite)
            if table == .tradeoff || table == .learningRates { try warn(suites, opened) }
            let export = CSVExport(opened, suites: suite, guarded: guardFormulas)
            if let output {
                try OutputFile.write(to: output) { try export.write(table, to: $0) }
            } else {
                try export.write(table) { Output.write($0) }
            }
        }

        /// The sentences that stand above the table where people read it have no place in a CSV.
        private func warn(_ suites: [SuiteRecord], _ store: Store) throws {
            for suite in suites {
                let tradeoff = Tradeoff(suite: suite, runs: try store.runs(suite: suite.name))
                if let heading = tradeoff.verdict.heading { Output.note("\(suite.name): \(heading)") }
            }
        }
    }
}

extension CSVTable {
    /// - Throws: `ValidationError` that says which there are.
    fileprivate static func named(_ text: String) throws -> CSVTable {
        if let table = CSVTable(rawValue: text) { return table }
        let names = allCases.map(\.rawValue)
        let hint = nearest(text, in: names).map { "did you mean '\($0)'? " } ?? ""
        throw ValidationError("\(hint)there are \(names.map { "'\($0)'" }.joined(separator: ", "))")
    }
}
