import Foundation
import RecallData
import Testing

@Suite struct DatasetWriterTests {
    @Test func writesWhatTheGeneratorMakes() throws {
        try withTemporaryFolder { folder in
            var task = smallTask(examples: 30)
            // More than one chunk of 2^20 elements: 300 × 4096.
            task.test.append(Segment(sequenceLength: 4096, kvPairs: 8, examples: 300))
            var progress: [Int] = []
            try DatasetWriter.write(task, .test, to: folder + "/new/data", threads: 2) { done, total in
                #expect(total == 330)
                progress.append(done)
            }
            #expect(progress == [30, 286, 330])
            let generator = MQARGenerator(task)
            for (index, segment) in task.test.enumerated() {
                let expected = SegmentData.make(generator, .test, index)
                let shape = [segment.examples, segment.sequenceLength]
                let path = folder + "/new/data/segment-\(index)"
                let inputs = try NPYFile(path: path + "/inputs.npy")
                #expect(inputs == NPYFile(shape: shape, elements: .int64(expected.tokens.map(Int64.init))))
                let labels = try NPYFile(path: path + "/labels.npy")
                #expect(labels == NPYFile(shape: shape, elements: .int64(expected.denseLabels())))
            }
            let json = try Data(contentsOf: URL(fileURLWithPath: folder + "/new/data/dataset.json"))
            let description = try JSONDecoder().decode(DatasetDescription.self, from: json)
            #expect(description.task == task && description.split == .test && description.dataSeed == 7)
            #expect(description.contentHash == task.contentHash())
            #expect(description.segments.map(\.shape) == [[30, 32], [300, 4096]])
            #expect(description.segments.map(\.folder) == ["segment-0", "segment-1"])
            let text = String(decoding: json, as: UTF8.self)
            for key in [
                "data_seed", "content_hash", "generator_version", "kv_pairs", "power_a", "ignored_label",
            ] {
                #expect(text.contains("\"\(key)\""))
            }
        }
    }

    @Test func anotherDatasetIsNotOverwritten() throws {
        try withTemporaryFolder { folder in
            try DatasetWriter.write(smallTask(), .train, to: folder)
            try DatasetWriter.write(smallTask(), .train, to: folder)
            let json = try Data(contentsOf: URL(fileURLWithPath: folder + "/dataset.json"))
            for (task, split) in [(smallTask(dataSeed: 9), Split.train), (smallTask(), .test)] {
                let error = try #require(throws: DataFileError.self) {
                    try DatasetWriter.write(task, split, to: folder)
                }
                #expect(
                    error
                        == DataFileError(
                            .content,
                            path: folder + "/dataset.json",
                            message:
                                "another dataset is there; name another folder with --output, or delete this one"
                        )
                )
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/dataset.json")) == json)
        }
    }

    @Test func failuresAreThrown() throws {
        try withTemporaryFolder { folder in
            #expect(throws: TaskError.self) {
                try DatasetWriter.write(smallTask(pairs: 20), .train, to: folder)
            }
            try Data().write(to: URL(fileURLWithPath: folder + "/file"))
            let error = try #require(throws: DataFileError.self) {
                try DatasetWriter.write(smallTask(), .train, to: folder + "/file")
            }
            #expect(error.kind == .inputOutput)
            #expect(error.path == folder + "/file/segment-0")
            #expect(error.message == "cannot be made: Not a directory")
        }
    }
}
