/// What every table says of seeds: ranges, rankings and their notes.
struct SeedWords {
    private let rows: [TradeoffRow]
    /// The title of the column that shows how sure an accuracy is.
    let rangeTitle: String

    init(_ rows: [TradeoffRow]) {
        self.rows = rows
        rangeTitle = rows.contains { $0.testAccuracy.interval != nil } ? "95 %" : "range"
    }

    /// "0.714–0.926"; "range 0.714–0.926" for a row without an interval among others that have one; empty for one seed.
    func range(of row: TradeoffRow) -> String {
        if let interval = row.testAccuracy.interval { return Format.range(interval) }
        guard row.seeds > 1 else { return "" }
        return (rangeTitle == "range" ? "" : "range ") + Format.range(row.testAccuracy.range)
    }

    static let spreadMark = "~"

    /// What the mark of rows whose seeds lie far apart means; nil where there is none.
    var spreadNote: String? {
        rows.contains(where: \.seedsSpread)
            ? "\(Self.spreadMark) seeds more than \(Statistics.widestSpread) apart: they may be of two kinds, and the "
                + "mean of neither" : nil
    }

    /// What ◇ means; nil where no row has it.
    var possibleNote: String? {
        guard rows.contains(where: { $0.standing == .possible }) else { return nil }
        return "◇ perhaps on it: the seeds do not tell it from a row with as little state"
            + (rows.contains { $0.failedSeeds > 0 } ? ", or a seed failed" : "")
    }

    // MARK: Rankings

    /// Whether the paired test ranks some row: then each says how it is ranked.
    var ranksSome: Bool { rows.contains { $0.ranking == .above || $0.ranking == .below } }

    /// How a row is ranked, where some are.
    func ranking(of row: TradeoffRow) -> String { ranksSome ? row.ranking?.text ?? "" : "" }

    /// That no row is ranked, and why; nil where some are, or none has another to be told from.
    var unrankedNote: String? {
        guard !ranksSome, let undetermined else { return nil }
        let why =
            undetermined.most < PairedTest.fewestPairs
            ? "the frontier describes these runs; a ranking takes \(PairedTest.fewestPairs) paired seeds"
            : "the paired test tells no row from all those with as little state"
        return "ranking \(undetermined.text): \(why)"
    }

    /// "undetermined at 1 to 3 seeds", and the larger number; nil where no row is.
    private var undetermined: (text: String, most: Int)? {
        let seeds = rows.compactMap { row in
            if case .undetermined(let seeds) = row.ranking { seeds } else { nil }
        }
        guard let fewest = seeds.min(), let most = seeds.max() else { return nil }
        let text = Ranking.undetermined(seeds: most).text
        return (fewest == most ? text : text.replacing("at ", with: "at \(fewest) to "), most)
    }

    static let undeterminedMark = "?"

    /// What the mark of undetermined rows means where others are ranked; nil where there is none.
    var undeterminedNote: String? {
        guard ranksSome, let undetermined else { return nil }
        return "\(Self.undeterminedMark) ranking \(undetermined.text); "
            + "rows without it are ranked by the paired test"
    }

    /// The mark, where others are ranked and this row is not.
    func undeterminedMark(of row: TradeoffRow) -> String {
        guard ranksSome, case .undetermined = row.ranking else { return "" }
        return Self.undeterminedMark
    }
}
