import Foundation
import Testing

/// What the machine leaves to the program: cores, threads and libraries.
@Suite struct MachineTests {
    private func run(_ command: String, in workspace: Workspace, environment: [String: String] = [:]) throws
        -> Outcome
    {
        try workspace.run(
            more: ["-c", command],
            program: URL(fileURLWithPath: "/bin/sh"),
            environment: environment.merging(["PROGRAM": Program.url.path]) { $1 }
        )
    }

    @Test func affinityBoundsTheCores() throws {
        let workspace = try Workspace.withTinySuite()
        let doctor = try run("taskset -c 0 \"$PROGRAM\" doctor", in: workspace)
        let all = try workspace.run("doctor")
        let cores = try #require(all.output.firstMatch(of: #/([0-9]+) cores? to use/#)).1
        #expect(
            doctor.output.contains(cores == "1" ? "1 core to use" : "1 of \(cores) cores to use (affinity)")
        )
        let events = try run("taskset -c 0 \"$PROGRAM\" run --suite tiny.yaml --json", in: workspace)
        #expect(events.status == 0)
        #expect(events.errors.contains("\"jobs\":1,"), "\(events.errors.prefix(400))")
    }

    /// One thread, whatever the library would take by itself: OpenBLAS starts one for each core.
    @Test func noThreadsAreMadeForTheBLAS() throws {
        let workspace = try Workspace()
        let outcome = try run(
            """
            "$PROGRAM" models based > /dev/null & most=0
            while kill -0 $! 2>/dev/null; do
                threads=$(awk '/^Threads:/ { print $2 }' /proc/$!/status 2>/dev/null)
                [ "${threads:-0}" -gt "$most" ] && most=$threads
            done
            wait $!; echo "status $? threads $most"
            """,
            in: workspace
        )
        let threads = try #require(
            outcome.output.firstMatch(of: #/status 0 threads ([0-9]+)/#),
            "\(outcome.output)"
        )
        #expect(try #require(Int(threads.1)) <= 2)
    }

    /// OpenBLAS ends a process with SIGINT where a thread is refused; that reads as an interruption.
    @Test func aLimitOnProcessesInterruptsNothing() throws {
        let workspace = try Workspace()
        let copy = workspace.path("program")
        try FileManager.default.copyItem(atPath: Program.url.path, toPath: copy)
        // The superuser has no such limit: as nobody, where that is possible.
        let asNobody =
            getuid() == 0
            ? "setpriv --reuid 65534 --regid 65534 --clear-groups prlimit --nproc=1:1" : "prlimit --nproc=1:1"
        let outcome = try run("chmod 755 . program; \(asNobody) ./program models based", in: workspace)
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        #expect(outcome.output.hasPrefix("based"))
    }

    @Test func aMissingBLASIsNamed() throws {
        let workspace = try Workspace.withTinySuite()
        // A folder that is looked into first, with a library that is none.
        try workspace.write("", to: "libopenblas.so.0")
        try workspace.write("", to: "libopenblas.so")
        let environment = ["LD_LIBRARY_PATH": workspace.folder.path]
        for arguments in [["run", "--suite", "tiny.yaml"], ["verify"], ["models", "based"]] {
            let outcome = try workspace.run(more: arguments, environment: environment)
            #expect(outcome.status == 69, "\(arguments): \(outcome.errors)")
            #expect(outcome.errorLines.count == 1)
            #expect(outcome.errors.contains("OpenBLAS, which multiplies matrices on a CPU, cannot be loaded"))
            #expect(outcome.errors.hasSuffix("install libopenblas0\n"))
        }
        #expect(try workspace.run("suites", environment: environment).status == 0)
        let doctor = try workspace.run("doctor", environment: environment)
        #expect(doctor.status == 69 && doctor.output.contains("install libopenblas0"))
    }
}
