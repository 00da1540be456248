import Foundation
import Logging

/// What the program does inside, for whoever looks for a fault: on standard error, from the level that RECALL_BENCH_LOG
/// names (trace, debug, info, warning …; warning by default).
enum Log {
    static func make(_ part: String) -> Logger {
        var logger = Logger(label: "recall-bench.\(part)", factory: StreamLogHandler.standardError(label:))
        logger.logLevel =
            ProcessInfo.processInfo.environment["RECALL_BENCH_LOG"].flatMap(Logger.Level.init(rawValue:))
            ?? .warning
        return logger
    }
}
