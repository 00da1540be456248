import Foundation
import TestSupport
import Testing

/// What a page, a shell, a table or a file's name could make something else of.
let oddName = #"odd "<i>&amp;</i>" it's 🧠"#
private let oddDescription = #"<script>alert('a, "b" & c')</script>, 🧪"#

extension Workspace {
    /// The tiny suite with odd names, in which two of four runs fail.
    func writeOddSuite(to name: String) throws {
        let text = tiny("name: tiny", "name: \(Self.yaml(oddName))")
            .replacingOccurrences(of: "Two models on next to nothing.", with: Self.yaml(oddDescription))
            .replacingOccurrences(of: "name: based", with: "name: \(Self.yaml("based " + oddName))")
            .replacingOccurrences(of: "[0.003, 0.01]", with: "[0.003, 1.0e+30]")
        try write(text, to: name)
    }

    private static func yaml(_ text: String) -> String {
        "'" + text.replacingOccurrences(of: "'", with: "''") + "'"
    }
}

@Suite struct ServeTests {
    private static func tinyRun() throws -> Workspace {
        let workspace = try Workspace.withTinySuite()
        try #require(workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        return workspace
    }

    @Test func everyAnswerKeepsTheBrowserStrict() throws {
        let workspace = try Self.tinyRun()
        let serving = try Serving(workspace)
        #expect(serving.address == "http://127.0.0.1:\(serving.port)/")
        let page = try serving.ask("GET", "/")
        var paths = ["/", "/api/state", "/nothing"]
        for part in page.body.components(separatedBy: "\"").filter({ $0.hasPrefix("/") }) { paths.append(part) }
        #expect(Set(paths).isSuperset(of: ["/main.js", "/style.css", "/icon.svg"]))
        let types = ["css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"]
        for path in paths {
            let answer = try serving.ask("GET", path)
            let policy = try #require(answer.headers["content-security-policy"], "\(path)")
            #expect(
                policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
            )
            for part in ["base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'"] {
                #expect(policy.contains(part))
            }
            #expect(!policy.contains("unsafe"))
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["referrer-policy"] == "no-referrer")
            #expect(answer.status == (path == "/nothing" ? 404 : 200), "\(path)")
            if let type = types[URL(filePath: path).pathExtension] {
                #expect(answer.headers["content-type"]?.hasPrefix(type) == true, "\(path)")
                #expect(!answer.body.contains("innerHTML") && !answer.body.contains("https://"))
            }
            let head = try serving.ask("HEAD", path)
            #expect(head.status == answer.status && head.body.isEmpty, "\(path)")
            #expect(head.headers["content-security-policy"] == policy)
        }
        let missing = try serving.ask("GET", "/<b>nothing</b>")
        #expect(missing.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(missing.status == 404 && !missing.body.contains("<"))
    }

    @Test func itOnlyReadsAndOnlyForItsOwnName() throws {
        let workspace = try Self.tinyRun()
        let serving = try Serving(workspace)
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            for path in ["/", "/api/state", "/api/events", "/nothing"] {
                let answer = try serving.ask(method, path)
                #expect(answer.status == 405 && answer.headers["allow"] == "GET, HEAD", "\(method) \(path)")
            }
        }
        for host in ["localhost", "LOCALHOST:\(serving.port)", "127.0.0.1:\(serving.port)", "[::1]:80"] {
            #expect(try serving.ask("GET", "/api/state", host: host).status == 200, "\(host)")
        }
        for host in ["example.com", "127.0.0.1.example.com", "localhost.example.com:\(serving.port)"] {
            let answer = try serving.ask("GET", "/api/state", host: host)
            #expect(answer.status == 421 && !answer.body.contains("tiny"), "\(host)")
        }
        #expect(try serving.ask("GET", "/api/state", host: nil).status == 400)
        // Two of them, whichever is ours, and whatever the second is called.
        for hosts in [("localhost", "example.com"), ("example.com", "localhost"), ("localhost", "localhost")] {
            let answer = try HTTPConnection.ask(
                "GET",
                "/api/state",
                port: serving.port,
                host: hosts.0,
                more: "hOST: \(hosts.1)\r\n"
            )
            #expect(answer.status == 400 && !answer.body.contains("tiny"), "\(hosts)")
        }
    }

    @Test func namesAndErrorsComeThroughUnharmed() throws {
        let workspace = try Workspace()
        try workspace.writeOddSuite(to: "odd, <name> 🧠.yaml")
        let database = "it's, <odd> & \"quoted\" 🧠.sqlite"
        let run = try workspace.run("run", "--suite", "odd, <name> 🧠.yaml", "--quiet", "--db", database)
        #expect(run.status == 1)
        let serving = try Serving(workspace, "--db", database, "--suite", oddName)
        let answer = try serving.ask("GET", "/api/state")
        #expect(answer.headers["content-type"] == "application/json")
        let state = try JSONValue(answer.body)
        #expect(state["status"]?["database"]?.string == database)
        let suite = try #require(state["suites"]?[oddName])
        #expect(suite["description"]?.string == oddDescription)
        #expect(suite["looks"]?.array?.map { $0["model"]?.string } == ["attention", "based " + oddName])
        let runs = try #require(state["runs"]?.object?.values)
        #expect(runs.count == 4)
        for run in runs {
            let isFailed = run["label"]?.string?.contains("lr=1e+30") == true
            #expect(run["status"]?.string == (isFailed ? "failed" : "finished"))
            #expect((run["error"]?.string?.hasPrefix("not finite at step") == true) == isFailed)
            let id = try #require(run["run_id"]?.string)
            #expect(isFailed || state["curves"]?[id]?["epochs"]?.array == [.integer(1), .integer(2)])
        }
        let rows = try #require(state["tradeoffs"]?[oddName]?["rows"]?.array)
        #expect(rows.map { $0["model"]?.string } == ["attention", "based " + oddName])
    }

    @Test func aDatabaseThatCannotBeWrittenIsServedAndLeftAlone() throws {
        let workspace = try Self.tinyRun()
        let before = try workspace.data("results/recall.sqlite")
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o444],
            ofItemAtPath: workspace.path("results/recall.sqlite")
        )
        let serving = try Serving(workspace, "--suite", "tiny")
        #expect(try JSONValue(serving.ask("GET", "/api/state").body)["status"]?["finished"] == .integer(4))
        let outcome = try serving.interrupt()
        #expect(outcome.status == 130)
        #expect(outcome.outputLines == [serving.address])
        #expect(outcome.errorLines == ["serving results/recall.sqlite; Ctrl-C ends it"])
        #expect(try workspace.data("results/recall.sqlite") == before)
    }

    /// The state first, then what changes while a run trains, for one that comes later the state again; at Ctrl-C all
    /// streams end.
    @Test func changesArriveAsEvents() throws {
        let workspace = try Self.tinyRun()
        let serving = try Serving(workspace)
        let stream = try HTTPConnection(port: serving.port)
        try stream.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let first = try stream.read(until: "event: state\n")
        #expect(first.lowercased().contains("content-type: text/event-stream"))
        #expect(first.contains("id: 1\n") && !first.contains("event: update"))
        let second = tiny("name: tiny", "name: second").replacingOccurrences(of: "epochs: 2", with: "epochs: 3")
        try workspace.write(second, to: "second.yaml")
        #expect(try workspace.run("run", "--suite", "second.yaml", "--quiet").status == 0)
        let changed = try stream.read(until: "\"second\"")
        #expect(changed.contains("id: 2\nevent: update\n"))
        let late = try HTTPConnection(port: serving.port)
        try late.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n")
        #expect(try late.read(until: "\"second\"").contains("event: state\n"))
        #expect(try serving.interrupt().status == 130)
        _ = try stream.read(until: nil)
        _ = try late.read(until: nil)
    }

    @Test func whatCannotBeServedIsOneLine() throws {
        let workspace = try Self.tinyRun()
        let serving = try Serving(workspace)
        for (arguments, status, part) in [
            (["--port", "\(serving.port)"], Int32(69), "port \(serving.port) of 127.0.0.1 is in use"),
            (["--host", "192.0.2.1", "--port", "0"], 69, "'192.0.2.1' is no address of this machine"),
            (["--host", "no.such.host.invalid", "--port", "0"], 69, "'no.such.host.invalid' is no address"),
            (["--db", "tiny.yaml"], 65, "tiny.yaml"), (["--suite", "tony"], 66, "did you mean 'tiny'?"),
            (["--port", "70000"], 64, "--port must be from 0 to 65535"), (["--host", ""], 64, "--host"),
        ] {
            let outcome = try workspace.run("serve", more: arguments)
            #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
            #expect(outcome.output.isEmpty && outcome.errors.contains(part), "\(outcome.errors)")
            #expect(outcome.errorLines.last?.hasPrefix("recall-bench: ") == true || status == 64)
        }
    }

    /// Begun before the first run, it waits, and shows the run when there is one.
    @Test(arguments: ["no file", "an empty file", "a database without suites"])
    func itWaitsForTheFirstRun(_ before: String) throws {
        let workspace = try Workspace.withTinySuite()
        let database = "it's <my> \"r\".sqlite"
        switch before {
        case "an empty file": try workspace.write("", to: database)
        case "a database without suites":
            let bench = ["bench", "data", "--shapes", "16:2", "--vocab", "128", "--db", database]
            #expect(try workspace.run(more: bench).status == 0)
        default: break
        }
        let content = workspace.content
        let serving = try Serving(workspace, "--db", database, "--suite", "tiny")
        let page = try serving.ask("GET", "/")
        let quoted = "--db &#39;it&#39;\\&#39;&#39;s &lt;my&gt; &quot;r&quot;.sqlite&#39;"
            .replacingOccurrences(of: "&#39;", with: "'")
        #expect(page.body.contains("<code>recall-bench run --suite tiny.yaml \(quoted)</code>"), "\(page.body)")
        #expect(page.body.contains("<code>recall-bench status --watch \(quoted)</code>"))
        #expect(!page.body.contains("{{"))
        let answer = try serving.ask("GET", "/api/state")
        let state = try JSONValue(answer.body)
        #expect(answer.status == 200 && state["status"]?["database"]?.string == database)
        #expect(state["status"]?["suites"]?.array == [] && state["status"]?["is_over"] == .boolean(false))
        let stream = try HTTPConnection(port: serving.port)
        try stream.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try stream.read(until: "event: state\n").contains("id: 1\n"))
        // It only looks.
        #expect(workspace.content.filter { !$0.contains("-shm") && !$0.contains("-wal") } == content)

        let run = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--db", database)
        #expect(run.status == 0, "\(run.errors)")
        let changed = try stream.read(until: "\"finished\":4")
        #expect(!changed.contains("event: trouble"))
        let outcome = try serving.interrupt()
        #expect(outcome.status == 130)
        let note = try #require(outcome.errorLines.first)
        let command = try #require(commandsBetweenBackquotes(note).first)
        #expect(note.contains("waiting for its first run"))
        #expect(try workspace.shell(command).status == 0)
    }

    @Test func whoeverListensWideIsWarned() throws {
        let workspace = try Self.tinyRun()
        let serving = try Serving(workspace, "--host", "0.0.0.0")
        #expect(try serving.ask("GET", "/api/state").status == 200)
        let outcome = try serving.interrupt()
        #expect(outcome.errorLines.count { $0.contains("anyone who reaches 0.0.0.0 may read") } == 1)
    }
}
