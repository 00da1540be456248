/// The choice of a learning rate by the mean over all seeds, after a search with the first one.
///
/// The first seed's best rate and its two neighbours among the rates tried are run with every seed. While the best of
/// their means has a neighbour without all seeds, that one is run with them too. The rates with all seeds only become
/// more, so it ends, at the latest when every rate that was tried has them. What it does next depends on nothing but
/// results, and it waits for all runs of a step, as the search does.
public struct SeededSelection: Hashable, Sendable {
    /// The rates that have every seed or are to have it, ascending.
    public var rates: [Double]
    /// The best by the mean over all seeds; nil while one of `rates` has no result.
    public var best: Double?

    /// - Parameters:
    ///   - best: the first seed's best rate.
    ///   - tried: every rate that the first seed tried, ascending; `best` among them.
    ///   - trials: what all seeds of a rate came to; nil while one of them has not ended.
    public init(
        from best: Double,
        among tried: [Double],
        _ trials: (_ rate: Double) -> [LearningRateTrial]?
    ) {
        guard let start = tried.firstIndex(of: best) else {
            preconditionFailure("a best rate that was not tried")
        }
        func withNeighbours(_ place: Int) -> [Int] {
            (place - 1...place + 1).filter(tried.indices.contains)
        }
        var full = Set(withNeighbours(start))
        while true {
            let places = full.sorted()
            rates = places.map { tried[$0] }
            let means = rates.compactMap { trials($0).map(LearningRateTrial.mean) }
            guard means.count == rates.count else {
                self.best = nil
                return
            }
            let place = places[LearningRateSearch.best(means)]
            guard !full.isSuperset(of: withNeighbours(place)) else {
                self.best = tried[place]
                return
            }
            full.formUnion(withNeighbours(place))
        }
    }
}
