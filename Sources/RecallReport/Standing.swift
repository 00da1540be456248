/// How a row stands to the frontier of state and accuracy, as far as its seeds tell.
///
/// An accuracy is the 95 % interval over its seeds, or the one number that there is. Rows whose intervals overlap are not
/// ranked as different. What a seed that failed would have come to is not known: a row with one is never surely better.
public enum Standing: String, CaseIterable, Sendable {
    /// Every row with at most as much state is less accurate.
    case on
    /// A row with as little state may be as accurate, because their intervals overlap; or seeds have failed.
    case possible
    /// A row with as little state is as accurate.
    case off
}

extension Standing {
    /// - Parameter rows: those on the same task, the row among them. Rows equal in state and accuracy stand alike.
    init(of row: TradeoffRow, among rows: [TradeoffRow]) {
        let rivals = rows.filter { $0.facts.stateBytes <= row.facts.stateBytes }
        let own = row.accuracyRange
        /// Whether a rival is better: as good with less state, or strictly more accurate.
        func isBeaten(by rival: TradeoffRow, _ accuracy: Double, against own: Double) -> Bool {
            rival.facts.stateBytes < row.facts.stateBytes ? accuracy >= own : accuracy > own
        }
        let others = rivals.filter { $0 != row }
        if others.contains(where: {
            $0.failedSeeds == 0 && isBeaten(by: $0, $0.accuracyRange.lowerBound, against: own.upperBound)
        }) {
            self = .off
        } else if row.failedSeeds > 0
            || others.contains(where: { isBeaten(by: $0, $0.accuracyRange.upperBound, against: own.lowerBound) }
            )
        {
            self = .possible
        } else {
            self = .on
        }
    }
}

extension TradeoffRow {
    /// The 95 % interval of the test accuracy; the accuracy itself where there is one seed.
    public var accuracyRange: ClosedRange<Double> {
        testAccuracy.interval ?? testAccuracy.mean...testAccuracy.mean
    }
}
