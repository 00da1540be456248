/// Validation accuracy against the learning rate, a curve a row of a tradeoff: what the best was chosen from. A panel a
/// model.
public struct LearningRatePlot: Sendable {
    private let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// - Throws: `PlotError.nothing` where no run is finished.
    public func script(title: String? = nil) throws(PlotError) -> PlotScript {
        let rows = PlottedRow.all(tradeoff)
        guard !rows.isEmpty else {
            throw .nothing("no run of \(tradeoff.suite.name) is finished yet: there is nothing to draw")
        }
        let x = PlotAxis(
            "learning rate",
            .rates,
            holding: rows.flatMap { $0.row.points.map(\.learningRate) }
        )
        let names = TradeoffSetting.taskTitles(rows.map(\.setting))
        var models: [String] = []
        for row in rows where !models.contains(row.row.model) { models.append(row.row.model) }
        let panels = names.tasks.flatMap { task in
            models.map { model in
                let here = rows.filter { $0.setting.task == task && $0.row.model == model }
                return PlotPanel(
                    title: [model, names.titles[task] ?? ""].filter { !$0.isEmpty }.joined(separator: " "),
                    x: x,
                    y: .accuracy("validation accuracy"),
                    layers: here.flatMap(Self.layers)
                )
            }
        }.filter { !$0.layers.isEmpty }
        return PlotScript(
            title: title ?? "\(tradeoff.suite.name): what the learning rates were chosen from",
            warning: tradeoff.verdict.heading(of: "figure"),
            panels: panels,
            key: Self.key(rows) + [x.breakKey("a learning rate of 0")].compactMap(\.self)
        )
    }

    private static let ring = PlotMarker("#444444", .circle, isOpen: true, size: 2)

    private static func layers(_ row: PlottedRow) -> [PlotLayer] {
        let points = row.row.points
        let rates = points.map { [$0.learningRate, $0.validationAccuracy] }
        let best = points.filter { $0.learningRate == row.row.learningRate }
        let window = row.row.learningRateWindow.map { window in
            points.filter { window.contains($0.learningRate) }.map { [$0.learningRate, $0.validationAccuracy] }
        }
        var layers: [PlotLayer] = []
        if let window, window.count > 1 {
            // Light enough for the curve to be seen on it.
            let stroke = PlotStroke(paler(row.colour), width: 8)
            layers.append(PlotLayer("\(row.label): within 0.05 of the best", .line(stroke), window))
        }
        if points.count > 1 { layers.append(PlotLayer(row.label, .line(row.line), rates)) }
        let isOpen = row.row.learningRateAtEdge
        let others = points.filter { $0.learningRate != row.row.learningRate }
        func markers(_ points: [LearningRatePoint], isOpen: Bool) {
            guard !points.isEmpty else { return }
            layers.append(
                PlotLayer(
                    row.label,
                    .markers(PlotMarker(row.colour, row.shape, isOpen: isOpen, size: row.markerSize)),
                    points.map { [$0.learningRate, $0.validationAccuracy] }
                )
            )
        }
        markers(others, isOpen: false)
        markers(best, isOpen: isOpen)
        layers.append(
            PlotLayer(
                "\(row.label): the best",
                .markers(ring),
                best.map { [$0.learningRate, $0.validationAccuracy] }
            )
        )
        return layers
    }

    private static func key(_ rows: [PlottedRow]) -> [PlotKeyEntry] {
        var key = rows.map {
            PlotKeyEntry($0.label, line: $0.line, marker: PlotMarker($0.colour, $0.shape, size: $0.markerSize))
        }
        key.append(PlotKeyEntry("the best on validation", marker: ring))
        if rows.contains(where: \.row.learningRateAtEdge) {
            key.append(
                PlotKeyEntry(
                    "open: at the edge of the learning rates tried",
                    marker: PlotMarker("#444444", .circle, isOpen: true, size: 0.9)
                )
            )
        }
        if rows.contains(where: { ($0.row.learningRateWindowDecades ?? 0) > 0 }) {
            key.append(
                PlotKeyEntry("within 0.05 of the best, without a gap", line: PlotStroke("#c8c8c8", width: 8))
            )
        }
        return key
    }

    /// The colour, two thirds of the way to white.
    static func paler(_ colour: String) -> String {
        let digits = Array(colour.dropFirst())
        let parts = stride(from: 0, to: digits.count, by: 2).map { place in
            let value = Int(String(digits[place..<min(place + 2, digits.count)]), radix: 16) ?? 0
            let text = String(255 - (255 - value) / 3, radix: 16)
            return text.count == 1 ? "0" + text : text
        }
        return "#" + parts.joined()
    }
}
