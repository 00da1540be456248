import Foundation
import Testing

/// A small file system of a test's own, where the system lets one be made.
private final class SmallDisk {
    private let path: String

    private init(path: String) { self.path = path }

    static func mount(_ workspace: Workspace, _ name: String, mebibytes: Int) throws -> SmallDisk {
        try workspace.makeFolder(name)
        let path = workspace.path(name)
        try #require(run("mount", ["-t", "tmpfs", "-o", "size=\(mebibytes)m", "tmpfs", path]))
        return SmallDisk(path: path)
    }

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

    private func refusal(_ workspace: Workspace, _ arguments: String...) throws -> String {
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", more: arguments)
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
                "recall-bench: the folder for checkpoints small/c has 30 MiB of free space, and 52"),
            "\(error)")
        #expect(
            error.hasSuffix(
                " MiB are needed for the checkpoints of 2 runs at once; free some, use fewer --jobs, or name another "
                    + "folder with --checkpoints\n"), "\(error)")
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

    @Test func aDatabaseThatDoesNotFit() throws {
        let workspace = try Workspace.withTinySuite()
        let disk = try SmallDisk.mount(workspace, "small", mebibytes: 30)
        let error = try refusal(workspace, "--db", "small/r.sqlite")
        #expect(error.hasPrefix("recall-bench: small/r.sqlite: only 30 MiB are free there, and 32"), "\(error)")
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
            error.contains("the checkpoints of a run and the database beside them; free some, or"), "\(error)")
        withExtendedLifetime(disk) {}
    }
}
