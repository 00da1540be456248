import ArgumentParser
import Foundation
import RecallServe
import RecallStore

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A local page on which a sweep in progress can be watched.",
        discussion: """
            Runs with their status and time left, curves of loss and accuracy, the tradeoff as it fills in, and errors with \
            their text; the page follows the database by itself. It only looks, and takes a twentieth of one core at most, \
            so it may run beside anything else, before, while and after runs are trained.

            The address is written to standard output. Only this machine can reach it unless --host says otherwise; from \
            elsewhere, `ssh -L 8765:127.0.0.1:8765 MACHINE` brings it over. docs/events.md describes its /api/state and \
            /api/events. Ctrl-C ends it (exit status 130).

            EXAMPLES
              recall-bench serve
              recall-bench serve --suite quick --port 0
              recall-bench serve --db other.sqlite --host 0.0.0.0
            """)

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

    /// - Throws: `Failure` of status 130 at Ctrl-C, of 69 where it cannot listen there; `StoreError`.
    func run() throws {
        let opened = try store.openForReading()
        _ = try opened.suites(named: suite)
        if !IPAddress.isLoopback(host) {
            Output.note("anyone who reaches \(host) may read \(opened.path): nothing asks for a password")
        }
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
        let server = PageServer(opened, suites: suite, host: host, port: port, logger: logger)
        let serving = Serving(server) { address in
            Output.write([address])
            Output.note("serving \(opened.path); Ctrl-C ends it")
        }
        while !serving.hasEnded(within: 0.1) {
            guard interrupts.stop.isRaised else { continue }
            serving.cancel()
            // A reader that takes nothing any more is not waited for.
            _ = serving.hasEnded(within: 2)
            throw Failure(.interrupted, nil)
        }
        if let error = serving.error {
            throw (error as? ServeError).map { Failure(.unavailable, "\($0)") } ?? error
        }
    }
}

/// A server at work beside the thread that waits for it.
private final class Serving: @unchecked Sendable {
    private let ended = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    private var thrown: (any Error)?
    private var task: Task<Void, Never>?

    init(_ server: PageServer, onListening: @escaping @Sendable (String) -> Void) {
        task = Task.detached { [self] in
            do { try await server.run(onListening: onListening) } catch { lock.withLock { thrown = error } }
            ended.signal()
        }
    }

    func hasEnded(within seconds: Double) -> Bool { ended.wait(timeout: .now() + seconds) == .success }

    var error: (any Error)? { lock.withLock { thrown } }

    func cancel() { task?.cancel() }
}
