import Foundation
import RecallInput

extension DatasetDescription {
    /// The largest `dataset.json` that is read: some hundred bytes per segment, for as many segments as a task may have.
    static let mostBytes = 32 << 20

    /// Reads the text of a `dataset.json`. Of its arrays nothing is looked at.
    ///
    /// - Parameter path: what errors call the text.
    /// - Throws: `DataFileError` for what is not the description of a dataset that can be read.
    public init(json: Data, path: String) throws(DataFileError) {
        func refusal(_ why: String) -> DataFileError { DataFileError(.content, path: path, message: why) }
        do {
            // Foundation takes other encodings too, and of a key that is there twice either one.
            try JSONScanner.check(json)
            self = try JSONDecoder().decode(DatasetDescription.self, from: json)
        } catch {
            throw refusal("not the description of a dataset: \(Self.reason(error))")
        }
        guard name == "mqar", ignoredLabel == MQARGenerator.ignoredLabel,
            (1...MQARTask.largestVocabulary).contains(task.vocabSize)
        else {
            throw refusal(
                "not of MQAR with labels \(MQARGenerator.ignoredLabel) where there is none and a vocabulary up to "
                    + "\(MQARTask.largestVocabulary)"
            )
        }
        guard !segments.isEmpty else { throw refusal("it has no segment") }
        guard segments.count <= MQARTask.mostSegments else {
            throw refusal("it has \(segments.count) segments; at most \(MQARTask.mostSegments) are read")
        }
        for entry in segments {
            guard entry.examples >= 1, entry.sequenceLength >= 1, entry.kvPairs >= 1 else {
                throw refusal("\(entry.folder) has no examples or no labels")
            }
            guard entry.sequenceLength <= MQARTask.longestSequence, entry.kvPairs <= entry.sequenceLength else {
                throw refusal(
                    "\(entry.folder) has a sequence_length of \(entry.sequenceLength) and kv_pairs of "
                        + "\(entry.kvPairs); at most \(MQARTask.longestSequence), and no more pairs than tokens, are read"
                )
            }
        }
    }

    /// What a decoder did not find, in one line.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case let fault as JSONFault: "it \(fault)"
        case DecodingError.keyNotFound(let key, _): "it has no '\(key.stringValue)'"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' is of another type"
        case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has an impossible value"
        default: "it is not JSON"
        }
    }
}
