import Foundation
import Testing

/// How a process ended and what it said.
struct Outcome: Sendable {
    /// The exit status, or the signal's number.
    let status: Int32
    let isSignalled: Bool
    let output: String
    let errors: String

    var outputLines: [String] {
        output.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
    }
    var errorLines: [String] { errors.split(separator: "\n", omittingEmptySubsequences: true).map(String.init) }
}

/// A folder of a test's own, in which the program runs; gone with the test.
final class Workspace: @unchecked Sendable {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("recall-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
    }

    func data(_ name: String) throws -> Data { try Data(contentsOf: folder.appendingPathComponent(name)) }

    /// Every file and folder below, by its path from here.
    var content: [String] {
        (FileManager.default.enumerator(atPath: folder.path)?.allObjects as? [String] ?? []).sorted()
    }

    /// Runs the program here to its end.
    ///
    /// - Parameters:
    ///   - more: further arguments.
    ///   - program: another one.
    ///   - environment: variables besides this process's own.
    ///   - limitingFiles: bytes that the program may write to any one file, in steps of 512; nil for no limit.
    ///   - closing: a stream whose reader is gone from the start.
    ///   - onErrorLine, onOutputLine: called with each line and the process id as they come.
    func run(
        _ arguments: String...,
        more: [String] = [],
        program: URL = Program.url,
        environment: [String: String] = [:],
        limitingFiles: Int? = nil,
        closing: Stream? = nil,
        timeout: Double = 60,
        onErrorLine: @escaping @Sendable (String, Int32) -> Void = { _, _ in },
        onOutputLine: @escaping @Sendable (String, Int32) -> Void = { _, _ in }
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments + more
        if let limitingFiles {
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            // POSIX counts in blocks of 512 bytes. exec keeps the process id.
            process.arguments =
                ["-c", "ulimit -f \(limitingFiles / 512) && exec \"$0\" \"$@\"", program.path] + arguments
                + more
        }
        process.currentDirectoryURL = folder
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        if let closing { try (closing == .output ? output : errors).fileHandleForReading.close() }
        try process.run()
        let pid = process.processIdentifier
        let outputReader = LineReader(closing == .output ? nil : output) { onOutputLine($0, pid) }
        let errorReader = LineReader(closing == .errors ? nil : errors) { onErrorLine($0, pid) }
        if ended.wait(timeout: .now() + timeout) == .timedOut {
            kill(pid, SIGKILL)
            ended.wait()
            Issue.record("\(arguments.joined(separator: " ")) did not end within \(timeout) s")
        }
        return Outcome(
            status: process.terminationStatus,
            isSignalled: process.terminationReason == .uncaughtSignal,
            output: outputReader.text(),
            errors: errorReader.text()
        )
    }

    enum Stream { case output, errors }
}

/// Reads a pipe to its end on a thread of its own.
private final class LineReader: @unchecked Sendable {
    private let done = DispatchSemaphore(value: 0)
    private var data = Data()

    init(_ pipe: Pipe?, onLine: @escaping @Sendable (String) -> Void) {
        guard let pipe else {
            done.signal()
            return
        }
        Thread.detachNewThread { [self] in
            var reported = 0
            while true {
                let more = pipe.fileHandleForReading.availableData
                if more.isEmpty { break }
                data.append(more)
                while let end = data[reported...].firstIndex(of: 0x0A) {
                    onLine(String(decoding: data[reported..<end], as: UTF8.self))
                    reported = end + 1
                }
            }
            // Foundation holds on to a process and its pipes. With some 1,365 descriptors open, Process.run may read beyond the
            // list of them and crash (swift-corelibs-foundation, pull request 5472).
            try? pipe.fileHandleForReading.close()
            done.signal()
        }
    }

    func text() -> String {
        done.wait()
        defer { done.signal() }
        return String(decoding: data, as: UTF8.self)
    }
}

/// Where the program is that was built with these tests.
enum Program {
    static let url: URL = {
        // The build puts both in one folder, wherever that is.
        let tests = [
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(),
            Bundle(for: Marker.self).bundleURL,
            URL(fileURLWithPath: CommandLine.arguments[0]),
        ]
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folders =
            tests.map { $0.deletingLastPathComponent() } + [package.appendingPathComponent(".build/release")]
        let candidates = folders.map { $0.appendingPathComponent("recall-bench") }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) })
        else {
            fatalError("recall-bench is in none of \(folders.map(\.path)); build it first")
        }
        return found
    }()

    private final class Marker {}
}
