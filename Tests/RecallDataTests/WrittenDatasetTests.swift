import Foundation
import RecallData
import Testing

@Suite struct WrittenDatasetTests {
    private let task = MQARTask(
        vocabSize: 64,
        train: [Segment(sequenceLength: 24, kvPairs: 3, examples: 12)],
        validation: [Segment(sequenceLength: 16, kvPairs: 2, examples: 8)],
        test: [
            Segment(sequenceLength: 16, kvPairs: 2, examples: 9),
            Segment(sequenceLength: 30, kvPairs: 5, examples: 7),
        ]
    )

    /// Any examples of what was written are the generator's.
    @Test(arguments: [0..<7, 0..<1, 6..<7, 2..<5]) func anyPartIsTheGenerators(_ range: Range<Int>) throws {
        try withTemporaryFolder { folder in
            try DatasetWriter.write(task, .test, to: folder)
            let dataset = try WrittenDataset(directory: folder)
            #expect(dataset.segments == task.test && dataset.description.split == .test)
            let generator = MQARGenerator(task)
            for index in task.test.indices {
                let expected = SegmentData.make(
                    generator,
                    .test,
                    index,
                    firstExample: range.lowerBound,
                    examples: range.count
                )
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
                to: folder + "/segment-0/inputs.npy"
            )
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

    // MARK: dataset.json

    private static let entry =
        #"{"folder":"segment-0","sequence_length":16,"kv_pairs":2,"examples":1,"shape":[1,16]}"#

    private func description(segments: Int) -> String {
        #"{"name":"mqar","task":{"vocab_size":64,"train":[],"validation":[],"test":[]},"split":"test","#
            + #""data_seed":1,"content_hash":"","generator_version":2,"ignored_label":-100,"segments":["#
            + Array(repeating: Self.entry, count: segments).joined(separator: ",") + "]}"
    }

    private func refusal(_ json: Data) -> String? {
        do throws(DataFileError) {
            _ = try DatasetDescription(json: json, path: "dataset.json")
            return nil
        } catch { return error.message }
    }

    private func refusal(_ json: String) -> String? { refusal(Data(json.utf8)) }

    @Test func whatIsNoDescriptionIsRefusedWithAReason() throws {
        let good = description(segments: 1)
        #expect(refusal(good) == nil)
        let what = "not the description of a dataset: "
        #expect(refusal("") == what + "it is not JSON at byte 0")
        #expect(refusal(good + "}") == what + "it is not JSON at byte \(good.utf8.count)")
        #expect(refusal(String(repeating: "[", count: 1 << 20)) == what + "it is nested more than 64 deep")
        #expect(refusal("[\(String(repeating: "[],", count: 1 << 18))[]]")?.hasPrefix(what) == true)
        func changed(_ split: String) -> String {
            good.replacingOccurrences(of: #""split":"test""#, with: split)
        }
        #expect(refusal(changed(#""split":"test","split":"train""#)) == what + "it has 'split' twice")
        #expect(refusal(changed(#""split":"dev""#)) == what + "'split' has an impossible value")
        #expect(refusal(try #require(good.data(using: .utf16))) == what + "it is not UTF-8 text")
        #expect(refusal(description(segments: 0)) == "it has no segment")
    }

    /// As many segments as a suite's task may have.
    @Test func segmentsAreBounded() throws {
        #expect(refusal(description(segments: 65_537)) == "it has 65537 segments; at most 65536 are read")
        #expect(refusal(description(segments: 65_536)) == nil)
    }

    /// More arrays than a process may have open; a segment is read without a look at the others.
    @Test func manySegmentsAreRead() throws {
        try withTemporaryFolder { folder in
            var one = task
            one.test = [Segment(sequenceLength: 16, kvPairs: 2, examples: 1)]
            try DatasetWriter.write(one, .test, to: folder)
            let many = 35_000
            try Data(description(segments: many).utf8).write(
                to: URL(fileURLWithPath: folder + "/dataset.json")
            )
            let dataset = try WrittenDataset(directory: folder)
            let first = try dataset.examples(0, first: 0, count: 1)
            for index in stride(from: 0, to: many, by: 7) {
                #expect(try dataset.examples(index, first: 0, count: 1).tokens == first.tokens)
            }
        }
    }
}
