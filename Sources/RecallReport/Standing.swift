/// How a row stands to the frontier of state and accuracy, as far as its seeds tell.
///
/// Where two rows have seeds enough in common for the paired test to rank them (`PairedTest`), it decides between them.
/// Otherwise a row's accuracy is the range of its seeds (`Contender.accuracyRange`), or the one number that there is, and
/// rows whose ranges overlap are not told apart. What a seed that failed would have reached is not known: a row with one is
/// never surely better. A row whose accuracy is that of a guess is off, and puts no other off.
public enum Standing: String, CaseIterable, Sendable {
    /// Every row with at most as much state is less accurate.
    case on
    /// A row with as little state may be as accurate: the seeds do not tell; or seeds have failed.
    case possible
    /// A row with as little state is as accurate, or nothing is recalled.
    case off
}

/// What the paired test tells of a row and those that have as little state.
public enum Ranking: Equatable, Sendable {
    /// It is more accurate than each of them.
    case above
    /// It is less accurate than one of them.
    case below
    /// Neither, with so many seeds in common with the row that it is to be told from.
    case undetermined(seeds: Int)

    /// "undetermined at 3 seeds".
    public var text: String {
        switch self {
        case .above: "above"
        case .below: "below"
        case .undetermined(let seeds): "undetermined at \(seeds) \(seeds == 1 ? "seed" : "seeds")"
        }
    }

    /// This and what another of those rows makes of it: below one is below, and above needs all.
    fileprivate func joined(by other: Ranking?) -> Ranking {
        switch (self, other) {
        case (_, nil): self
        case (.below, _), (_, .below?): .below
        case (.undetermined(let one), .undetermined(let other)?): .undetermined(seeds: min(one, other))
        case (.undetermined, _): self
        case (.above, let other?): other
        }
    }
}

/// Rows that compete with one another: those on one task under one training.
public struct Competition: Sendable {
    /// In the order of the contenders. Rows equal in state and accuracy stand alike.
    public let standings: [Standing]
    /// The same; nil for a row that competes with no other, because none has as little state, or nothing is recalled.
    public let rankings: [Ranking?]

    public init(_ contenders: [Contender]) {
        let places = contenders.indices.map { index -> (Standing, Ranking?) in
            let row = contenders[index]
            guard !row.isGuess else { return (.off, nil) }
            var (standing, ranking): (Standing, Ranking?) = (row.failedSeeds > 0 ? .possible : .on, nil)
            for other in contenders.indices where other != index {
                let rival = contenders[other]
                guard !rival.isGuess, rival.stateBytes <= row.stateBytes else { continue }
                let test = PairedTest(row, rival)
                ranking = Self.ranking(row, against: rival, test).joined(by: ranking)
                switch Claim(of: rival, against: row, test) {
                case .certain: standing = .off
                case .open: standing = standing == .off ? .off : .possible
                case .refuted: break
                }
            }
            return (standing, ranking)
        }
        (standings, rankings) = (places.map(\.0), places.map(\.1))
    }

    private static func ranking(_ row: Contender, against rival: Contender, _ test: PairedTest) -> Ranking {
        switch test.order {
        case .above where row.failedSeeds == 0: .above
        case .below where rival.failedSeeds == 0: .below
        default: .undetermined(seeds: test.pairs)
        }
    }
}

extension Standing {
    /// The standings of rows that compete with one another.
    public static func of(_ contenders: [Contender]) -> [Standing] { Competition(contenders).standings }
}

/// Whether a row with as little state is better than another: more accurate, or as accurate with less state.
private enum Claim {
    case certain, open, refuted

    /// - Parameter test: of the row against the rival.
    init(of rival: Contender, against row: Contender, _ test: PairedTest) {
        /// Whether these accuracies would be better.
        func isBetter(_ accuracy: Double, than own: Double) -> Bool {
            rival.stateBytes < row.stateBytes ? accuracy >= own : accuracy > own
        }
        let (its, own) = (rival.accuracyRange, row.accuracyRange)
        let surely: Bool
        let perhaps: Bool
        if test.canTell {
            surely = test.order == .below || test.order == .equal && rival.stateBytes < row.stateBytes
            perhaps = test.order == .undetermined
        } else {
            surely = isBetter(its.lowerBound, than: own.upperBound)
            perhaps = isBetter(its.upperBound, than: own.lowerBound)
        }
        self = surely ? (rival.failedSeeds == 0 ? .certain : .open) : perhaps ? .open : .refuted
    }
}
