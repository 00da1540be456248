import ArgumentParser
import RecallStore

extension ExportCommand {
    struct SQLite: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sqlite",
            abstract: "Write a copy of the database that is whole.",
            discussion: """
                The copy is one SQLite file with everything that is recorded so far, also while runs are trained. A plain cp \
                of a database in use lacks the rows that are in its -wal file. Checkpoints are not copied: a run that is \
                not finished begins again from a copy, unless the copy takes the place of the database before more epochs \
                are trained.

                EXAMPLES
                  recall-bench export sqlite --output copy.sqlite
                  recall-bench export sqlite --db other.sqlite --output copy.sqlite --force
                """
        )

        @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
        var output: String

        @Flag(help: "Replace a file of that name.")
        var force = false

        @OptionGroup var store: StoreOptions

        /// - Throws: `StoreError` of status 74 for a file that is there or cannot be written.
        func run() throws {
            try store.openForReading().backUp(to: output, replacing: force)
        }
    }
}
