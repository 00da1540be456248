import Foundation

/// Validation accuracy by learning rate: what the choice of the best was made from.
public struct LearningRateTable: Sendable {
    public let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// A row a point of the tradeoff, a column a learning rate, the best in brackets, and the width of the window.
    public func render(width: Int = 100) -> String {
        let rows = tradeoff.rows
        let rates = Set(rows.flatMap { $0.points.map(\.learningRate) }).sorted()
        let knobs = ConfigDifferences(rows)
        var table = TextTable(
            [.init("model", shrinks: true), .init("knobs", shrinks: true), .init("d_model", .right)]
                + rates.map { .init(Format.learningRate($0) + " ", .right) } + [.init("decades", .right)])
        for row in rows {
            let cells = rates.map { rate in
                guard let point = row.points.first(where: { $0.learningRate == rate }) else { return "" }
                let text = Format.accuracy(point.validationAccuracy)
                return rate == row.learningRate ? "[\(text)]" : "\(text) "
            }
            let window = row.learningRateWindowDecades.map { Format.decimals($0, 2) } ?? ""
            table.add([row.model, knobs.text(of: row), "\(row.spec.model.dModel)"] + cells + [window])
        }
        return table.render(width: width)
    }
}
