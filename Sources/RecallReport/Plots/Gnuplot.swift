import Foundation

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

    /// Draws a figure.
    ///
    /// - Parameter script: what the figure is, for the file that it is given.
    /// - Returns: the file's bytes.
    /// - Throws: `PlotError.gnuplot` with what it complained of; what the file system and `script` throw.
    public func draw(_ script: (_ output: String) throws -> String) throws -> Data {
        // Files, not pipes: none of them can fill up.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "recall-bench-plot-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (input, output) = (
            folder.appendingPathComponent("figure.gp"), folder.appendingPathComponent("figure")
        )
        let complaints = folder.appendingPathComponent("complaints")
        try Data(try script(output.path).utf8).write(to: input)
        try Data().write(to: complaints)
        let process = Process()
        process.executableURL = program
        // Without the user's own settings.
        process.arguments = ["-d", input.path]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: complaints)
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
