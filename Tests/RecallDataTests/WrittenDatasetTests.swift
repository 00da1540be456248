import Foundation
import RecallData
import Testing

@Suite struct WrittenDatasetTests {
    private let task = MQARTask(
        vocabSize: 64, train: [Segment(sequenceLength: 24, kvPairs: 3, examples: 12)],
        validation: [Segment(sequenceLength: 16, kvPairs: 2, examples: 8)],
        test: [
            Segment(sequenceLength: 16, kvPairs: 2, examples: 9),
            Segment(sequenceLength: 30, kvPairs: 5, examples: 7),
        ])

    /// Any examples of what was written are the generator's.
    @Test(arguments: [0..<7, 0..<1, 6..<7, 2..<5]) func anyPartIsTheGenerators(_ range: Range<Int>) throws {
        try withTemporaryFolder { folder in
            try DatasetWriter.write(task, .test, to: folder)
            let dataset = try WrittenDataset(directory: folder)
            #expect(dataset.segments == task.test && dataset.description.split == .test)
            let generator = MQARGenerator(task)
            for index in task.test.indices {
                let expected = SegmentData.make(
                    generator, .test, index, firstExample: range.lowerBound, examples: range.count)
                let read = try dataset.examples(index, first: range.lowerBound, count: range.count)
                #expect(read.count == range.count && read.segment == task.test[index])
                #expect(read.tokens == expected.tokens)
                #expect(read.labelPositions == expected.labelPositions)
                #expect(read.labels == expected.labels)
            }
        }
    }

    @Test func whatIsNotThereIsMissing() throws {
        try withTemporaryFolder { folder in
            func kind() throws -> DataFileError.Kind {
                try #require(throws: DataFileError.self) { try WrittenDataset(directory: folder) }.kind
            }
            #expect(try kind() == .missing)
            try DatasetWriter.write(task, .test, to: folder)
            #expect(throws: Never.self) { try WrittenDataset(directory: folder) }
            // An array of another type.
            try NPYFile(shape: [9, 16], elements: .float32([Float](repeating: 0, count: 144))).write(
                to: folder + "/segment-0/inputs.npy")
            #expect(try kind() == .content)
        }
    }

    /// Sizes in `dataset.json` reach no allocation: what its arrays cannot hold is refused.
    @Test(
        arguments: [
            ("\"kv_pairs\" : 2", "\"kv_pairs\" : 1000000000"),
            ("\"kv_pairs\" : 2", "\"kv_pairs\" : 4611686018427387904"),
            ("\"kv_pairs\" : 2", "\"kv_pairs\" : -1"), ("\"kv_pairs\" : 2", "\"kv_pairs\" : 1e308"),
            ("\"examples\" : 9", "\"examples\" : 9223372036854775807"),
            ("\"sequence_length\" : 16", "\"sequence_length\" : 4611686018427387904"),
            ("\"vocab_size\" : 64", "\"vocab_size\" : 9223372036854775807"),
            ("\"vocab_size\" : 64", "\"vocab_size\" : 0"),
        ])
    func impossibleSizesAreRefused(_ old: String, _ new: String) throws {
        try withTemporaryFolder { folder in
            try DatasetWriter.write(task, .test, to: folder)
            let path = folder + "/dataset.json"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.contains(old), "\(text)")
            try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: URL(fileURLWithPath: path))
            let error = try #require(throws: DataFileError.self) { try WrittenDataset(directory: folder) }
            #expect(error.kind == .content && !error.description.contains { $0.isNewline }, "\(error)")
        }
    }
}
