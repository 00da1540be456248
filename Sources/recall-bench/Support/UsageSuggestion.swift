import ArgumentParser
import Foundation
import RecallSuite

/// What a misspelt command or option most likely means. The parser suggests options only where nothing else is wrong, and
/// commands never.
enum UsageSuggestion {
    /// What the parser tells about itself.
    private struct Tool: Decodable {
        let command: Command
    }

    private struct Command: Decodable {
        let commandName: String
        let subcommands: [Command]?
        let arguments: [Argument]?

        var options: [String] {
            (arguments ?? []).flatMap { $0.names ?? [] }.filter { $0.kind == "long" }.map { "--\($0.name)" }
        }
    }

    private struct Argument: Decodable {
        let names: [Name]?
    }

    private struct Name: Decodable {
        let kind: String
        let name: String
    }

    /// A sentence about the first word that is no command, or the first option that is none and is near to one; nil where
    /// every command is known and there is no such option.
    ///
    /// - Parameter arguments: those of the process, without its name.
    static func text(for arguments: some Sequence<String>) -> String? {
        guard let tool = try? JSONDecoder().decode(Tool.self, from: Data(RecallBench._dumpHelp().utf8)) else {
            return nil
        }
        var (command, path, rest) = (tool.command, "", Array(arguments)[...])
        while let word = rest.first, let next = command.subcommands?.first(where: { $0.commandName == word }) {
            (command, path, rest) = (next, path + word + " ", rest.dropFirst())
        }
        if let commands = command.subcommands, let word = rest.first, !word.hasPrefix("-") {
            let names = commands.map(\.commandName)
            let near = nearest(word, in: names).map { "did you mean '\(path)\($0)'?" }
            return "there is no command '\(path)\(word)'; "
                + (near ?? "there are \(names.joined(separator: ", "))")
        }
        return rest.prefix { $0 != "--" }.lazy.compactMap { unknownOption($0, of: command) }.first
    }

    private static func unknownOption(_ word: String, of command: Command) -> String? {
        guard word.hasPrefix("--") else { return nil }
        let option = String(word.prefix { $0 != "=" })
        let names = command.options
        // A flag may have a form that says no.
        guard !names.contains(option), !names.contains("--" + option.dropFirst("--no-".count)) else {
            return nil
        }
        return nearest(option, in: names).map { "unknown option '\(option)'; did you mean '\($0)'?" }
    }
}
