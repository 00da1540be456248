import Dispatch
import Foundation
import RecallReport
import RecallStore
import RecallSuite

/// Looks at a database again and again, and shows how suites stand until nothing is left or Ctrl-C.
final class StatusWatch {
    enum Style {
        /// Drawn in place, on the terminal's other screen; what was there comes back at the end.
        case terminal
        /// The report each time something has changed, a blank line after each.
        case plain
        /// A line of JSON each time something has changed.
        case json
    }

    private let store: Store
    private let names: [String]
    private let interval: Double
    private let style: Style
    // A second Ctrl-C must not leave the terminal as it is drawn on.
    private let interrupts = Interrupts(secondEnds: false)
    private let suspension: Suspension?

    private var version: Int?
    private var snapshot: StatusSnapshot?
    /// Leases of the runs under way, to see when a process has gone: that changes nothing in the database.
    private var leases: [Lease] = []
    private var isOnOtherScreen = false

    /// - Parameters:
    ///   - names: of the suites; none for all.
    ///   - interval: seconds between looks.
    init(_ store: Store, suites names: [String], interval: Double, style: Style) {
        (self.store, self.names, self.interval, self.style) = (store, names, interval, style)
        suspension = style == .terminal ? Suspension() : nil
    }

    /// - Throws: `Failure` of status 130 at Ctrl-C, of 1 where nothing is left but runs have failed; `StoreError`.
    func run() throws {
        defer { leaveOtherScreen() }
        while true {
            let isNew = try look()
            guard let snapshot else { preconditionFailure("a look left no snapshot") }
            show(snapshot, isNew: isNew)
            if snapshot.isOver { return try end(snapshot) }
            if try waitIsInterrupted(redrawing: snapshot) {
                leaveOtherScreen()
                throw Failure(.interrupted, nil)
            }
        }
    }

    // MARK: - Looking

    /// Reads the suites again where something may have changed.
    ///
    /// - Returns: whether something has.
    /// - Throws: `StoreError`, of kind `displaced` too: nobody writes to a file any more that is gone.
    private func look() throws -> Bool {
        try store.requireInPlace()
        let current = try store.dataVersion()
        if current == version, !leases.contains(where: isStale) { return false }
        let suites = try store.suites(named: names)
        let runs = try suites.map { (name: $0.name, runs: try store.runs(suite: $0.name)) }
        leases = runs.flatMap(\.runs).filter { $0.status == .running }.compactMap(\.lease)
        let former = snapshot
        (version, snapshot) = (current, StatusSnapshot(runs))
        return snapshot != former
    }

    private func isStale(_ lease: Lease) -> Bool { lease.isStale(at: Date(), seenBy: store.identity) }

    /// Until the next look; a terminal is drawn anew at once where its size changes, or the process was stopped.
    private func waitIsInterrupted(redrawing snapshot: StatusSnapshot) throws -> Bool {
        let next = ContinuousClock.now + .seconds(interval)
        var size = Terminal.size(.standardOutput)
        while ContinuousClock.now < next {
            if interrupts.stop.isRaised { return true }
            usleep(20_000)
            let wasStopped = suspension?.stopIfAsked(leaveOtherScreen) ?? false
            let now = Terminal.size(.standardOutput)
            if now != size || wasStopped {
                size = now
                show(snapshot, isNew: false)
            }
        }
        return interrupts.stop.isRaised
    }

    // MARK: - Showing

    private func show(_ snapshot: StatusSnapshot, isNew: Bool) {
        switch style {
        case .terminal: draw(snapshot)
        case .plain: if isNew { Output.write(report(snapshot, width: 80) + [""]) }
        case .json:
            if isNew { Output.write(snapshot.jsonLine(database: store.path, time: Date()) + "\n") }
        }
    }

    private func draw(_ snapshot: StatusSnapshot) {
        let (columns, rows) = Terminal.size(.standardOutput)
        let enter = isOnOtherScreen ? "" : "\u{1B}[?1049h\u{1B}[?25l"
        isOnOtherScreen = true
        // A line of the full width would make some terminals wrap, and one below the last would make them scroll.
        let rendering = StatusRendering(snapshot, columns: columns - 1, unicode: Terminal.speaksUnicode())
        let foot = shortened("\(store.path) at \(Self.time()); Ctrl-C ends", to: max(10, columns - 1))
        let lines = rendering.lines(rows: max(1, rows - 2)) + [foot]
        // Over the old text, line by line, so that nothing flickers.
        Output.write("\(enter)\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J")
    }

    private static func time() -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "HH:mm:ss"
        return formatter.string(from: Date())
    }

    private func leaveOtherScreen() {
        guard isOnOtherScreen else { return }
        isOnOtherScreen = false
        Output.write("\u{1B}[?25h\u{1B}[?1049l")
    }

    private func report(_ snapshot: StatusSnapshot, width: Int) -> [String] {
        snapshot.suites.isEmpty
            ? ["\(store.path): no suite has been run yet"]
            : StatusReport(snapshot, database: store.path).lines(width: width)
    }

    private func end(_ snapshot: StatusSnapshot) throws {
        if style == .terminal {
            leaveOtherScreen()
            // What was drawn is gone with the other screen; how it ended stays.
            Output.write(report(snapshot, width: Output.width))
        }
        guard snapshot.counts.failed == 0 else {
            let command = ShellCommand("status").options("--suite", names).on(database: store.path)
            throw Failure(
                .someRunsFailed,
                "\(snapshot.counts.failed) of \(snapshot.counts.total) runs failed; `\(command)` tells why"
            )
        }
    }
}
