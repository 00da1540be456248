import Foundation
import RecallReport
import RecallSuite

/// Plain text in columns without a header: what `suites`, `models`, `tasks` and `doctor` print, and what pipes well.
enum Listing {
    /// Names with what belongs to them, the second column aligned and wrapped.
    ///
    /// - Parameter indent: columns before each name.
    static func lines(
        _ entries: [(name: String, text: String)],
        indent: Int = 2,
        width: Int = Output.width
    ) -> [String] {
        let entries = entries.map { (name: oneLine($0.name), text: oneLine($0.text)) }
        let nameWidth = entries.map { displayWidth($0.name) }.max() ?? 0
        let margin = indent + nameWidth + 2
        return entries.flatMap { name, text in
            let head =
                String(repeating: " ", count: indent) + name
                + String(repeating: " ", count: nameWidth - displayWidth(name) + 2)
            let wrapped = wrap(text, to: max(20, width - margin))
            return wrapped.enumerated().map { index, line in
                trimmed((index == 0 ? head : String(repeating: " ", count: margin)) + line)
            }
        }
    }

    /// Columns padded to their widest cell, two spaces between; on a terminal the last is shortened to fit.
    static func columns(_ rows: [[String]]) -> [String] {
        let rows = rows.map { $0.map(oneLine) }
        guard let count = rows.map(\.count).max(), count > 0 else { return [] }
        let widths = (0..<count - 1).map { column in rows.map { displayWidth($0[column]) }.max() ?? 0 }
        let margin = widths.reduce(0) { $0 + $1 + 2 }
        let width = isatty(STDOUT_FILENO) == 1 ? Output.width : .max
        return rows.map { row in
            let head = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - displayWidth(cell) + 2)
            }.joined()
            return trimmed(head + shortened(row[count - 1], to: max(20, width - margin)))
        }
    }

    /// Breaks at spaces; a word longer than the width stands alone.
    static func wrap(_ text: String, to width: Int) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            let last = lines[lines.count - 1]
            if last.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if displayWidth(last) + 1 + displayWidth(String(word)) <= width {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }

    private static func trimmed(_ text: String) -> String {
        String(text.reversed().drop { $0 == " " }.reversed())
    }
}
