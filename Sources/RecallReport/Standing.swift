/// How a row stands to the frontier of state and accuracy, as far as its seeds tell.
///
/// An accuracy is the range of its seeds (`Contender.accuracyRange`), or the one number that there is. Rows whose ranges
/// overlap are not ranked as different. What a seed that failed would have reached is not known: a row with one is never
/// surely better. A row whose accuracy is that of a guess is off, and puts no other off.
public enum Standing: String, CaseIterable, Sendable {
    /// Every row with at most as much state is less accurate.
    case on
    /// A row with as little state may be as accurate, because their ranges overlap; or seeds have failed.
    case possible
    /// A row with as little state is as accurate, or nothing is recalled.
    case off
}

extension Standing {
    /// The standings of rows that compete with one another: those on one task under one training. Rows equal in state and
    /// accuracy stand alike.
    public static func of(_ contenders: [Contender]) -> [Standing] {
        contenders.indices.map { index in
            let row = contenders[index]
            guard !row.isGuess else { return .off }
            var standing: Standing = row.failedSeeds > 0 ? .possible : .on
            for other in contenders.indices where other != index {
                let rival = contenders[other]
                guard !rival.isGuess, rival.stateBytes <= row.stateBytes else { continue }
                switch Claim(of: rival, against: row) {
                case .certain: return .off
                case .open: standing = .possible
                case .refuted: break
                }
            }
            return standing
        }
    }
}

/// Whether a row with as little state is better than another: more accurate, or as accurate with less state.
private enum Claim {
    case certain, open, refuted

    init(of rival: Contender, against row: Contender) {
        /// Whether these accuracies would be better.
        func isBetter(_ accuracy: Double, than own: Double) -> Bool {
            rival.stateBytes < row.stateBytes ? accuracy >= own : accuracy > own
        }
        let (its, own) = (rival.accuracyRange, row.accuracyRange)
        if isBetter(its.lowerBound, than: own.upperBound) {
            self = rival.failedSeeds == 0 ? .certain : .open
        } else {
            self = isBetter(its.upperBound, than: own.lowerBound) ? .open : .refuted
        }
    }
}
