import ArgumentParser
import Foundation
import RecallReport
import RecallStore

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What is pending, running, finished and failed.",
        discussion: """
            Counts for each suite, what is running and in which process, what failed and why, the time left by \
            the seconds per step of runs with results, and rows that another build, device or results version wrote. \
            It only looks, so it may run beside anything else.

            --watch goes on looking until nothing is left to train (exit status 0, or 1 if some runs failed) or Ctrl-C \
            (130); where there is no database yet, or no suite in it, it waits for one. On a terminal it draws in place; into a pipe or a file it writes the whole again each time \
            something has changed.

            EXAMPLES
              recall-bench status
              recall-bench status --suite quick --watch
              recall-bench status --watch --json --interval 10 > status.jsonl
            """
    )

    @Option(help: ArgumentHelp("Only this suite.", valueName: "name"))
    var suite: String?

    @Flag(help: "Go on looking until nothing is left, or Ctrl-C.")
    var watch = false

    @Option(help: ArgumentHelp("Seconds between looks of --watch. Default: 2.", valueName: "seconds"))
    var interval: Double?

    @Flag(help: "One JSON object a line.")
    var json = false

    @OptionGroup var store: StoreOptions

    private static let intervals = 0.1...3600

    func validate() throws {
        guard let interval else { return }
        guard watch else { throw ValidationError("--interval is for --watch") }
        guard Self.intervals.contains(interval) else {
            throw ValidationError("--interval must be from 0.1 to 3600 seconds, not \(interval)")
        }
    }

    func run() throws {
        let names = suite.map { [$0] } ?? []
        let opened = watch ? try store.openWhenBegun() : try store.openForReading()
        if watch {
            let style: StatusWatch.Style =
                json ? .json : Terminal.drawsBars(.standardOutput) ? .terminal : .plain
            try StatusWatch(opened, suites: names, interval: interval ?? 2, style: style).run()
            return
        }
        let suites = try opened.suites(named: names)
        let snapshot = StatusSnapshot(
            try suites.map { (name: $0.name, runs: try opened.runs(suite: $0.name)) }
        )
        if json {
            Output.write(snapshot.jsonLine(database: opened.path, time: Date()) + "\n")
        } else if suites.isEmpty {
            Output.write(["\(opened.path): no suite has been run yet"])
        } else {
            let width = isatty(STDOUT_FILENO) == 1 ? Output.width : 80
            let notes = try suites.flatMap { try RowOriginNotes(suite: $0.name, in: opened).lines }
            Output.write(
                StatusReport(snapshot, database: opened.path).lines(width: width)
                    + notes.flatMap { [""] + Listing.wrap($0, to: width) }
            )
        }
    }
}
