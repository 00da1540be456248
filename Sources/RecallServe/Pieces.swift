import Foundation
import RecallReport
import RecallStore
import RecallTraining

/// A suite.
struct SuitePiece: Encodable {
    /// A model's look, the same as in every figure of `plot`.
    struct Look: Encodable {
        let model: String
        let colour, colourOnDark: String
        let shape: String
        let dashes: [Int]
    }

    let description: String
    /// The control's verdict as a word, and the sentence that goes with it.
    let control: String
    let warning: String?
    let looks: [Look]
    /// Keys of its runs, in its order.
    let runs: [String]

    init(_ suite: SuiteRecord, _ verdict: ControlVerdict, runs: [StoredRun]) {
        description = suite.description
        control = verdict.kind.rawValue
        warning = verdict.heading(of: "page")
        let models = runs.map(\.model)
        let appearances = PlotAppearance.of(models)
        var seen: Set<String> = []
        looks = models.filter { seen.insert($0).inserted }.compactMap { model in
            appearances[model].map {
                Look(
                    model: model,
                    colour: $0.colour,
                    colourOnDark: $0.colourOnDark,
                    shape: "\($0.shape)",
                    dashes: $0.dashes
                )
            }
        }
        self.runs = runs.map(\.key)
    }
}

/// A run, seen from one suite.
struct RunPiece: Encodable {
    let runId, model, label, status: String
    let error: String?
    let epoch, totalEpochs: Int
    let trainLoss, validationLoss, validationAccuracy, testAccuracy: Double?
    let seconds, secondsLeft: Double?
    let stateBytes, parameters: Int
    let host: String?
    let pid: Int32?

    init(_ run: StoredRun, secondsLeft: Double?) {
        (runId, model, label, status) = (run.runID, run.model, run.label, run.status.rawValue)
        error = run.error
        (epoch, totalEpochs) = (run.epochs ?? 0, run.spec.training.epochs)
        (trainLoss, validationLoss) = (run.trainLoss?.compact, run.validationLoss?.compact)
        (validationAccuracy, testAccuracy) = (run.validationAccuracy?.compact, run.testAccuracy?.compact)
        (seconds, self.secondsLeft) = (run.seconds?.compact, secondsLeft?.compact)
        (stateBytes, parameters) = (run.facts.stateBytes, run.facts.parameters)
        let holder = run.status == .running ? run.lease?.holder : nil
        (host, pid) = (holder?.host, holder?.pid)
    }
}

/// The epochs of a run, a list a figure; null where a number was not finite.
struct CurvePiece: Encodable {
    let epochs: [Int]
    let trainLoss, validationLoss, validationAccuracy: [Double?]

    init(_ records: [EpochRecord]) {
        epochs = records.map(\.epoch)
        trainLoss = records.map(\.trainLoss.compact)
        validationLoss = records.map(\.validationLoss.compact)
        validationAccuracy = records.map(\.validationAccuracy.compact)
    }
}

/// A suite's rows.
struct TradeoffPiece: Encodable {
    struct Row: Encodable {
        let model, label, setting, outcome, standing: String
        let task, dModel, stateBytes, parameters: Int
        let learningRate: Double
        let learningRateAtEdge, isGuess: Bool
        let seeds, failedSeeds: Int
        let accuracy: Double
        /// The 95 % interval over seeds; nil for fewer than three.
        let low, high: Double?
        /// Over seeds.
        let minimum, maximum: Double
        /// One per seed, in the order of `runIds`.
        let seedAccuracies: [Double]
        let seedsSpread: Bool
        /// How the paired test ranks it; nil where it competes with none.
        let ranking: String?
        let chance, chanceInSequence: Double
        let runIds: [String]

        init(_ labelled: LabelledRow) {
            let row = labelled.row
            (model, label, setting, task) = (row.model, labelled.label, labelled.setting, labelled.task)
            (outcome, standing) = (row.outcome.rawValue, row.standing.rawValue)
            (dModel, stateBytes) = (row.spec.model.dModel, row.facts.stateBytes)
            (parameters, learningRate) = (row.facts.parameters, row.learningRate)
            (learningRateAtEdge, isGuess) = (row.learningRateAtEdge, row.isGuessAmongSequence)
            (seeds, failedSeeds) = (row.seeds, row.failedSeeds)
            accuracy = row.testAccuracy.mean
            (low, high) = (row.testAccuracy.interval?.lowerBound, row.testAccuracy.interval?.upperBound)
            (minimum, maximum) = (row.testAccuracy.minimum, row.testAccuracy.maximum)
            seedAccuracies = row.seedAccuracies
            (seedsSpread, ranking) = (row.seedsSpread, row.ranking?.text)
            chance = row.spec.task.chanceAccuracy
            chanceInSequence = row.spec.task.chanceAccuracyInSequence
            runIds = row.runIDs
        }
    }

    let rows: [Row]

    init(_ tradeoff: Tradeoff) { rows = tradeoff.labelledRows.map(Row.init) }
}

extension StoredRun {
    /// Tells it from every other: a suite may have a run under two names.
    var key: String { [suite, task, model, runID].joined(separator: "\n") }
}
