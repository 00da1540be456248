import Foundation
import RecallReport
import TestSupport
import Testing

/// A sweep of some seconds: four runs of sixty epochs.
private let longSuite = tiny("epochs: 2", "epochs: 60")

/// `status --watch` beside a process that trains, into a pipe and on a terminal.
@Suite struct StatusWatchTests {
    /// Trains the suite in another process while `body` runs, which begins when the first run has begun.
    private func whileTraining(_ workspace: Workspace, _ body: () throws -> Void) throws {
        let (begun, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let isTold = Once()
        Thread.detachNewThread {
            let outcome = try? workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") {
                line,
                _ in
                if line.contains("\"run_started\""), isTold.first() { begun.signal() }
            }
            #expect(outcome?.status == 0, "\(outcome?.errors ?? "it could not be started")")
            ended.signal()
        }
        #expect(begun.wait(timeout: .now() + 60) == .success)
        defer { ended.wait() }
        try body()
    }

    /// Some runs that nobody trains any more.
    private func interruptedWorkspace() throws -> Workspace {
        let workspace = try Workspace.withTinySuite(longSuite)
        let isSent = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGINT) }
        }
        #expect(outcome.status == 130)
        return workspace
    }

    @Test func itFollowsASweepInJSONUntilAllIsFinished() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try whileTraining(workspace) {
            let outcome = try workspace.run("status", "--watch", "--json", "--interval", "0.1")
            #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
            let lines = try outcome.outputLines.map { try JSONValue($0) }
            #expect(lines.count > 2)
            func number(_ key: String, _ object: JSONValue) -> Int64? {
                if case .integer(let value)? = object[key] { value } else { nil }
            }
            let finished = lines.compactMap { number("finished", $0) }
            #expect(finished == finished.sorted() && finished.last == 4)
            #expect(lines.allSatisfy { number("runs", $0) == 4 })
            #expect(
                lines.map { $0["is_over"] == .boolean(true) } == lines.indices.map { $0 == lines.count - 1 }
            )
            // A run under way with its figures was seen.
            let running = lines.flatMap { $0["suites"]?.array ?? [] }.flatMap {
                $0["running_runs"]?.array ?? []
            }
            let one = try #require(running.first { $0["train_loss"] != nil })
            #expect(one["total_epochs"] == .integer(60) && one["label"]?.string?.contains("lr=") == true)
            #expect(one["seconds_left"] != nil && one["validation_accuracy"] != nil)
            // Only what differs is written.
            let bare = lines.map { line in line.object.map { $0.filter { $0.key != "time" } } }
            #expect(zip(bare, bare.dropFirst()).allSatisfy { $0 != $1 })
        }
    }

    /// Between two steps of a search nothing is left to train for nobody who looks.
    @Test func itFollowsASearchToItsEnd() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        try whileTraining(workspace) {
            let outcome = try workspace.run("status", "--watch", "--json", "--interval", "0.1")
            #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
            let lines = try outcome.outputLines.map { try JSONValue($0) }
            #expect(
                lines.map { $0["is_over"] == .boolean(true) } == lines.indices.map { $0 == lines.count - 1 }
            )
            let last = try #require(lines.last)
            // All that the search came to, the other seeds too.
            let runs = try workspace.table("runs", "--suite", "tiny")
            #expect(last["runs"] == .integer(Int64(runs.rows.count)) && last["finished"] == last["runs"])
            #expect(Set(runs.column("seed")) == ["0", "1"])
        }
    }

    @Test func intoAPipeItWritesWhatChanges() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try whileTraining(workspace) {
            let outcome = try workspace.run("status", "--watch", "--interval", "0.1", "--suite", "tiny")
            #expect(outcome.status == 0 && outcome.errors == "")
            let reports = outcome.output.components(separatedBy: "\n\nsuite ")
            #expect(reports.count > 2)
            #expect(Set(reports).count == reports.count)
            #expect(outcome.output.contains("tiny: running"))
            #expect(!outcome.output.contains("\u{1B}"))
            #expect(outcome.outputLines.last?.split(separator: " ").suffix(4) == ["4", "0", "0", "none"])
        }
    }

    @Test func controlCEndsItWithItsOwnStatus() throws {
        let workspace = try interruptedWorkspace()
        for more in [[], ["--json"]] {
            let outcome = try workspace.run(
                "status",
                "--watch",
                more: more,
                onOutputLine: { line, pid in if line.contains("tiny") { kill(pid, SIGINT) } }
            )
            #expect(outcome.status == 130 && !outcome.isSignalled)
            #expect(outcome.errors == "")
        }
    }

    @Test func itEndsAtOnceWhereNothingIsLeft() throws {
        let workspace = try Workspace.withTinySuite(tiny("[0.003, 0.01]", "[0.003, 1.0e+30]"))
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 1)
        let outcome = try workspace.run("status", "--watch")
        #expect(outcome.status == 1)
        #expect(outcome.errors == "recall-bench: 2 of 4 runs failed; `recall-bench status` tells why\n")
        #expect(outcome.output.contains("tiny: failed"))
        let once = try workspace.run("status", "--json")
        #expect(once.status == 0 && once.outputLines.count == 1)
        let suite = try #require(try JSONValue(once.output)["suites"]?.array?.first)
        #expect(suite["failed_runs"]?.array?.count == 2)
    }

    /// Begun before the first run, it waits for the database, and shows the run to its end.
    @Test func itWaitsForTheFirstRun() throws {
        let workspace = try Workspace.withTinySuite()
        let (waits, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let watched = Locked<Outcome?>(nil)
        Thread.detachNewThread {
            watched.value = try? workspace.run("status", "--watch", "--suite", "tiny", "--interval", "0.1") {
                line,
                _ in
                if line.contains("waiting for the first run in results/recall.sqlite") { waits.signal() }
            }
            ended.signal()
        }
        #expect(waits.wait(timeout: .now() + 60) == .success)
        #expect(workspace.content == ["tiny.yaml"])
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        ended.wait()
        let outcome = try #require(watched.value)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.outputLines.last?.split(separator: " ").suffix(4) == ["4", "0", "0", "none"])
        // Ctrl-C ends the waiting as it ends the watching.
        let interrupted = try Workspace().run(
            "status",
            "--watch",
            onErrorLine: { _, pid in kill(pid, SIGINT) }
        )
        #expect(interrupted.status == 130 && interrupted.errorLines.count == 1)
    }

    @Test(arguments: [
        (["--interval", "1"], "--interval is for --watch"),
        (["--watch", "--interval", "0"], "from 0.1 to 3600"),
        (["--watch", "--interval", "nan"], "from 0.1 to 3600"), (["--watch", "--interval", "x"], "--interval"),
    ])
    func wrongIntervalsAreRefused(_ arguments: [String], _ part: String) throws {
        let outcome = try Workspace().run("status", more: arguments)
        #expect(outcome.status == 64 && outcome.errorLines.count == 1)
        #expect(outcome.errors.contains(part), "\(outcome.errors)")
    }

    // MARK: - On a terminal

    private static let enter = "\u{1B}[?1049h\u{1B}[?25l"
    private static let leave = "\u{1B}[?25h\u{1B}[?1049l"

    /// The lines of every frame drawn.
    private func frames(_ text: String) -> [[String]] {
        text.components(separatedBy: "\u{1B}[H").dropFirst().map { frame in
            (frame.components(separatedBy: "\u{1B}[J").first ?? "").replacingOccurrences(of: "\r\n", with: "\n")
                .components(separatedBy: "\u{1B}[K\n").filter { !$0.isEmpty }
        }
    }

    @Test func onATerminalItDrawsInPlaceAndPutsAllBack() throws {
        let workspace = try interruptedWorkspace()
        let session = try TerminalSession(
            workspace,
            ["status", "--watch", "--interval", "0.1"],
            columns: 80,
            rows: 24
        )
        try session.wait { frames($0).count >= 3 }
        session.resize(columns: 40, rows: 10)
        let before = frames(session.text).count
        try session.wait { frames($0).count >= before + 3 }
        session.send(SIGINT)
        #expect(try session.end() == 130)
        let text = session.text
        #expect(text.hasPrefix(Self.enter) && text.hasSuffix(Self.leave))
        #expect(text.components(separatedBy: Self.enter).count == 2)
        let drawn = frames(text)
        let first = try #require(drawn.first)
        #expect(first[0].hasPrefix("tiny ") && first[0].contains("%"))
        #expect(first[1] == "  0 finished, 0 running, 0 failed, 3 pending, 1 interrupted")
        #expect(first.last?.hasSuffix("Ctrl-C ends") == true)
        for line in first { #expect(displayWidth(line) < 80, "\(line)") }
        let last = try #require(drawn.last)
        #expect(last.count < 10)
        for line in last { #expect(displayWidth(line) < 40, "\(line)") }
    }

    /// Ctrl-Z gives the screen back to the shell, and `fg` takes it again.
    @Test func onATerminalItMayBeStoppedAndContinued() throws {
        let workspace = try interruptedWorkspace()
        let session = try TerminalSession(
            workspace,
            ["status", "--watch", "--interval", "0.1"],
            columns: 80,
            rows: 24
        )
        try session.wait { !frames($0).isEmpty }
        session.send(SIGTSTP)
        try session.wait { $0.hasSuffix(Self.leave) }
        try session.waitUntilStopped()
        session.send(SIGCONT)
        try session.wait { $0.components(separatedBy: Self.enter).count == 3 }
        session.send(SIGINT)
        #expect(try session.end() == 130)
        #expect(session.text.hasSuffix(Self.leave))
    }

    @Test func onATerminalTheEndStaysOnTheScreen() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let session = try TerminalSession(workspace, ["status", "--watch"], columns: 80, rows: 24)
        #expect(try session.end() == 0)
        let parts = session.text.components(separatedBy: Self.leave)
        #expect(parts.count == 2 && parts[0].hasPrefix(Self.enter))
        #expect(parts.last?.contains("\r\ntiny") == true)
    }
}

/// The program on a pseudo-terminal.
private final class TerminalSession: @unchecked Sendable {
    private let process = Process()
    private let controller: Int32
    private let ended = DispatchSemaphore(value: 0)
    private let lock = NSCondition()
    private var data = Data()
    private var isClosed = false

    struct Refused: Error { let what: String }

    init(_ workspace: Workspace, _ arguments: [String], columns: UInt16, rows: UInt16) throws {
        controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // Glibc's module lacks the functions around these: unlock it, and ask for its number.
        var (locked, number): (Int32, Int32) = (0, 0)
        guard controller >= 0, ioctl(controller, 0x4004_5431, &locked) == 0,
            ioctl(controller, 0x8004_5430, &number) == 0
        else { throw Refused(what: "no pseudo-terminal") }
        let terminal = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { throw Refused(what: "the pseudo-terminal cannot be opened") }
        resize(columns: columns, rows: rows)
        process.executableURL = Program.url
        process.arguments = arguments
        process.currentDirectoryURL = workspace.folder
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(fileDescriptor: terminal)
        process.standardError = FileHandle(fileDescriptor: terminal)
        process.terminationHandler = { [ended] _ in ended.signal() }
        try process.run()
        close(terminal)
        Thread.detachNewThread { [self] in read() }
    }

    deinit { close(controller) }

    /// What the program has written so far.
    var text: String { lock.withLock { String(decoding: data, as: UTF8.self) } }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            // Ends with an error when the program's side is closed.
            let count = Glibc.read(controller, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            lock.withLock {
                if count > 0 { data.append(contentsOf: buffer[..<count]) } else { isClosed = true }
                lock.broadcast()
            }
            if count <= 0 { return }
        }
    }

    /// Until what was written meets a condition.
    func wait(until isMet: (String) -> Bool) throws {
        let deadline = Date(timeIntervalSinceNow: 60)
        lock.lock()
        defer { lock.unlock() }
        while !isMet(String(decoding: data, as: UTF8.self)) {
            guard !isClosed, lock.wait(until: deadline) else {
                throw Refused(what: "not met by \(String(decoding: data, as: UTF8.self))")
            }
        }
    }

    func resize(columns: UInt16, rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        #expect(ioctl(controller, UInt(TIOCSWINSZ), &size) == 0)
    }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Until the system says that the process is stopped.
    func waitUntilStopped() throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let stat = try String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)
            // "12 (recall-bench) T …"
            if stat.components(separatedBy: ") ").last?.hasPrefix("T") == true { return }
            sched_yield()
        }
        throw Refused(what: "it was not stopped")
    }

    /// - Returns: the exit status.
    func end() throws -> Int32 {
        if ended.wait(timeout: .now() + 60) == .timedOut {
            kill(process.processIdentifier, SIGKILL)
            throw Refused(what: "it did not end")
        }
        let deadline = Date(timeIntervalSinceNow: 60)
        lock.lock()
        defer { lock.unlock() }
        while !isClosed { guard lock.wait(until: deadline) else { throw Refused(what: "it is still open") } }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }
}
