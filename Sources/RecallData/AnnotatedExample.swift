/// One example as text that a person can check: its pairs, each query with its answer and how far back the pair
/// is, and the sequence itself. No line is longer than 100 columns.
public struct AnnotatedExample: Hashable, Sendable, CustomStringConvertible {
    /// How tokens that are neither context nor query are shown.
    public enum FillerStyle: Hashable, Sendable {
        /// As `·`.
        case dots
        /// As they are.
        case numbers
    }

    /// The text, several lines without a newline at the end.
    public let description: String

    static let columns = 100

    /// - Parameters:
    ///   - segment: the segment's index in its split.
    ///   - example: the example's index; it may lie beyond the segment's own examples.
    public init(
        _ generator: MQARGenerator,
        _ split: Split,
        segment index: Int,
        example: Int,
        fillers: FillerStyle = .dots
    ) {
        let data = SegmentData.make(generator, split, index, firstExample: example, examples: 1)
        let (length, pairs) = (data.segment.sequenceLength, data.segment.kvPairs)
        let width = String(generator.task.vocabSize - 1).count
        let positionWidth = max(8, String(length - 1).count)
        func padded(_ number: some BinaryInteger, to width: Int) -> String {
            let text = String(number)
            return String(repeating: " ", count: max(0, width - text.count)) + text
        }

        var lines = [
            "\(split.rawValue) segment \(index), example \(example)",
            "L = \(length), \(pairs) pairs, vocabulary \(generator.task.vocabSize)", "",
            "pairs (key → value)",
        ]
        lines += Self.rows(
            (0..<pairs).map { pair in
                "  " + padded(data.tokens[2 * pair], to: width) + " → "
                    + padded(data.tokens[2 * pair + 1], to: width)
            }
        ).map { $0.text }

        lines += ["", "queries (gap: tokens from the key's first place to the query)"]
        lines.append("  position   " + Self.right("key", max(3, width)) + "       gap   answer")
        var place: [Int32: Int] = [:]
        for pair in 0..<pairs { place[data.tokens[2 * pair]] = 2 * pair }
        var queries: Set<Int> = []
        for (position, answer) in zip(data.labelPositions, data.labels) {
            let position = Int(position)
            queries.insert(position)
            let key = data.tokens[position]
            lines.append(
                "  " + padded(position, to: positionWidth) + "   " + padded(key, to: max(3, width)) + "  "
                    + padded(position - place[key]!, to: 8) + "   "
                    + padded(answer, to: 6)
            )
        }

        lines += ["", "sequence (queries in brackets\(fillers == .dots ? ", fillers as dots" : ""))"]
        let cells = (0..<length).map { position in
            if queries.contains(position) { return "[" + padded(data.tokens[position], to: width) + "]" }
            if position >= 2 * pairs, fillers == .dots { return " " + Self.right("·", width) + " " }
            return " " + padded(data.tokens[position], to: width) + " "
        }
        lines += Self.rows(cells, margin: positionWidth + 2).map { row in
            padded(row.first, to: positionWidth) + "  " + row.text
        }
        description = lines.map(Self.trimmed).joined(separator: "\n")
    }

    /// Puts cells of equal width in rows of an even number of them, as many as fit.
    private static func rows(_ cells: [String], margin: Int = 0) -> [(first: Int, text: String)] {
        let fitting = (columns - margin) / (cells.first?.count ?? 1)
        let perRow = max(1, fitting >= 10 ? fitting / 10 * 10 : fitting)
        return stride(from: 0, to: cells.count, by: perRow).map { first in
            (first, cells[first..<min(first + perRow, cells.count)].joined())
        }
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func trimmed(_ line: String) -> String {
        String(line.reversed().drop { $0 == " " }.reversed())
    }
}
