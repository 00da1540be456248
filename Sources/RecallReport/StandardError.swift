import Foundation
import RecallSuite

/// Standard error: the one place where lines are written to it. What users named, files and paths and words, stands in
/// them, so each is escaped.
public enum StandardError {
    /// Writes a line. A standard error that is closed is no reason to stop.
    public static func write(line: String) { write(lines: [line]) }

    /// Writes lines, all at once.
    public static func write(lines: [String]) {
        write(raw: lines.map { oneLine($0) + "\n" }.joined())
    }

    /// Writes what is more than lines: bars that are drawn in place, of texts that were escaped before.
    public static func write(raw text: String, to output: FileHandle = .standardError) {
        try? output.write(contentsOf: Data(text.utf8))
    }
}
