/// The tradeoff as a table for people.
public struct TradeoffTable: Sendable {
    public let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// What the control has to say, the table, and its footnotes; ends in a newline.
    ///
    /// - Parameter width: columns of the terminal.
    public func render(width: Int = 100) -> String {
        var lines = tradeoff.verdict.heading.map { [$0, ""] } ?? []
        let rows = tradeoff.rows
        guard !rows.isEmpty else {
            return (lines + ["no run of \(tradeoff.suite.name) is finished yet"]).joined(separator: "\n") + "\n"
        }
        var knobs = ConfigDifferences(rows)
        var table = self.table(rows, knobs, withConstants: true)
        var footnotes: [String] = []
        if table.naturalWidth > width {
            // What is the same in every row gives its room to the knobs.
            table = self.table(rows, knobs, withConstants: false)
            let constants = [
                Self.constant(rows, \.spec.model.dModel).map { "d_model \($0)" },
                Self.constantSeeds(rows).map { $0 == 1 ? "1 seed" : "\($0) seeds" },
                Self.constantRates(rows).flatMap { $0 == 1 ? nil : "best of \($0) learning rates" },
            ].compactMap(\.self)
            if !constants.isEmpty { footnotes.append("every row: " + constants.joined(separator: ", ")) }
            (table, knobs) = knobs.fitting(width) { self.table(rows, $0, withConstants: false) }
            knobs.legend.map { footnotes.append($0) }
        }
        if rows.contains(where: { $0.standing == .on }) {
            footnotes.append("◆ on the frontier: nothing with as little state is more accurate")
        }
        let words = SeedWords(rows)
        footnotes += [words.possibleNote, words.unrankedNote, words.undeterminedNote].compactMap(\.self)
        if Self.hasFailures(rows) {
            footnotes.append("n of m: the other seeds failed, and are in no accuracy and no interval")
        }
        words.spreadNote.map { footnotes.append($0) }
        if rows.contains(where: \.isGuessAmongSequence) {
            footnotes.append(
                "° no better than a guess among the sequence's own values: nothing is recalled"
            )
        }
        if rows.contains(where: \.learningRateAtEdge) {
            footnotes.append("* at the edge of the learning rates tried: the best may lie beyond")
        }
        lines += table.lines(width: width) + [""] + footnotes
        return lines.joined(separator: "\n") + "\n"
    }

    private func table(
        _ rows: [TradeoffRow],
        _ knobs: ConfigDifferences,
        withConstants: Bool
    ) -> TextTable {
        let words = SeedWords(rows)
        var table = TextTable([
            .init("task", shrinks: true), .init("model", shrinks: true), .init("knobs", wraps: true),
            .init("d_model", .right), .init("state", .right), .init("params", .right), .init("lr", .right),
            .init("rates", .right), .init("seeds", .right), .init("accuracy", .right),
            .init(words.rangeTitle, .right), .init("outcome", wraps: true, hyphenates: true), .init(""),
        ])
        let tasks = TaskLabels(rows)
        let hidesWidth = !withConstants && Self.constant(rows, \.spec.model.dModel) != nil
        let hidesSeeds = !withConstants && Self.constantSeeds(rows) != nil
        let showsRates =
            rows.contains { $0.points.count > 1 } && (withConstants || Self.constantRates(rows) == nil)
        let spread = rows.contains(where: \.seedsSpread)
        let flagged = rows.contains(where: \.learningRateAtEdge)
        for row in rows {
            table.add([
                tasks.text(of: row), row.model, knobs.text(of: row),
                hidesWidth ? "" : "\(row.spec.model.dModel)", Format.bytes(row.facts.stateBytes),
                Format.compactCount(row.facts.parameters),
                Format.learningRate(row.learningRate) + (row.learningRateAtEdge ? "*" : flagged ? " " : ""),
                showsRates ? "\(row.points.count)" : "",
                hidesSeeds ? "" : row.seedCount,
                Format.accuracy(row.testAccuracy.mean)
                    + (row.seedsSpread ? SeedWords.spreadMark : spread ? " " : ""),
                words.range(of: row), row.outcome.rawValue + (row.isGuessAmongSequence ? "°" : ""),
                Self.mark(row.standing) + words.undeterminedMark(of: row),
            ])
        }
        return table
    }

    private static func mark(_ standing: Standing) -> String {
        switch standing {
        case .on: "◆"
        case .possible: "◇"
        case .off: ""
        }
    }

    /// The value that all rows share; nil where they differ.
    private static func constant<Value: Equatable>(
        _ rows: [TradeoffRow],
        _ value: (TradeoffRow) -> Value
    ) -> Value? {
        guard let first = rows.first.map(value) else { return nil }
        return rows.allSatisfy { value($0) == first } ? first : nil
    }

    /// How many seeds every row has; nil where they differ or one failed.
    private static func constantSeeds(_ rows: [TradeoffRow]) -> Int? {
        hasFailures(rows) ? nil : constant(rows, \.seeds)
    }

    /// How many learning rates every row was chosen from; nil where they differ.
    private static func constantRates(_ rows: [TradeoffRow]) -> Int? { constant(rows, \.points.count) }

    private static func hasFailures(_ rows: [TradeoffRow]) -> Bool { rows.contains { $0.failedSeeds > 0 } }
}
