import Foundation
import RecallReport

/// Standard output.
enum Output {
    /// Columns to print to: the terminal's, or what fits a page where output is piped.
    static var width: Int {
        isatty(STDOUT_FILENO) == 1 ? max(60, Terminal.size(.standardOutput).columns) : 100
    }

    /// Writes text. A reader that went away (`| head`) ends the program quietly, as any filter would.
    static func write(_ text: String) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            exit(0)
        }
    }
}
