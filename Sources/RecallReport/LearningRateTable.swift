import Foundation
import RecallInput
import RecallSuite

/// Validation accuracy by learning rate: what the choice of the best was made from.
public struct LearningRateTable: Sendable {
    public let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// The rates side by side where the suite lists them, and a curve a row where it searched them.
    public func render(width: Int = 100) -> String {
        tradeoff.suite.search.map { searched($0, width: width) } ?? listed(width: width)
    }

    /// A row a point of the tradeoff, a column a learning rate, the best in brackets, and the width of the window.
    private func listed(width: Int) -> String {
        let rows = tradeoff.rows
        let (table, knobs) = ConfigDifferences(rows).fitting(width) { self.listed(rows, $0) }
        return table.render(width: width) + (knobs.legend.map { "\n\($0)\n" } ?? "")
    }

    private func listed(_ rows: [TradeoffRow], _ knobs: ConfigDifferences) -> TextTable {
        let rates = Set(rows.flatMap { $0.points.map(\.learningRate) }).sorted()
        var table = TextTable(
            [
                .init("task", shrinks: true), .init("model", shrinks: true), .init("knobs", wraps: true),
                .init("d_model", .right),
            ]
                + rates.map { .init(Format.learningRate($0) + " ", .right) } + [.init("decades", .right)]
        )
        let tasks = TaskLabels(rows)
        for row in rows {
            let cells = rates.map { rate in
                guard let point = row.points.first(where: { $0.learningRate == rate }) else { return "" }
                let text = Format.accuracy(point.validationAccuracy)
                return rate == row.learningRate ? "[\(text)]" : "\(text) "
            }
            let window = row.learningRateWindowDecades.map { Format.decimals($0, 2) } ?? ""
            table.add(
                [tasks.text(of: row), row.model, knobs.text(of: row), "\(row.spec.model.dModel)"] + cells + [
                    window
                ]
            )
        }
        return table
    }

    /// A row a point of the tradeoff: its best rate, the window around it, the rates tried of those that the full grid
    /// has, and the curve. Then what the searches saved.
    private func searched(_ search: LearningRateSearch, width: Int) -> String {
        let (table, knobs) = ConfigDifferences(tradeoff.rows).fitting(width) { self.searched(search, $0) }
        let tried = tradeoff.rows.reduce(0) { $0 + $1.points.count }
        let full = tradeoff.rows.map { $0.fullGrid(of: search) ?? 0 }.saturatingSum()
        return table.render(width: width) + "\n" + (knobs.legend.map { $0 + "\n" } ?? "")
            + "learning rates: \(tried) tried where full grids, \(Format.decimals(search.resolution, 2)) decades "
            + "apart, would have \(full): \(max(0, full - tried)) saved; decades: within 0.05 of the best\n"
    }

    private func searched(_ search: LearningRateSearch, _ knobs: ConfigDifferences) -> TextTable {
        var table = TextTable([
            .init("task", shrinks: true), .init("model", shrinks: true), .init("knobs", wraps: true),
            .init("d_model", .right), .init("best lr", .right), .init("validation", .right),
            .init("decades", .right),
            .init("tried", .right), .init("from", .right), .init("accuracy by rate"), .init("to"),
        ])
        let tasks = TaskLabels(tradeoff.rows)
        for row in tradeoff.rows {
            let grid = row.fullGrid(of: search) ?? 0
            let best = row.points.first { $0.learningRate == row.learningRate }
            table.add([
                tasks.text(of: row), row.model, knobs.text(of: row), "\(row.spec.model.dModel)",
                Format.learningRate(row.learningRate) + (row.learningRateAtEdge ? "*" : " "),
                best.map { Format.accuracy($0.validationAccuracy) } ?? "",
                row.learningRateWindowDecades.map { Format.decimals($0, 2) } ?? "",
                "\(row.points.count) of \(grid)",
                row.points.first.map { Format.learningRate($0.learningRate) } ?? "", Self.curve(row.points),
                row.points.last.map { Format.learningRate($0.learningRate) } ?? "",
            ])
        }
        return table
    }

    /// "▁▁▃█▇▁": a bar a rate, from accuracy 0 to 1.
    static func curve(_ points: [LearningRatePoint]) -> String {
        String(points.map { Format.bar($0.validationAccuracy) })
    }
}
