import RecallSuite

extension ShellCommand {
    /// What continues the work of this process: its own arguments, whatever they are, but for those that would undo what
    /// is done, or do nothing.
    static var continuing: ShellCommand { continuing(CommandLine.arguments.dropFirst()) }

    /// - Parameter arguments: those of the process, without its name.
    static func continuing(_ arguments: some Sequence<String>) -> ShellCommand {
        ShellCommand(words: arguments.filter { !["--fresh", "--dry-run"].contains($0) })
    }
}
