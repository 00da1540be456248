import Foundation
import Testing

/// A small file system of a test's own, where the system lets one be made.
private final class SmallDisk: Sendable {
    private let path: String

    private init(path: String) { self.path = path }

    static func mount(_ workspace: Workspace, _ name: String, mebibytes: Int) throws -> SmallDisk {
        try workspace.makeFolder(name)
        let path = workspace.path(name)
        try #require(run("mount", ["-t", "tmpfs", "-o", "size=\(mebibytes)m", "tmpfs", path]))
        return SmallDisk(path: path)
    }

    /// Nothing can be written to it any more.
    func makeReadOnly() throws { try #require(Self.run("mount", ["-o", "remount,ro", path])) }

    /// Takes what room is left, to the last byte.
    func fill() {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        for piece in [zeros.count, 1] { while write(file, zeros, piece) > 0 {} }
        close(file)
    }

    func empty() { unlink(path + "/filler") }

    deinit { _ = Self.run("umount", ["-l", path]) }

    private static func run(_ tool: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Root may be kept from mounting, in a container say.
    static let isPossible: Bool = {
        guard getuid() == 0, let workspace = try? Workspace() else { return false }
        return (try? mount(workspace, "probe", mebibytes: 1)) != nil
    }()
}

/// Disks that are too small are found before anything is trained.
@Suite(.enabled(if: SmallDisk.isPossible)) struct FullDiskTests {
    /// A million parameters: 12 MiB a checkpoint.
    private static let large = tiny("  vocab_size: 64", "  vocab_size: 65536")

    private func refusal(
        _ workspace: Workspace,
        _ arguments: String...,
        more: [String] = []
    ) throws -> String {
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", more: arguments + more)
        #expect(outcome.status == 74)
        #expect(outcome.output == "")
        #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
        return outcome.errors
    }

    @Test func checkpointsThatDoNotFit() throws {
        let workspace = try Workspace.withTinySuite(Self.large)
        let disk = try SmallDisk.mount(workspace, "small", mebibytes: 30)
        let error = try refusal(workspace, "--checkpoints", "small/c", "--jobs", "2")
        #expect(
            error.hasPrefix(
                "recall-bench: the folder for checkpoints small/c has 30.0 MiB of free space, and 52"
            ),
            "\(error)"
        )
        #expect(
            error.hasSuffix(
                " MiB are needed for the checkpoints of 2 runs at once; free some, use fewer --jobs, or name another "
                    + "folder with --checkpoints\n"
            ),
            "\(error)"
        )
        #expect(try workspace.table("runs").column("status") == Array(repeating: "pending", count: 4))
        // What does fit is trained there, and results are not forgotten for runs that do not.
        try workspace.write(tinySuite, to: "tiny.yaml")
        let fits = try workspace.run("run", "--suite", "tiny.yaml", "--checkpoints", "small/c", "--quiet")
        #expect(fits.status == 0, "\(fits.errors)")
        let results = try workspace.results()
        try Data(count: 29 << 20).write(to: URL(fileURLWithPath: workspace.path("small/filler")))
        _ = try refusal(workspace, "--checkpoints", "small/c", "--fresh", "--jobs", "2")
        #expect(try workspace.results() == results)
        withExtendedLifetime(disk) {}
    }

    /// A search that keeps its checkpoints has room for the most that it may come to, not for its first step alone.
    @Test func checkpointsOfASearchThatDoNotFit() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        let disk = try SmallDisk.mount(workspace, "small", mebibytes: 16)
        let arguments = ["--checkpoints", "small/c", "--jobs", "1"]
        // Six runs to begin with have room, 1 MiB each.
        let error = try refusal(workspace, more: arguments + ["--keep-checkpoints"])
        #expect(
            error.contains("needed for the checkpoints of the ")
                && error.contains(" runs that the search may come to at most; free some, or name another"),
            "\(error)"
        )
        let few = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--keep-checkpoints",
            "--quiet",
            "--only",
            "learning_rate=0.03",
            more: arguments
        )
        #expect(few.status == 0, "\(few.errors)")
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet", more: arguments).status == 0)
        withExtendedLifetime(disk) {}
    }

    @Test func aDatabaseThatDoesNotFit() throws {
        let workspace = try Workspace.withTinySuite()
        let disk = try SmallDisk.mount(workspace, "small", mebibytes: 30)
        let error = try refusal(workspace, "--db", "small/r.sqlite")
        #expect(
            error.hasPrefix("recall-bench: small/r.sqlite: only 30.0 MiB are free there, and 32"),
            "\(error)"
        )
        #expect(error.hasSuffix(" MiB are needed; free some, or name a file elsewhere with --db\n"), "\(error)")
        #expect(workspace.content == ["small", "tiny.yaml"])
        withExtendedLifetime(disk) {}
    }

    /// Both on one disk need the sum.
    @Test func checkpointsBesideTheDatabase() throws {
        let workspace = try Workspace.withTinySuite(Self.large)
        let disk = try SmallDisk.mount(workspace, "small", mebibytes: 50)
        let error = try refusal(workspace, "--db", "small/r.sqlite", "--jobs", "1")
        #expect(
            error.contains("the checkpoints of a run and the database beside them; free some, or"),
            "\(error)"
        )
        withExtendedLifetime(disk) {}
    }

    /// The disk fills up in the middle: one line, what was finished is there, and with room again all goes on.
    @Test(arguments: [("full/r.sqlite", "c"), ("r.sqlite", "full/c")])
    func aDiskThatFillsUpWhileTraining(_ place: (database: String, checkpoints: String)) throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 60"))
        let disk = try SmallDisk.mount(workspace, "full", mebibytes: 40)
        let arguments = [
            "run", "--suite", "tiny.yaml", "--db", place.database, "--checkpoints", place.checkpoints, "--json",
        ]
        let (export, isFull) = (["export", "csv", "--table", "runs", "--db", place.database], Once())
        #expect(try workspace.run(more: arguments + ["--only", "model=attention"]).status == 0)
        func finished() throws -> [[String]] {
            CSVText(try workspace.run(more: export).output).rows.filter { $0.contains("finished") }
        }
        let before = try finished()
        let outcome = try workspace.run(more: arguments) { line, _ in
            if line.contains("\"epoch_finished\""), isFull.first() { disk.fill() }
        }
        #expect(outcome.status == 74)
        let said = outcome.errorLines.filter { !$0.hasPrefix("{") }
        #expect(said.count == 1, "\(said)")
        #expect(
            said.first?.contains(
                place.checkpoints == "c"
                    ? "full/r.sqlite: the disk is full; what was finished is kept" : "the checkpoint full/c/"
            )
                == true,
            "\(said)"
        )
        #expect(said.first?.contains("what was finished is kept") == true)
        disk.empty()
        #expect(try before.count == 2 && finished() == before)
        #expect(try workspace.run(more: arguments).status == 0)
        #expect(try finished().count == 4)
    }

    /// An archive can be read, from a disk that takes nothing; it cannot be added to.
    @Test func aReadOnlyDisk() throws {
        let workspace = try Workspace.withTinySuite()
        let disk = try SmallDisk.mount(workspace, "old", mebibytes: 40)
        let arguments = [
            "run", "--suite", "tiny.yaml", "--db", "old/r.sqlite", "--checkpoints", "c", "--quiet",
        ]
        #expect(try workspace.run(more: arguments).status == 0)
        let readers = [["status"], ["export", "csv", "--table", "runs"]].map { $0 + ["--db", "old/r.sqlite"] }
        let before = try readers.map { try workspace.run(more: $0) }
        // Readers leave files beside it that belong to the write-ahead log.
        for suffix in ["-wal", "-shm"] { unlink(workspace.path("old/r.sqlite\(suffix)")) }
        try disk.makeReadOnly()
        for (reader, before) in zip(readers, before) {
            let outcome = try workspace.run(more: reader)
            #expect(outcome.status == 0 && outcome.output == before.output, "\(outcome.errors)")
        }
        let outcome = try workspace.run(more: arguments)
        #expect(outcome.status == 74)
        #expect(
            outcome.errors
                == "recall-bench: old/r.sqlite: the file is not writable (Read-only file system); name another file\n"
        )
    }
}

/// An archive whose newest rows are in its log.
@Suite(.enabled(if: SmallDisk.isPossible)) struct ReadOnlyLogTests {
    /// SQLite reads a log with the help of a file beside it, which nobody can make there.
    @Test func aLogThatCannotBeReadIsNamed() throws {
        let workspace = try Workspace.withTinySuite()
        let disk = try SmallDisk.mount(workspace, "old", mebibytes: 40)
        let isSent = Once()
        let killed = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--db",
            "old/r.sqlite",
            "--json"
        ) { line, pid in
            if line.contains("\"epoch_finished\""), isSent.first() { kill(pid, SIGKILL) }
        }
        #expect(killed.isSignalled && workspace.exists("old/r.sqlite-wal"))
        unlink(workspace.path("old/r.sqlite-shm"))
        try disk.makeReadOnly()
        let outcome = try workspace.run("status", "--db", "old/r.sqlite")
        #expect(outcome.status == 74)
        #expect(
            outcome.errors
                == "recall-bench: old/r.sqlite: its newest rows are in old/r.sqlite-wal, which cannot be read without "
                + "old/r.sqlite-shm, and the folder takes no file; copy the file with its -wal to a folder that you may "
                + "write to, and read it there\n"
        )
    }
}

/// Limits on the size of files, which stand for a full disk where none can be made.
@Suite struct FileSizeLimitTests {
    @Test(arguments: [8, 32, 64, 128, 256]) func aFileThatMayNotGrow(_ kibibytes: Int) throws {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 60"))
        let half = ["run", "--suite", "tiny.yaml", "--quiet", "--only", "model=attention"]
        #expect(try workspace.run(more: half).status == 0)
        func finished() throws -> [[String]] {
            try workspace.table("runs").rows.filter { $0.contains("finished") }
        }
        let before = try finished()
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            limitingFiles: kibibytes << 10
        )
        #expect(outcome.status == 74 && !outcome.isSignalled)
        #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
        #expect(try before.count == 2 && finished() == before)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        #expect(try finished().count == 4)
    }
}
