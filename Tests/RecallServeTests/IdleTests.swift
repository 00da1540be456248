import Foundation
import Logging
import RecallSuite
import Synchronization
import Testing

@testable import RecallServe

#if canImport(Glibc)
    import Glibc
#endif

/// Connections on which nothing is asked for.
@Suite struct IdleTests {
    /// A connection to 127.0.0.1 whose reads wait for ten minutes at most: the server shares its threads with other tests.
    private func connected(to port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var patience = timeval(tv_sec: 600, tv_usec: 0)
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
        try #require(result == 0)
        return descriptor
    }

    /// What has come when the server closes; nil where it does not.
    private func readToEnd(_ descriptor: Int32) -> String? {
        var (received, buffer) = (Data(), [UInt8](repeating: 0, count: 4096))
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { return String(decoding: received, as: UTF8.self) }
            if count < 0 { return nil }
            received.append(contentsOf: buffer[..<count])
        }
    }

    /// What the server sends on a connection until it closes it. A thread of its own waits for that: the server needs those
    /// of the concurrency runtime.
    private func answer(to request: String, port: Int) async throws -> String? {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let connection = try connected(to: port)
                        defer { close(connection) }
                        let bytes = Array(request.utf8)
                        if !bytes.isEmpty { try #require(write(connection, bytes, bytes.count) == bytes.count) }
                        return readToEnd(connection)
                    }
                )
            }
        }
    }

    @Test func aConnectionThatAsksForNothingIsClosed() async throws {
        let words = PageWords(training: ShellCommand("run"), watching: ShellCommand("status"))
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).sqlite").path
        let server = PageServer(
            path,
            suites: [],
            words: words,
            host: "127.0.0.1",
            port: 0,
            logger: Logger(label: "test"),
            idleTime: .milliseconds(200)
        )
        let (addresses, address) = AsyncStream<String>.makeStream()
        let serving = Task { try await server.run { address.yield($0) } }
        var iterator = addresses.makeAsyncIterator()
        let page = try #require(await iterator.next())
        let port = try #require(URL(string: page)?.port)
        // From the start, in the midst of a request, and after an answer.
        for (request, expected) in [
            ("", ""), ("GET / HT", ""), ("GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"),
        ] {
            let text = try await answer(to: request, port: port)
            #expect(text?.hasPrefix(expected) == true, "'\(request)' left \(text ?? "an open connection")")
        }
        serving.cancel()
        _ = try? await serving.value
    }
}
