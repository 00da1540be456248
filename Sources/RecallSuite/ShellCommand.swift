/// A command of this program, as a person can copy it into a shell and run it.
///
/// Everything that the program prints for copying is made of this: messages, the report and the served page.
public struct ShellCommand: Hashable, Sendable, CustomStringConvertible {
    /// The name that commands begin with.
    public static let program = "recall-bench"
    /// The database of a command without `--db`.
    public static let defaultDatabase = "results/recall.sqlite"

    /// What follows the program's name, unquoted.
    public private(set) var words: [String]

    /// - Parameter words: the subcommand and what belongs to it.
    public init(_ words: String...) { self.words = words }

    /// - Parameter words: what follows the program's name.
    public init(words: some Sequence<String>) { self.words = Array(words) }

    /// With an option and its value.
    ///
    /// - Parameter value: nil leaves the option out.
    public func option(_ name: String, _ value: String?) -> ShellCommand {
        guard let value else { return self }
        var command = self
        // A value that begins with a hyphen would be read as an option of its own.
        command.words += value.hasPrefix("-") ? ["\(name)=\(value)"] : [name, value]
        return command
    }

    /// With an option that is given once per value.
    public func options(_ name: String, _ values: some Sequence<String>) -> ShellCommand {
        values.reduce(self) { $0.option(name, $1) }
    }

    /// With further words.
    public func adding(_ words: [String]) -> ShellCommand { ShellCommand(words: self.words + words) }

    /// On a database: with `--db`, unless it is the one that commands use without.
    public func on(database: String) -> ShellCommand {
        option("--db", database == Self.defaultDatabase ? nil : database)
    }

    /// One line for a shell.
    public var description: String {
        ([Self.program] + words).map(Self.quoted).joined(separator: " ")
    }

    /// A text as one word of a shell, on one line.
    ///
    /// Quoted as POSIX has it. A text that a message would have to escape (`oneLine`), with control characters, line ends
    /// or marks of direction, is written as `$'…'`, which bash, zsh, ksh and POSIX since 2024 understand.
    public static func quoted(_ text: String) -> String {
        let scalars = text.unicodeScalars
        return !scalars.isEmpty && scalars.allSatisfy(isPlain) ? text : inQuotes(text)
    }

    /// The same in quotes in any case: a word of a sentence that may be copied into a shell.
    public static func inQuotes(_ text: String) -> String {
        guard oneLine(text) != text else { return "'" + text.replacing("'", with: "'\\''") + "'" }
        let escaped = text.unicodeScalars.map { scalar in
            if scalar == "'" || scalar == "\\" { return "\\\(scalar)" }
            guard isUnprintable(scalar) else { return String(scalar) }
            return String(scalar).utf8.map { byte in
                let digits = String(byte, radix: 8)
                return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }.joined()
        }
        return "$'" + escaped.joined() + "'"
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_", ".", "/", "=", ",", ":", "+", "@", "%": true
        default: false
        }
    }
}
