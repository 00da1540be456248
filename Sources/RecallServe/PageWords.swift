import RecallSuite

/// The commands that the page names, which depend on the database that it shows.
public struct PageWords: Sendable {
    /// Trains what the page waits for while there is nothing to show.
    let training: ShellCommand
    /// Shows the same in a terminal.
    let watching: ShellCommand

    public init(training: ShellCommand, watching: ShellCommand) {
        (self.training, self.watching) = (training, watching)
    }

    /// The page with the commands in their places.
    func filled(in page: [UInt8]) -> [UInt8] {
        var text = String(decoding: page, as: UTF8.self)
        for (place, command) in [("training", training), ("watching", watching)] {
            let mark = "{{\(place)}}"
            precondition(text.contains(mark), "the page has no place for the command \(place)")
            text.replace(mark, with: Self.escaped(command.description))
        }
        return Array(text.utf8)
    }

    /// Goes scalar by scalar, because a parser does not count a combining mark as part of a bracket.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            switch scalar {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            default: String(scalar)
            }
        }.joined()
    }
}
