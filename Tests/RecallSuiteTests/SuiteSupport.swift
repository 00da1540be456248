import Foundation
import RecallSuite
import Testing

/// A suite with two models, of which each test changes a line or two.
let plainSuite = """
    name: plain
    task:
      name: mqar
      vocab_size: 64
      train: [{sequence_length: 32, kv_pairs: 4, examples: 10}]
      validation: [{sequence_length: 32, kv_pairs: 4, examples: 10}]
      test: [{sequence_length: 32, kv_pairs: 4, examples: 10}, {sequence_length: 64, kv_pairs: 8, examples: 10}]
    training:
      epochs: 1
      batch_size: 8
      learning_rate: [0.01, 0.001]
    models:
      - name: first
        d_model: 16
        layers: [base-conv, {mixer: attention, heads: 2}]
      - name: second
        d_model: [16, 32]
        layers:
          - base-conv
          - mixer: linear-attention
            feature_dim: [4, 8]
    """

/// `plainSuite` with the first occurrence of some text replaced.
func edited(_ old: String, _ new: String, in text: String = plainSuite) -> String {
    guard let range = text.range(of: old) else {
        Issue.record("the suite under test has no '\(old)'")
        return text
    }
    return text.replacingCharacters(in: range, with: new)
}

func suite(_ yaml: String) throws -> Suite { try Suite(yaml: yaml, file: "x.yaml") }

/// The error of a suite that must be refused.
func refusal(_ yaml: String) -> SuiteError? {
    do {
        _ = try Suite(yaml: yaml, file: "x.yaml")
        return nil
    } catch {
        return error
    }
}

/// The package's Suites folder, found from this file.
let suitesFolder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Suites").standardizedFileURL.path
