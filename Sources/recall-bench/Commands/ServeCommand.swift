import ArgumentParser
import Foundation
import RecallServe
import RecallStore
import RecallSuite

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A local page on which a sweep in progress can be watched.",
        discussion: """
            Runs with their status and time left, curves of loss and accuracy, the tradeoff as it fills in, and errors with \
            their text; the page follows the database by itself. It only looks, and takes a twentieth of one core at most, \
            so it may run beside anything else, before, while and after runs are trained. Where there is no database yet, or \
            no suite in it, the page says that it waits, and shows the first run as soon as it begins.

            The address is written to standard output. Only this machine can reach it unless --host says otherwise; from \
            elsewhere, `ssh -L 8765:127.0.0.1:8765 MACHINE` brings it over. docs/events.md describes its /api/state and \
            /api/events. A connection on which nothing is asked for is closed after a minute; `ulimit -n` bounds how many \
            there are at once, and further ones wait. Ctrl-C ends it (exit status 130).

            EXAMPLES
              recall-bench serve
              recall-bench serve --suite quick --port 0
              recall-bench serve --db other.sqlite --host 0.0.0.0
            """
    )

    @Option(help: ArgumentHelp("Only this suite; may be repeated. Default: all.", valueName: "name"))
    var suite: [String] = []

    @Option(help: "The port to listen on; 0 for any that is free.")
    var port = 8765

    @Option(help: "The address to listen on, or a name for it; 0.0.0.0 for all that this machine has.")
    var host = "127.0.0.1"

    @OptionGroup var store: StoreOptions

    func validate() throws {
        guard (0...65_535).contains(port) else {
            throw ValidationError("--port must be from 0 to 65535, not \(port)")
        }
        guard !host.isEmpty else { throw ValidationError("--host names no address") }
    }

    /// - Throws: `Failure` of status 130 at Ctrl-C, of 69 where it cannot listen there, of 66 for a suite that a database
    ///   with others does not have; `StoreError` for a file that is no database of ours.
    func run() throws {
        let path = store.path
        try SystemLimits.requireDescriptors(PageServer.leastDescriptors)
        // Those that serve, and those of the page's tasks.
        try SystemLimits.requireThreads(4)
        let isBegun = try lookAhead()
        if !IPAddress.isLoopback(host) {
            Output.note("anyone who reaches \(host) may read \(path): nothing asks for a password")
        }
        let words = PageWords(
            training: firstRun,
            watching: ShellCommand("status", "--watch").on(database: path)
        )
        // Whatever trains on this machine comes first. Threads that are yet to begin take it over.
        #if canImport(Glibc)
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        #else
            setpriority(PRIO_PROCESS, 0, 10)
        #endif
        let interrupts = Interrupts()
        var logger = Log.make("serve")
        // Hummingbird logs its end at Ctrl-C as an error.
        if ProcessInfo.processInfo.environment["RECALL_BENCH_LOG"] == nil { logger.logLevel = .critical }
        let server = PageServer(path, suites: suite, words: words, host: host, port: port, logger: logger)
        let waiting = !isBegun ? "; waiting for its first run, which `\(firstRun)` begins" : ""
        let serving = Serving(server) { address in
            Output.write([address])
            Output.note("serving \(path)\(waiting); Ctrl-C ends it")
        }
        while !serving.hasEnded(within: 0.1) {
            // Connections end with the process. To cancel their tasks first could trap in NIO, where one has just been accepted.
            if interrupts.stop.isRaised { throw Failure(.interrupted, nil) }
        }
        if let error = serving.error {
            throw (error as? ServeError).map { Failure(.unavailable, "\($0)") } ?? error
        }
    }
}

extension ServeCommand {
    /// Refuses what cannot be served, before anything is.
    ///
    /// - Returns: whether a suite has been begun.
    private func lookAhead() throws -> Bool {
        guard let opened = try store.openIfBegun() else { return false }
        _ = try opened.suites(named: suite)
        // The server opens the file for itself. A look at a file's first bytes, as opening begins with one, takes away the
        // locks that the process has on it: POSIX drops them when any descriptor of the file is closed.
        try opened.close()
        return true
    }

    /// What begins the first run of what is to be shown.
    private var firstRun: ShellCommand {
        // A suite that is not found by its name alone is of a file that only its owner knows.
        let name = suite.first.map { (try? SuiteLibrary().load($0)) == nil ? "\($0).yaml" : $0 }
        return ShellCommand("run").option("--suite", name ?? "quick").on(database: store.path)
    }
}

/// A server at work beside the thread that waits for it.
private final class Serving: @unchecked Sendable {
    private let ended = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    private var thrown: (any Error)?

    init(_ server: PageServer, onListening: @escaping @Sendable (String) -> Void) {
        Task.detached { [self] in
            do { try await server.run(onListening: onListening) } catch { lock.withLock { thrown = error } }
            ended.signal()
        }
    }

    func hasEnded(within seconds: Double) -> Bool { ended.wait(timeout: .now() + seconds) == .success }

    var error: (any Error)? { lock.withLock { thrown } }
}
