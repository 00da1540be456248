import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Named pipes, devices and folders in the place of files: one line at once, and nobody waits for a writer.
@Suite struct OddFileTests {
    private func refused(_ workspace: Workspace, _ arguments: String..., naming name: String) throws {
        let outcome = try workspace.run(more: arguments, timeout: 20)
        #expect(!outcome.isSignalled && outcome.status == 65, "\(arguments): \(outcome.errors)")
        #expect(outcome.errorLines.count == 1 && outcome.output == "", "\(arguments): \(outcome.errors)")
        #expect(outcome.errors.hasPrefix("recall-bench: \(name): "), "\(arguments): \(outcome.errors)")
    }

    @Test(arguments: ["pipe.yaml", "/dev/zero", "/dev/null", "folder.yaml"])
    func noSuiteDatasetCheckpointTableOrDatabase(_ name: String) throws {
        let workspace = try Workspace.withTinySuite()
        #expect(mkfifo(workspace.path("pipe.yaml"), 0o600) == 0)
        try workspace.makeFolder("folder.yaml")
        try refused(workspace, "run", "--suite", name, naming: name)
        try refused(workspace, "suites", name, naming: name)
        try refused(workspace, "eval", "--checkpoint", name, naming: name)
        try refused(workspace, "plot", "tradeoff", "--csv", name, naming: name)
        try refused(workspace, "plot", "throughput", "--csv", name, naming: name)
        try refused(workspace, "status", "--db", name, naming: name)
        try refused(workspace, "run", "--suite", "tiny.yaml", "--db", name, naming: name)
    }

    @Test func noFileOfADataset() throws {
        let workspace = try Workspace.withTinySuite()
        let trained = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--only",
            "model=based,learning_rate=0.01",
            "--keep-checkpoints",
            "--quiet"
        )
        #expect(trained.status == 0)
        let checkpoint = try #require(
            workspace.content.first { $0.hasPrefix("results/checkpoints/") && $0.hasSuffix(".safetensors") }
        )
        try workspace.makeFolder("d")
        #expect(mkfifo(workspace.path("d/dataset.json"), 0o600) == 0)
        try refused(
            workspace,
            "eval",
            "--checkpoint",
            checkpoint,
            "--dataset",
            "d",
            naming: "d/dataset.json"
        )
        #expect(unlink(workspace.path("d/dataset.json")) == 0)
        #expect(
            try workspace.run("data", "write", "--suite", "tiny.yaml", "--split", "test", "--output", "d")
                .status == 0
        )
        let labels = "d/segment-0/labels.npy"
        #expect(unlink(workspace.path(labels)) == 0 && mkfifo(workspace.path(labels), 0o600) == 0)
        try refused(workspace, "eval", "--checkpoint", checkpoint, "--dataset", "d", naming: labels)
    }

    /// What the shell has opened is read as before.
    @Test func aSuiteMayBePipedIn() throws {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run(
            more: ["-c", "cat tiny.yaml | \"$0\" suites /dev/stdin", Program.url.path],
            program: URL(fileURLWithPath: "/bin/sh")
        )
        #expect(outcome.status == 0 && outcome.output.hasPrefix("tiny: "), "\(outcome.errors)")
    }
}
