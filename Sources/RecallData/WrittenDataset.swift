import Foundation
import RecallInput

/// A split as `DatasetWriter` left it in a folder, or as another program did in its manner. Its arrays are read a piece at
/// a time and checked as they are read.
public struct WrittenDataset: Sendable {
    public let description: DatasetDescription
    public let segments: [Segment]
    private let folders: [(inputs: NPYReader, labels: NPYReader)]

    /// Opens a folder: `dataset.json` and the headers of its arrays.
    ///
    /// - Throws: `DataFileError` for a file that is missing, cannot be read or does not fit the description.
    public init(directory: String) throws(DataFileError) {
        let path = directory + "/dataset.json"
        let json: Data
        do { json = try InputFile(path: path).contents(upTo: DatasetDescription.mostBytes) } catch {
            throw DataFileError(error)
        }
        description = try DatasetDescription(json: json, path: path)
        segments = description.segments.map {
            Segment(sequenceLength: $0.sequenceLength, kvPairs: $0.kvPairs, examples: $0.examples)
        }
        var folders: [(NPYReader, NPYReader)] = []
        for entry in description.segments {
            let arrays = (
                try NPYReader(path: "\(directory)/\(entry.folder)/inputs.npy"),
                try NPYReader(path: "\(directory)/\(entry.folder)/labels.npy")
            )
            for array in [arrays.0, arrays.1] {
                let expected = [entry.examples, entry.sequenceLength]
                guard array.type.isInteger, array.shape == expected else {
                    throw DataFileError(
                        .content,
                        path: array.path,
                        message:
                            "it is \(array.type) of shape \(array.shape); dataset.json says integers of \(expected)"
                    )
                }
            }
            folders.append(arrays)
        }
        self.folders = folders
    }

    /// `count` examples of a segment from example `first` on.
    ///
    /// - Throws: `DataFileError` for a token or label outside the vocabulary, and for an example without as many labels as
    ///   its segment says.
    public func examples(_ index: Int, first: Int, count: Int) throws(DataFileError) -> SegmentData {
        let segment = segments[index]
        let (length, pairs) = (segment.sequenceLength, segment.kvPairs)
        let range = first * length..<(first + count) * length
        let (inputs, labels) = folders[index]
        let vocabulary = 0..<Int64(description.task.vocabSize)
        let tokens = try inputs.int64(range)
        if let wrong = tokens.firstIndex(where: { !vocabulary.contains($0) }) {
            throw Self.outside(inputs, "token", tokens[wrong], example: first + wrong / length, vocabulary)
        }
        var positions: [Int32] = []
        var values: [Int32] = []
        positions.reserveCapacity(count * pairs)
        values.reserveCapacity(count * pairs)
        for (place, label) in try labels.int64(range).enumerated() {
            if label != description.ignoredLabel {
                guard vocabulary.contains(label) else {
                    throw Self.outside(labels, "label", label, example: first + place / length, vocabulary)
                }
                positions.append(Int32(place % length))
                values.append(Int32(label))
            }
            if place % length == length - 1, positions.count != (place / length + 1) * pairs {
                let found = positions.count - place / length * pairs
                throw DataFileError(
                    .content,
                    path: labels.path,
                    message:
                        "example \(first + place / length) has \(found) labels; dataset.json says \(pairs) for each"
                )
            }
        }
        return SegmentData(
            segment: segment,
            count: count,
            tokens: tokens.map { Int32($0) },
            labelPositions: positions,
            labels: values
        )
    }

    private static func outside(
        _ array: NPYReader,
        _ what: String,
        _ value: Int64,
        example: Int,
        _ vocabulary: Range<Int64>
    ) -> DataFileError {
        DataFileError(
            .content,
            path: array.path,
            message:
                "example \(example) has \(what) \(value), outside the vocabulary of \(vocabulary.upperBound)"
        )
    }
}
