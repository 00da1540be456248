import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// What a server answered.
struct HTTPAnswer {
    let status: Int
    /// By their names in lower case.
    let headers: [String: String]
    let body: String

    init(_ text: String) throws {
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].components(separatedBy: "\r\n")
        status = try #require(lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) }, "\(text)")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            headers[pair[0].lowercased()] = pair.last?.trimmingCharacters(in: .whitespaces)
        }
        self.headers = headers
        body = parts.count > 1 ? String(parts[1]) : ""
    }
}

/// A connection to 127.0.0.1 on which a test says what it likes, which a library would not let it.
final class HTTPConnection {
    private let descriptor: Int32
    private var received = Data()

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        // What does not come is a failure and no test that hangs.
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0, "nothing listens on port \(port)")
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    /// All that has come, once it has a part, or once the server has closed where that is nil.
    func read(until part: String?) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let text = String(decoding: received, as: UTF8.self)
            if let part, text.contains(part) { return text }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0, part == nil { return text }
            try #require(count > 0, "no '\(part ?? "end")' came after: \(text)")
            received.append(contentsOf: buffer[..<count])
        }
    }

    /// An answer to a request of its own.
    static func ask(
        _ method: String,
        _ path: String,
        port: Int,
        host: String? = "127.0.0.1",
        more: String = ""
    ) throws -> HTTPAnswer {
        let connection = try HTTPConnection(port: port)
        let heading = host.map { "Host: \($0)\r\n" } ?? ""
        try connection.send("\(method) \(path) HTTP/1.1\r\n\(heading)Connection: close\r\n\(more)\r\n")
        return try HTTPAnswer(connection.read(until: nil))
    }
}

/// `serve` at work beside a test.
final class Serving {
    /// Of the page.
    let address: String
    let port: Int
    private let pid: Int32
    private let ended: DispatchSemaphore
    private let outcome: Locked<Outcome?>
    private var isOver = false

    /// - Parameter port: 0 for any.
    init(_ workspace: Workspace, _ arguments: String..., port: Int = 0) throws {
        let (isListening, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let (address, pid, outcome) = (Locked(""), Locked(Int32(0)), Locked<Outcome?>(nil))
        Thread.detachNewThread {
            let all = ["serve", "--port", "\(port)"] + arguments
            let ending = try? workspace.run(
                more: all,
                timeout: 300,
                onOutputLine: { line, process in
                    (address.value, pid.value) = (line, process)
                    isListening.signal()
                }
            )
            outcome.value = ending
            isListening.signal()
            ended.signal()
        }
        isListening.wait()
        let found = URL(string: address.value)?.port
        self.port = try #require(found, "serve did not begin: \(outcome.value?.errors ?? "")")
        (self.address, self.pid, self.ended, self.outcome) = (address.value, pid.value, ended, outcome)
    }

    /// Ends it as Ctrl-C does.
    func interrupt() throws -> Outcome {
        isOver = true
        kill(pid, SIGINT)
        ended.wait()
        return try #require(outcome.value)
    }

    deinit { if !isOver { _ = try? interrupt() } }

    func ask(_ method: String, _ path: String, host: String? = "127.0.0.1") throws -> HTTPAnswer {
        try HTTPConnection.ask(method, path, port: port, host: host)
    }
}
