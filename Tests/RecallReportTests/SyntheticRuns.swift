import Foundation
import RecallData
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining

/// A finished run of made-up figures.
func syntheticRun(
    model: String = "based",
    knobs: [String: KnobValue] = ["feature_dim": .integer(8)],
    dModel: Int = 64,
    learningRate: Double = 0.01,
    seed: UInt64 = 0,
    dataSeed: UInt64 = 0,
    vocabSize: Int = 512,
    stateBytes: Int = 2048,
    trainLoss: Double = 0.5,
    lowestTrainLoss: Double? = nil,
    validation: Double = 0.8,
    validationLoss: Double = 0.6,
    test: Double = 0.75,
    status: RunStatus = .finished,
    weightDecay: Double = 0.1,
    stopAtAccuracy: Double? = nil
) -> StoredRun {
    let segment = Segment(sequenceLength: 64, kvPairs: 8, examples: 100)
    let task = MQARTask(
        vocabSize: vocabSize,
        train: [segment],
        validation: [segment],
        test: [segment],
        dataSeed: dataSeed
    )
    let spec = RunSpec(
        task: task,
        model: ModelConfig(
            dModel: dModel,
            layers: [LayerConfig(mixer: "base-conv"), LayerConfig(mixer: "linear-attention", knobs: knobs)]
        ),
        training: TrainingConfig(
            epochs: 6,
            batchSize: 64,
            learningRate: learningRate,
            weightDecay: weightDecay,
            stopAtAccuracy: stopAtAccuracy
        ),
        seed: seed
    )
    var run = StoredRun(
        runID: spec.runID(taskHash: ""),
        suite: "suite",
        model: model,
        task: "mqar",
        taskHash: "",
        spec: spec,
        facts: ModelFacts(parameters: 67_840, stateBytes: stateBytes, stateBytesZoology: nil),
        status: status
    )
    guard status == .finished else { return run }
    (run.trainLoss, run.lowestTrainLoss) = (trainLoss, lowestTrainLoss ?? trainLoss)
    (run.validationAccuracy, run.validationLoss, run.testAccuracy) = (validation, validationLoss, test)
    return run
}

let uncontrolledSuite = SuiteRecord(name: "suite", description: "")
let controlledSuite = SuiteRecord(
    name: "suite",
    description: "",
    controlModel: "attention",
    controlMinimum: 0.99
)

func syntheticResult(testAccuracy: Double = 0.75, steps: Int = 100) -> RunResult {
    RunResult(
        epochs: 6,
        steps: steps,
        trainLoss: 0.5,
        validationLoss: 0.6,
        validationAccuracy: 0.8,
        testLoss: .infinity,
        testAccuracy: testAccuracy,
        slices: [],
        trainSeconds: 34,
        tokensPerSecond: 1e5
    )
}
