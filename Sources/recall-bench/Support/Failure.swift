import ArgumentParser
import Foundation
import RecallData
import RecallInput
import RecallKernels
import RecallModels
import RecallReport
import RecallStore
import RecallSuite
import RecallTensor
import RecallTraining

/// An end other than success: one line for standard error and the exit status.
struct Failure: Error {
    /// sysexits.h's numbers where it has one.
    enum Status: Int32 {
        case someRunsFailed = 1
        case invalidControl = 2
        case usage = 64
        case data = 65
        case missing = 66
        case unavailable = 69
        case inner = 70
        case inputOutput = 74
        case interrupted = 130
    }

    let status: Int32
    /// One as a rule, several of a suite with several errors; none where what there is to say has been said.
    let lines: [String]

    init(_ status: Status, _ message: String?) {
        self.init(exitStatus: status.rawValue, [message].compactMap(\.self))
    }

    private init(exitStatus: Int32, _ lines: [String]) {
        (status, self.lines) = (exitStatus, lines)
    }

    /// All in one text; nil where there is nothing to say.
    var message: String? { lines.isEmpty ? nil : lines.joined(separator: "\n") }

    /// What any error of the program's layers comes to.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as StoreError: self.init(exitStatus: error.exitStatus, [error.description])
        case let error as SuiteError: self.init(exitStatus: Status.data.rawValue, error.lines)
        case let error as SuiteLookupError:
            let status: Status =
                switch error.kind {
                case .missing: .missing
                case .isFolder, .notRegular: .data
                case .unreadable: .inputOutput
                }
            self.init(status, error.description)
        case let error as OptionError: self.init(.usage, error.description)
        case let error as DataFileError:
            let status: Status =
                switch error.kind {
                case .content: .data
                case .missing: .missing
                case .inputOutput: .inputOutput
                }
            self.init(status, error.description)
        case let error as InputFileError:
            let status: Status =
                switch error.kind {
                case .missing: .missing
                case .unreadable: .inputOutput
                case .isFolder, .notRegular, .tooLarge, .cutShort: .data
                }
            self.init(status, error.description)
        case let error as PlotError:
            let status: Status =
                switch error {
                case .nothing: .missing
                case .tooSmall: .usage
                case .noGnuplot, .tooFewDescriptors: .unavailable
                case .gnuplot: .inner
                case .temporaryFolder: .inputOutput
                }
            self.init(status, error.description)
        case let error as CheckpointError:
            let status: Status =
                switch error.kind {
                case .content: .data
                case .missing: .missing
                case .unreadable: .inputOutput
                }
            self.init(status, error.description)
        case let error as ConfigurationError: self.init(.usage, error.message)
        case let error as TaskError: self.init(.data, error.description)
        case BackendError.outOfMemory(let bytes), RunError.outOfMemory(let bytes),
            TapeError.outOfMemory(let bytes):
            self.init(.unavailable, "the device has no room for \(ByteSize(bytes: bytes)): use fewer --jobs")
        case BackendError.unavailable(let text), BackendError.failed(let text), RunError.device(let text):
            self.init(.unavailable, text)
        case TapeError.device(let error): self.init(.unavailable, error.description)
        case RunError.stopped: self.init(.interrupted, "interrupted")
        case RunError.checkpoint(let text): self.init(.data, text)
        case let error as CocoaError: self.init(.inputOutput, error.fileAndReason)
        default: self.init(.inner, "an internal error: \(error)")
        }
    }

    /// Says what happened on standard error and ends the process.
    static func exit(with error: any Error) -> Never {
        let error = thrownByValidation(error) ?? error
        guard isParsers(error) else { end(Failure(error)) }
        // --help and --version have the parser's own words and end well; what it refuses gets its line here.
        guard RecallBench.exitCode(for: error) != .success else { RecallBench.exit(withError: error) }
        let help = RecallBench.fullMessage(for: error).split(separator: "'").last { $0.hasSuffix("--help") }
        var message =
            UsageSuggestion.text(for: CommandLine.arguments.dropFirst())
            ?? withoutBreaks(RecallBench.message(for: error))
        if message.hasSuffix(".") { message.removeLast() }
        end(Failure(.usage, message + "; see " + (help ?? "recall-bench --help")))
    }

    private static func end(_ failure: Failure) -> Never {
        failure.say()
        ProcessEnd.end(failure.status)
    }

    /// Says on standard error what happened.
    func say() { StandardError.write(lines: lines.map { "recall-bench: \($0)" }) }

    private static func isParsers(_ error: any Error) -> Bool {
        error is ExitCode || error is CleanExit || error is ValidationError
            || String(reflecting: type(of: error)).hasPrefix("ArgumentParser.")
    }

    /// The parser wraps what `validate()` throws, and would end with status 1 for all but its own errors.
    private static func thrownByValidation(_ error: any Error) -> (any Error)? {
        guard let inner = Mirror(reflecting: error).children.first(where: { $0.label == "parserError" })?.value,
            let thrown = Mirror(reflecting: inner).children.first(where: { $0.label == "userValidationError" })
        else { return nil }
        return (thrown.value as? any Error).flatMap { isParsers($0) ? nil : $0 }
    }

    /// The parser's message without the line ends that are its own: those of the user's words are escaped as any are.
    private static func withoutBreaks(_ text: String) -> String {
        var text = text
        for argument in CommandLine.arguments.dropFirst() {
            // The parser cuts --option=value in two.
            for word in [argument[...]] + argument.split(separator: "=", maxSplits: 1)
            where oneLine("\(word)") != word {
                text = text.replacing(word, with: oneLine(String(word)))
            }
        }
        return text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .joined(separator: " ")
    }
}
