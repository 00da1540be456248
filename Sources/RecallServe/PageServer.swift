import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import RecallStore

/// A page that shows how the runs of a database come along, to whoever asks on one address. It only looks.
public struct PageServer: Sendable {
    private let feed: Feed
    private let host: String
    private let port: Int
    private let logger: Logger
    private let idleTime: Duration

    /// What the page says of commands.
    private let words: PageWords

    /// Threads that serve connections.
    private static let threads = 2
    /// Not the library's own group, which has a thread, with three descriptors, for each core. It ends with the process: what
    /// is still scheduled when connections are cut would complain of loops that have ended.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    /// File descriptors that serving takes besides connections: those threads' own, the database with its log, what looks
    /// up names, and some to spare.
    private static let ownDescriptors = 24
    /// Connections below which a server would be of no use, and beyond which one for people has no need.
    private static let connections = 8...1024

    /// What it cannot do without.
    public static let leastDescriptors = ownDescriptors + connections.lowerBound

    /// Connections at once. Those beyond wait to be accepted, where the system would refuse a descriptor.
    private static var mostConnections: Int {
        let room = ProcessLimits.mostDescriptors - 2 * ownDescriptors
        return min(max(room, connections.lowerBound), connections.upperBound)
    }

    /// - Parameters:
    ///   - path: of the database, which may be yet to come; it is opened to read only.
    ///   - suites: the names of those to show; none for all.
    ///   - words: the commands that the page names.
    ///   - host: an address of this machine, or a name for one.
    ///   - port: 0 for any that is free.
    ///   - idleTime: after which a connection on which nothing is asked for is closed.
    public init(
        _ path: String,
        suites: [String],
        words: PageWords,
        host: String,
        port: Int,
        logger: Logger,
        idleTime: Duration = .seconds(60)
    ) {
        let reader = SweepReader(path, suites: suites)
        feed = Feed { try reader.look() }
        (self.words, self.host, self.port, self.logger) = (words, host, port, logger)
        self.idleTime = idleTime
    }

    /// Serves until its task is cancelled.
    ///
    /// - Parameter onListening: called with the page's address, once it can be reached.
    /// - Throws: `ServeError` where it cannot listen there.
    public func run(onListening: @escaping @Sendable (String) -> Void) async throws {
        let (host, port) = (host, port)
        let application = Application(
            router: router(),
            server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: TimeAmount(idleTime))),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(Self.mostConnections, logger: logger)
            ),
            onServerRunning: { channel in
                onListening(Self.address(host, port: channel.localAddress?.port ?? port))
            },
            eventLoopGroupProvider: .shared(Self.group),
            logger: logger
        )
        try await serve(application)
    }

    private func serve(_ application: some ApplicationProtocol) async throws {
        try await withThrowingTaskGroup(of: Void.self) { [feed] group in
            group.addTask { await feed.run() }
            group.addTask { try await application.run() }
            defer { group.cancelAll() }
            do { try await group.next() } catch {
                if Task.isCancelled { return }
                throw ServeError(error, host: host, port: port) ?? error
            }
        }
    }

    /// "http://127.0.0.1:8765/"; by the machine's name where every address is meant.
    static func address(_ host: String, port: Int) -> String {
        let name = IPAddress.isUnspecified(host) ? ProcessInfo.processInfo.hostName : host
        return "http://\(name.contains(":") ? "[\(name)]" : name):\(port)/"
    }

    /// Pages, and the same in JSON for other programs.
    func router() -> Router<BasicRequestContext> {
        let router = Router(options: [.autoGenerateHeadEndpoints])
        router.add(middleware: SecurityHeaders())
        router.add(middleware: KnownHosts([host, ProcessInfo.processInfo.hostName]))
        router.add(middleware: OnlyReading())
        for (path, file) in PageFile.all(words) {
            router.get(RouterPath(path)) { _, _ in file.response }
        }
        router.get("api/state") { [feed] _, _ in
            let message = await feed.latest()
            return Response(
                status: message.kind == .trouble ? .serviceUnavailable : .ok,
                headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: message.data + "\n"))
            )
        }
        router.get("api/events") { [feed] request, _ in EventStream.response(to: request, from: feed) }
        return router
    }
}

/// Why a page cannot be served where it was to be.
public enum ServeError: Error, Equatable, Sendable, CustomStringConvertible {
    case portInUse(host: String, port: Int)
    case notOurs(host: String)
    case notAllowed(port: Int)

    /// nil for any other reason.
    init?(_ error: any Error, host: String, port: Int) {
        switch error {
        case is SocketAddressError, is SocketAddressError.UnknownHost: self = .notOurs(host: host)
        case let error as IOError where error.errnoCode == EADDRINUSE: self = .portInUse(host: host, port: port)
        case let error as IOError where error.errnoCode == EADDRNOTAVAIL: self = .notOurs(host: host)
        case let error as IOError where error.errnoCode == EACCES: self = .notAllowed(port: port)
        default: return nil
        }
    }

    public var description: String {
        switch self {
        case .portInUse(let host, let port):
            "port \(port) of \(host) is in use; name another with --port, or 0 for one that is free"
        case .notOurs(let host):
            "'\(host)' is no address of this machine, nor a name for one; leave --host out for 127.0.0.1"
        case .notAllowed(let port):
            "port \(port) is not for ordinary users; name one from 1024 on with --port, or 0 for one that is free"
        }
    }
}
