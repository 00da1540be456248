import Foundation
import RecallInput

/// What one learning rate came to: what a search looks at.
public struct LearningRateTrial: Hashable, Sendable {
    /// Of the validation split, 0 to 1; 0 for a run that failed.
    public var accuracy: Double
    /// Of the validation split, nats a label; infinite for a run that failed.
    public var loss: Double
    /// Whether the training loss left chance (`MQARTask.hasLeftChance`).
    public var hasLeftChance: Bool

    public init(accuracy: Double, loss: Double, hasLeftChance: Bool) {
        (self.accuracy, self.loss, self.hasLeftChance) = (accuracy, loss, hasLeftChance)
    }

    /// A run that failed, by diverging say.
    public static let failed = LearningRateTrial(accuracy: 0, loss: .infinity, hasLeftChance: false)

    /// What several seeds came to: mean accuracy and loss, and whether one of them left chance.
    ///
    /// - Parameter trials: at least one, in any order: the same ones give the same bits.
    public static func mean(of trials: [LearningRateTrial]) -> LearningRateTrial {
        precondition(!trials.isEmpty, "the mean of nothing")
        let count = Double(trials.count)
        return LearningRateTrial(
            accuracy: trials.map(\.accuracy).sorted().reduce(0, +) / count,
            loss: trials.map(\.loss).sorted().reduce(0, +) / count,
            hasLeftChance: trials.contains(where: \.hasLeftChance)
        )
    }
}

/// Which seeds choose the learning rate of a point that has several.
public enum SeedSelection: String, Codable, CaseIterable, Sendable {
    /// All, by their mean validation accuracy, of the rates around the best (`SeededSelection`).
    case allSeeds = "all-seeds"
    /// The first alone, which is then averaged in: it favours luck where the window of good rates is narrow.
    case firstSeed = "first-seed"
}

/// A search for the learning rate of one point of a suite: coarse first, fine around the best.
///
/// Recurrent mixers learn MQAR in a window of about half a decade of learning rates, which grids of four points over two
/// decades miss (Okpekpe and Orvieto, "When recalling in-context, Transformers are not SSMs", 2025). The search
///
/// 1. tries `start` rates from `from` to `to`, evenly spaced in their logarithm;
/// 2. halves the spacing everywhere while no rate has left chance, down to the resolution;
/// 3. goes one coarse step further, or one of the resolution, while the best sits at an edge, up to `extend` decades beyond;
/// 4. halves the distance to both neighbours of the best, until they are within the resolution.
///
/// It looks at validation alone. What it does next depends on nothing but the results of the rates tried so far, and it
/// waits for all rates of a step, so the same rates are tried in whatever order and on however many processes they are
/// trained, and a search that was interrupted goes on where it was.
public struct LearningRateSearch: Hashable, Codable, Sendable {
    /// The ends of the coarse grid.
    public var from: Double
    public var to: Double
    /// Rates of the coarse grid, the ends among them.
    public var start: Int
    /// Decades between the best and its neighbours at the end.
    public var resolution: Double
    /// Decades that it may go beyond each end.
    public var extend: Double
    /// Encoded where it is not `firstSeed` only: that is what searches meant that were stored before there was the key.
    private var selectionIfNotFirst: SeedSelection?

    /// Which seeds choose the rate of a point that has several.
    public var selection: SeedSelection {
        get { selectionIfNotFirst ?? .firstSeed }
        set { selectionIfNotFirst = newValue == .firstSeed ? nil : newValue }
    }

    enum CodingKeys: String, CodingKey {
        case from, to, start, resolution, extend
        case selectionIfNotFirst = "selection"
    }

    public static let defaultStart = 6
    public static let defaultResolution = 0.25
    public static let defaultExtend = 1.0

    /// - Parameters:
    ///   - from: above 0 and below `to`.
    ///   - start: at least 2.
    ///   - resolution: `resolutions` says what it may be.
    ///   - extend: from 0.
    public init(
        from: Double,
        to: Double,
        start: Int = defaultStart,
        resolution: Double = defaultResolution,
        extend: Double = defaultExtend,
        selection: SeedSelection = .allSeeds
    ) {
        precondition(from > 0 && to > from && start >= 2, "a search without a range")
        precondition(Self.resolutions.contains(resolution) && extend >= 0, "a search without a resolution")
        (self.from, self.to, self.start) = (from, to, start)
        (self.resolution, self.extend) = (resolution, extend)
        self.selection = selection
    }

    /// A suite whose search may try more rates is refused.
    public static let maximumRates = 200

    /// Finer ones than a twentieth of a decade would fall between the three digits that rates have.
    public static let resolutions = 0.05...2

    /// Where a search stands.
    public struct Progress: Hashable, Sendable {
        /// The rates that are tried or to be tried, ascending.
        public var rates: [Double]
        /// The best on validation; nil while one of `rates` has no result.
        public var best: Double?
    }

    /// Where the search stands, replayed from its start.
    ///
    /// - Parameter trial: what a rate came to; nil for one that has not been tried to the end.
    public func progress(_ trial: (Double) -> LearningRateTrial?) -> Progress {
        var rates = coarseGrid
        while true {
            let trials = rates.map(trial)
            let known = trials.compactMap(\.self)
            guard known.count == rates.count else {
                return Progress(rates: rates, best: nil)
            }
            let best = Self.best(known)
            let more = next(after: rates, known, best: best).filter { !rates.contains($0) }
            if more.isEmpty {
                return Progress(rates: rates, best: rates[best])
            }
            rates = (rates + more).sorted()
        }
    }

    /// The lowest and the highest rate that a search can come to.
    public var reach: ClosedRange<Double> {
        min(from, Self.rounded(from / pow(10, extend)))...max(to, Self.rounded(to * pow(10, extend)))
    }

    /// The most rates that a search can come to.
    public var mostRates: Int {
        let span = Self.decades(from, to) + 2 * extend
        // Halving stops at or below the resolution, so no two neighbours are closer than half of it.
        return start.plus(Int(clamping: (2 * span / resolution).rounded(.up))).plus(2)
    }

    /// The place of the best: the highest accuracy, of those the lowest loss, of those the lowest rate.
    ///
    /// - Parameter trials: by ascending rate, at least one.
    public static func best(_ trials: [LearningRateTrial]) -> Int {
        precondition(!trials.isEmpty, "the best of nothing")
        return trials.indices.min {
            (trials[$1].accuracy, trials[$0].loss, $0) < (trials[$0].accuracy, trials[$1].loss, $1)
        } ?? 0
    }

    // MARK: - Steps

    /// Decades between two rates of the coarse grid.
    private var spacing: Double { Self.decades(from, to) / Double(start - 1) }

    /// Ascending. Three digits each between the ends, and more where those would leave the range or be equal.
    private var coarseGrid: [Double] {
        let inner = (1..<start - 1).map { from * pow(10, Double($0) * spacing) }
        for digits in Self.digits...17 {
            let grid = [from] + inner.map { Self.rounded($0, digits: digits) } + [to]
            if zip(grid, grid.dropFirst()).allSatisfy(<) { return grid }
        }
        // More rates than there are numbers between the ends.
        return ([from] + Set(inner.filter { from < $0 && $0 < to }).sorted() + [to])
    }

    private func next(after rates: [Double], _ trials: [LearningRateTrial], best: Int) -> [Double] {
        guard trials.contains(where: \.hasLeftChance) else {
            return (1..<rates.count).compactMap { middle(rates[$0 - 1], rates[$0]) }
        }
        if let beyond = extended(rates, best) { return [beyond] }
        let below = best > 0 ? middle(rates[best - 1], rates[best]) : nil
        let above = best + 1 < rates.count ? middle(rates[best], rates[best + 1]) : nil
        return [below, above].compactMap(\.self)
    }

    /// A rate beyond the edge that the best sits at; nil where it does not, or where the bound is reached.
    private func extended(_ rates: [Double], _ best: Int) -> Double? {
        guard best == 0 || best == rates.count - 1 else { return nil }
        let (edge, step) = (rates[best], pow(10, max(spacing, resolution)))
        let rate = best == 0 ? max(edge / step, from / pow(10, extend)) : min(edge * step, to * pow(10, extend))
        // What rounding left over before the bound is no step.
        return abs(log10(rate / edge)) > 0.02 ? Self.rounded(rate) : nil
    }

    /// The rate between two, where they are further apart than the resolution.
    private func middle(_ lower: Double, _ upper: Double) -> Double? {
        // What rounding the rates to three digits adds to a distance does not count.
        guard Self.decades(lower, upper) > resolution + 0.005 else { return nil }
        return Self.rounded((lower * upper).squareRoot())
    }

    /// Rates of the full grid at the resolution, over the range of some rates that a search tried. At least as many as
    /// those: in a range that is narrow beside the resolution, the first grid alone is finer.
    public func fullGrid(covering rates: [Double]) -> Int {
        guard let lowest = rates.min(), let highest = rates.max() else { return 0 }
        // A distance that rounding to three digits made a little longer needs no rate more.
        let grid = Int(clamping: (Self.decades(lowest, highest) / resolution - 0.02).rounded(.up)).plus(1)
        return max(rates.count, grid)
    }

    private static func decades(_ lower: Double, _ upper: Double) -> Double { log10(upper / lower) }

    /// Significant digits of a rate: no library's last bit makes another run.
    private static let digits = 3

    private static func rounded(_ rate: Double, digits: Int = digits) -> Double {
        Double(String(format: "%.\(digits - 1)e", rate)) ?? rate
    }
}

extension LearningRateSearch: CustomStringConvertible {
    /// "searched from 0.0001 to 0.03, 6 to begin with, to 0.25 decades"; also says so where the first seed chooses.
    public var description: String {
        "searched from \(from) to \(to), \(start) to begin with, to \(resolution) decades"
            + (selection == .firstSeed ? ", chosen by the first seed" : "")
    }
}
