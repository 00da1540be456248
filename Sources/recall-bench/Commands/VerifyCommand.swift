import ArgumentParser
import Foundation
import RecallKernels
import RecallModelVerification
import RecallModels
import RecallReport
import RecallSuite
import RecallVerification

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Every kernel against its Float64 reference, forward and gradients, on a device.",
        discussion: """
            Each kernel is called twice on the same inputs, its outputs filled with NaN before. The error is the larger of \
            two: of norms, ‖out - ref‖/‖ref‖, and of the largest difference to the largest number; of a kernel's outputs \
            the one nearest to its bound is shown. Numbers that were not written, numbers written elsewhere and other bits \
            the second time are named. Then small models of every mixer are trained for 50 steps, twice on the device \
            and once on the CPU, and their losses compared step by step. Ends with status 1 if anything failed.

            With --precision the bounds are those of a device that rounds the factors of its matrix products: eight times \
            what such rounding does to the reference, and at least four times the precision's unit roundoff.

            EXAMPLES
              recall-bench verify
              recall-bench verify --only attention,scan
              recall-bench verify --only 'linear*Backward'
              recall-bench verify --only 'model mamba' --threads 2
              recall-bench verify --json
            """
    )

    @Option(help: DeviceChoice.help)
    var device = "cpu"

    @Option(help: "Threads of the CPU's kernels. Results do not depend on it.")
    var threads = 1

    @Option(
        help: ArgumentHelp(
            "Only the cases with this in their kernel and shape. With * for any characters or ? for one it is a pattern for the whole name. Commas, or the option again, for more of them.",
            valueName: "text|pattern,…"
        )
    )
    var only: [String] = []

    @Option(
        help:
            "What matrix products may round their factors to: fp32, tf32 or bf16. Default: fp32 on a CPU, else tf32."
    )
    var precision: String?

    @Flag(help: "A JSON object a line instead of a table.")
    var json = false

    func validate() throws {
        try OptionRange.require(threads, in: OptionRange.threads, "--threads")
        _ = try arithmetic()
        _ = try cases()
    }

    func run() throws {
        let (arithmetic, cases) = (try arithmetic(), try cases())
        try SystemLimits.requireThreads(SystemLimits.kernelThreads(threads), options: "--threads")
        let device = try DeviceChoice(device)
        let backend = try device.makeBackend(threads: threads, arithmetic)
        let name = device.name(of: backend)
        let progress = VerifyProgress(of: cases.count)
        var rows: [VerifyRow] = []
        for one in cases {
            progress.begin(one.description, done: rows.count)
            let row = try one.row(on: backend, arithmetic)
            rows.append(row)
            if json {
                progress.clear()
                let line = VerifyLine(row, device: name, precision: arithmetic.rawValue, threads: threads)
                Output.write(RunSpec.json(line) + "\n")
            }
        }
        progress.clear()
        try finish(rows, device: name)
    }

    /// The table and what it comes to.
    ///
    /// - Throws: `Failure` of status 1 where a case failed.
    private func finish(_ rows: [VerifyRow], device: String) throws {
        let failed = rows.filter { !$0.problems.isEmpty }
        if !json {
            // In a pipe nothing is shortened: a shape is what `--only` takes.
            let width = isatty(STDOUT_FILENO) == 1 ? Output.width : .max
            Output.write(VerifyRow.table(rows).render(width: width))
            Output.write(
                [""] + failed.flatMap { row in row.problems.map { "\(row.name) \(row.shape): \($0)" } }
            )
            if failed.isEmpty { Output.write(["\(rows.count) cases passed on \(device)"]) }
        }
        guard failed.isEmpty else {
            throw Failure(.someRunsFailed, "\(failed.count) of \(rows.count) cases failed on \(device)")
        }
    }

    private func arithmetic() throws -> Arithmetic {
        // Of a CPU too: it only widens the bounds.
        try precision.map(DeviceChoice.arithmetic(named:)) ?? DeviceChoice(device).arithmetic
    }

    private func cases() throws -> [VerifyCase] {
        let all = KernelCase.all.map(VerifyCase.kernel) + ModelCase.all.map(VerifyCase.model)
        let wanted = only.flatMap { text in
            // A list, unless a case has all of it.
            all.contains { $0.matches(text) }
                ? [text] : text.split(separator: ",").map { String($0.drop { $0 == " " }) }
        }
        for text in wanted where !all.contains(where: { $0.matches(text) }) {
            throw ValidationError(Self.noneMatches(text, all.map(\.name)))
        }
        guard only.isEmpty || !wanted.isEmpty else {
            throw ValidationError("--only: names no case; give a part of a kernel's name, such as attention")
        }
        return only.isEmpty ? all : all.filter { one in wanted.contains(where: one.matches) }
    }

    private static func noneMatches(_ text: String, _ names: [String]) -> String {
        let distinct = names.indices.filter { names.firstIndex(of: names[$0]) == $0 }.map { names[$0] }
        let none = GlobPattern.isPattern(text) ? "no case matches '\(text)'" : "no case has '\(text)' in it"
        // A model's case is suggested by its mixer's name.
        let words =
            distinct + distinct.compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) }
        let near = nearest(text, in: words).map { "did you mean '\($0)'?" }
        return "--only: \(none); " + (near ?? "there are \(distinct.joined(separator: ", "))")
    }
}

/// One thing to verify.
private enum VerifyCase: CustomStringConvertible {
    case kernel(KernelCase)
    case model(ModelCase)

    var name: String {
        switch self {
        case .kernel(let one): one.kernel
        case .model(let one): one.name
        }
    }

    var description: String {
        switch self {
        case .kernel(let one): one.description
        case .model(let one): one.description
        }
    }

    /// Whether the name and shape have a text in them or, where it has a star or a question mark, whether the name alone or
    /// both together match it as a whole.
    func matches(_ text: String) -> Bool {
        guard GlobPattern.isPattern(text) else { return description.localizedCaseInsensitiveContains(text) }
        let pattern = GlobPattern(text.lowercased())
        return pattern.matches(name.lowercased()) || pattern.matches(description.lowercased())
    }

    func row(on backend: any Backend, _ arithmetic: Arithmetic) throws -> VerifyRow {
        switch self {
        case .kernel(let one): VerifyRow(try one.verify(on: backend, arithmetic: arithmetic))
        case .model(let one): VerifyRow(try one.verify(on: backend))
        }
    }
}

/// How far verification is, on a terminal that has waited two seconds for it.
private final class VerifyProgress {
    private let count: Int
    private let isShown = Terminal.drawsBars(.standardError)
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant?

    init(of count: Int) { self.count = count }

    func begin(_ text: String, done: Int) {
        let now = ContinuousClock.now
        guard isShown, now - start > .seconds(2), last.map({ now - $0 > .milliseconds(100) }) ?? true else {
            return
        }
        last = now
        let line = shortened("\(done)/\(count) \(text)", to: Terminal.size(.standardError).columns - 1)
        StandardError.write(raw: "\r\u{1B}[K\(line)")
    }

    func clear() {
        guard last != nil else { return }
        last = nil
        StandardError.write(raw: "\r\u{1B}[K")
    }
}
