import RecallTraining

/// Validation accuracy and loss by epoch, of every row of a tradeoff at its best learning rate: a line a seed.
public struct LearningCurvePlot: Sendable {
    private let tradeoff: Tradeoff
    private let histories: [String: [EpochRecord]]

    /// - Parameter history: the epochs of a run, by its id.
    /// - Throws: what `history` throws.
    public init<Failure: Error>(
        _ tradeoff: Tradeoff,
        history: (String) throws(Failure) -> [EpochRecord]
    ) throws(Failure) {
        self.tradeoff = tradeoff
        var found: [String: [EpochRecord]] = [:]
        for row in tradeoff.rows {
            for runID in row.runIDs where found[runID] == nil { found[runID] = try history(runID) }
        }
        histories = found
    }

    /// - Throws: `PlotError.nothing` where no run has an epoch on record.
    public func script(title: String? = nil) throws(PlotError) -> PlotScript {
        let rows = PlottedRow.all(tradeoff)
        let records = rows.flatMap { $0.row.runIDs.flatMap { histories[$0] ?? [] } }
        guard !records.isEmpty else {
            throw .nothing("no run of \(tradeoff.suite.name) is finished yet: there is nothing to draw")
        }
        let epochs = PlotAxis("epoch", .linear, holding: [0] + records.map { Double($0.epoch) })
        let losses = records.map(\.validationLoss).filter(\.isFinite)
        let loss = PlotAxis("validation loss, nats", .linear, holding: [0] + losses)
        let names = TradeoffSetting.taskTitles(rows.map(\.setting))
        let panels = names.tasks.flatMap { task in
            let here = rows.filter { $0.setting.task == task }
            let title = names.titles[task] ?? ""
            return [
                PlotPanel(
                    title: title,
                    x: epochs,
                    y: .accuracy("validation accuracy"),
                    layers: layers(here, \.validationAccuracy)
                ),
                PlotPanel(title: title, x: epochs, y: loss, layers: layers(here, \.validationLoss)),
            ]
        }.filter { !$0.layers.isEmpty }
        guard !panels.isEmpty else {
            throw .nothing(
                "no epoch of \(tradeoff.suite.name) came to a finite number: there is nothing to draw"
            )
        }
        let key =
            rows.map { PlotKeyEntry($0.label, line: $0.line, marker: Self.marker($0)) }
            + [PlotKeyEntry("marker: the last epoch")]
        return PlotScript(
            title: title ?? "\(tradeoff.suite.name): learning at the best learning rate",
            warning: tradeoff.verdict.heading(of: "figure"),
            panels: panels,
            key: key
        )
    }

    private static func marker(_ row: PlottedRow) -> PlotMarker { PlotMarker(row.colour, row.shape, size: 0.8) }

    private func layers(_ rows: [PlottedRow], _ value: (EpochRecord) -> Double) -> [PlotLayer] {
        rows.flatMap { row in
            var line = row.line
            if row.row.runIDs.count > 1 { line.width = 0.8 }
            return row.row.runIDs.flatMap { runID -> [PlotLayer] in
                let records = histories[runID] ?? []
                // A number that was not finite leaves a gap.
                let curve = records.map { value($0).isFinite ? [Double($0.epoch), value($0)] : [] }
                guard let last = curve.last(where: { !$0.isEmpty }) else { return [] }
                return [
                    PlotLayer(row.label, .line(line), curve),
                    PlotLayer(row.label, .markers(Self.marker(row)), [last]),
                ]
            }
        }
    }
}
