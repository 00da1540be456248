import Foundation
import TestSupport
import Testing

/// The numbers of docs/state.md are what the commands beside them print.
@Suite struct StateDocumentTests {
    private func run(_ command: String) throws -> [String] {
        let words = command.split(separator: " ").map(String.init)
        #expect(words.first == "recall-bench")
        let outcome = try Workspace().run(more: Array(words.dropFirst()))
        #expect(outcome.status == 0, "\(command): \(outcome.errors)")
        return outcome.outputLines
    }

    /// The number of "measured  9,728 B (9.5 KiB)", of the first such line.
    private func bytes(_ name: String, _ lines: [String]) -> String? {
        lines.first { $0.drop { $0 == " " }.hasPrefix("\(name) ") }.flatMap { line in
            line.components(separatedBy: name)[1].split(separator: " ").first.map(String.init)
        }
    }

    @Test func theTableOfFormulas() throws {
        let rows = try RepositoryDocument.text("docs/state.md").components(separatedBy: "\n").filter {
            $0.hasPrefix("|") && $0.contains("`recall-bench models ")
        }
        #expect(rows.count == 12)
        for row in rows {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let command = try #require(cells.last).filter { $0 != "`" }
            let lines = try run(command)
            let numbers = cells.suffix(3).prefix(2)
            #expect(bytes("published formula", lines) == numbers.first, "\(row)")
            #expect(bytes("measured", lines) == numbers.last, "\(row)")
        }
    }

    /// Lines that a block shows under a command come in its output, in that order; "…" stands for others.
    @Test func whatIsShownIsWhatIsPrinted() throws {
        var commands = 0
        var left: [String] = []
        for line in try RepositoryDocument.text("docs/state.md").components(separatedBy: "\n") {
            if line.hasPrefix("$ ") {
                left = try run(String(line.dropFirst(2)))
                commands += 1
            } else if line.hasPrefix("```") {
                left = []
            } else if !left.isEmpty, line != "…" {
                let place = try #require(left.firstIndex(of: line), "'\(line)' is not printed")
                left.removeFirst(place + 1)
            }
        }
        #expect(commands == 1)
    }
}
