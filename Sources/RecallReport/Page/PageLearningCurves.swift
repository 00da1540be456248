import RecallStore
import RecallTraining

/// How the points of the tradeoff got where they are.
struct PageLearningCurves {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section(_ gnuplot: Gnuplot?) throws -> PageSection {
        var section = PageSection("learning-curves", "Learning curves")
        section.figure = try PageFigure(
            "Validation accuracy and loss by epoch, every point at its best learning rate, a line a seed.",
            description: "Validation accuracy and loss by epoch; the table below has where each curve ends.",
            gnuplot: gnuplot
        ) { () throws(PlotError) in
            try LearningCurvePlot(source.tradeoff) { source.histories[$0] ?? [] }.script()
        }
        section.tables = [table].filter { !$0.rows.isEmpty }
        return section
    }

    /// A row a run.
    private var table: PageTable {
        var table = PageTable(
            "Where the curves end",
            PagePoint.nameColumns + [
                PageColumn("seed", isNumber: true), PageColumn("data seed", isNumber: true),
                PageColumn("epochs", isNumber: true), PageColumn("steps", isNumber: true),
                PageColumn("training loss", isNumber: true), PageColumn("validation loss", isNumber: true),
                PageColumn("validation accuracy", isNumber: true), PageColumn("by epoch"),
            ]
        )
        let severalData = Set(source.points.flatMap { $0.runs.map(\.spec.task.dataSeed) }).count > 1
        for point in source.points {
            for run in point.runs {
                table.add(
                    point.names + [
                        .number("\(run.spec.seed)", .integer(Int(clamping: run.spec.seed))),
                        severalData ? PageCell("\(run.spec.task.dataSeed)") : .empty,
                        run.epochs.map(PageCell.number) ?? .empty, run.steps.map(PageCell.number) ?? .empty,
                        Self.loss(run.trainLoss), Self.loss(run.validationLoss),
                        .accuracy(run.validationAccuracy),
                        PageCell(Self.curve(source.histories[run.runID] ?? [])),
                    ]
                )
            }
        }
        table.note("losses are in nats a label; by epoch: a bar an epoch, from validation accuracy 0 to 1")
        return table.withoutEmptyColumns()
    }

    private static func loss(_ loss: Double?) -> PageCell {
        .number(loss.map { Format.decimals($0, 3) } ?? "", .number(loss))
    }

    /// "▁▃▇█"; of many epochs the last of each of as many equal parts as fit.
    private static func curve(_ epochs: [EpochRecord]) -> String {
        let most = 32
        let shown =
            epochs.count <= most ? epochs : (1...most).map { epochs[$0 * epochs.count / most - 1] }
        return String(shown.map { Format.bar($0.validationAccuracy) })
    }
}
