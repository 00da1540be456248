import Foundation
import RecallSuite
import Testing

@Suite struct LearningRateSearchTests {
    /// A mixer that learns in a window around `centre`: its accuracy falls off with the square of the decades.
    private func bell(centre: Double, width: Double) -> (Double) -> LearningRateTrial {
        { rate in
            let distance = log10(rate / centre) / width
            let accuracy = exp(-distance * distance)
            return LearningRateTrial(accuracy: accuracy, loss: 1 - accuracy, hasLeftChance: accuracy > 0.01)
        }
    }

    private func decades(_ one: Double, _ other: Double) -> Double { abs(log10(one / other)) }

    private func isFine(_ progress: LearningRateSearch.Progress, _ search: LearningRateSearch) throws -> Bool {
        let place = try #require(progress.best.flatMap { progress.rates.firstIndex(of: $0) })
        return [place - 1, place + 1].filter(progress.rates.indices.contains).allSatisfy {
            decades(progress.rates[$0], progress.rates[place]) <= search.resolution + 0.01
        }
    }

    @Test func theCoarseGridIsEvenAndHasItsEnds() {
        let progress = LearningRateSearch(from: 1e-4, to: 3e-2).progress { _ in nil }
        #expect(progress.rates == [0.0001, 0.000313, 0.000979, 0.00306, 0.00959, 0.03])
        #expect(progress.best == nil)
    }

    /// The rates that searches begin with are those of stored runs: the default search of sweeps, and others of before.
    @Test(
        arguments: [
            (StateSizeSweep.search, [0.002, 0.00632, 0.02]),
            (LearningRateSearch(from: 1e-5, to: 1), [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]),
            (LearningRateSearch(from: 1e-3, to: 1e-1, start: 3, resolution: 0.5), [1e-3, 0.01, 0.1]),
            (
                LearningRateSearch(from: 1.2345e-3, to: 6.789e-2, start: 5),
                [0.0012345, 0.00336, 0.00915, 0.0249, 0.06789]
            ),
        ] as [(LearningRateSearch, [Double])]
    )
    func storedSearchesKeepTheirRates(_ search: LearningRateSearch, rates: [Double]) {
        #expect(search.progress { _ in nil }.rates == rates)
    }

    /// Three digits would be outside the range, and the same for all.
    @Test func aNarrowRangeIsNotLeft() {
        let search = LearningRateSearch(from: 0.0010004, to: 0.0010008, extend: 0)
        let progress = search.progress { LearningRateTrial(accuracy: $0, loss: 1, hasLeftChance: true) }
        #expect(progress.rates == [0.0010004, 0.00100048, 0.00100056, 0.00100064, 0.00100072, 0.0010008])
        #expect(progress.best == 0.0010008)
        #expect(progress.rates.allSatisfy { (0.0010004...0.0010008).contains($0) })
        // A hundred are asked for of the few numbers that there are.
        let few = LearningRateSearch(from: 0.001, to: 0.001 * (1 + 1e-14), start: 100, extend: 0)
        let rates = few.progress { _ in nil }.rates
        #expect(rates.count >= 2 && rates.first == few.from && rates.last == few.to)
        #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test(arguments: [1.3e-4, 5e-4, 1e-3, 4.4e-3, 8e-3, 2.1e-2])
    func aWindowOfHalfADecadeIsFound(centre: Double) throws {
        let search = LearningRateSearch(from: 1e-4, to: 3e-2)
        let curve = bell(centre: centre, width: 0.5)
        let progress = search.progress(curve)
        let best = try #require(progress.best)
        #expect(decades(best, centre) <= search.resolution)
        #expect(try isFine(progress, search))
        #expect(progress.rates.first != best && progress.rates.last != best)
        #expect(curve(best).accuracy == progress.rates.map { curve($0).accuracy }.max())
        #expect(search.fullGrid(covering: progress.rates) > max(10, progress.rates.count))
    }

    /// Narrower than the coarse spacing, between two of its rates: none leaves chance, so the spacing is halved first.
    @Test func theSpacingIsHalvedWhereNothingLearns() throws {
        let search = LearningRateSearch(from: 1e-4, to: 1e-2, start: 3, resolution: 0.25)
        let curve: (Double) -> LearningRateTrial = { rate in
            let learns = self.decades(rate, 3.16e-4) < 0.3
            return LearningRateTrial(
                accuracy: learns ? 0.9 : 0.01,
                loss: learns ? 0.3 : 5,
                hasLeftChance: learns
            )
        }
        var asked: [Double] = []
        let progress = search.progress { rate in
            if !asked.contains(rate) { asked.append(rate) }
            return curve(rate)
        }
        #expect(asked.prefix(5) == [1e-4, 1e-3, 1e-2, 3.16e-4, 3.16e-3])
        #expect(curve(try #require(progress.best)).hasLeftChance)
        #expect(try isFine(progress, search))
    }

    @Test func whatNeverLearnsEndsAtTheResolution() {
        let search = LearningRateSearch(from: 1e-3, to: 1e-1, start: 3, resolution: 0.25)
        let progress = search.progress { _ in LearningRateTrial(accuracy: 0.01, loss: 5, hasLeftChance: false) }
        // 1, 0.5 and 0.25 decades: nine rates, none beyond the ends.
        #expect(progress.rates.count == 9 && progress.best == 1e-3)
        #expect(progress.rates.first == 1e-3 && progress.rates.last == 1e-1)
        #expect(search.fullGrid(covering: progress.rates) == 9)
    }

    @Test(arguments: [true, false])
    func itGoesBeyondAnEdgeAndStopsAtItsBound(upwards: Bool) throws {
        var search = LearningRateSearch(from: 1e-3, to: 1e-2, start: 3, resolution: 0.5, extend: 1)
        let further: (Double) -> LearningRateTrial = { rate in
            let height = log10(rate) * (upwards ? 0.1 : -0.1)
            return LearningRateTrial(accuracy: 0.5 + height, loss: 1, hasLeftChance: true)
        }
        let progress = search.progress(further)
        #expect(progress.best == (upwards ? 0.0999 : 1e-4))
        #expect(progress.rates.count == 5)
        search.extend = 0
        #expect(search.progress(further).rates == [1e-3, 3.16e-3, 1e-2])
        // A best inside ends the walk.
        search.extend = 3
        let centre = upwards ? 3e-2 : 3e-4
        let found = search.progress(bell(centre: centre, width: 0.5))
        #expect(decades(try #require(found.best), centre) < 0.3)
    }

    @Test func tiesGoToTheLowerLossThenTheLowerRate() {
        let search = LearningRateSearch(from: 1e-3, to: 1e-1, start: 3, resolution: 1)
        func best(_ losses: [Double]) -> Double? {
            search.progress { rate in
                let index = [1e-3, 1e-2, 1e-1].firstIndex(of: rate)
                return LearningRateTrial(
                    accuracy: index == nil ? 0 : 0.9,
                    loss: index.map { losses[$0] } ?? 9,
                    hasLeftChance: true
                )
            }.best
        }
        #expect(best([0.3, 0.2, 0.3]) == 1e-2)
        #expect(best([0.2, 0.2, 0.2]) == 1e-3)
    }

    @Test func aFailedRunIsTheWorst() {
        let search = LearningRateSearch(from: 1e-3, to: 1e-1, start: 3, resolution: 1)
        let progress = search.progress { rate in
            rate > 5e-2 ? .failed : LearningRateTrial(accuracy: 0.2, loss: rate, hasLeftChance: true)
        }
        #expect(progress.best == progress.rates.first)
    }

    /// What is tried never depends on the order in which results come: an unfinished rate stops every step.
    @Test func aStepWaitsForAllOfItsRates() {
        let search = LearningRateSearch(from: 1e-4, to: 3e-2)
        let curve = bell(centre: 4e-3, width: 0.5)
        var known: [Double: LearningRateTrial] = [:]
        var rounds = 0
        while true {
            let progress = search.progress { known[$0] }
            let open = progress.rates.filter { known[$0] == nil }
            if open.isEmpty { break }
            for rate in open.dropLast() { known[rate] = curve(rate) }
            // All but one are there: nothing new is asked for.
            #expect(search.progress { known[$0] }.rates == progress.rates)
            if let last = open.last { known[last] = curve(last) }
            rounds += 1
        }
        #expect(rounds == 2)
        #expect(search.progress { known[$0] } == search.progress(curve))
        #expect(known.count == search.progress(curve).rates.count)
    }

    /// However the accuracies lie, a search ends, and within its own bound.
    @Test func itAlwaysEnds() {
        for seed in UInt64(0)..<500 {
            var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
            func next() -> Double {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                return Double(state >> 11) * 0x1p-53
            }
            let search = LearningRateSearch(
                from: pow(10, -5 + 2 * next()),
                to: pow(10, -2 + 2 * next()),
                start: 2 + Int(40 * next()),
                resolution: 0.05 + next(),
                extend: 2 * next()
            )
            var trials: [Double: LearningRateTrial] = [:]
            let progress = search.progress { rate in
                let trial =
                    trials[rate]
                    ?? LearningRateTrial(accuracy: next(), loss: next(), hasLeftChance: next() > 0.7)
                trials[rate] = trial
                return trial
            }
            #expect(progress.best != nil)
            #expect(progress.rates.count <= search.mostRates, "seed \(seed)")
            #expect(progress.rates.allSatisfy(search.reach.contains), "seed \(seed)")
            #expect(
                Set(progress.rates).count == progress.rates.count && progress.rates == progress.rates.sorted()
            )
        }
    }
}

@Suite struct SeededSelectionTests {
    private let tried = [1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2]

    private func trials(_ accuracies: [Double]) -> [LearningRateTrial] {
        accuracies.map { LearningRateTrial(accuracy: $0, loss: 1 - $0, hasLeftChance: true) }
    }

    @Test func theBestAndItsNeighboursGetEverySeed() {
        let selection = SeededSelection(from: 4e-3, among: tried) { _ in nil }
        #expect(selection.rates == [2e-3, 4e-3, 8e-3] && selection.best == nil)
        #expect(SeededSelection(from: 1e-3, among: tried) { _ in nil }.rates == [1e-3, 2e-3])
        #expect(SeededSelection(from: 1e-3, among: [1e-3]) { _ in trials([0.5]) }.best == 1e-3)
    }

    /// The first seed was lucky at its best; the mean of all is better beside it.
    @Test func theMeanChooses() {
        let results = [2e-3: [0.8, 0.8], 4e-3: [0.9, 0.1], 8e-3: [0.3, 0.3]]
        let waits = SeededSelection(from: 4e-3, among: tried) { results[$0].map(trials) }
        // The better one's own neighbour is not run with all seeds yet.
        #expect(waits.rates == [1e-3, 2e-3, 4e-3, 8e-3] && waits.best == nil)
        let chosen = SeededSelection(from: 4e-3, among: tried) {
            results[$0].map(trials) ?? trials([0.7, 0.7])
        }
        #expect(chosen.rates == [1e-3, 2e-3, 4e-3, 8e-3] && chosen.best == 2e-3)
        let failed = SeededSelection(from: 4e-3, among: tried) {
            $0 == 4e-3 ? trials([0.9]) + [.failed] : trials([0.5, 0.5])
        }
        #expect(failed.best == 1e-3)
    }

    /// However far the mean's best moves, it ends, and has both neighbours with all seeds.
    @Test func itEndsWithBothNeighbours() {
        for start in tried {
            let climbing = SeededSelection(from: start, among: tried) { trials([$0, $0]) }
            #expect(climbing.best == tried.last)
            #expect(climbing.rates.suffix(2) == tried.suffix(2))
        }
        let flat = SeededSelection(from: 1.6e-2, among: tried) { _ in trials([0.5, 0.5]) }
        #expect(flat.best == 1e-3 && flat.rates == tried)
    }

    @Test func oldSearchesAreReadAsTheyWereMeant() throws {
        let old = #"{"extend":1,"from":0.001,"resolution":0.25,"start":6,"to":0.1}"#
        let search = try JSONDecoder().decode(LearningRateSearch.self, from: Data(old.utf8))
        #expect(search.selection == .firstSeed && RunSpec.json(search) == old)
        let now = LearningRateSearch(from: 1e-3, to: 0.1)
        #expect(now.selection == .allSeeds && RunSpec.json(now).contains(#""selection":"all-seeds""#))
        let again = try JSONDecoder().decode(LearningRateSearch.self, from: Data(RunSpec.json(now).utf8))
        #expect(again == now && again != search)
    }
}

@Suite struct SearchedSuiteTests {
    private let yaml = edited(
        "learning_rate: [0.01, 0.001]",
        "learning_rate: {search: {from: 1.0e-3, to: 1.0e-1, start: 3, resolution: 0.5, selection: first-seed}}\n"
            + "  seeds: 2\n  data_seeds: 3"
    )
    private var byAllSeeds: String { edited(", selection: first-seed", "", in: yaml) }

    private func trial(_ accuracy: Double) -> LearningRateTrial {
        LearningRateTrial(accuracy: accuracy, loss: 1 - accuracy, hasLeftChance: true)
    }

    @Test func itBeginsWithTheCoarseGridAndOneSeed() throws {
        let searched = try suite(yaml)
        #expect(
            searched.search
                == LearningRateSearch(from: 1e-3, to: 1e-1, start: 3, resolution: 0.5, selection: .firstSeed)
        )
        #expect((searched.seeds, searched.dataSeeds) == (2, 3))
        let runs = searched.expand(seed: 4)
        #expect(runs.count == 3 * 5)
        #expect(runs.allSatisfy { $0.spec.seed == 4 && $0.spec.task.dataSeed == 123 })
        #expect(runs.prefix(3).map(\.spec.training.learningRate) == [1e-3, 1e-2, 1e-1])
    }

    @Test func otherSeedsJoinAtTheBestRate() throws {
        let searched = try suite(yaml)
        var expansion = SuiteExpansion(searched, seed: 4)
        let first = expansion.runs { _ in nil }.prefix(3)
        let accuracies = Dictionary(uniqueKeysWithValues: zip(first.map(\.runID), [0.2, 0.9, 0.3]))
        let second = expansion.runs { accuracies[$0].map(trial) }
        // The two rates between; the other points are where they were.
        #expect(second.count == 15 + 2)
        #expect(second.prefix(5).map(\.spec.training.learningRate) == [1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1])
        let all = expansion.runs {
            accuracies[$0].map(trial) ?? (second.prefix(5).map(\.runID).contains($0) ? trial(0.1) : nil)
        }
        #expect(all.count == 17 + 1 + 2)
        let best = all.filter { $0.spec.training.learningRate == 1e-2 }.prefix(4)
        #expect(
            best.map { [$0.spec.seed, $0.spec.task.dataSeed] } == [[4, 123], [5, 123], [4, 124], [4, 125]]
        )
        #expect(Set(best.map(\.taskHash)).count == 3)
        #expect(Set(all.map(\.pointID)).count == 5)
    }

    /// The best rate and its neighbours, then those of the rate that is better in the mean.
    @Test func otherSeedsJoinAroundTheBestRate() throws {
        let searched = try suite(byAllSeeds)
        #expect(searched.search?.selection == .allSeeds)
        var expansion = SuiteExpansion(searched, seed: 4)
        // At 3.16e-3 the other seeds are better than at the first one's best, 1e-2.
        let firsts = [1e-3: 0.2, 3.16e-3: 0.5, 1e-2: 0.9, 3.16e-2: 0.3, 1e-1: 0.1]
        let others = [3.16e-3: 0.8, 1e-2: 0.2]
        var known: [String: LearningRateTrial] = [:]
        var rounds: [[Double: Int]] = []
        while true {
            let runs = expansion.runs { known[$0] }
            let point = runs.filter { $0.pointID == runs[0].pointID }
            let open = point.filter { known[$0.runID] == nil }
            if open.isEmpty { break }
            rounds.append(
                Dictionary(grouping: point, by: \.spec.training.learningRate).mapValues(\.count)
            )
            for run in open {
                let isFirst = run.spec.seed == 4 && run.spec.task.dataSeed == 123
                known[run.runID] = trial(
                    (isFirst ? firsts : others)[run.spec.training.learningRate] ?? 0.1
                )
            }
        }
        #expect(
            rounds == [
                [1e-3: 1, 1e-2: 1, 1e-1: 1],
                [1e-3: 1, 3.16e-3: 1, 1e-2: 1, 3.16e-2: 1, 1e-1: 1],
                [1e-3: 1, 3.16e-3: 4, 1e-2: 4, 3.16e-2: 4, 1e-1: 1],
                [1e-3: 4, 3.16e-3: 4, 1e-2: 4, 3.16e-2: 4, 1e-1: 1],
            ]
        )
        let most = searched.mostRunsOfAPoint()
        #expect(known.count <= most && most == 4 * (searched.search?.mostRates ?? 0))
        #expect(searched.mostRunsOfAPoint(rates: 2) == 8)
        #expect(try suite(yaml).mostRunsOfAPoint(rates: 2) == 5)
    }

    /// A search of one seed has the hash that it had before there was a selection.
    @Test func withOneSeedTheSelectionIsNotInTheHash() throws {
        func hash(_ yaml: String) throws -> String { try suite(yaml).contentHash() }
        #expect(try hash(yaml) != hash(byAllSeeds))
        let single = "\n  seeds: 2\n  data_seeds: 3"
        #expect(try hash(edited(single, "", in: yaml)) == hash(edited(single, "", in: byAllSeeds)))
    }

    @Test func theHashKnowsTheSearch() throws {
        let hash = try suite(yaml).contentHash()
        #expect(try suite(yaml).contentHash() == hash)
        for (old, new) in [("resolution: 0.5", "resolution: 0.4"), ("data_seeds: 3", "data_seeds: 2")] {
            #expect(try suite(edited(old, new, in: yaml)).contentHash() != hash)
        }
    }

    @Test func listsTakeDataSeedsToo() throws {
        let runs = try suite(edited("epochs: 1", "seeds: 2\n  data_seeds: 2\n  epochs: 1")).expand()
        let seeds = runs.prefix(3).map { [$0.spec.seed, $0.spec.task.dataSeed] }
        #expect(seeds == [[0, 123], [1, 123], [0, 124]])
        #expect(runs.count == 3 * 2 * 5)
    }

    @Test(arguments: [
        (
            "from: 1.0e-3", "from: 0",
            "x.yaml:11:34: training.learning_rate.search.from: must be a number above 0, not '0'"
        ),
        ("to: 1.0e-1", "to: 1.0e-4", "must be above from: 0.0001 is not above 0.001"),
        ("start: 3", "start: 1", "must be an integer from 2 to 100, not '1'"),
        ("resolution: 0.5", "resolution: 0.01", "must be a number of decades from 0.05 to 2.0, not '0.01'"),
        (
            "from: 1.0e-3, to: 1.0e-1, start: 3, resolution: 0.5", "from: 1, to: 1.0e+30",
            "x.yaml:11:27: training.learning_rate.search: may try 264 rates a point, and at most 200 are taken"
        ),
        ("selection: first-seed", "selection: fisrt-seed", "did you mean 'first-seed'?"),
        ("resolution: 0.5", "resolutoin: 0.5", "unknown key; did you mean 'resolution'?"),
        ("from: 1.0e-3, ", "", "the key 'from' is missing"),
        ("{search: {", "{serach: {", "did you mean 'search'?"),
        ("data_seeds: 3", "data_seeds: 0", "must be an integer from 1"),
    ])
    func mistakesAreRefused(old: String, new: String, message: String) throws {
        let error = try #require(refusal(edited(old, new, in: yaml)))
        #expect(error.description.contains(message), "\(error)")
    }

    /// What the search may come to is no mistake, though no run has it yet.
    @Test func filtersMayNameWhatASearchCanReach() throws {
        let searched = try suite(yaml)
        let (runs, reach) = (searched.expand(seed: 4), try #require(searched.reach(seed: 4)))
        func count(_ options: String...) throws -> Int {
            try RunFilter(options).select(from: runs, reach: reach).count
        }
        #expect(try count("seed=5") == 0 && count("seed=4") == 15)
        #expect(try count("learning_rate=0.00316") == 0 && count("learning_rate=1e-4", "learning_rate=1") == 0)
        #expect(try count("learning_rate=0.01", "learning_rate=0.02") == 5)
        #expect(try count("model=first,seed=5,learning_rate=0.05") == 0)
        func message(_ option: String) -> String {
            do { return "no error: \(try count(option))" } catch { return "\(error)" }
        }
        #expect(message("seed=6") == "--only: no run has seed '6'; there are 4 to 5")
        #expect(message("seed=3") == "--only: no run has seed '3'; there are 4 to 5")
        #expect(
            message("learning_rate=2")
                == "--only: no run can have learning_rate '2'; they are searched from 0.0001 to 1.0"
        )
        #expect(message("model=frist,seed=5").contains("did you mean 'first'?"))
        #expect(message("model=first,d_model=32,seed=5").contains("no run meets all of them"))
        #expect(try RunFilter(["learning_rate=0.1,learning_rate=1e-1"]).mostRates == 1)
        #expect(try suite(plainSuite).reach() == nil && RunFilter(["seed=1"]).mostRates == nil)
    }

    @Test func shardsKeepPointsWhole() throws {
        let runs = try suite(yaml).expand()
        let shards = try (0..<2).map { try Shard("\($0)/2").select(from: runs, by: \.pointID) }
        #expect(shards.map(\.count) == [9, 6])
        #expect(Set(shards[0].map(\.pointID)).isDisjoint(with: shards[1].map(\.pointID)))
        #expect(shards[0].prefix(3).map(\.runID) == runs.prefix(3).map(\.runID))
    }
}
