import RecallRandom
import RecallSuite
import Testing

/// Thousands of spoilt suites: every one is decoded or refused with a place inside the file and one line of words.
@Suite struct MutationTests {
    @Test(arguments: 0..<4) func spoiltSuitesAreRefusedWithAPlace(_ part: Int) throws {
        var stream = RandomStream(seed: UInt64(part), purpose: .test)
        let sources = SuiteLibrary.embedded.values.sorted() + [plainSuite, plainSuite]
        var refused = 0
        for _ in 0..<750 {
            let text = spoil(sources[stream.below(sources.count)], &stream)
            do {
                // Decoding alone: hashing every run of a good one would take long and find nothing.
                _ = try Suite(yaml: text, file: "x.yaml")
            } catch {
                refused += 1
                let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.count
                #expect((1...lines + 1).contains(error.line), "\(error)\n\(text)")
                #expect(error.column >= 1 && !error.message.isEmpty, "\(error)\n\(text)")
                let words = error.description
                #expect(!words.contains { $0.isNewline } && words.count < 1000, "\(error)\n\(text)")
            }
        }
        // Most changes break something; were none refused, the test would test nothing.
        #expect(refused > 300)
    }

    private func spoil(_ source: String, _ stream: inout RandomStream) -> String {
        var lines = source.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.utf8) }
        let splices = [
            "[", "]", "{", "}", ":", ": ", "- ", "*a", "&a ", "? ", "|", ">", "'", "\"", "\t", "!", "%", "\\",
            "#",
            "---", "...", "null", "-1", "1e400", ".nan", "0x10", "yes", "<<: ", "\u{0}", "\u{85}", "\u{2028}",
            "é", "\r", ", ",
        ]
        for _ in 0...stream.below(3) {
            let line = stream.below(lines.count)
            switch stream.below(7) {
            case 0: lines.remove(at: line)
            case 1: lines.insert(lines[line], at: line)
            case 2: lines.swapAt(line, stream.below(lines.count))
            case 3: lines.insert(lines[line], at: stream.below(lines.count))
            case 4:
                if !lines[line].isEmpty {
                    lines[line][stream.below(lines[line].count)] ^= 1 << UInt8(stream.below(7))
                }
            case 5:
                let splice = Array(splices[stream.below(splices.count)].utf8)
                lines[line].insert(contentsOf: splice, at: stream.below(lines[line].count + 1))
            default:
                if !lines[line].isEmpty { lines[line].removeLast(1 + stream.below(lines[line].count)) }
            }
            if lines.isEmpty { lines = [[]] }
        }
        return String(decoding: Array(lines.joined(separator: [0x0A])), as: UTF8.self)
    }
}

extension RandomStream {
    /// An index below `count`; the bias of the remainder does not matter here.
    fileprivate mutating func below(_ count: Int) -> Int { Int(nextWord()) % count }
}
