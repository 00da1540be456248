import RecallInput

/// Where a figure's parts stand, in pixels from the top left.
struct PlotLayout {
    /// A panel's box, without its numbers and titles.
    struct Box: Equatable {
        var left, right, top, bottom: Double
    }

    let width: Int
    let height: Int
    let boxes: [Box]
    /// The title's lines, then the warning's.
    let headings: [(text: String, isWarning: Bool)]
    /// The left edge of the key, and the lines of its entries.
    let keyLeft: Double
    let keyRows: [(entry: PlotKeyEntry, lines: [String], top: Double)]

    static let fontSize = 12.0
    static let titleSize = 14.0
    static let lineHeight = 19.0
    /// What a sample of the key takes before its text.
    static let sampleWidth = 34.0
    private static let margin = 14.0
    /// Beside and below a panel's box: numbers and the axis' title.
    private static let axisWidth = 76.0
    private static let axisHeight = 56.0
    private static let leastBox = (width: 120.0, height: 90.0)
    /// Columns of text that a line of the key may have.
    private static let keyColumns = 46

    /// Pixels that a text of the ordinary size takes at most in the usual sans-serif fonts, roughly: emoji and the like
    /// are twice as wide.
    static func width(of text: String) -> Double { 0.6 * fontSize * Double(displayWidth(text)) }

    /// - Parameter size: pixels of the whole figure; nil for what suits it.
    /// - Throws: `PlotError.tooSmall`.
    init(_ plot: PlotScript, width wantedWidth: Int? = nil, height wantedHeight: Int? = nil) throws(PlotError) {
        let count = plot.panels.count
        let columns = count == 1 ? 1 : count <= 4 ? 2 : 3
        let rows = (count + columns - 1) / columns
        let titleHeight = plot.panels.contains { !$0.title.isEmpty } ? 30.0 : 12.0
        let key = plot.key.map { ($0, brokenAtSpaces($0.text, to: Self.keyColumns)) }
        let keyText = key.flatMap(\.1).map(Self.width(of:)).max() ?? 0
        let keyWidth = key.isEmpty ? 0 : Self.margin + Self.sampleWidth + keyText
        let keyHeight = key.reduce(0) { $0 + Self.lineHeight * Double($1.1.count) }
        let box: (width: Double, height: Double) =
            columns == 1 ? (600, 400) : columns == 2 ? (380, 280) : (270, 190)

        let besides = Double(columns) * (Self.axisWidth + Self.margin) + keyWidth + Self.margin
        let width = Double(wantedWidth ?? Int(clamping: (besides + Double(columns) * box.width).rounded(.down)))
        let boxWidth = (width - besides) / Double(columns)
        let textColumns = Int(clamping: ((width - 2 * Self.margin) / (0.6 * Self.titleSize)).rounded(.down))
        headings =
            brokenAtSpaces(plot.title, to: textColumns).map { ($0, false) }
            + (plot.warning.map { brokenAtSpaces($0, to: textColumns).map { ($0, true) } } ?? [])
        let top = Self.margin + 22 * Double(headings.count)
        let beyond = top + Double(rows) * (titleHeight + Self.axisHeight) + Self.margin / 2
        let natural = max(beyond + Double(rows) * box.height, top + titleHeight + keyHeight + Self.margin)
        let height = Double(wantedHeight ?? Int(clamping: natural.rounded(.down)))
        let boxHeight = (height - beyond) / Double(rows)
        guard boxWidth >= Self.leastBox.width, boxHeight >= Self.leastBox.height,
            height >= top + titleHeight + keyHeight
        else {
            throw .tooSmall(
                width: Int(clamping: width),
                height: Int(clamping: height),
                leastWidth: Int(clamping: (besides + Double(columns) * Self.leastBox.width).rounded(.up)),
                leastHeight: Int(
                    clamping:
                        max(beyond + Double(rows) * Self.leastBox.height, top + titleHeight + keyHeight)
                        .rounded(
                            .up
                        )
                )
            )
        }
        boxes = (0..<count).map { index in
            let (row, column) = (Double(index / columns), Double(index % columns))
            let left = column * (Self.axisWidth + boxWidth + Self.margin) + Self.axisWidth
            let upper = top + row * (titleHeight + boxHeight + Self.axisHeight) + titleHeight
            return Box(left: left, right: left + boxWidth, top: upper, bottom: upper + boxHeight)
        }
        (self.width, self.height) = (Int(clamping: width), Int(clamping: height))
        keyLeft = width - keyWidth + Self.margin / 2
        var place = top + titleHeight
        var placed: [(PlotKeyEntry, [String], Double)] = []
        for (entry, lines) in key {
            placed.append((entry, lines, place))
            place += Self.lineHeight * Double(lines.count)
        }
        keyRows = placed
    }
}
