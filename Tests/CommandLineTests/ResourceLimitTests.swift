import Foundation
import Testing

/// What a process ends with where the system lets it have little: a line, not a crash and not a wait without end.
@Suite struct ResourceLimitTests {
    private func run(
        _ command: String,
        in workspace: Workspace,
        timeout: Double = 60,
        environment: [String: String] = [:],
        onErrorLine: @escaping @Sendable (String, Int32) -> Void = { _, _ in }
    ) throws -> Outcome {
        try workspace.run(
            more: ["-c", command],
            program: URL(fileURLWithPath: "/bin/sh"),
            environment: environment.merging(["PROGRAM": Program.url.path]) { $1 },
            timeout: timeout,
            onErrorLine: onErrorLine
        )
    }

    /// A line of the program's own at most, and an end that is one of its own.
    private func expectEnd(_ outcome: Outcome, _ statuses: Set<Int32>, _ what: String) {
        #expect(!outcome.isSignalled && statuses.contains(outcome.status), "\(what): \(outcome.status)")
        #expect(outcome.errorLines.count <= 1, "\(what): \(outcome.errors)")
        #expect(outcome.errorLines.allSatisfy { $0.hasPrefix("recall-bench: ") }, "\(what): \(outcome.errors)")
    }

    // MARK: - Address space

    /// OpenBLAS asks for its memory again and again where it is refused; and, where it was given threads, at the exit too.
    @Test(arguments: ["200000", "400000", "500000"], ["1", "2"])
    func littleAddressSpaceIsALine(_ kibibytes: String, _ threads: String) throws {
        let workspace = try Workspace.withTinySuite()
        for command in ["models based", "doctor", "run --suite tiny.yaml --quiet --jobs 1"] {
            let outcome = try run(
                "ulimit -v \(kibibytes) && exec \"$PROGRAM\" \(command)",
                in: workspace,
                environment: ["OPENBLAS_NUM_THREADS": threads]
            )
            expectEnd(outcome, [0, 1, 69], "\(command) with \(kibibytes)")
            #expect(outcome.status == 0 || outcome.errorLines.count == 1, "\(command)")
        }
    }

    // MARK: - Threads

    /// The superuser has no limit of processes, so these run as nobody where that is possible.
    private func runAsNobody(_ command: String, in workspace: Workspace) throws -> Outcome {
        let copy = workspace.path("program")
        try FileManager.default.copyItem(atPath: Program.url.path, toPath: copy)
        let limit = "prlimit --nproc=1:1"
        let prefix =
            getuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups \(limit)" : limit
        return try run(
            "chmod 755 . program && chmod -R a+rwX . && exec \(prefix) ./program \(command)",
            in: workspace
        )
    }

    @Test(arguments: [
        "run --suite tiny.yaml", "status", "verify", "doctor", "serve --port 0", "bench data --shapes 16:2",
        "report", "sweep state-size --task tiny.yaml", "status --watch", "eval --checkpoint c",
    ]) func noThreadIsALine(_ command: String) throws {
        let outcome = try runAsNobody(command, in: try Workspace.withTinySuite())
        expectEnd(outcome, [69], command)
        #expect(outcome.errors.contains("refuses this process") && outcome.errors.contains("ulimit -u"))
    }

    // MARK: - Open files

    @Test func fewOpenFilesAreALine() throws {
        let workspace = try Workspace.withTinySuite()
        try #require(workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        for limit in [4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32, 128] {
            for command in ["report --output page.html", "plot tradeoff --output t.svg", "serve --port 0"]
            where limit < 128 || !command.hasPrefix("serve") {
                let limited = "ulimit -n \(limit) && exec \"$PROGRAM\" \(command)"
                let outcome = try run(limited, in: workspace)
                guard outcome.status != 0 else {
                    // A report is whole without its figures, and says so.
                    #expect(command.hasPrefix("report") && outcome.errorLines.count == 1, "\(command)")
                    #expect(outcome.errors.contains("`ulimit -n` is \(limit)"), "\(outcome.errors)")
                    continue
                }
                expectEnd(outcome, [69], "\(command) with \(limit)")
                #expect(outcome.errors.contains("`ulimit -n` is \(limit)"), "\(outcome.errors)")
            }
        }
    }

    /// More connections than there are descriptors: those beyond wait, and are served once others have gone.
    @Test func connectionsBeyondTheLimitWait() throws {
        let workspace = try Workspace.withTinySuite()
        let (port, pid) = (Locked(0), Locked(Int32(0)))
        let (isListening, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        Thread.detachNewThread { [self] in
            let outcome = try? workspace.run(
                more: ["-c", "ulimit -n 64 && exec \"$PROGRAM\" serve --port 0"],
                program: URL(fileURLWithPath: "/bin/sh"),
                environment: ["PROGRAM": Program.url.path],
                onOutputLine: { line, process in
                    (port.value, pid.value) = (URL(string: line)?.port ?? 0, process)
                    isListening.signal()
                }
            )
            #expect(outcome?.status == 130 && outcome?.errorLines.count == 1, "\(outcome?.errors ?? "")")
            isListening.signal()
            done.signal()
        }
        isListening.wait()
        defer {
            kill(pid.value, SIGINT)
            done.wait()
        }
        try #require(port.value > 0)
        var connections = try (0..<100).map { _ in try HTTPConnection(port: port.value) }
        let last = try HTTPConnection(port: port.value)
        try last.send("GET /api/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connections.removeAll()
        #expect(try HTTPAnswer(last.read(until: nil)).status == 200)
    }

    // MARK: - Ends

    /// Ctrl-\ ends what it is pressed in, with nothing but the shell's own word.
    @Test func quitIsNoBacktrace() throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 100000"))
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            if line.contains("\"epoch_finished\"") { kill(pid, SIGQUIT) }
        }
        #expect(outcome.isSignalled && outcome.status == SIGQUIT)
        #expect(outcome.errorLines.allSatisfy { $0.hasPrefix("{") }, "\(outcome.errors.suffix(300))")
    }

    /// `timeout` sends its signal to the process and to its group: that is one request to stop, not two.
    @Test func aSignalThatComesTwiceAtOnceIsOne() throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 100000"))
        let isSent = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            guard line.contains("\"epoch_finished\""), isSent.first() else { return }
            for _ in 0..<3 { kill(pid, SIGTERM) }
        }
        #expect(outcome.status == 130 && !outcome.isSignalled)
        #expect(outcome.errorLines.last?.contains("this goes on: ") == true, "\(outcome.errors.suffix(300))")
    }

    /// Another process's lock on the folder of the database is named, and waited for as for its own.
    @Test func aLockOnTheFolderIsGivenUpWithItsHolder() throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.makeFolder("results")
        let lock = open(workspace.path("results"), O_RDONLY)
        try #require(lock >= 0 && flock(lock, LOCK_EX) == 0)
        defer { close(lock) }
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            environment: ["RECALL_BENCH_BUSY_SECONDS": "0.2"]
        )
        #expect(outcome.status == 74)
        #expect(outcome.errorLines.count == 2, "\(outcome.errors)")
        let holder = "process \(getpid()) ("
        #expect(outcome.errorLines.first?.hasPrefix("waiting for \(holder)") == true, "\(outcome.errors)")
        #expect(
            outcome.errorLines.last?.hasPrefix("recall-bench: results/recall.sqlite: \(holder)") == true,
            "\(outcome.errors)"
        )
        let quiet = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            environment: ["RECALL_BENCH_BUSY_SECONDS": "0.2"]
        )
        #expect(quiet.status == 74 && quiet.errorLines.count == 1, "\(quiet.errors)")
    }
}
