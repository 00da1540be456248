import ArgumentParser
import Foundation
import RecallReport
import RecallStore

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What is pending, running, finished and failed.",
        discussion: """
            Counts for each suite, what is running and in which process, what failed and why, the time left by the \
            seconds per step of runs with results, and rows that another build, device or results version wrote. It only looks, so it may run beside anything else. --watch shows \
            it anew every two seconds until Ctrl-C.

            EXAMPLES
              recall-bench status
              recall-bench status --suite quick --watch
            """)

    @Option(help: ArgumentHelp("Only this suite.", valueName: "name"))
    var suite: String?

    @Flag(help: "Show it anew every two seconds, until Ctrl-C.")
    var watch = false

    @OptionGroup var store: StoreOptions

    private static let interval = 2.0

    func run() throws {
        let opened = try store.openForReading()
        guard watch else {
            Output.write(try report(opened))
            return
        }
        let interrupts = Interrupts()
        let isTerminal = Terminal.drawsBars(.standardOutput)
        if isTerminal { Output.write("\u{1B}[2J") }
        while !interrupts.stop.isRaised {
            let lines = try report(opened)
            if isTerminal {
                // Over the old text, line by line, so that nothing flickers.
                let rows = max(3, Terminal.size(.standardOutput).rows - 1)
                let shown = lines.prefix(rows).map { $0 + "\u{1B}[K\n" }.joined()
                Output.write("\u{1B}[H" + shown + "\u{1B}[J")
            } else {
                Output.write(lines + [""])
            }
            let next = ContinuousClock.now + .seconds(Self.interval)
            while !interrupts.stop.isRaised, ContinuousClock.now < next { usleep(50_000) }
        }
    }

    private func report(_ store: Store) throws -> [String] {
        let suites = try store.suites(named: suite.map { [$0] } ?? [])
        guard !suites.isEmpty else { return ["\(store.path): no suite has been run yet"] }
        let states = try suites.map { SuiteState(suite: $0, runs: try store.runs(suite: $0.name)) }
        let width = isatty(STDOUT_FILENO) == 1 ? Output.width : 80
        let notes = try suites.flatMap { try RowOriginNotes(suite: $0.name, in: store).lines }
        return StatusReport(states).lines(width: width)
            + notes.flatMap { [""] + Listing.wrap($0, to: width) }
    }
}
