import RecallData

/// Test accuracy against the bytes of state, as the papers draw it (Arora et al. 2024, Figure 2): a colour and a marker a
/// model, the frontier, and the accuracy of guessing. A panel a task and training.
public struct TradeoffPlot: Sendable {
    public let suite: String
    public var points: [TradeoffPoint]
    /// All of the suite, so that a model looks the same before another is finished.
    private let models: [String]
    /// Why the figure is not to be trusted; nil where nothing is against it.
    public let warning: String?
    /// What the source of the figure leaves open.
    public private(set) var notes: [String] = []

    public init(_ tradeoff: Tradeoff) {
        (suite, models) = (tradeoff.suite.name, tradeoff.models)
        points = tradeoff.rows.map(TradeoffPoint.init)
        warning = tradeoff.verdict.heading(of: "figure")
    }

    /// - Parameters:
    ///   - path: a file with the table `tradeoff` of `export csv`, of this or an earlier version.
    ///   - suite: the suite to take; nil where the file has one only.
    /// - Throws: `DataFileError`; `PlotError.nothing` where it is not clear which suite is meant, or where it is not there.
    public init(csv path: String, suite wanted: String?) throws {
        try self.init(CSVRecords(file: path, requiring: TradeoffPoint.requiredColumns), suite: wanted)
    }

    package init(_ file: CSVRecords, suite wanted: String?) throws {
        let path = file.path
        let all = try file.records.map { record throws(DataFileError) in try TradeoffPoint(record, in: file) }
        var names: [String] = []
        for point in all where !names.contains(point.suite) { names.append(point.suite) }
        if wanted == nil, names.count > 1 {
            throw PlotError.nothing(
                "\(path) has \(names.count) suites, choose one with --suite: \(names.joined(separator: ", "))"
            )
        }
        guard let suite = wanted ?? names.first, names.contains(suite) else {
            throw PlotError.nothing(
                names.isEmpty
                    ? "\(path) has no row: there is nothing to draw"
                    : "\(path) has no row of a suite '\(wanted ?? "")'; there are \(names.joined(separator: ", "))"
            )
        }
        self.suite = suite
        points = all.filter { $0.suite == suite }
        models = Self.models(points)
        let word = file.records.first { $0["suite"] == suite }?["control"]
        if !file.header.contains("control") {
            notes.append("\(path) is of an earlier version: it does not say whether a control passed")
        }
        if let word {
            guard let kind = ControlVerdict.Kind(rawValue: word) else {
                throw DataFileError(.content, path: path, message: "control: there is no verdict '\(word)'")
            }
            warning = kind.sentence(of: "figure")
        } else {
            warning = nil
        }
    }

    /// Accuracies of guessing for points whose source does not have them.
    public mutating func fillChance(from task: MQARTask) {
        for index in points.indices {
            if points[index].chance == nil { points[index].chance = task.chanceAccuracy }
            if points[index].chanceInSequence == nil {
                points[index].chanceInSequence = task.chanceAccuracyInSequence
            }
        }
    }

    /// - Throws: `PlotError.nothing` where there is no point.
    public func script(title: String? = nil) throws(PlotError) -> PlotScript {
        guard !points.isEmpty else {
            throw .nothing("no run of \(suite) is finished yet: there is nothing to draw")
        }
        let placed = self.placed
        var settings: [TradeoffSetting] = []
        for point in placed where !settings.contains(point.setting) { settings.append(point.setting) }
        let titles = TradeoffSetting.titles(settings)
        let looks = PlotAppearance.of(models)
        let x = PlotAxis("state of one sequence, bytes", .bytes, holding: points.map { Double($0.stateBytes) })
        let panels = settings.map { setting in
            PlotPanel(
                title: titles[setting] ?? "",
                x: x,
                y: .accuracy("test accuracy"),
                layers: Self.layers(of: placed.filter { $0.setting == setting }, looks, across: x.range)
            )
        }
        return PlotScript(
            title: title ?? "\(suite): recall for each byte of state",
            warning: warning,
            panels: panels,
            key: key(placed, looks, panels: panels.count) + [x.breakKey("no state")].compactMap(\.self)
        )
    }

    /// A point with its place among those of its panel.
    private struct Placed {
        let point: TradeoffPoint
        let setting: TradeoffSetting
        let standing: Standing
    }

    /// The points in their order. What a CSV says of the frontier is not asked: it may be cut from a larger one.
    private var placed: [Placed] {
        let settings = points.map(\.setting)
        var standings = Array(repeating: Standing.off, count: points.count)
        for panel in Dictionary(grouping: points.indices, by: { settings[$0] }).values {
            let found = Standing.of(panel.map { points[$0].contender })
            for (index, standing) in zip(panel, found) { standings[index] = standing }
        }
        return points.indices.map { Placed(point: points[$0], setting: settings[$0], standing: standings[$0]) }
    }

    // MARK: What is drawn

    private static let frontierStroke = PlotStroke("#bbbbbb", width: 5)
    private static let chanceStroke = PlotStroke("#777777", width: 1, dashes: [2, 4])
    private static let sequenceStroke = PlotStroke("#777777", width: 1.2, dashes: [8, 4])
    private static let ring = PlotMarker("#444444", .circle, isOpen: true, size: 2)

    private static func layers(
        of placed: [Placed],
        _ looks: [String: PlotAppearance],
        across states: ClosedRange<Double>
    ) -> [PlotLayer] {
        let here = placed.map(\.point)
        var layers = chanceLayers(here, across: states)
        let frontier = placed.filter { $0.standing == .on }.map(\.point).sorted(by: stateOrder)
        if let first = frontier.first, let last = frontier.last {
            let steps = frontier.map { [Double($0.stateBytes), $0.accuracy] }
            layers.append(
                PlotLayer(
                    "frontier",
                    .steps(frontierStroke),
                    [[Double(first.stateBytes), 0]] + steps + [[states.upperBound, last.accuracy]]
                )
            )
        }
        for model in models(here) {
            guard let look = looks[model] else { continue }
            layers += self.layers(of: here.filter { $0.model == model }, look)
        }
        let uncertain = placed.filter { $0.standing == .possible }.map(\.point)
        return layers + layer("perhaps on the frontier", .markers(ring), uncertain.map(place))
    }

    private static func stateOrder(_ one: TradeoffPoint, _ other: TradeoffPoint) -> Bool {
        (one.stateBytes, one.accuracy) < (other.stateBytes, other.accuracy)
    }

    private static func chanceLayers(_ points: [TradeoffPoint], across states: ClosedRange<Double>)
        -> [PlotLayer]
    {
        func across(_ name: String, _ accuracy: Double?, _ stroke: PlotStroke) -> [PlotLayer] {
            layer(
                name,
                .line(stroke),
                accuracy.map { [[states.lowerBound, $0], [states.upperBound, $0]] } ?? []
            )
        }
        return across("a guess among all values", points.lazy.compactMap(\.chance).first, chanceStroke)
            + across(
                "a guess among the sequence's values",
                points.lazy.compactMap(\.chanceInSequence).first,
                sequenceStroke
            )
    }

    /// One model's: joined, where each has a state of its own; their intervals and seeds; the points themselves, once each.
    private static func layers(of points: [TradeoffPoint], _ look: PlotAppearance) -> [PlotLayer] {
        let points = points.sorted(by: stateOrder)
        let name = points.first?.model ?? ""
        let isCurve = points.count > 1 && Set(points.map(\.stateBytes)).count == points.count
        let line = PlotStroke(look.colour, width: 1.5, dashes: look.dashes)
        func bars(_ range: (TradeoffPoint) -> ClosedRange<Double>?) -> [[Double]] {
            points.compactMap { point in
                range(point).map { [Double(point.stateBytes), $0.lowerBound, $0.upperBound - $0.lowerBound] }
            }
        }
        let seeds = points.flatMap { point in point.drawnSeeds.map { [Double(point.stateBytes), $0] } }
        return layer(name, .line(line), isCurve ? points.map(place) : [])
            + layer(name, .bars(intervalStroke(look.colour)), bars(\.interval))
            + layer(name, .bars(extentStroke(look.colour)), bars(\.drawnExtent))
            + layer("\(name): one seed", .markers(dot(look.colour)), seeds)
            + [false, true].flatMap { isOpen in
                layer(
                    name,
                    .markers(PlotMarker(look.colour, look.shape, isOpen: isOpen)),
                    points.filter { $0.learningRateAtEdge == isOpen }.map(place)
                )
            }
    }

    private static func intervalStroke(_ colour: String) -> PlotStroke { PlotStroke(colour, width: 1.5) }
    private static func extentStroke(_ colour: String) -> PlotStroke {
        PlotStroke(colour, width: 1.5, dashes: [3, 3])
    }
    private static func dot(_ colour: String) -> PlotMarker { PlotMarker(colour, .circle, size: 0.4) }

    private static func layer(_ name: String, _ style: PlotLayer.Style, _ rows: [[Double]]) -> [PlotLayer] {
        rows.isEmpty ? [] : [PlotLayer(name, style, rows)]
    }

    private static func place(_ point: TradeoffPoint) -> [Double] {
        [Double(point.stateBytes), point.accuracy]
    }

    private static func models(_ points: [TradeoffPoint]) -> [String] {
        var models: [String] = []
        for point in points where !models.contains(point.model) { models.append(point.model) }
        return models
    }

    // MARK: What it means

    private func key(_ placed: [Placed], _ looks: [String: PlotAppearance], panels: Int) -> [PlotKeyEntry] {
        var key = Self.models(points).compactMap { model in
            looks[model].map { look in
                PlotKeyEntry(
                    model,
                    line: PlotStroke(look.colour, width: 1.5, dashes: look.dashes),
                    marker: PlotMarker(look.colour, look.shape)
                )
            }
        }
        func add(_ isDrawn: Bool, _ entry: PlotKeyEntry) { if isDrawn { key.append(entry) } }
        add(
            placed.contains { $0.standing == .on },
            PlotKeyEntry(
                "frontier\(panels > 1 ? " of each panel" : ""): nothing with as little state is more accurate",
                line: Self.frontierStroke
            )
        )
        add(
            placed.contains { $0.standing == .possible },
            PlotKeyEntry(
                "perhaps on it: the seeds do not tell"
                    + (points.contains { $0.failedSeeds > 0 } ? ", or one failed" : ""),
                marker: Self.ring
            )
        )
        add(
            points.contains(where: \.learningRateAtEdge),
            PlotKeyEntry(
                "open: at the edge of the learning rates tried",
                marker: PlotMarker("#444444", .circle, isOpen: true)
            )
        )
        add(
            points.contains { $0.interval != nil },
            PlotKeyEntry("95 % interval over seeds", bar: Self.intervalStroke("#444444"))
        )
        add(
            points.contains { $0.drawnExtent != nil },
            PlotKeyEntry(
                "range of the seeds, which are too few for an interval",
                bar: Self.extentStroke("#444444")
            )
        )
        add(
            points.contains { !$0.drawnSeeds.isEmpty },
            PlotKeyEntry("a dot for each seed", marker: Self.dot("#444444"))
        )
        add(
            points.contains { $0.chanceInSequence != nil },
            PlotKeyEntry(
                "a guess among the sequence's values" + level(\.chanceInSequence),
                line: Self.sequenceStroke
            )
        )
        add(
            points.contains { $0.chance != nil },
            PlotKeyEntry("a guess among all values" + level(\.chance), line: Self.chanceStroke)
        )
        return key
    }

    /// ": 0.125" where it is one number in the whole figure.
    private func level(_ value: (TradeoffPoint) -> Double?) -> String {
        let levels = Set(points.map { value($0).map(Format.accuracy) })
        return levels.count == 1 ? levels.first.flatMap { $0 }.map { ": \($0)" } ?? "" : ""
    }
}
