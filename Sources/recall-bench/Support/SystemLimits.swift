import Foundation
import RecallStore

/// A command that asks the system for no thread, or goes on without those that it is refused.
protocol WorksWithoutThreads {}

extension SuitesCommand: WorksWithoutThreads {}
extension ModelsCommand: WorksWithoutThreads {}
extension TasksCommand: WorksWithoutThreads {}
/// Says how it is used.
extension RecallBench: WorksWithoutThreads {}

/// Looks, before there is work to lose, whether the system lets the process have what its libraries cannot do without.
enum SystemLimits {
    /// What opening a database takes, with the timer and the child process that some commands have.
    private static let usualThreads = 4
    /// What Dispatch takes for itself, and ends the process without.
    private static let usualDescriptors = 5

    /// - Throws: `Failure` (69).
    static func requireUsual() throws {
        try requireDescriptors(usualDescriptors)
        try requireThreads()
    }

    /// Whether a command is one of those, or the parser's own for help.
    static func worksWithoutThreads(_ command: some Any) -> Bool {
        command is any WorksWithoutThreads
            || String(reflecting: type(of: command as Any)).hasPrefix("ArgumentParser.")
    }

    /// - Parameters:
    ///   - further: those that a command begins itself.
    ///   - options: of the command, that ask for fewer.
    /// - Throws: `Failure` (69).
    static func requireThreads(_ further: Int = 0, options: String = "") throws {
        let count = usualThreads + further
        guard !ProcessLimits.hasThreads(count) else { return }
        throw Failure(
            .unavailable,
            "the system refuses this process the \(count) threads that it needs; raise `ulimit -u`, or the limit of its "
                + "control group on processes\(options.isEmpty ? "" : ", or use fewer \(options)")"
        )
    }

    /// Threads that kernels begin, the one that calls them aside: all runs share those, one per core.
    static func kernelThreads(_ threads: Int, runs: Int = 1) -> Int {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return threads > 1 ? min(max(runs, 1) * min(threads - 1, cores), cores) : 0
    }

    /// - Throws: `Failure` (69).
    static func requireDescriptors(_ count: Int) throws {
        guard !ProcessLimits.hasDescriptors(count) else { return }
        throw Failure(
            .unavailable,
            "the system refuses this process \(count) more open files; `ulimit -n` is \(ProcessLimits.mostDescriptors): "
                + "raise it"
        )
    }
}
