import Foundation
import RecallBenchmark
import RecallStore
import RecallSuite

/// The variables that the program reads besides its options, for machines and tests where the defaults do not do.
enum EnvironmentVariables {
    /// "4GiB", "4096MiB", "4294967296".
    static let memory = "RECALL_BENCH_MEMORY"

    /// For a command's help.
    static let help = """
        ENVIRONMENT
          \(memory)        room for runs, such as 4GiB (what is free)
          \(Store.busyVariable)  seconds to wait for another writer (30)
        """

    /// - Throws: `Failure` of status 64 for a variable whose value makes no sense.
    static func check() throws {
        _ = try memoryBytes()
        if let text = value(Store.busyVariable), Store.busyTimeout(of: text) == nil {
            throw Failure(
                .usage,
                "\(Store.busyVariable): '\(text)' is no number of seconds from 0 to 86400, such as 30"
            )
        }
    }

    /// Bytes that runs may take together: as the variable says, or what the system has available.
    static func availableMemory() throws -> Int { try memoryBytes() ?? AvailableMemory.bytes }

    private static func memoryBytes() throws -> Int? {
        guard let text = value(memory) else { return nil }
        do {
            return try ByteSize(text, option: memory).bytes
        } catch {
            throw Failure(.usage, error.description)
        }
    }

    /// nil where the variable is not set, or set to nothing.
    private static func value(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
