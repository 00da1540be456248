import RecallSuite

/// What the seeds of each row tell: how sure its accuracy is, what makes it unsure, and how it is ranked.
public struct SeedTable: Sendable {
    public let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// A row for each of the tradeoff's that has several seeds; empty where none has. Two columns are the standard
    /// deviations over initialisations on one set of data, and over sets of data from one initialisation. The last says
    /// how each row is ranked, where the paired test ranks some.
    public func render(width: Int = 100) -> String {
        let rows = tradeoff.rows.filter { $0.seeds > 1 }
        if rows.isEmpty { return "" }
        let (table, knobs) = ConfigDifferences(tradeoff.rows).fitting(width) { self.table(rows, $0) }
        return table.render(width: width) + (knobs.legend.map { "\n\($0)\n" } ?? "")
    }

    private func table(_ rows: [TradeoffRow], _ knobs: ConfigDifferences) -> TextTable {
        let words = SeedWords(tradeoff.rows)
        var table = TextTable([
            .init("task", shrinks: true), .init("model", shrinks: true), .init("knobs", wraps: true),
            .init("d_model", .right),
            .init("seeds", .right), .init("mean", .right), .init("95 %", .right), .init("median", .right),
            .init("min–max", .right), .init("sd init", .right), .init("sd data", .right),
            .init("ranking", wraps: true),
        ])
        let tasks = TaskLabels(tradeoff.rows)
        for row in rows {
            let accuracy = row.testAccuracy
            table.add([
                tasks.text(of: row), row.model, knobs.text(of: row), "\(row.spec.model.dModel)", row.seedCount,
                Format.accuracy(accuracy.mean), accuracy.interval.map(Format.range) ?? "",
                Format.accuracy(accuracy.median), Format.range(accuracy.minimum...accuracy.maximum),
                row.accuracyOfInitialisations?.standardDeviation.map { Format.decimals($0, 3) } ?? "",
                row.accuracyOfData?.standardDeviation.map { Format.decimals($0, 3) } ?? "",
                words.ranking(of: row),
            ])
        }
        return table
    }
}
