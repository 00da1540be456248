import Foundation
import RecallStore

/// The program that draws figures.
public struct Gnuplot: Sendable {
    public let program: URL

    /// The first of PATH; nil where there is none.
    public init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let folders = (environment["PATH"] ?? "").split(separator: ":")
        let found = folders.map { "\($0)/gnuplot" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        guard let found else { return nil }
        program = URL(fileURLWithPath: found)
    }

    /// File descriptors that running it takes, Foundation's own for a child process among them.
    private static let descriptors = 32
    /// The least limit under which Foundation starts a child process: it closes some 250 for it, whatever is open.
    private static let leastLimit = 256

    /// Draws a figure.
    ///
    /// - Parameter script: what the figure is, for the file that it is given.
    /// - Returns: the file's bytes.
    /// - Throws: `PlotError`: `gnuplot` with what it complained of, what the system refused; what `script` throws.
    public func draw(_ script: (_ output: String) throws -> String) throws -> Data {
        guard ProcessLimits.mostDescriptors >= Self.leastLimit, ProcessLimits.hasDescriptors(Self.descriptors)
        else {
            throw PlotError.tooFewDescriptors(limit: ProcessLimits.mostDescriptors)
        }
        // Files, not pipes: none of them can fill up.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "recall-bench-plot-\(UUID().uuidString)"
        )
        defer { try? FileManager.default.removeItem(at: folder) }
        let (input, output) = (
            folder.appendingPathComponent("figure.gp"), folder.appendingPathComponent("figure")
        )
        let complaints = folder.appendingPathComponent("complaints")
        let text = try script(output.path)
        let process = Process()
        process.executableURL = program
        // Without the user's own settings.
        process.arguments = ["-d", input.path]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: input)
            try Data().write(to: complaints)
            process.standardError = try FileHandle(forWritingTo: complaints)
        } catch let error as CocoaError {
            throw PlotError.temporaryFolder(
                FileManager.default.temporaryDirectory.path,
                reason: error.systemReason
            )
        }
        do { try process.run() } catch { throw PlotError.gnuplot("\(program.path) cannot be started") }
        process.waitUntilExit()
        let figure = try? Data(contentsOf: output)
        guard process.terminationReason == .exit, process.terminationStatus == 0, let figure, !figure.isEmpty
        else {
            // The file is gone by the time anybody reads its name.
            let said = ((try? String(contentsOf: complaints, encoding: .utf8)) ?? "")
                .replacingOccurrences(of: "\"\(input.path)\" ", with: "")
            throw PlotError.gnuplot(Self.summary(said) ?? "it said nothing, and drew nothing")
        }
        return figure
    }

    /// The line that says what is wrong: gnuplot echoes the command and points into it before.
    static func summary(_ complaints: String) -> String? {
        let lines = complaints.split(whereSeparator: \.isNewline).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        .filter { !$0.isEmpty && $0 != "^" }
        return lines.first { $0.hasPrefix("\"") || $0.hasPrefix("line ") } ?? lines.last
    }
}
