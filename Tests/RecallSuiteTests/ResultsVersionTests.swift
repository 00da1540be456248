import RecallData
import RecallModels
import RecallSuite
import RecallTraining
import Testing

@Suite struct ResultsVersionTests {
    private let spec: RunSpec = {
        let segment = Segment(sequenceLength: 64, kvPairs: 8, examples: 100)
        return RunSpec(
            task: MQARTask(vocabSize: 512, train: [segment], validation: [segment], test: [segment]),
            model: ModelConfig(dModel: 64, layers: [LayerConfig(mixer: "base-conv", knobs: [:])]),
            training: TrainingConfig(epochs: 3, batchSize: 10, learningRate: 0.01),
            seed: 5
        )
    }()

    @Test func theListGrowsByOneAndSaysWhy() {
        let changes = ResultsVersion.changes
        #expect(changes.map(\.version) == Array(1...changes.count))
        #expect(ResultsVersion.current == changes.count && RunSpec.resultsVersion == changes.count)
        for change in changes {
            #expect(!change.change.isEmpty && !change.change.contains("\n"))
            #expect(change.reason.isEmpty == (change.version == 1), "\(change)")
        }
    }

    /// Ids of the first version, which databases hold. Another id here means that old rows are no longer found.
    @Test func idsOfTheFirstVersionStay() {
        #expect(spec.runID(taskHash: "0123456789abcdef", resultsVersion: 1) == "3a291b9a9ea1b14b")
    }

    @Test func anIDTellsItsVersion() {
        let changes = ResultsVersion.changes + [.init(7, "a change", reason: "a reason")]
        for version in [1, 7] {
            let id = spec.runID(taskHash: "h", resultsVersion: version)
            #expect(spec.resultsVersion(of: id, taskHash: "h", among: changes) == version)
            #expect(spec.resultsVersion(of: id, taskHash: "other", among: changes) == nil)
        }
        let newer = spec.runID(taskHash: "h", resultsVersion: 8)
        #expect(spec.resultsVersion(of: newer, taskHash: "h", among: changes) == nil)
    }
}
