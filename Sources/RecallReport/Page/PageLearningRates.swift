import RecallInput
import RecallStore
import RecallSuite

/// What every best learning rate was chosen from.
struct PageLearningRates {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section(_ gnuplot: Gnuplot?) throws -> PageSection {
        var section = PageSection("learning-rates", "Learning-rate windows")
        section.paragraphs = [
            "A mixer learns in a window of learning rates; one that is missed looks like a lack of capacity. Accuracies here are "
                + "of the validation split, the mean over seeds, 0 for one that failed."
        ]
        section.figure = try PageFigure(
            "Validation accuracy against the learning rate, a panel a model. The best has a ring, open where it is at the edge "
                + "of those tried; rates within 0.05 of it, without a gap, lie on a broad band.",
            description:
                "Validation accuracy against the learning rate, a curve a point; the table below has every number.",
            gnuplot: gnuplot
        ) { () throws(PlotError) in try LearningRatePlot(source.tradeoff).script() }
        section.tables = [table].filter { !$0.rows.isEmpty }
        return section
    }

    private var table: PageTable {
        let rates = Set(source.points.flatMap { $0.row.points.map(\.learningRate) }).sorted()
        var table = PageTable(
            "Validation accuracy by learning rate",
            PagePoint.nameColumns + [
                PageColumn("best", isNumber: true), PageColumn("window", isNumber: true),
                PageColumn("decades", isNumber: true), PageColumn("tried", isNumber: true),
            ] + rates.map { PageColumn(Format.learningRate($0), isNumber: true) }
        )
        for point in source.points {
            table.add(Self.cells(point, source.suite) + rates.map { Self.cell(point.row, at: $0) })
        }
        let rows = source.points.map(\.row)
        table.note("bold: the best; window: the rates around it within 0.05 of its accuracy, without a gap")
        table.note(
            "* at the edge of the learning rates tried: the best may lie beyond",
            if: rows.contains(where: \.learningRateAtEdge)
        )
        table.note(savings)
        return table.withoutEmptyColumns()
    }

    private static func cells(_ point: PagePoint, _ suite: SuiteRecord) -> [PageCell] {
        let row = point.row
        let window = row.learningRateWindow.map { window in
            let ends = [window.lowerBound, window.upperBound].map(Format.learningRate)
            return ends[0] == ends[1] ? ends[0] : ends.joined(separator: "–")
        }
        let decades = row.learningRateWindowDecades
        return point.names + [
            .number(
                Format.learningRate(row.learningRate) + (row.learningRateAtEdge ? "*" : ""),
                .number(row.learningRate)
            ),
            PageCell(window ?? ""), .number(decades.map { Format.decimals($0, 2) } ?? "", .number(decades)),
            PageCell("\(row.points.count)" + (row.fullGrid(of: suite.search).map { " of \($0)" } ?? "")),
        ]
    }

    private static func cell(_ row: TradeoffRow, at rate: Double) -> PageCell {
        var cell = PageCell.accuracy(row.points.first { $0.learningRate == rate }?.validationAccuracy)
        cell.isBest = rate == row.learningRate
        return cell
    }

    /// What a search saved.
    private var savings: String? {
        source.suite.search.map { search in
            let tried = source.points.reduce(0) { $0 + $1.row.points.count }
            let full = source.points.map { $0.row.fullGrid(of: search) ?? 0 }.saturatingSum()
            return
                "tried: of those that a full grid, \(Format.decimals(search.resolution, 2)) decades apart, would have; "
                + "\(tried) in all, \(max(0, full - tried)) saved"
        }
    }
}
