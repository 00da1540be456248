import Foundation
import Hummingbird
import Synchronization
import TestSupport
import Testing

@testable import RecallServe

@Suite struct FeedTests {
    /// What is looked at, and how often it was.
    private final class Source: Sendable {
        private let content = Mutex(
            (state: Result<SweepState, Trouble>.success(SweepState(status: "1")), looks: 0)
        )

        var looks: Int { content.withLock { $0.looks } }

        func set(_ state: Result<SweepState, Trouble>) { content.withLock { $0.state = state } }

        func look() throws -> SweepState {
            try content.withLock { content in
                content.looks += 1
                return try content.state.get()
            }
        }
    }

    private struct Trouble: Error, CustomStringConvertible { let description: String }

    private func state(_ status: String, runs: [String: String] = [:]) -> SweepState {
        SweepState(status: status, pieces: [.runs: runs])
    }

    /// A feed at work while a body runs.
    private func withFeed(
        _ source: Source,
        pause: Duration = .zero,
        beat: Duration = .seconds(1000),
        _ body: (Feed) async throws -> Void
    ) async throws {
        let feed = Feed(pause: pause, beat: beat) { try source.look() }
        let running = Task { await feed.run() }
        try await body(feed)
        running.cancel()
        // It ends with its task, also while nobody listens.
        await running.value
    }

    @Test func nothingIsReadWhileNobodyListens() async throws {
        let source = Source()
        try await withFeed(source) { feed in
            #expect(source.looks == 0)
            let listener = await feed.listen()
            var signals = listener.signals.makeAsyncIterator()
            await signals.next()
            #expect(await feed.message(after: nil)?.data == self.state("1").json)
            #expect(source.looks > 0)
            listener.leave()
            while await signals.next() != nil {}
            while await feed.listenerCount > 0 { await Task.yield() }
        }
        let looks = source.looks
        #expect(looks > 0)
    }

    /// However many listen, within a pause there is one look.
    @Test func everyoneSharesOneLook() async throws {
        let source = Source()
        try await withFeed(source, pause: .seconds(1000)) { feed in
            let messages = await withTaskGroup(of: Feed.Message?.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        let listener = await feed.listen()
                        for await _ in listener.signals { return await feed.message(after: nil) }
                        return nil
                    }
                }
                var messages: [Feed.Message?] = []
                for await message in group { messages.append(message) }
                return messages
            }
            #expect(messages == Array(repeating: messages[0], count: 50))
            #expect(messages[0]?.kind == .state)
            #expect(source.looks == 1)
        }
    }

    /// Whoever has the event before gets what changed; whoever missed one, or comes from elsewhere, gets everything.
    @Test func changesFollowTheState() async throws {
        let source = Source()
        source.set(.success(state("1", runs: ["a": "1", "b": "1"])))
        try await withFeed(source) { feed in
            let listener = await feed.listen()
            var signals = listener.signals.makeAsyncIterator()
            await signals.next()
            let first = try #require(await feed.message(after: nil))
            #expect(first.kind == .state && first.id == 1)
            let new = self.state("1", runs: ["a": "2", "c": "1"])
            source.set(.success(new))
            var second: Feed.Message?
            while second == nil, await signals.next() != nil { second = await feed.message(after: first.id) }
            #expect(second?.kind == .update && second?.id == 2)
            #expect(second?.data == #"{"runs":{"a":2,"b":null,"c":1}}"#)
            #expect(await feed.message(after: 2) == nil)
            for seen in [nil, 0, 7] {
                let whole = await feed.message(after: seen)
                #expect(whole == Feed.Message(id: 2, kind: .state, data: new.json))
            }
        }
    }

    @Test func troubleIsToldAndPasses() async throws {
        let source = Source()
        try await withFeed(source) { feed in
            let listener = await feed.listen()
            var signals = listener.signals.makeAsyncIterator()
            var seen: Int?
            func next() async -> Feed.Message? {
                while await signals.next() != nil {
                    if let message = await feed.message(after: seen) {
                        seen = message.id
                        return message
                    }
                }
                return nil
            }
            #expect(await next()?.kind == .state)
            source.set(.failure(Trouble(description: #"no "disk""#)))
            let trouble = await next()
            #expect(trouble?.kind == .trouble)
            let data = try JSONValue(#require(trouble).data)
            #expect(data["message"]?.string == #"no "disk""#)
            source.set(.success(self.state("2")))
            #expect(await next()?.data == self.state("2").json)
        }
    }

    /// A reader is told from time to time that the connection lives.
    @Test func silenceIsBroken() async throws {
        try await withFeed(Source(), beat: .milliseconds(1)) { feed in
            let listener = await feed.listen()
            var signals = listener.signals.makeAsyncIterator()
            await signals.next()
            let seen = await feed.message(after: nil)?.id
            for _ in 0..<3 {
                await signals.next()
                #expect(await feed.message(after: seen) == nil)
            }
        }
    }
}

@Suite struct SweepStateTests {
    @Test func keysAreJSONWhateverTheyHold() throws {
        let key = "a \"b\" \\ <c>\n🧠\u{2028}"
        let state = SweepState(status: "{}", pieces: [.suites: [key: "1"]])
        #expect(try JSONValue(state.json)["suites"]?[key] == .integer(1))
        // A newline would end an event's data.
        #expect(!state.json.contains("\n"))
        let gone = SweepState(status: "{}").changes(since: state)
        #expect(try JSONValue(gone)["suites"]?[key] == .null)
    }

    @Test func numbersThatAreNotFiniteAreNone() {
        #expect(Double.nan.compact == nil && Double.infinity.compact == nil)
        #expect((1.0 / 3).compact == 0.333333)
    }
}

@Suite struct AddressTests {
    @Test func hostsAreReadFromTheHeading() {
        typealias Hosts = KnownHosts<BasicRequestContext>
        for (authority, host) in [
            ("LocalHost:80", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:8765", "::1"), ("[::1", nil),
            (":80", nil), ("", nil),
        ] {
            #expect(Hosts.host(of: authority) == host, "\(authority)")
        }
    }

    @Test func loopbackIsToldFromTheRest() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            #expect(IPAddress.isLoopback(host), "\(host)")
        }
        for host in ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "machine", ""] {
            #expect(!IPAddress.isLoopback(host), "\(host)")
        }
        #expect(IPAddress.isUnspecified("0.0.0.0") && IPAddress.isUnspecified("::"))
        #expect(PageServer.address("::1", port: 80) == "http://[::1]:80/")
    }
}
