import Foundation
import Logging
import RecallReport

/// What the program does inside, for whoever looks for a fault: on standard error, from the level that RECALL_BENCH_LOG
/// names (trace, debug, info, warning …; warning by default).
enum Log {
    static func make(_ part: String) -> Logger {
        var logger = Logger(label: "recall-bench.\(part)") { StandardErrorLog(label: $0) }
        logger.logLevel =
            ProcessInfo.processInfo.environment["RECALL_BENCH_LOG"].flatMap(Logger.Level.init(rawValue:))
            ?? .warning
        return logger
    }
}

/// A line of standard error for each event: what a request or a file was called may be in it.
private struct StandardErrorLog: LogHandler {
    let label: String
    var logLevel = Logger.Level.warning
    var metadata: Logger.Metadata = [:]

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let details = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        StandardError.write(
            line: "\(Date().formatted(.iso8601)) \(event.level) \(label):\(details) \(event.message)"
        )
    }
}
