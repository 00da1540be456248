extension Mutator {
    private static let csvFields = [
        "", "0", "-0", "-1", "1", "0.5", "1.5", "2", "1e308", "-1e308", "1e-320", "1e400", "nan", "NaN", "inf",
        "-inf",
        "0x10", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "4611686018427387904",
        "true",
        "FALSE", "yes", "passes", "fails", "solved", "quick", "other", "generate", "attention decode",
        "prefill",
        "0.5;0.25", "0.5;;", ";", "1/0;1/1", "{}", "\"{\"\"batch\"\":16,\"\"sequence_length\"\":0}\"",
        "\"{\"\"batch\"\":16,\"\"sequence_length\"\":9223372036854775807}\"", "\"a\nb\"", "\"a,b\"", "'a",
        "\"\"\"\"",
        "é\u{1F600}", "\u{202E}", "=1+1",
    ]
    private static let csvBroken = ["\"", ",", "\r", "\n", "\u{0}", "\u{FEFF}", ";", "\u{2028}"]
    private static let csvColumns = [
        "suite", "model", "config", "state_bytes", "test_accuracy_mean", "test_accuracy_low",
        "test_accuracy_high",
        "test_accuracy_min", "test_accuracy_seeds", "seed_names", "test_labels", "failed_seeds", "chance_loss",
        "chance_accuracy", "outcome", "control", "task", "training", "kind", "name", "shape",
        "tokens_per_second", "unheard_of",
    ]

    /// A table, changed in up to four places: mostly fields replaced, at times lines and columns, and now and then bytes.
    public mutating func csv(_ source: [UInt8]) -> [UInt8] {
        var lines = source.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        for _ in 0...below(4) {
            let line = below(lines.count)
            switch below(32) {
            case 0: lines.remove(at: line)
            case 1, 2: lines.insert(lines[line], at: below(lines.count + 1))
            case 3: lines.swapAt(line, below(lines.count))
            case 4: if !lines[line].isEmpty { lines[line].removeLast(1 + below(lines[line].count)) }
            case 5: flipBit(&lines[line])
            case 6: insert(pick(Self.csvBroken), into: &lines[line])
            case 7: replaceField(&lines[0], with: pick(Self.csvColumns))
            default: replaceField(&lines[max(line, min(1, lines.count - 1))], with: pick(Self.csvFields))
            }
            if lines.isEmpty { lines = [[]] }
        }
        return Array(lines.joined(separator: [0x0A]))
    }

    /// Puts a text in the place of a field; a comma within quotes ends none.
    private mutating func replaceField(_ line: inout [UInt8], with text: [UInt8]) {
        var (ends, isQuoted) = ([-1], false)
        for (place, byte) in line.enumerated() {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if byte == UInt8(ascii: ","), !isQuoted { ends.append(place) }
        }
        ends.append(line.count)
        let field = below(ends.count - 1)
        line.replaceSubrange(ends[field] + 1..<ends[field + 1], with: text)
    }
}
