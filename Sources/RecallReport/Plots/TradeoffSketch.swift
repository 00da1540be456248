import Foundation
import RecallInput

/// The tradeoff in letters, for a terminal: accuracy upwards, the bytes of state to the right, a letter a model, and the
/// frontier as a line.
public struct TradeoffSketch: Sendable {
    private let tradeoff: Tradeoff

    /// A row a tenth of accuracy.
    static let rows = 11
    private static let margin = 5
    private static let widths = 40...76

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// A sketch for each task and training, as the figure has panels, with its axis and key; ends in a newline, empty where
    /// there is no row.
    ///
    /// - Parameters:
    ///   - width: columns of the terminal; no more than 76 are filled.
    ///   - unicode: whether lines are drawn with more than ASCII.
    public func render(width: Int, unicode: Bool = Terminal.speaksUnicode()) -> String {
        let settings = tradeoff.rows.map(\.setting)
        var panels: [TradeoffSetting] = []
        for setting in settings where !panels.contains(setting) { panels.append(setting) }
        let titles = TradeoffSetting.titles(panels)
        let columns = min(max(width, Self.widths.lowerBound), Self.widths.upperBound)
        let letters = Self.letters(tradeoff.rows.map(\.model))
        let parts = panels.map { panel in
            let rows = zip(tradeoff.rows, settings).filter { $0.1 == panel }.map(\.0)
            var canvas = SketchCanvas(rows, columns: columns - Self.margin, glyphs: unicode ? .unicode : .ascii)
            canvas.drawBreak()
            canvas.drawChance()
            canvas.drawFrontier()
            canvas.drawPoints(letters)
            let title = titles[panel].flatMap { $0.isEmpty ? nil : brokenAtSpaces($0, to: columns) } ?? []
            let lines =
                title.map { shortened($0, to: columns) } + canvas.lines(margin: Self.margin)
                + key(letters, canvas, columns)
            return lines.map { $0 + "\n" }.joined()
        }
        return parts.joined(separator: "\n")
    }

    /// A letter each in the order of the rows: capitals, then small ones; beyond that models share the last.
    static func letters(_ models: [String]) -> [String: Character] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        var letters: [String: Character] = [:]
        for model in models where letters[model] == nil {
            letters[model] = alphabet[min(letters.count, alphabet.count - 1)]
        }
        return letters
    }

    private func key(_ letters: [String: Character], _ canvas: SketchCanvas, _ columns: Int) -> [String] {
        let models = letters.sorted { $0.value < $1.value || $0.value == $1.value && $0.key < $1.key }
        // Capitals stand before small letters.
        var entries = models.map { "\($0.value) \($0.key)" }
        if canvas.hasShared { entries.append("\(SketchCanvas.shared) several models") }
        if canvas.hasFrontier { entries.append("\(canvas.glyphs.level) the frontier") }
        if canvas.hasBreak { entries.append("\(canvas.glyphs.interruption) left of it: no state, 0 B") }
        if canvas.hasChance { entries.append("\(canvas.glyphs.chance) a guess among the sequence's values") }
        var lines: [String] = []
        for entry in entries {
            let text = entry.split(whereSeparator: \.isNewline).joined(separator: " ")
            if let last = lines.last, displayWidth(last) + 3 + displayWidth(text) <= columns {
                lines[lines.count - 1] = last + "   " + text
            } else {
                lines.append(shortened(text, to: columns))
            }
        }
        return lines
    }
}

/// A grid of characters over log2 of the state and the accuracy.
struct SketchCanvas {
    struct Glyphs {
        let level, upright, rising, turning, chance, axis, corner, tick, interruption: Character

        static let unicode = Glyphs(
            level: "─",
            upright: "│",
            rising: "┘",
            turning: "┌",
            chance: "·",
            axis: "│",
            corner: "└",
            tick: "┴",
            interruption: "┊"
        )
        static let ascii = Glyphs(
            level: "-",
            upright: "|",
            rising: "+",
            turning: "+",
            chance: ".",
            axis: "|",
            corner: "+",
            tick: "+",
            interruption: ":"
        )
    }

    static let shared: Character = "*"

    let glyphs: Glyphs
    private let rows: [TradeoffRow]
    private let columns: Int
    private let axis: PlotAxis
    private var cells: [[Character]]
    private(set) var hasShared = false
    private(set) var hasFrontier = false
    private(set) var hasChance = false

    init(_ rows: [TradeoffRow], columns: Int, glyphs: Glyphs) {
        (self.rows, self.columns, self.glyphs) = (rows, columns, glyphs)
        axis = PlotAxis("", .bytes, holding: rows.map { Double($0.facts.stateBytes) })
        cells = Array(repeating: Array(repeating: " ", count: columns), count: TradeoffSketch.rows)
    }

    /// The column of a number of the axis.
    private func column(_ number: Double) -> Int {
        Int(clamping: min(max(axis.share(number), 0), 1) * Double(columns - 1))
    }

    /// The line of an accuracy, which is finite.
    private func line(_ accuracy: Double) -> Int {
        Int(clamping: (1 - min(max(accuracy, 0), 1)) * Double(TradeoffSketch.rows - 1))
    }

    /// Where a row stands; nil where it has no accuracy that can be drawn.
    private func place(_ row: TradeoffRow) -> (column: Int, line: Int)? {
        let accuracy = row.testAccuracy.mean
        guard accuracy.isFinite, let state = axis.position(Double(row.facts.stateBytes)) else { return nil }
        return (column(state), line(accuracy))
    }

    var hasBreak: Bool { axis.zeroStrip != nil }

    /// Between no state and the logarithms of the others.
    mutating func drawBreak() {
        guard let end = axis.zeroStrip?.end else { return }
        for line in cells.indices { cells[line][column(end)] = glyphs.interruption }
    }

    mutating func drawChance() {
        let levels = Set(rows.map(\.spec.task.chanceAccuracyInSequence))
        guard levels.count == 1, let level = levels.first, level.isFinite else { return }
        hasChance = true
        cells[line(level)] = Array(repeating: glyphs.chance, count: columns)
    }

    /// Level from each row of the frontier to the next, then up.
    mutating func drawFrontier() {
        let frontier = rows.filter { $0.standing == .on }.sorted {
            ($0.facts.stateBytes, $0.testAccuracy.mean) < ($1.facts.stateBytes, $1.testAccuracy.mean)
        }.compactMap(place)
        for (index, point) in frontier.enumerated() {
            hasFrontier = true
            let next = index + 1 < frontier.count ? frontier[index + 1] : (column: columns, line: point.line)
            for column in point.column..<max(point.column, next.column) {
                cells[point.line][column] = glyphs.level
            }
            guard next.line < point.line else {
                if next.column < columns { cells[point.line][next.column] = glyphs.level }
                continue
            }
            cells[point.line][next.column] = glyphs.rising
            for line in (next.line + 1)..<max(point.line, next.line + 1) {
                cells[line][next.column] = glyphs.upright
            }
            cells[next.line][next.column] = glyphs.turning
        }
    }

    mutating func drawPoints(_ letters: [String: Character]) {
        var models: [[Int]: String] = [:]
        for row in rows {
            guard let found = self.place(row) else { continue }
            let place = [found.line, found.column]
            let isShared = models[place].map { $0 != row.model } ?? false
            if models[place] == nil { models[place] = row.model }
            hasShared = hasShared || isShared
            let isMarked = cells[place[0]][place[1]] == Self.shared
            cells[place[0]][place[1]] = isShared || isMarked ? Self.shared : letters[row.model] ?? Self.shared
        }
    }

    /// The grid with its axes: accuracies to the left, bytes beneath.
    func lines(margin: Int) -> [String] {
        var lines = cells.enumerated().map { index, line in
            let accuracy = 1 - Double(index) / Double(TradeoffSketch.rows - 1)
            let label = index % 2 == 0 ? String(format: "%.1f ", accuracy) : "    "
            return trimmedRight(label + String(glyphs.axis) + String(line))
        }
        var rule = Array(repeating: glyphs.level, count: columns)
        var labels = ""
        for tick in axis.ticks(length: Double(columns), room: { Double($0.count + 2) }) {
            let place = column(tick.value)
            rule[place] = glyphs.tick
            // Centred, but within the grid.
            let begin = min(max(0, margin + place - tick.text.count / 2), margin + columns - tick.text.count)
            if begin < labels.count { continue }
            labels += String(repeating: " ", count: begin - labels.count) + tick.text
        }
        lines.append(String(repeating: " ", count: margin - 1) + String(glyphs.corner) + String(rule))
        return lines + [labels]
    }
}
