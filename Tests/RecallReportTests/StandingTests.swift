import Foundation
import RecallData
import RecallReport
import RecallStore
import RecallSuite
import Testing

@Suite struct StandingTests {
    private func row(_ model: String, state: Int, _ accuracies: [Double]) -> [StoredRun] {
        accuracies.enumerated().map {
            syntheticRun(model: model, seed: UInt64($0), stateBytes: state, test: $1)
        }
    }

    private func standings(_ runs: [StoredRun]) -> [String: Standing] {
        let rows = Tradeoff(suite: uncontrolledSuite, runs: runs).rows
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.model, $0.standing) })
    }

    @Test func overlappingIntervalsAreNotRanked() {
        let small = row("small", state: 100, [0.70, 0.80, 0.75])
        // Its mean is higher, and yet nothing says that it is better.
        #expect(
            standings(small + row("large", state: 200, [0.72, 0.82, 0.78]))
                == ["small": .on, "large": .possible]
        )
        // Its mean is lower, and yet nothing says that it is worse.
        #expect(
            standings(small + row("large", state: 200, [0.69, 0.78, 0.73]))
                == ["small": .on, "large": .possible]
        )
        #expect(
            standings(small + row("large", state: 200, [0.9, 0.91, 0.92])) == ["small": .on, "large": .on]
        )
        #expect(
            standings(small + row("large", state: 200, [0.5, 0.6, 0.55]))
                == ["small": .on, "large": .possible]
        )
        #expect(
            standings(small + row("large", state: 200, [0.5, 0.52, 0.51])) == ["small": .on, "large": .off]
        )
    }

    @Test func withTheSameStateTheOverlapIsMutual() {
        let runs = row("one", state: 100, [0.7, 0.8]) + row("other", state: 100, [0.75, 0.85])
        #expect(standings(runs) == ["one": .possible, "other": .possible])
    }

    @Test func whatIsWorseThanANumberOfOneSeedIsOff() {
        let runs = row("one", state: 100, [0.9]) + row("several", state: 200, [0.7, 0.8])
        #expect(standings(runs) == ["one": .on, "several": .off])
    }

    /// What a failed seed would have come to is not known, so the others' accuracy puts a row ahead of nobody for sure.
    @Test func aRowWithAFailedSeedIsAtMostPossible() throws {
        let failed = syntheticRun(model: "shaky", seed: 9, stateBytes: 100, status: .failed)
        let runs = row("shaky", state: 100, [0.9, 0.91]) + row("large", state: 200, [0.7, 0.71])
        #expect(standings(runs) == ["shaky": .on, "large": .off])
        #expect(standings(runs + [failed]) == ["shaky": .possible, "large": .possible])
        // What is beaten anyway stays so.
        let better = row("small", state: 50, [0.95, 0.96])
        #expect(standings(runs + better + [failed]) == ["small": .on, "shaky": .off, "large": .off])
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs + [failed])
        #expect(tradeoff.rows.map(\.failedSeeds) == [1, 0] && tradeoff.rows.map(\.seeds) == [2, 2])
        let table = TradeoffTable(tradeoff).render(width: 80)
        #expect(table.contains(" 2 of 3  ") && table.contains("n of m: the other seeds failed"))
        #expect(SeedTable(tradeoff).render().contains(" 2 of 3  "))
        // A rate that was not chosen tells nothing of the row.
        let elsewhere = syntheticRun(
            model: "shaky",
            learningRate: 0.1,
            seed: 9,
            stateBytes: 100,
            status: .failed
        )
        #expect(standings(runs + [elsewhere]) == ["shaky": .on, "large": .off])
    }

    /// Eight pairs: a guess among a sequence's values is right once in eight.
    @Test func whatRecallsNothingIsNotOnTheFrontier() throws {
        let guess = row("guess", state: 100, [0.149])
        #expect(standings(guess) == ["guess": .off])
        #expect(
            standings(guess + row("recalls", state: 200, [0.151]) + row("equal", state: 200, [0.149]))
                == ["guess": .off, "recalls": .on, "equal": .off]
        )
        // Its wide range puts no other row in doubt, and neither does its failed seed.
        let wide = row("wide", state: 100, [0.01, 0.05, 0.29])
        let failed = syntheticRun(model: "wide", seed: 9, stateBytes: 100, status: .failed)
        #expect(
            standings(wide + [failed] + row("recalls", state: 200, [0.2])) == ["wide": .off, "recalls": .on]
        )
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: guess)
        #expect(!TradeoffTable(tradeoff).render().contains("◆"))
        #expect(!TradeoffSketch(tradeoff).render(width: 60).contains("the frontier"))
    }

    @Test func aRowsSeedsAreGivenInTheOrderOfItsRuns() throws {
        func onlyRow(_ accuracies: [Double]) throws -> TradeoffRow {
            let runs = accuracies.enumerated().map {
                syntheticRun(seed: UInt64($0), dataSeed: 7, test: $1)
            }
            return try #require(Tradeoff(suite: uncontrolledSuite, runs: runs).rows.first)
        }
        let row = try onlyRow([0.84, 0.11, 0.83])
        #expect(row.seedAccuracies == [0.84, 0.11, 0.83] && row.seedNames == ["7/0", "7/1", "7/2"])
        #expect(row.runIDs.count == 3 && row.testLabels == 800)
        #expect(try row.seedsSpread && !onlyRow([0.9, 0.7]).seedsSpread && onlyRow([0.9, 0.699]).seedsSpread)
        #expect(try !onlyRow([0.9]).seedsSpread)
    }

    @Test func everyTrainingHasAFrontierOfItsOwn() {
        let runs = [0.1, 0.25].map { decay in
            syntheticRun(
                stateBytes: decay == 0.1 ? 100 : 200,
                test: decay == 0.1 ? 0.9 : 0.5,
                weightDecay: decay
            )
        }
        #expect(Tradeoff(suite: uncontrolledSuite, runs: runs).rows.map(\.standing) == [.on, .on])
    }

    @Test func seedsOfInitialisationAndOfDataAreToldApart() throws {
        let runs = [
            syntheticRun(seed: 0, dataSeed: 5, test: 0.5), syntheticRun(seed: 1, dataSeed: 5, test: 0.7),
            syntheticRun(seed: 0, dataSeed: 6, test: 0.52), syntheticRun(seed: 0, dataSeed: 7, test: 0.54),
        ]
        let row = try #require(Tradeoff(suite: uncontrolledSuite, runs: runs).rows.first)
        #expect(row.seeds == 4)
        let initialisation = try #require(row.accuracyOfInitialisations?.standardDeviation)
        let data = try #require(row.accuracyOfData?.standardDeviation)
        // Of 0.5 and 0.7; of 0.5, 0.52 and 0.54.
        #expect(abs(initialisation - 0.2 / 2.0.squareRoot()) < 1e-12 && abs(data - 0.02) < 1e-12)
        let table = SeedTable(Tradeoff(suite: uncontrolledSuite, runs: runs)).render()
        #expect(table.contains("0.141") && table.contains("0.020") && table.contains("0.500–0.700"))
        let alone = Tradeoff(suite: uncontrolledSuite, runs: [syntheticRun()])
        #expect(alone.rows[0].accuracyOfData == nil && SeedTable(alone).render().isEmpty)
    }

    @Test func aGuessAmongTheSequencesValuesIsMarked() throws {
        // Eight pairs: a guess is right once in eight.
        for (accuracy, isGuess) in [(0.125, true), (0.149, true), (0.151, false)] {
            let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: [syntheticRun(test: accuracy)])
            #expect(try #require(tradeoff.rows.first).isGuessAmongSequence == isGuess)
            #expect(TradeoffTable(tradeoff).render().contains("below-threshold°") == isGuess)
        }
        let task = syntheticRun().spec.task
        #expect(abs(task.chanceLossInSequence - log(8)) < 1e-15 && task.chanceAccuracyInSequence == 0.125)
        let mixed = MQARTask(
            vocabSize: 64,
            train: [
                .init(sequenceLength: 16, kvPairs: 2, examples: 100),
                .init(sequenceLength: 32, kvPairs: 8, examples: 50),
            ],
            validation: task.validation,
            test: task.test
        )
        // 200 labels of two pairs, 400 of eight.
        #expect(abs(mixed.chanceLossInSequence - (200 * log(2) + 400 * log(8)) / 600) < 1e-12)
    }

    /// Other seeds may have searched elsewhere: two of them at a coarse rate do not beat the best of the first.
    @Test(arguments: SeedSelection.allCases)
    func aSearchsChoiceIsNotThatOfAnotherFirstSeed(_ selection: SeedSelection) throws {
        var suite = uncontrolledSuite
        suite.search = LearningRateSearch(
            from: 1e-3,
            to: 1e-2,
            start: 2,
            resolution: 0.5,
            selection: selection
        )
        let runs = [
            syntheticRun(learningRate: 1e-3, seed: 0, validation: 0.5),
            syntheticRun(learningRate: 1e-3, seed: 1, validation: 0.5),
            syntheticRun(learningRate: 3.16e-3, seed: 0, validation: 0.9, test: 0.88),
            syntheticRun(learningRate: 1e-2, seed: 0, validation: 0.6),
            syntheticRun(learningRate: 1e-2, seed: 1, validation: 0.95),
        ]
        let row = try #require(Tradeoff(suite: suite, runs: runs).rows.first)
        #expect(row.learningRate == 3.16e-3 && row.testAccuracy.mean == 0.88 && !row.learningRateAtEdge)
        #expect(row.learningRateWindowDecades == 0)
        // A list takes the mean of as many seeds as any rate has.
        let listed = try #require(Tradeoff(suite: uncontrolledSuite, runs: runs).rows.first)
        #expect(listed.learningRate == 1e-2)
    }

    /// All seeds choose, once the best and its neighbours have them; until then the first does.
    @Test func aSearchsChoiceIsThatOfItsSeeds() throws {
        var suite = uncontrolledSuite
        suite.search = LearningRateSearch(from: 1e-3, to: 1e-2, start: 3, resolution: 0.5)
        let first = [(1e-3, 0.5), (3.16e-3, 0.7), (5.62e-3, 0.9), (1e-2, 0.6)].map {
            syntheticRun(learningRate: $0, seed: 0, validation: $1, test: $1)
        }
        func other(_ rate: Double, _ accuracy: Double, seed: UInt64 = 1, data: UInt64 = 0) -> StoredRun {
            syntheticRun(learningRate: rate, seed: seed, dataSeed: data, validation: accuracy, test: accuracy)
        }
        func row(_ runs: [StoredRun]) throws -> TradeoffRow {
            try #require(Tradeoff(suite: suite, runs: runs).rows.first)
        }
        #expect(try row(first).learningRate == 5.62e-3)
        let second = [other(3.16e-3, 0.8), other(5.62e-3, 0.1), other(1e-2, 0.5)]
        // 3.16e-3 is better in the mean, and its neighbour 1e-3 has not run with both.
        #expect(try row(first + second).learningRate == 5.62e-3)
        let complete = first + second + [other(1e-3, 0.3)]
        let chosen = try row(complete)
        #expect(chosen.learningRate == 3.16e-3 && chosen.testAccuracy.count == 2)
        #expect(chosen.points.map(\.seeds) == [2, 2, 2, 2])
        #expect(chosen.points.map(\.learningRate) == [1e-3, 3.16e-3, 5.62e-3, 1e-2])
        // A third seed that has only begun, and one of another search, change nothing.
        let begun = complete + [other(3.16e-3, 0.1, seed: 2), other(1e-2, 1, seed: 9)]
        #expect(try row(begun).learningRate == 3.16e-3)
        // Seeds of the data choose with them.
        let data = [1e-3, 3.16e-3, 5.62e-3, 1e-2].map { other($0, $0 == 1e-3 ? 1 : 0.1, seed: 0, data: 1) }
        let three = try row(complete + data)
        #expect(three.learningRate == 1e-3 && three.points.map(\.seeds) == [3, 3, 3, 3])
        suite.search?.selection = .firstSeed
        #expect(try row(complete + data).learningRate == 5.62e-3)
    }

    /// Rates that differ are printed differently, and what is printed is the rate.
    @Test(arguments: [
        (0.001, "0.001"), (1e-5, "1e-05"), (10, "10"), (0.00316228, "0.00316228"), (0.00100048, "0.00100048"),
        (0.001.nextUp, "0.0010000000000000002"),
    ])
    func learningRatesArePrintedInFull(_ rate: Double, text: String) {
        #expect(Format.learningRate(rate) == text && Double(text) == rate)
    }

    @Test func aSearchShowsItsCurveAndWhatItSaved() throws {
        var suite = uncontrolledSuite
        suite.search = LearningRateSearch(from: 1e-4, to: 1e-2, start: 3, resolution: 0.25)
        let runs = [(1e-4, 0.05), (1e-3, 0.6), (3.16e-3, 0.99), (5.62e-3, 0.95), (1e-2, 0.3)].map {
            syntheticRun(learningRate: $0, validation: $1)
        }
        let lines = LearningRateTable(Tradeoff(suite: suite, runs: runs)).render().split(separator: "\n")
        #expect(
            lines[2].contains("0.00316        0.990     0.25  5 of 9  0.0001  ▁▅██▃             0.01"),
            "\(lines[2])"
        )
        #expect(
            lines.last
                == "learning rates: 5 tried where full grids, 0.25 decades apart, would have 9: 4 saved; decades: within 0.05 of the best"
        )
    }
}
