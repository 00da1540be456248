import Foundation
import RecallReport
import RecallStore
import RecallSuite
import Testing

@Suite struct TradeoffTests {
    private func onlyRow(_ runs: [StoredRun], _ suite: SuiteRecord = uncontrolledSuite) throws -> TradeoffRow {
        let rows = Tradeoff(suite: suite, runs: runs).rows
        #expect(rows.count == 1)
        return try #require(rows.first)
    }

    @Test func theLearningRateIsChosenOnValidationAlone() throws {
        let row = try onlyRow([
            syntheticRun(learningRate: 0.001, validation: 0.7, test: 0.99),
            syntheticRun(learningRate: 0.003, validation: 0.9, test: 0.2),
            syntheticRun(learningRate: 0.01, validation: 0.8, test: 0.95),
        ])
        #expect(row.learningRate == 0.003)
        #expect(row.testAccuracy.mean == 0.2)
        #expect(row.points.map(\.learningRate) == [0.001, 0.003, 0.01])
        #expect(!row.learningRateAtEdge)
    }

    @Test func statisticsOverSeeds() throws {
        let runs = [0.9, 0.5, 0.7, 0.8].enumerated().map { syntheticRun(seed: UInt64($0), test: $1) }
        let row = try onlyRow(runs)
        #expect(row.seeds == 4)
        #expect(abs(row.testAccuracy.mean - 0.725) < 1e-15)
        #expect(row.testAccuracy.median == 0.75)
        #expect(row.testAccuracy.minimum == 0.5 && row.testAccuracy.maximum == 0.9)
        #expect(row.testAccuracy == Statistics([0.9, 0.5, 0.7, 0.8], labels: 800))
        #expect(row.testAccuracy.interval.map(Format.range) == "0.410–0.929")
        #expect(try onlyRow(runs.reversed()).testAccuracy == row.testAccuracy)
        #expect(Statistics([0.1, 0.1, 0.1], labels: 800).mean == 0.1)
        #expect(try onlyRow([syntheticRun(dataSeed: 1), syntheticRun(dataSeed: 2)]).seeds == 2)
    }

    @Test func tiesGoToTheSmallerValidationLossThenTheSmallerLearningRate() throws {
        #expect(
            try onlyRow([
                syntheticRun(learningRate: 0.01, validationLoss: 0.5),
                syntheticRun(learningRate: 0.001, validationLoss: 0.6),
            ]).learningRate == 0.01
        )
        #expect(
            try onlyRow([syntheticRun(learningRate: 0.01), syntheticRun(learningRate: 0.001)]).learningRate
                == 0.001
        )
    }

    @Test func aLuckySeedDoesNotBeatAMean() throws {
        let row = try onlyRow([
            syntheticRun(learningRate: 0.001, validation: 0.95),
            syntheticRun(learningRate: 0.003, seed: 0, validation: 0.97),
            syntheticRun(learningRate: 0.003, seed: 1, validation: 0.85),
        ])
        #expect(row.learningRate == 0.003)
        #expect(abs(row.points[1].validationAccuracy - 0.91) < 1e-15)
    }

    @Test func aFailedSeedCountsAgainstItsLearningRate() throws {
        let row = try onlyRow([
            syntheticRun(learningRate: 0.001, seed: 0, validation: 0.8),
            syntheticRun(learningRate: 0.001, seed: 1, validation: 0.8),
            syntheticRun(learningRate: 0.01, seed: 0, validation: 0.99),
            syntheticRun(learningRate: 0.01, seed: 1, status: .failed),
            syntheticRun(learningRate: 0.1, seed: 0, status: .failed),
            syntheticRun(learningRate: 0.0001, status: .pending),
        ])
        #expect(row.learningRate == 0.001)
        #expect(row.points.map(\.learningRate) == [0.001, 0.01, 0.1])
        #expect(row.learningRateAtEdge)
        #expect(Tradeoff(suite: uncontrolledSuite, runs: [syntheticRun(status: .failed)]).rows.isEmpty)
    }

    @Test func edges() throws {
        let rates = [0.001, 0.003, 0.01]
        for (best, edge) in [(0, true), (1, false), (2, true)] {
            let runs = rates.indices.map {
                syntheticRun(learningRate: rates[$0], validation: $0 == best ? 0.9 : 0.8)
            }
            #expect(try onlyRow(runs).learningRateAtEdge == edge)
        }
        let single = try onlyRow([syntheticRun()])
        #expect(!single.learningRateAtEdge)
        #expect(single.learningRateWindowDecades == nil)
    }

    @Test func theWindowIsContiguousAroundTheBest() throws {
        func width(_ accuracies: [Double]) throws -> Double {
            let runs = accuracies.enumerated().map { index, accuracy in
                syntheticRun(learningRate: pow(10, Double(index - 5)), validation: accuracy)
            }
            return try #require(try onlyRow(runs).learningRateWindowDecades)
        }
        #expect(abs(try width([0.1, 0.86, 0.9, 0.87, 0.2]) - 2) < 1e-12)
        // Good again beyond a gap does not count; exactly 0.05 below does.
        #expect(abs(try width([0.89, 0.1, 0.9, 0.85, 0.849]) - 1) < 1e-12)
        #expect(try width([0.1, 0.9, 0.1]) == 0)
    }

    /// Rates that are all at chance are all within 0.05 of the best of them.
    @Test func whatNeverLearnedHasNoWindow() throws {
        let chance = log(256.0)
        let runs = [1e-3, 1e-2, 1e-1].map {
            syntheticRun(learningRate: $0, trainLoss: chance, validation: 0.004, test: 0.004)
        }
        let row = try onlyRow(runs)
        #expect(row.outcome == .notLearned && row.learningRateWindowDecades == nil)
        let searched = SuiteRecord(
            name: "suite",
            description: "",
            search: LearningRateSearch(from: 1e-3, to: 1e-1)
        )
        // Another seed's luck does not make the first one's curve a window.
        let lucky = syntheticRun(learningRate: 1e-3, seed: 1, validation: 0.9, test: 0.9)
        #expect(try onlyRow(runs + [lucky], searched).learningRateWindowDecades == nil)
    }

    @Test func outcomes() throws {
        let chance = log(256.0)
        func outcome(_ run: StoredRun, _ suite: SuiteRecord = uncontrolledSuite) throws -> Outcome {
            try onlyRow([run], suite).outcome
        }
        #expect(try outcome(syntheticRun(test: 0.99)) == .solved)
        #expect(try outcome(syntheticRun(test: 0.9899)) == .belowThreshold)
        #expect(try outcome(syntheticRun(test: 0.96, stopAtAccuracy: 0.95)) == .solved)
        #expect(try outcome(syntheticRun(test: 0.96, stopAtAccuracy: 0.95), controlledSuite) == .belowThreshold)
        // Never more than 2 % below chance, though the last epoch's loss is worse.
        #expect(
            try outcome(
                syntheticRun(
                    trainLoss: chance * 1.1,
                    lowestTrainLoss: chance * 0.985,
                    validation: 0.004,
                    test: 0.004
                )
            )
                == .notLearned
        )
        #expect(
            try outcome(
                syntheticRun(trainLoss: chance, lowestTrainLoss: chance * 0.97, validation: 0.01, test: 0.01)
            )
                == .belowThreshold
        )
        #expect(try outcome(syntheticRun(trainLoss: 0.05, validation: 0.89, test: 0.88)) == .overfit)
        #expect(try outcome(syntheticRun(trainLoss: 0.05, validation: 0.91, test: 0.9)) == .belowThreshold)
        // Half the training answers are known (p = 0.61), a fifth of the others.
        #expect(try outcome(syntheticRun(trainLoss: 0.5, validation: 0.2, test: 0.2)) == .overfit)
        #expect(try outcome(syntheticRun(trainLoss: 2, validation: 0.2, test: 0.2)) == .belowThreshold)
    }

    @Test func theFrontierIsParetoOptimalWithTies() throws {
        func run(_ model: String, _ state: Int, _ accuracy: Double) -> StoredRun {
            syntheticRun(model: model, stateBytes: state, test: accuracy)
        }
        let tradeoff = Tradeoff(
            suite: uncontrolledSuite,
            runs: [
                run("small", 100, 0.5), run("twin", 100, 0.5), run("worse", 100, 0.4),
                run("wasteful", 200, 0.5),
                run("large", 300, 0.9), run("larger", 400, 0.9),
            ]
        )
        let frontier = tradeoff.rows.filter { $0.standing == .on }.map(\.model)
        #expect(frontier == ["small", "twin", "large"])
    }

    @Test func everyTaskHasAFrontierOfItsOwn() throws {
        let tradeoff = Tradeoff(
            suite: uncontrolledSuite,
            runs: [
                syntheticRun(stateBytes: 100, test: 0.9),
                syntheticRun(vocabSize: 8192, stateBytes: 200, test: 0.5),
            ]
        )
        #expect(tradeoff.rows.map(\.standing) == [.on, .on])
        // What tells the rows apart is in their task; their model is the same.
        #expect(Set(tradeoff.rows.map(\.config)).count == 1)
        #expect(tradeoff.rows.map { $0.taskConfig.contains("\"vocab_size\":8192") } == [false, true])
    }

    @Test func rowsComeInTheSuitesOrderThenByState() {
        let tradeoff = Tradeoff(
            suite: uncontrolledSuite,
            runs: [
                syntheticRun(model: "mamba", knobs: ["state_size": .integer(32)], stateBytes: 900),
                syntheticRun(model: "attention", stateBytes: 500),
                syntheticRun(model: "mamba", knobs: ["state_size": .integer(16)], stateBytes: 300),
                syntheticRun(
                    model: "mamba",
                    knobs: ["state_size": .integer(16)],
                    stateBytes: 300,
                    weightDecay: 0
                ),
            ]
        )
        #expect(tradeoff.rows.map(\.model) == ["mamba", "mamba", "mamba", "attention"])
        #expect(tradeoff.rows.map(\.facts.stateBytes) == [300, 300, 900, 500])
        #expect(
            tradeoff.rows.map { $0.training.hasSuffix("\"weight_decay\":0.1}") } == [true, false, true, true]
        )
        #expect(tradeoff.rows[1].training.hasSuffix("\"weight_decay\":0}"))
        #expect(tradeoff.rows.allSatisfy { !$0.config.contains("weight_decay") })
    }

    @Test func controlVerdicts() {
        func verdict(_ runs: [StoredRun], _ suite: SuiteRecord = controlledSuite) -> ControlVerdict {
            Tradeoff(suite: suite, runs: runs).verdict
        }
        let other = syntheticRun()
        #expect(verdict([other], uncontrolledSuite) == .uncontrolled)
        #expect(
            verdict([other], uncontrolledSuite).heading == "no control in this suite: nothing was controlled"
        )
        #expect(verdict([other]) == .absent(model: "attention"))
        let good = syntheticRun(model: "attention", learningRate: 0.01, validation: 0.999, test: 0.995)
        let bad = syntheticRun(model: "attention", learningRate: 0.003, validation: 0.9, test: 0.93)
        let pending = syntheticRun(model: "attention", learningRate: 0.001, status: .running)
        let failed = syntheticRun(model: "attention", learningRate: 0.001, status: .failed)
        #expect(verdict([good, bad, other]) == .passes(model: "attention", accuracy: 0.995, minimum: 0.99))
        #expect(verdict([good, bad, other]).heading == nil)
        #expect(
            verdict([bad, failed]).heading
                == "INVALID CONTROL: attention reached 0.93, below 0.99: no number of this table can be trusted."
        )
        #expect(
            verdict([failed]).heading
                == "INVALID CONTROL: every run of attention failed: no number of this table can be trusted."
        )
        #expect(
            verdict([bad, pending]).heading
                == "CONTROL NOT FINISHED: 1 of 2 runs of attention are done: "
                + "no number of this table can be trusted yet."
        )
        // What is below the minimum does not read as the minimum.
        let close = syntheticRun(model: "attention", test: 0.98996)
        #expect(verdict([close]).heading?.contains("reached 0.98996, below 0.99:") == true)
        // The task whose control fails decides.
        let elsewhere = syntheticRun(model: "attention", vocabSize: 8192, test: 0.5)
        #expect(verdict([good, elsewhere]) == .fails(model: "attention", accuracy: 0.5, minimum: 0.99))
        #expect(verdict([good, syntheticRun(vocabSize: 8192)]) == .absent(model: "attention"))
    }
}
