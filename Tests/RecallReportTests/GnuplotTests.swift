import Foundation
import RecallReport
import RecallStore
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// What gnuplot makes of the scripts, where it is installed.
@Suite("Figures of gnuplot", .enabled(if: Gnuplot() != nil, "gnuplot is not installed")) struct GnuplotTests {
    private func draw(_ plot: PlotScript, _ format: PlotFormat = .svg) throws -> Data {
        try #require(Gnuplot()).draw { try plot.text(format, output: $0) }
    }

    @Test func oddNamesArriveUnharmedAndNoTextCoversAnother() throws {
        let plot = try TradeoffPlot(oddTradeoff(SuiteRecord(name: "it's <a> \"suite\" & 🧠_1", description: "")))
            .script()
        let svg = try SVGText(try draw(plot))
        for text in oddNames + plot.key.suffix(5).map(\.text) + [plot.title] {
            #expect(svg.contains(text), "\(text) in \(svg.texts.map(\.text))")
        }
        for (index, one) in svg.texts.enumerated() {
            for other in svg.texts[(index + 1)...] where one.isLevel && other.isLevel {
                #expect(!one.covers(other), "\(one) \(other)")
            }
            #expect(one.right <= svg.width + 1, "\(one) beyond \(svg.width)")
        }
    }

    /// A name may begin with a quote, have several, or have digits behind them: whatever means something to gnuplot.
    @Test func namesOfAnyKindAreDrawn() throws {
        let letters = Array("'''''\"\"\\`@$%{}^_~&#;,|!<>[]()0123789-+anrtxé🧠日")
        var odd = OddNumbers(seed: 1)
        var names = ["'a", "'", "''", "'7", "''1'2'", "'it''s'", "\\'", "\"'\"", "a'"]
        for _ in 0..<111 { names.append(String((0...odd.below(12)).map { _ in odd.pick(letters) })) }
        let axis = PlotAxis.accuracy("'y")
        for first in stride(from: 0, to: names.count, by: 40) {
            let some = names[first..<first + 40]
            let layers = some.map { PlotLayer($0, .markers(PlotMarker("#000000", .circle)), [[0.5, 0.5]]) }
            let panel = PlotPanel(title: some[first], x: axis, y: axis, layers: layers)
            let plot = PlotScript(title: some[first + 1], panels: [panel], key: some.map { PlotKeyEntry($0) })
            let svg = try SVGText(try draw(plot))
            for name in some + ["'y"] { #expect(svg.contains(name), "\(name) in \(svg.texts.map(\.text))") }
        }
    }

    @Test func thereAreAsManyPointsAsRows() throws {
        let tradeoff = oddTradeoff()
        let plot = try TradeoffPlot(tradeoff).script()
        let svg = try SVGText(try draw(plot))
        let inKey = plot.key.count { $0.marker != nil }
        let rings = tradeoff.rows.count { $0.standing == .possible }
        let dots = tradeoff.rows.filter { $0.seeds > 1 }.reduce(0) { $0 + $1.seeds }
        #expect(svg.points == tradeoff.rows.count + rings + dots + inKey)
    }

    /// What has no number, no state or nothing to show is a figure for gnuplot, too.
    @Test func oddNumbersAreDrawn() throws {
        for seed in 0..<12 {
            var odd = OddNumbers(seed: UInt64(seed))
            let runs = (0..<6).map { _ in odd.run() }
            let histories = Dictionary(runs.map { ($0.runID, odd.epochs()) }) { first, _ in first }
            let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs)
            let figures: [() throws -> PlotScript] = [
                { try TradeoffPlot(tradeoff).script() }, { try LearningRatePlot(tradeoff).script() },
                { try LearningCurvePlot(tradeoff) { histories[$0] ?? [] }.script() },
            ]
            for figure in figures {
                do {
                    let plot = try figure()
                    let svg = try SVGText(try draw(plot))
                    #expect(plot.key.allSatisfy { svg.contains($0.text) }, "seed \(seed)")
                } catch PlotError.nothing {}
            }
        }
        // A panel of nothing but gaps has its axes, and the next one is drawn.
        let gap = PlotLayer("gap", .markers(PlotMarker("#000000", .circle)), [[1, .nan], []])
        let axis = PlotAxis.accuracy("y")
        let panel = PlotPanel(title: "none", x: axis, y: axis, layers: [gap])
        let svg = try SVGText(try draw(PlotScript(title: "gaps", panels: [panel, panel], key: [])))
        #expect(svg.texts.count { $0.text == "none" } == 2 && svg.points == 0)
    }

    @Test func everyFigureIsTheSameTwice() throws {
        for format in PlotFormat.allCases {
            let plot = try TradeoffPlot(oddTradeoff()).script()
            let figure = try draw(plot, format)
            #expect(figure == (try draw(plot, format)))
            if format == .png { #expect(figure.starts(with: [0x89, 0x50, 0x4E, 0x47])) }
        }
        #expect(throws: PlotError.gnuplot("\"")) {
            do { _ = try Gnuplot()?.draw { _ in "plot 'no such file'\n" } } catch PlotError.gnuplot(let why) {
                #expect(why.contains("no such file"), "\(why)")
                throw PlotError.gnuplot("\"")
            }
        }
    }
}

/// The texts and points of an SVG that gnuplot wrote.
final class SVGText: NSObject, XMLParserDelegate {
    struct Text: CustomStringConvertible {
        var text: String
        var x: Double
        var y: Double
        var size: Double
        var anchor: String
        var isLevel: Bool

        /// Half a width of the ordinary sans-serif letter.
        private var width: Double { 0.5 * size * Double(displayWidth(text)) }
        var left: Double { anchor == "end" ? x - width : anchor == "middle" ? x - width / 2 : x }
        var right: Double { left + width }
        var description: String { "'\(text)' at \(x),\(y)" }

        func covers(_ other: Text) -> Bool {
            abs(y - other.y) < min(size, other.size) * 0.9 && left < other.right && other.left < right
        }
    }

    private(set) var texts: [Text] = []
    private(set) var points = 0
    private(set) var width = 0.0
    private var group = Text(text: "", x: 0, y: 0, size: 0, anchor: "start", isLevel: true)
    private var isInText = false
    private var isInDefinitions = false

    init(_ data: Data) throws {
        super.init()
        let parser = XMLParser(data: data)
        parser.delegate = self
        try #require(parser.parse(), "\(String(describing: parser.parserError))")
    }

    func contains(_ text: String) -> Bool {
        // A long text stands in several lines.
        texts.contains { $0.text == text }
            || texts.map(\.text).joined(separator: " ").contains(text)
    }

    func parser(
        _ parser: XMLParser,
        didStartElement name: String,
        namespaceURI: String?,
        qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        switch name {
        case "svg": width = attributes["width"].flatMap(Double.init) ?? 0
        case "defs": isInDefinitions = true
        case "use" where !isInDefinitions: points += 1
        case "g":
            if let move = attributes["transform"], move.hasPrefix("translate(") {
                let numbers = move.split { !"0123456789.-".contains($0) }.compactMap { Double($0) }
                group.x = numbers.first ?? 0
                group.y = numbers.count > 1 ? numbers[1] : 0
                group.isLevel = !move.contains("rotate")
            }
            if let size = attributes["font-size"].flatMap(Double.init) { group.size = size }
            if let anchor = attributes["text-anchor"] { group.anchor = anchor }
        case "text":
            isInText = true
            group.text = ""
        default: break
        }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        if isInText { group.text += string }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?)
    {
        if name == "defs" { isInDefinitions = false }
        guard name == "text" else { return }
        isInText = false
        if !group.text.isEmpty { texts.append(group) }
    }
}
