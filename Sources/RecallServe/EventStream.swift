import Foundation
import Hummingbird

/// Server-sent events (the HTML standard, section 9.2): the whole state first, then what changes.
enum EventStream {
    /// Milliseconds until a browser that has lost the connection tries again.
    private static let retry = 2000

    static func response(to request: Request, from feed: Feed) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream; charset=utf-8"],
            body: ResponseBody { writer in
                let listener = await feed.listen()
                defer { listener.leave() }
                try await request.body.consumeWithInboundCloseHandler { _ in
                    try await writer.write(ByteBuffer(string: "retry: \(retry)\n\n"))
                    var seen: Int?
                    for await _ in listener.signals {
                        let message = await feed.message(after: seen)
                        seen = message?.id ?? seen
                        try await writer.write(ByteBuffer(string: message.map(text) ?? beat))
                    }
                } onInboundClosed: {
                    listener.leave()
                }
                try await writer.finish(nil)
            }
        )
    }

    /// Shows a reader that the connection lives.
    private static let beat = "event: beat\ndata: {}\n\n"

    /// JSON on one line has no line end of its own.
    private static func text(_ message: Feed.Message) -> String {
        "id: \(message.id)\nevent: \(message.kind.rawValue)\ndata: \(message.data)\n\n"
    }
}
