import Foundation
import GRDB
import Testing

/// The commands of this program that a text has between backquotes.
func commandsBetweenBackquotes(_ text: String) -> [String] {
    text.matches(of: /`(recall-bench [^`]+)`/).map { String($0.1) }
}

extension Workspace {
    /// Runs a command as a person would who copies it into a shell.
    ///
    /// - Parameters:
    ///   - command: one that begins with the program's name.
    ///   - more: further words.
    func shell(_ command: String, more: [String] = [], timeout: Double = 60) throws -> Outcome {
        let name = "recall-bench "
        try #require(command.hasPrefix(name), "\(command)")
        // $0 is the program: not every shell takes a hyphen in a function's name.
        let script = "\"$0\" " + command.dropFirst(name.count) + " \"$@\""
        return try run(
            "-c",
            script,
            Program.url.path,
            more: more,
            program: URL(fileURLWithPath: "/bin/bash"),
            timeout: timeout
        )
    }

    /// Changes rows of a database behind the program's back.
    func execute(_ sql: String, on database: String = "results/recall.sqlite") throws {
        let queue = try DatabaseQueue(path: path(database))
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }
}
