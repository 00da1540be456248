import HTTPTypes
import Hummingbird

/// What goes with every answer: nothing but our own files is loaded, nothing is kept, and no other page may use it.
struct SecurityHeaders<Context: RequestContext>: RouterMiddleware {
    static var contentSecurityPolicy: String {
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            + "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    }

    private let headers: [(HTTPField.Name, String)] = [
        (.contentSecurityPolicy, Self.contentSecurityPolicy), (.xContentTypeOptions, "nosniff"),
        (HTTPField.Name("Referrer-Policy")!, "no-referrer"),
        (HTTPField.Name("Cross-Origin-Resource-Policy")!, "same-origin"),
        (HTTPField.Name("Cross-Origin-Opener-Policy")!, "same-origin"), (.cacheControl, "no-store"),
    ]

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as HTTPError {
            response = .plain(error.status, (error.body ?? error.status.reasonPhrase.lowercased()) + "\n")
        }
        if request.method == .head { response = response.createHeadResponse() }
        for (name, value) in headers { response.headers[name] = value }
        return response
    }
}

/// Looks only: anything but GET and HEAD is refused.
struct OnlyReading<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard request.method == .get || request.method == .head else {
            var response = Response.plain(.methodNotAllowed, "only GET and HEAD: this page changes nothing\n")
            response.headers[.allow] = "GET, HEAD"
            return response
        }
        return try await next(request, context)
    }
}

/// Refuses a name that is not this machine's. A page elsewhere can have its own name resolve to a loopback address and so
/// be of one origin with us (DNS rebinding); but then it asks for us by that name.
struct KnownHosts<Context: RequestContext>: RouterMiddleware {
    private static var field: HTTPField.Name { HTTPField.Name("Host")! }

    private let names: Set<String>

    /// - Parameter names: besides localhost and addresses, which no name server gives out.
    init(_ names: [String]) { self.names = Set((names + ["localhost"]).map { $0.lowercased() }) }

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        // The first is the authority. With a second, what stands between us and the browser may go by another than we do.
        guard let authority = request.head.authority, let host = Self.host(of: authority),
            request.headers[values: Self.field].isEmpty
        else { return .plain(.badRequest, "a request must name its host, once\n") }
        guard names.contains(host) || IPAddress.isAddress(host) else {
            return .plain(
                .misdirectedRequest,
                "this is not \(host): use an address, localhost, or name it with --host\n"
            )
        }
        return try await next(request, context)
    }

    /// Without the port, in lower case; an IPv6 address without its brackets.
    static func host(of authority: String) -> String? {
        let text = authority.lowercased()
        if text.hasPrefix("[") {
            return text.firstIndex(of: "]").map { String(text[text.index(after: text.startIndex)..<$0]) }
        }
        let host = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)[0]
        return host.isEmpty ? nil : String(host)
    }
}

extension Response {
    static func plain(_ status: HTTPResponse.Status, _ text: String) -> Response {
        Response(
            status: status,
            headers: [.contentType: "text/plain; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}
