import RecallStore
import RecallSuite

/// The runs of a point that its learning rate is chosen from, and the choice where a search's rule makes it.
///
/// A list has every seed at every rate, so all runs compete. A search has other seeds at some rates only, and a search from
/// another first seed tried other rates: of all runs only those compete that the rule looks at.
struct CompetingRuns {
    let runs: [StoredRun]
    /// The rate that all seeds together chose; nil where the best mean of `runs` is the choice.
    private(set) var chosen: Double?

    /// - Parameter ended: the runs of one point that finished or failed.
    init(_ ended: [StoredRun], search: LearningRateSearch?) {
        guard let search, let first = ended.map(Seeds.init).min() else {
            runs = ended
            return
        }
        let ofFirst = ended.filter { Seeds($0) == first }
        guard search.selection == .allSeeds else {
            runs = ofFirst
            return
        }
        let tried = Set(ofFirst.map(\.spec.training.learningRate)).sorted()
        var trials: [Double: [Seeds: LearningRateTrial]] = [:]
        for run in ended { trials[run.spec.training.learningRate, default: [:]][Seeds(run)] = run.trial }
        let best = tried[LearningRateSearch.best(tried.compactMap { trials[$0]?[first] })]
        // A suite of fewer seeds than before, or one in progress: as many seeds as have all that the rule needs.
        for family in first.families(in: Set(ended.map(Seeds.init))) {
            let selection = SeededSelection(from: best, among: tried) { rate in
                let found = family.compactMap { trials[rate]?[$0] }
                return found.count == family.count ? found : nil
            }
            guard let rate = selection.best else { continue }
            runs = ended.filter {
                family.contains(Seeds($0)) && tried.contains($0.spec.training.learningRate)
            }
            chosen = rate
            return
        }
        runs = ofFirst
    }

    /// A run's seeds of the data and of initialisation.
    private struct Seeds: Hashable, Comparable {
        let data: UInt64
        let initialisation: UInt64

        init(_ run: StoredRun) { (data, initialisation) = (run.spec.task.dataSeed, run.spec.seed) }

        private init(data: UInt64, initialisation: UInt64) {
            (self.data, self.initialisation) = (data, initialisation)
        }

        static func < (one: Self, other: Self) -> Bool {
            (one.data, one.initialisation) < (other.data, other.initialisation)
        }

        /// The seeds that a suite may have asked for together, from this first one on without a gap; the most first.
        func families(in present: Set<Seeds>) -> [[Seeds]] {
            let initialisations = following(in: present) {
                Seeds(data: data, initialisation: initialisation &+ $0)
            }
            let others = following(in: present) { Seeds(data: data &+ $0, initialisation: initialisation) }
            var families: [[Seeds]] = []
            for count in 1...initialisations.count {
                for otherCount in 0..<others.count {
                    families.append(Array(initialisations[..<count]) + Array(others[1...].prefix(otherCount)))
                }
            }
            return families.sorted { (one: [Seeds], other: [Seeds]) -> Bool in one.count > other.count }
        }

        /// The first seeds of a sequence that are there, this one among them.
        private func following(in present: Set<Seeds>, _ next: (UInt64) -> Seeds) -> [Seeds] {
            var found: [Seeds] = []
            while found.count < present.count {
                let seeds = next(UInt64(found.count))
                guard present.contains(seeds) else { break }
                found.append(seeds)
            }
            return found
        }
    }
}

extension StoredRun {
    /// What a search looks at; of a run that ended.
    var trial: LearningRateTrial {
        guard isScored else { return .failed }
        return LearningRateTrial(
            accuracy: validationAccuracy ?? 0,
            loss: validationLoss ?? .infinity,
            hasLeftChance: spec.task.hasLeftChance(Outcome.lowestTrainLoss(of: [self]))
        )
    }
}
