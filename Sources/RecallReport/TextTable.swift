import RecallSuite

/// A table of plain text: aligned columns, numbers to the right, two spaces between.
public struct TextTable: Sendable {
    public enum Alignment: Sendable { case left, right }

    public struct Column: Sendable {
        public var title: String
        public var alignment: Alignment
        /// Whether the column may be shortened so that the table fits.
        public var shrinks: Bool
        /// Whether its cells may be broken at spaces into several lines for that; nothing of them is lost.
        public var wraps: Bool
        /// Whether a column that wraps may be broken after hyphens too.
        public var hyphenates: Bool

        public init(
            _ title: String,
            _ alignment: Alignment = .left,
            shrinks: Bool = false,
            wraps: Bool = false,
            hyphenates: Bool = false
        ) {
            (self.title, self.alignment, self.shrinks, self.wraps) = (title, alignment, shrinks, wraps)
            self.hyphenates = hyphenates
        }
    }

    public let columns: [Column]
    public private(set) var rows: [[String]] = []

    public init(_ columns: [Column]) { self.columns = columns }

    public mutating func add(_ row: [String]) {
        precondition(row.count == columns.count, "a row of \(row.count) cells under \(columns.count) columns")
        // A cell is one line, whatever a user called their model.
        rows.append(row.map { oneLine($0.split(whereSeparator: \.isNewline).joined(separator: " ")) })
    }

    /// Columns of a terminal that the table fills when nothing is shortened.
    public var naturalWidth: Int { lines(width: .max).map(displayWidth).max() ?? 0 }

    /// The lines of the table: titles, a rule, the rows. Columns without any text are left out.
    ///
    /// - Parameter width: the most columns of a terminal to fill; for it columns that may are shortened, down to eight, or
    ///   broken, down to their longest word, and what still does not fit sticks out.
    public func lines(width: Int = 100) -> [String] {
        let shown = columns.indices.filter { index in rows.isEmpty || rows.contains { !$0[index].isEmpty } }
        var widths = shown.map { index in
            rows.map { displayWidth($0[index]) }.reduce(displayWidth(columns[index].title), max)
        }
        var excess = widths.reduce(0, +) + 2 * max(0, shown.count - 1) - width
        // The last columns give way first.
        for place in shown.indices.reversed() where excess > 0 {
            guard let least = leastWidth(shown[place]) else { continue }
            let cut = min(excess, max(0, widths[place] - least))
            widths[place] -= cut
            excess -= cut
        }
        func line(_ cells: [String]) -> String {
            let padded = shown.indices.map { place in
                let cell = shortened(cells[shown[place]], to: widths[place])
                let padding = String(repeating: " ", count: widths[place] - displayWidth(cell))
                return columns[shown[place]].alignment == .left ? cell + padding : padding + cell
            }
            return trimmedRight(padded.joined(separator: "  "))
        }
        let rule = widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
        let body = rows.flatMap { row in
            let broken = shown.indices.map { place in
                columns[shown[place]].wraps
                    ? brokenAtSpaces(
                        row[shown[place]],
                        to: widths[place],
                        hyphensToo: columns[shown[place]].hyphenates
                    )
                    : [row[shown[place]]]
            }
            return (0..<(broken.map(\.count).max() ?? 0)).map { index in
                var cells = row
                for (place, parts) in zip(shown, broken) {
                    cells[place] = parts.indices.contains(index) ? parts[index] : ""
                }
                return line(cells)
            }
        }
        return [line(columns.map(\.title)), rule] + body
    }

    /// The fewest columns of a terminal for a column of the table; nil where it may not give way.
    private func leastWidth(_ index: Int) -> Int? {
        guard columns[index].wraps else { return columns[index].shrinks ? 8 : nil }
        let hyphenates = columns[index].hyphenates
        return rows.flatMap { wordsWithGlue($0[index], hyphensToo: hyphenates) }.map { displayWidth($0.word) }
            .reduce(displayWidth(columns[index].title), max)
    }

    /// The table as text that ends in a newline.
    public func render(width: Int = 100) -> String {
        lines(width: width).map { $0 + "\n" }.joined()
    }
}

/// How many columns of a terminal a text takes, roughly: wide East Asian characters and emoji take two, marks that
/// combine none.
public func displayWidth(_ text: String) -> Int {
    text.reduce(0) { $0 + displayWidth($1) }
}

private func displayWidth(_ character: Character) -> Int {
    guard let first = character.unicodeScalars.first else { return 0 }
    if first.value < 0x300 { return first.value < 0x20 || first.value == 0x7F ? 0 : 1 }
    switch first.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: break
    }
    if first.properties.isEmojiPresentation || character.unicodeScalars.contains(where: { $0.value == 0xFE0F })
    {
        return 2
    }
    switch first.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
        0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF,
        0x20000...0x3FFFD:
        return 2
    default: return 1
    }
}

/// The words of a text, each with what stands before it on the same line: a space, or nothing after a hyphen.
private func wordsWithGlue(_ text: String, hyphensToo: Bool) -> [(glue: String, word: String)] {
    text.split(separator: " ").flatMap { word -> [(glue: String, word: String)] in
        guard hyphensToo else { return [(" ", String(word))] }
        let parts = word.split(separator: "-", omittingEmptySubsequences: false)
        return parts.enumerated().map { index, part in
            (index == 0 ? " " : "", part + (index < parts.count - 1 ? "-" : ""))
        }
    }
}

/// The text in lines of a width, broken at spaces, and after hyphens where asked; a word that is wider has a line of its
/// own.
func brokenAtSpaces(_ text: String, to width: Int, hyphensToo: Bool = false) -> [String] {
    guard displayWidth(text) > width else { return [text] }
    var lines: [String] = []
    for (glue, word) in wordsWithGlue(text, hyphensToo: hyphensToo) {
        if let last = lines.last, displayWidth(last) + glue.count + displayWidth(word) <= width {
            lines[lines.count - 1] = last + glue + word
        } else {
            lines.append(word)
        }
    }
    return lines
}

/// The text, or as much of its beginning as fits with an ellipsis.
public func shortened(_ text: String, to width: Int) -> String {
    guard displayWidth(text) > width else { return text }
    guard width > 0 else { return "" }
    var result = ""
    var used = 0
    for character in text {
        let next = displayWidth(character)
        if used + next > width - 1 { break }
        result.append(character)
        used += next
    }
    return result + "…"
}

/// The text without the spaces at its end.
func trimmedRight(_ text: String) -> String {
    String(text.reversed().drop { $0 == " " }.reversed())
}
