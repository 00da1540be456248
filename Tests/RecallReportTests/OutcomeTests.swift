import Foundation
import RecallData
import RecallStore
import RecallSuite
import RecallTraining
import Testing

@testable import RecallReport

/// What became of a point: every rule at its boundary, and the order of the rules.
@Suite struct OutcomeTests {
    private func onlyRow(_ runs: [StoredRun]) throws -> TradeoffRow {
        let rows = Tradeoff(suite: uncontrolledSuite, runs: runs).rows
        #expect(rows.count == 1)
        return try #require(rows.first)
    }

    private func outcome(_ runs: StoredRun...) throws -> Outcome { try onlyRow(runs).outcome }

    /// A run of six epochs trained at length 64, and evaluated at 64 and at 128, three times as many examples there.
    private func longRun(
        trainLoss: Double = 0.5,
        validation: (trained: Double, beyond: Double)? = (0.8, 0.8),
        test: (trained: Double, beyond: Double),
        seed: UInt64 = 0
    ) -> StoredRun {
        let (short, long) = (
            Segment(sequenceLength: 64, kvPairs: 8, examples: 100),
            Segment(sequenceLength: 128, kvPairs: 8, examples: 300)
        )
        func mean(_ pair: (trained: Double, beyond: Double)) -> Double {
            (100 * pair.trained + 300 * pair.beyond) / 400
        }
        var run = syntheticRun(
            seed: seed,
            trainLoss: trainLoss,
            validation: validation.map(mean) ?? 0.3,
            test: mean(test)
        )
        run.spec.task = MQARTask(
            vocabSize: 512,
            train: [short],
            validation: validation == nil ? [long] : [short, long],
            test: [short, long],
            dataSeed: 0
        )
        func slice(_ split: Split, _ segment: Segment, _ accuracy: Double) -> SliceAccuracy {
            SliceAccuracy(
                split: split,
                sequenceLength: segment.sequenceLength,
                kvPairs: segment.kvPairs,
                examples: segment.examples,
                accuracy: accuracy
            )
        }
        if let validation {
            run.slices = [
                slice(.validation, short, validation.trained), slice(.validation, long, validation.beyond),
            ]
        } else {
            run.slices = [slice(.validation, long, 0.3)]
        }
        run.slices += [slice(.test, short, test.trained), slice(.test, long, test.beyond)]
        return run
    }

    /// A run of six epochs with the validation accuracy of some, the last of them its last.
    private func curvedRun(_ curve: [Int: Double], seed: UInt64 = 0) -> StoredRun {
        var run = syntheticRun(seed: seed)
        (run.validationCurve, run.epochs) = (curve, curve.keys.max())
        return run
    }

    @Test func accuracyThatDropsBeyondTheLengthsTrained() throws {
        #expect(try outcome(longRun(test: (0.9, 0.8))) == .dropsBeyondTraining)
        #expect(try outcome(longRun(test: (0.9, 0.801))) == .belowThreshold)
        // Better on longer sequences is no drop.
        #expect(try outcome(longRun(test: (0.5, 0.9))) == .belowThreshold)
        #expect(try outcome(longRun(test: (1, 0.99))) == .solved)
        var solved = longRun(test: (1, 0.5))
        solved.testAccuracy = 0.995
        #expect(try outcome(solved) == .solved)
        // Without slices on record nothing is known of lengths.
        var bare = longRun(test: (0.9, 0.2))
        bare.slices = []
        #expect(try outcome(bare) == .belowThreshold)
    }

    @Test func bothAccuraciesAreMeansOverSeeds() throws {
        let row = try onlyRow([
            longRun(test: (0.9, 0.4), seed: 0), longRun(test: (0.7, 0.2), seed: 1),
        ])
        #expect(abs(try #require(row.accuracyAtTrainedLengths) - 0.8) < 1e-12)
        #expect(abs(try #require(row.accuracyBeyondTraining) - 0.3) < 1e-12)
        // A slice that is not finite has no mean.
        var broken = longRun(test: (0.9, .nan))
        broken.testAccuracy = 0.5
        let other = try onlyRow([broken])
        #expect(other.accuracyAtTrainedLengths == 0.9 && other.accuracyBeyondTraining == nil)
    }

    /// Segments of one range are weighted by their examples, as the accuracy of a whole split is.
    @Test func segmentsAreWeightedByTheirExamples() throws {
        var run = longRun(test: (0.9, 0.4))
        run.slices.append(
            SliceAccuracy(split: .test, sequenceLength: 32, kvPairs: 4, examples: 300, accuracy: 0.5)
        )
        let row = try onlyRow([run])
        #expect(abs(try #require(row.accuracyAtTrainedLengths) - 0.6) < 1e-12)
    }

    @Test func overfittingIsToldAtTheLengthsTrained() throws {
        // Fit to p = 0.95 with a validation accuracy of 0.475 over all: the longer sequences alone bring it down.
        #expect(
            try outcome(longRun(trainLoss: 0.05, validation: (1, 0.3), test: (1, 0.3))) == .dropsBeyondTraining
        )
        #expect(try outcome(longRun(trainLoss: 0.05, validation: (0.85, 1), test: (0.85, 0.3))) == .overfit)
        // Validation of longer sequences alone has nothing to hold against the training loss.
        #expect(
            try outcome(longRun(trainLoss: 0.05, validation: nil, test: (1, 0.3))) == .dropsBeyondTraining
        )
    }

    @Test func validationThatStillRosePastHalfOfTheSchedule() throws {
        // Of six epochs the third is at 50 %, and the fifth the first at or past 75 %.
        #expect(try outcome(curvedRun([3: 0.8, 4: 0.1, 5: 0.805, 6: 0.8])) == .stillImproving)
        #expect(try outcome(curvedRun([3: 0.8, 4: 0.9, 5: 0.8049, 6: 0.9])) == .belowThreshold)
        #expect(try outcome(curvedRun([3: 0.8, 5: 0.7, 6: 0.8])) == .belowThreshold)
        // An epoch that is not on record says nothing.
        #expect(try outcome(curvedRun([5: 0.805, 6: 0.805])) == .belowThreshold)
        // The mean over seeds decides.
        #expect(
            try outcome(
                curvedRun([3: 0.8, 5: 0.812, 6: 0.8], seed: 0),
                curvedRun([3: 0.8, 5: 0.798, 6: 0.8], seed: 1)
            )
                == .stillImproving
        )
        #expect(
            try outcome(
                curvedRun([3: 0.8, 5: 0.808, 6: 0.8], seed: 0),
                curvedRun([3: 0.8, 5: 0.798, 6: 0.8], seed: 1)
            )
                == .belowThreshold
        )
    }

    /// A control that was trained too briefly has no lack of anything shown.
    @Test func shortSchedules() throws {
        func outcome(_ epochs: Int, _ curve: [Int: Double]) throws -> Outcome {
            var run = syntheticRun(model: "attention", trainLoss: 0.6, validation: 0.84, test: 0.845)
            run.spec.training.epochs = epochs
            (run.validationCurve, run.epochs) = (curve, epochs)
            return try onlyRow([run]).outcome
        }
        #expect(try outcome(2, [1: 0.3, 2: 0.84]) == .stillImproving)
        #expect(try outcome(3, [2: 0.8, 3: 0.84]) == .stillImproving)
        #expect(try outcome(4, [2: 0.8, 3: 0.84, 4: 0.84]) == .stillImproving)
        // One epoch is at 50 % and at 75 %: nothing is known of a rise.
        #expect(try outcome(1, [1: 0.84]) == .belowThreshold)
    }

    @Test func runsThatWereStopped() throws {
        #expect(try outcome(curvedRun([3: 0.8, 4: 0.805])) == .stillImproving)
        #expect(try outcome(curvedRun([3: 0.8, 4: 0.804])) == .belowThreshold)
        // One seed that was stopped on its way up is enough.
        #expect(
            try outcome(curvedRun([3: 0.8, 4: 0.7], seed: 0), curvedRun([1: 0.1, 2: 0.3], seed: 1))
                == .stillImproving
        )
        // The first epoch is held against a guess, 2/512.
        #expect(try outcome(curvedRun([1: 0.1])) == .stillImproving)
        #expect(try outcome(curvedRun([1: 0.006])) == .belowThreshold)
        // A rise at the end of the schedule is no stop.
        #expect(try outcome(curvedRun([3: 0.8, 5: 0.8, 6: 0.9])) == .belowThreshold)
    }

    @Test func earlierRulesComeFirst() throws {
        let rising = [3: 0.5, 5: 0.7, 6: 0.7]
        var run = longRun(test: (0.9, 0.2))
        (run.validationCurve, run.epochs) = (rising, 6)
        #expect(try outcome(run) == .dropsBeyondTraining)
        run.trainLoss = 0.01
        #expect(try outcome(run) == .overfit)
        run.lowestTrainLoss = log(256)
        #expect(try outcome(run) == .notLearned)
        run.testAccuracy = 0.99
        #expect(try outcome(run) == .solved)
    }

    @Test func namesInTables() {
        for outcome in Outcome.allCases { #expect(Outcome(tableName: outcome.rawValue) == outcome) }
        #expect(Outcome(tableName: "capacity") == .belowThreshold)
        #expect(Outcome(rawValue: "capacity") == nil)
        #expect(Outcome(tableName: "Solved") == nil && Outcome(tableName: "") == nil)
    }

    /// A table of an earlier version, and one of a version that knows more.
    @Test func pointsOfATableHaveTheirOutcome() throws {
        func outcome(_ text: String) throws -> Outcome? {
            let file = try CSVRecords(
                "suite,model,config,state_bytes,test_accuracy_mean,outcome\ns,m,{},64,0.5,\(text)\n",
                path: "t.csv",
                requiring: TradeoffPoint.requiredColumns
            )
            return try TradeoffPoint(#require(file.records.first), in: file).outcome
        }
        #expect(try outcome("capacity") == .belowThreshold)
        #expect(try outcome("still-improving") == .stillImproving)
        #expect(try outcome("") == nil && outcome("of-a-later-version") == nil)
    }

    /// Every outcome is explained where outcomes are, and the name that is gone where changes are.
    @Test func theProtocolNamesEveryOutcome() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/protocol.md"), encoding: .utf8)
        for outcome in Outcome.allCases { #expect(text.contains("| `\(outcome.rawValue)` |")) }
        #expect(!text.contains("| `capacity` |"))
        let changes = try #require(text.range(of: "### Changes of outcome names"))
        #expect(text[changes.upperBound...].contains("`capacity`"))
    }
}
