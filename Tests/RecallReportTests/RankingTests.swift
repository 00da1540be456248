import RecallStore
import Testing

@testable import RecallReport

/// What the paired test tells, in standings, tables and CSV.
@Suite struct RankingTests {
    private func row(_ model: String, state: Int, _ accuracies: [Double], from seed: Int = 0) -> [StoredRun] {
        accuracies.enumerated().map {
            syntheticRun(model: model, seed: UInt64(seed + $0), stateBytes: state, test: $1)
        }
    }

    private func tradeoff(_ runs: [StoredRun]) -> Tradeoff { Tradeoff(suite: uncontrolledSuite, runs: runs) }

    private func rankings(_ runs: [StoredRun]) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: tradeoff(runs).rows.map { ($0.model, $0.ranking?.text ?? "alone") }
        )
    }

    private func standings(_ runs: [StoredRun]) -> [String: Standing] {
        Dictionary(uniqueKeysWithValues: tradeoff(runs).rows.map { ($0.model, $0.standing) })
    }

    /// Ranges apart make a frontier, and no ranking: that takes six pairs.
    @Test(arguments: [1, 2, 3, 5]) func fewSeedsRankNothing(seeds: Int) {
        let accuracies = (0..<seeds).map { Double($0) / 1000 }
        let runs =
            row("small", state: 100, accuracies.map { 0.5 + $0 })
            + row("large", state: 200, accuracies.map { 0.9 + $0 })
            + row("worse", state: 300, accuracies.map { 0.2 + $0 })
        let word = "undetermined at \(seeds) \(seeds == 1 ? "seed" : "seeds")"
        #expect(rankings(runs) == ["small": "alone", "large": word, "worse": word])
        #expect(standings(runs) == ["small": .on, "large": .on, "worse": .off])
        let lines = TradeoffTable(tradeoff(runs)).render().split(separator: "\n")
        #expect(lines.count { $0.contains("ranking \(word): the frontier describes these runs; ") } == 1)
        #expect(!lines.contains { $0.contains("?") })
        #expect(!SeedTable(tradeoff(runs)).render().contains("ranking"))
    }

    @Test func sixPairsRankTwoRows() {
        // Seeds differ far more than the rows do, and the ranges overlap: pairs tell the rows apart.
        let hard = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9]
        let runs = row("small", state: 100, hard) + row("large", state: 200, hard.map { $0 + 0.05 })
        #expect(rankings(runs) == ["small": "alone", "large": "above"])
        #expect(standings(runs) == ["small": .on, "large": .on])
        let turned = row("small", state: 200, hard) + row("large", state: 100, hard.map { $0 + 0.05 })
        #expect(rankings(turned) == ["small": "below", "large": "alone"])
        #expect(standings(turned) == ["small": .off, "large": .on])
        // Rows of as much state rank each other.
        let level = row("one", state: 100, hard) + row("other", state: 100, hard.map { $0 + 0.05 })
        #expect(rankings(level) == ["one": "below", "other": "above"])
        // The same seeds of other data are no pairs.
        let elsewhere = row("large", state: 200, hard.map { $0 + 0.05 }, from: 6)
        #expect(
            rankings(row("small", state: 100, hard) + elsewhere)
                == ["small": "alone", "large": "undetermined at 0 seeds"]
        )
    }

    /// Above needs every row with as little state; below needs one.
    @Test func aRowIsRankedAmongAllWithAsLittleState() {
        let base = [0.3, 0.5, 0.6, 0.7, 0.8, 0.85]
        let mixed = zip(base, [0.05, -0.05, 0.05, -0.05, 0.05, 0.05]).map { $0 + $1 }
        let small = row("small", state: 100, base)
        let large = row("large", state: 300, base.map { $0 + 0.1 })
        #expect(rankings(small + large)["large"] == "above")
        let middle = row("middle", state: 200, mixed.map { $0 + 0.1 })
        let runs = small + middle + large
        #expect(rankings(runs)["middle"] == "above" && rankings(runs)["large"] == "undetermined at 6 seeds")
        #expect(standings(runs) == ["small": .on, "middle": .on, "large": .possible])
        let better = row("better", state: 50, base.map { $0 + 0.12 })
        #expect(rankings(runs + better)["large"] == "below")
        #expect(standings(runs + better)["large"] == .off)

        let table = TradeoffTable(tradeoff(runs)).render()
        #expect(table.contains("◇?\n") && table.contains("◆\n") && !table.contains("◆?"))
        #expect(
            table.contains(
                "\n? ranking undetermined at 6 seeds; rows without it are ranked by the paired test\n"
            )
        )
        #expect(!table.contains("the frontier describes"))
        let seeds = SeedTable(tradeoff(runs)).render()
        #expect(seeds.contains("undetermined at 6 seeds") && seeds.contains("  above"))
    }

    @Test func equalRowsAreNotRankedAndTheSmallerStands() {
        let same = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
        let runs =
            row("small", state: 100, same) + row("twin", state: 100, same) + row("large", state: 200, same)
        let word = "undetermined at 6 seeds"
        #expect(rankings(runs) == ["small": word, "twin": word, "large": word])
        #expect(standings(runs) == ["small": .on, "twin": .on, "large": .off])
        #expect(
            TradeoffTable(tradeoff(runs)).render().contains(
                "\nranking undetermined at 6 seeds: the paired test tells no row from all those with as little state\n"
            )
        )
    }

    /// What a failed seed would have reached is not known.
    @Test func failedSeedsRankNoRowHigher() {
        let base = [0.3, 0.5, 0.6, 0.7, 0.8, 0.85]
        let small = row("small", state: 100, base)
        let large = row("large", state: 200, base.map { $0 + 0.1 })
        func failed(_ model: String, _ state: Int) -> [StoredRun] {
            [syntheticRun(model: model, seed: 9, stateBytes: state, status: .failed)]
        }
        #expect(rankings(small + large + failed("large", 200))["large"] == "undetermined at 6 seeds")
        #expect(standings(small + large + failed("large", 200))["large"] == .possible)
        let worse = row("worse", state: 300, base.map { $0 - 0.1 })
        #expect(rankings(small + worse + failed("worse", 300))["worse"] == "below")
        #expect(rankings(small + worse + failed("small", 100))["worse"] == "undetermined at 6 seeds")
        #expect(standings(small + worse + failed("small", 100))["worse"] == .possible)
    }

    @Test func whatRecallsNothingIsRankedAgainstNothing() {
        let six = [0.3, 0.5, 0.6, 0.7, 0.8, 0.85]
        let runs = row("guess", state: 100, six.map { $0 / 10 }) + row("large", state: 200, six)
        #expect(rankings(runs) == ["guess": "alone", "large": "alone"])
        #expect(!TradeoffTable(tradeoff(runs)).render().contains("ranking"))
    }

    /// What a CSV says of a row is enough for its standing and ranking.
    @Test func aContenderIsMadeOfWhatTheCSVSays() throws {
        let hard = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9]
        let made = tradeoff(
            row("small", state: 100, hard) + row("large", state: 200, hard.map { $0 + 0.05 })
                + row("guess", state: 50, [0.1]) + row("two", state: 300, [0.2, 0.9])
        )
        let columns = CSVTable.tradeoff.columns
        let contenders = try made.rows.map { row -> Contender in
            let fields = Dictionary(
                uniqueKeysWithValues: zip(columns, row.csvFields(made).map(\.encoded))
            )
            func number(_ name: String) -> Double? { fields[name].flatMap(Double.init) }
            func list(_ name: String) -> [String] {
                (fields[name] ?? "").split(separator: ";").map(String.init)
            }
            let low = try #require(number("test_accuracy_low") ?? number("test_accuracy_min"))
            let high = try #require(number("test_accuracy_high") ?? number("test_accuracy_max"))
            return Contender(
                stateBytes: Int(try #require(number("state_bytes"))),
                accuracyRange: low...high,
                seeds: Dictionary(
                    uniqueKeysWithValues: zip(
                        list("seed_names"),
                        list("test_accuracy_seeds").compactMap(Double.init)
                    )
                ),
                testLabels: number("test_labels").map { Int($0) },
                failedSeeds: Int(try #require(number("failed_seeds"))),
                isGuess: Contender.isGuess(
                    try #require(number("test_accuracy_mean")),
                    chanceInSequence: try #require(number("chance_accuracy_in_sequence"))
                )
            )
        }
        let competition = Competition(contenders)
        #expect(competition.standings == made.rows.map(\.standing))
        #expect(competition.rankings == made.rows.map(\.ranking))
        #expect(contenders == made.rows.map(Contender.init) && Set(competition.standings).count == 3)
        let place = try #require(columns.firstIndex(of: "ranking"))
        #expect(made.rows[1].csvFields(made)[place].encoded == "above")
    }
}

/// How tables show what the seeds of a row tell.
@Suite struct SeedRangeTests {
    private func table(_ rows: [[Double]]) -> String {
        let runs = rows.enumerated().flatMap { index, accuracies in
            accuracies.enumerated().map {
                syntheticRun(model: "m\(index)", seed: UInt64($0), stateBytes: 100 + index, test: $1)
            }
        }
        return TradeoffTable(Tradeoff(suite: uncontrolledSuite, runs: runs)).render()
    }

    @Test func twoSeedsHaveARangeAndThreeAnInterval() {
        let two = table([[0.7, 0.8], [0.9]])
        #expect(two.contains("  range  ") && two.contains("0.750  0.700–0.800") && !two.contains("95 %"))
        let mixed = table([[0.7, 0.8], [0.9, 0.91, 0.92]])
        #expect(mixed.contains("  95 %  ") && mixed.contains("0.750  range 0.700–0.800"))
        #expect(mixed.contains("0.910        0.882–0.932"))
        let one = table([[0.7]])
        #expect(!one.contains("range") && !one.contains("95 %"))
    }

    @Test func seedsFarApartAreMarked() {
        let spread = table([[0.84, 0.11, 0.83], [0.9, 0.91, 0.92]])
        #expect(spread.contains(" 0.593~  0.007–0.997  ") && spread.contains(" 0.910   0.882–0.932  "))
        #expect(
            spread.contains(
                "\n~ seeds more than 0.2 apart: they may be of two kinds, and the mean of neither\n"
            )
        )
        #expect(!table([[0.7, 0.8]]).contains("~"))
    }
}
