import Foundation
import Testing

/// A Python with playwright, and a Chromium for it to drive, where there are any.
private enum Browser {
    static let python = ProcessInfo.processInfo.environment["RECALL_BENCH_PYTHON"]
    static let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    /// Where screenshots stay to be looked at; gone with the test where the environment names no folder.
    static let screenshots = ProcessInfo.processInfo.environment["RECALL_BENCH_SCREENSHOTS"]
}

/// The page of `serve` in a browser, beside a sweep in progress: page.py looks and says what is to happen next.
@Suite(
    "Pages in Chromium",
    .enabled(
        if: Browser.python != nil && Browser.chromium != nil,
        "RECALL_BENCH_PYTHON names no Python (see Tests/CommandLineTests/requirements.txt), or there is no chromium"
    )
)
struct BrowserTests {
    /// Some seconds an epoch at most, and more epochs than anybody waits for.
    private static let longSuite = tiny("name: tiny", "name: long")
        .replacingOccurrences(of: "examples: 400", with: "examples: 20000")
        .replacingOccurrences(of: "epochs: 2", with: "epochs: 1000")

    /// What page.py asks for happens here, beside the programs that train and serve.
    private final class Stage: @unchecked Sendable {
        let workspace: Workspace
        private var serving: Serving?
        private let training = Locked(Int32(0))
        private let trainingEnded = DispatchSemaphore(value: 0)
        private let outcome = Locked<Outcome?>(nil)

        init() throws {
            workspace = try Workspace.withTinySuite(longSuite)
            try workspace.writeOddSuite(to: "odd.yaml")
        }

        /// Trains until it is interrupted, and serves; returns the page's address.
        func begin() throws -> String {
            let hasBegun = DispatchSemaphore(value: 0)
            let isFirst = Once()
            Thread.detachNewThread { [self] in
                outcome.value = try? workspace.run(
                    "run",
                    "--suite",
                    "tiny.yaml",
                    "--json",
                    "--jobs",
                    "1",
                    timeout: 300
                ) { [self] line, pid in
                    guard line.contains("\"run_started\""), isFirst.first() else { return }
                    training.value = pid
                    hasBegun.signal()
                }
                hasBegun.signal()
                trainingEnded.signal()
            }
            hasBegun.wait()
            try #require(training.value > 0, "nothing was trained: \(outcome.value?.errors ?? "")")
            let serving = try Serving(workspace)
            self.serving = serving
            return serving.address
        }

        func act(on word: String) throws {
            switch word {
            case "interrupt": #expect(stopTraining()?.status == 130)
            case "train":
                #expect(try workspace.run("run", "--suite", "odd.yaml", "--seeds", "2", "--quiet").status == 1)
            case "stop": #expect(try serving?.interrupt().status == 130)
            case "start":
                let port = try #require(serving).port
                serving = try Serving(workspace, port: port)
            default: Issue.record("page.py said \(word)")
            }
        }

        func stopTraining() -> Outcome? {
            guard training.value > 0 else { return nil }
            kill(training.value, SIGINT)
            training.value = 0
            trainingEnded.wait()
            return outcome.value
        }
    }

    @Test func aSweepIsWatchedWhileItTrains() throws {
        let stage = try Stage()
        defer { _ = stage.stopTraining() }
        let address = try stage.begin()
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "page.py").path
        let folder = Browser.screenshots ?? stage.workspace.path("screenshots")
        // Nothing is to be left beside the script.
        let outcome = try stage.workspace.run(
            "-B",
            script,
            address,
            try #require(Browser.chromium),
            folder,
            oddName,
            program: URL(filePath: try #require(Browser.python)),
            timeout: 240,
            onOutputLine: { line, _ in
                do { try stage.act(on: line) } catch { Issue.record(error) }
            }
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.outputLines == ["interrupt", "train", "stop", "start"])
        for name in ["training-1400", "training-400", "finished-1400", "finished-400", "finished-dark-400"] {
            let picture = try Data(contentsOf: URL(filePath: folder).appending(path: "\(name).png"))
            #expect(picture.starts(with: [0x89, 0x50, 0x4E, 0x47]), "\(name)")
        }
    }
}
