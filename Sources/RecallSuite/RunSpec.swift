import Crypto
import Foundation
import RecallData
import RecallModels
import RecallTraining

/// Everything that decides a run's numbers on a given device and build. Its hash is the run's identity: the same
/// specification is never trained twice, a changed one never takes another's row.
public struct RunSpec: Hashable, Codable, Sendable {
    public var task: MQARTask
    public var model: ModelConfig
    public var training: TrainingConfig
    /// Keys initialisation, dropout and order; the data have `task.dataSeed`.
    public var seed: UInt64

    public init(task: MQARTask, model: ModelConfig, training: TrainingConfig, seed: UInt64) {
        (self.task, self.model, self.training, self.seed) = (task, model, training, seed)
    }

    /// What makes rows of the same specification comparable: `ResultsVersion` has its history.
    public static var resultsVersion: Int { ResultsVersion.current }

    /// The specification as JSON with sorted keys: the same bytes for the same specification.
    public func canonicalJSON() -> String {
        Self.json(self)
    }

    /// The same JSON for specifications that differ in their seeds and learning rate alone.
    public func pointJSON() -> String {
        var spec = self
        (spec.seed, spec.task.dataSeed, spec.training.learningRate) = (0, 0, 0)
        return spec.canonicalJSON()
    }

    /// The compact JSON of any part of a specification, keys sorted.
    public static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Encoding our own plain values to memory has nothing to fail on.
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("a specification did not encode")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// Sixteen hexadecimal digits of SHA-256 over the specification, the task's content hash and the results version.
    ///
    /// - Parameter resultsVersion: this program's, or an earlier one, to recognise its rows.
    public func runID(taskHash: String, resultsVersion: Int = ResultsVersion.current) -> String {
        shortHash("\(resultsVersion)\n\(taskHash)\n\(canonicalJSON())")
    }
}

/// Sixteen hexadecimal digits of a text's SHA-256.
package func shortHash(_ text: String) -> String {
    SHA256.hash(data: Data(text.utf8)).prefix(8).map { String(format: "%02x", $0) }.joined()
}

/// A run as a suite asks for it: the specification and the names that the suite gives it.
public struct PlannedRun: Hashable, Sendable {
    /// The suite's name.
    public var suite: String
    /// The task's id in the suite: a label that is not part of the run's identity; "mqar" where the suite gives none.
    public var task: String
    /// The model's name in the suite.
    public var model: String
    public var spec: RunSpec
    /// The task's content hash, kept because it is costly to make.
    public var taskHash: String
    public var runID: String

    public init(suite: String, task: String, model: String, spec: RunSpec, taskHash: String) {
        (self.suite, self.task, self.model, self.spec, self.taskHash) = (suite, task, model, spec, taskHash)
        runID = spec.runID(taskHash: taskHash)
    }

    /// The same for runs of a suite that differ in their seeds and learning rate alone.
    public var pointID: String { "\(model)\n\(task)\n\(spec.pointJSON())" }
}
