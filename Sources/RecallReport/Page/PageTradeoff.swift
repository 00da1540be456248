import RecallStore

/// The tradeoff: the figure, and the table behind it.
struct PageTradeoff {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section(_ gnuplot: Gnuplot?) throws -> PageSection {
        var section = PageSection("tradeoff", "Recall for each byte of state")
        section.paragraphs = [
            "Each point is a model at the learning rate that was best on validation; its accuracy is that on the test split, "
                + "which nothing was chosen by. The state is what one sequence carries from token to token after the longest "
                + "test sequence, in bytes, measured."
        ]
        section.figure = try PageFigure(
            "Test accuracy against the bytes of state. Each of several seeds is a dot; solid bars are 95 % intervals over "
                + "seeds, dashed ones the range of too few for an interval; open markers have their best learning rate at the "
                + "edge of those tried; the grey line is the frontier.",
            description:
                "Test accuracy against the bytes of state, a marker a point; the table below has every number.",
            gnuplot: gnuplot
        ) { () throws(PlotError) in try TradeoffPlot(source.tradeoff).script() }
        section.tables = [table, seeds].filter { !$0.rows.isEmpty }
        return section
    }

    private var table: PageTable {
        let rows = source.points.map(\.row)
        let words = SeedWords(rows)
        var table = PageTable(
            "The tradeoff",
            PagePoint.nameColumns + [
                PageColumn("d_model", isNumber: true), PageColumn("state", isNumber: true),
                PageColumn("parameters", isNumber: true), PageColumn("learning rate", isNumber: true),
                PageColumn("rates", isNumber: true),
                PageColumn("seeds", isNumber: true), PageColumn("accuracy", isNumber: true),
                PageColumn(words.rangeTitle, isNumber: true), PageColumn("outcome"), PageColumn("frontier"),
                PageColumn("ranking"),
            ]
        )
        for point in source.points { table.add(Self.cells(point, words), anchor: point.anchor) }
        func has(_ isWanted: (TradeoffRow) -> Bool) -> Bool { rows.contains(where: isWanted) }
        table.note("# leads to the commands that give the row again")
        table.note(
            "rates: how many learning rates were tried, of which validation chose one",
            if: has { $0.points.count > 1 }
        )
        table.note(
            "◆ on the frontier: nothing with as little state is more accurate",
            if: has { $0.standing == .on }
        )
        table.note(words.possibleNote)
        table.note(words.unrankedNote)
        table.note(
            "ranking: against every row with as little state, by the paired test over seeds",
            if: words.ranksSome
        )
        table.note(
            "n of m: the other seeds failed, and are in no accuracy and no interval",
            if: has { $0.failedSeeds > 0 }
        )
        table.note(words.spreadNote)
        table.note(
            "° no better than a guess among the sequence's own values: nothing is recalled",
            if: has(\.isGuessAmongSequence)
        )
        table.note(
            "* at the edge of the learning rates tried: the best may lie beyond",
            if: has(\.learningRateAtEdge)
        )
        let threshold =
            source.suite.controlMinimum ?? rows.first?.spec.training.stopAtAccuracy ?? Tradeoff.defaultThreshold
        for outcome in Outcome.allCases {
            table.note(
                "\(outcome.rawValue): \(outcome.meaning(threshold: threshold))",
                if: has { $0.outcome == outcome }
            )
        }
        return table.withoutEmptyColumns()
    }

    private static func cells(_ point: PagePoint, _ words: SeedWords) -> [PageCell] {
        let row = point.row
        var names = point.names
        names[0].target = point.commandAnchor
        let frontier =
            switch row.standing {
            case .on: "◆ on"
            case .possible: "◇ perhaps"
            case .off: ""
            }
        return names + [
            .number("\(row.spec.model.dModel)", .integer(row.spec.model.dModel)),
            .number(Format.bytes(row.facts.stateBytes), .integer(row.facts.stateBytes)),
            .number(Format.compactCount(row.facts.parameters), .integer(row.facts.parameters)),
            .number(
                Format.learningRate(row.learningRate) + (row.learningRateAtEdge ? "*" : ""),
                .number(row.learningRate)
            ),
            row.points.count > 1 ? .number("\(row.points.count)", .integer(row.points.count)) : PageCell(""),
            .number(row.seedCount, .integer(row.seeds)),
            .number(
                Format.accuracy(row.testAccuracy.mean) + (row.seedsSpread ? SeedWords.spreadMark : ""),
                .number(row.testAccuracy.mean)
            ), PageCell(words.range(of: row)),
            PageCell(row.outcome.rawValue + (row.isGuessAmongSequence ? "°" : "")), PageCell(frontier),
            PageCell(words.ranking(of: row)),
        ]
    }

    /// What the seeds tell, where there are several.
    private var seeds: PageTable {
        var table = PageTable(
            "What the seeds tell",
            PagePoint.nameColumns + [
                PageColumn("seeds", isNumber: true), PageColumn("mean", isNumber: true),
                PageColumn("low", isNumber: true), PageColumn("high", isNumber: true),
                PageColumn("median", isNumber: true), PageColumn("minimum", isNumber: true),
                PageColumn("maximum", isNumber: true), PageColumn("sd init", isNumber: true),
                PageColumn("sd data", isNumber: true),
            ]
        )
        for point in source.points where point.row.seeds > 1 {
            let accuracy = point.row.testAccuracy
            table.add(
                point.names + [
                    .number(point.row.seedCount, .integer(point.row.seeds)), .accuracy(accuracy.mean),
                    .accuracy(accuracy.interval?.lowerBound), .accuracy(accuracy.interval?.upperBound),
                    .accuracy(accuracy.median), .accuracy(accuracy.minimum), .accuracy(accuracy.maximum),
                    Self.deviation(point.row.accuracyOfInitialisations),
                    Self.deviation(point.row.accuracyOfData),
                ]
            )
        }
        table.note(
            "low and high: the 95 % interval of the accuracy at the mean log-odds, by Student's t; from three seeds on",
            if: source.points.contains { $0.row.testAccuracy.interval != nil }
        )
        table.note(
            "sd init, sd data: the standard deviations over initialisations on one set of data, and over sets of data from "
                + "one initialisation"
        )
        return table.withoutEmptyColumns()
    }

    private static func deviation(_ statistics: Statistics?) -> PageCell {
        let deviation = statistics?.standardDeviation
        return .number(deviation.map { Format.decimals($0, 3) } ?? "", .number(deviation))
    }
}

extension Outcome {
    /// What a reader of the table is told.
    fileprivate func meaning(threshold: Double) -> String {
        switch self {
        case .solved: "the mean accuracy reaches \(threshold)"
        case .notLearned: "the training loss never left that of a guess"
        case .overfit: "the training set is fit far better than validation at the lengths trained"
        case .dropsBeyondTraining: "sequences longer than those trained are answered far worse than the others"
        case .stillImproving: "validation accuracy was still rising: more epochs may help"
        case .belowThreshold: "it learned, and ended below \(threshold); why is not known"
        }
    }
}
