import Foundation
import RecallInput

/// What `dataset.json` beside a written split says.
public struct DatasetDescription: Codable, Hashable, Sendable {
    /// One segment's files: `FOLDER/inputs.npy` and `FOLDER/labels.npy`, both int64.
    public struct SegmentEntry: Codable, Hashable, Sendable {
        public let folder: String
        public let sequenceLength: Int
        public let kvPairs: Int
        public let examples: Int
        /// (N, L), of the inputs and of the labels.
        public let shape: [Int]

        private enum CodingKeys: String, CodingKey {
            case folder
            case sequenceLength = "sequence_length"
            case kvPairs = "kv_pairs"
            case examples, shape
        }
    }

    /// Always `mqar`.
    public let name: String
    public let task: MQARTask
    public let split: Split
    public let dataSeed: UInt64
    public let contentHash: String
    public let generatorVersion: Int
    /// The label of positions that have none: -100.
    public let ignoredLabel: Int64
    public let segments: [SegmentEntry]

    init(task: MQARTask, split: Split) {
        name = "mqar"
        self.task = task
        self.split = split
        dataSeed = task.dataSeed
        contentHash = task.contentHash()
        generatorVersion = MQARGenerator.version
        ignoredLabel = MQARGenerator.ignoredLabel
        segments = task.segments(split).enumerated().map { index, segment in
            SegmentEntry(
                folder: "segment-\(index)",
                sequenceLength: segment.sequenceLength,
                kvPairs: segment.kvPairs,
                examples: segment.examples,
                shape: [segment.examples, segment.sequenceLength]
            )
        }
    }

    private enum CodingKeys: String, CodingKey {
        case name, task, split
        case dataSeed = "data_seed"
        case contentHash = "content_hash"
        case generatorVersion = "generator_version"
        case ignoredLabel = "ignored_label"
        case segments
    }
}

/// Writes a split for other programs: a folder a segment with `inputs.npy` and `labels.npy` (int64, (N, L), labels
/// -100 where there is none), and one `dataset.json`.
public enum DatasetWriter {
    /// Elements generated and written at a time.
    static let chunkElements = 1 << 20

    /// Writes all segments of a split, a chunk at a time. `dataset.json` comes last: where it is, all is there.
    ///
    /// - Parameters:
    ///   - directory: made if missing. One that holds another dataset is refused, the same one is written again.
    ///   - progress: called after each chunk with the examples written of those in all.
    /// - Throws: `TaskError` for an impossible task, `DataFileError` for a file that cannot be written.
    public static func write(
        _ task: MQARTask,
        _ split: Split,
        to directory: String,
        threads: Int = 1,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws {
        try task.validate()
        let description = DatasetDescription(task: task, split: split)
        let path = directory + "/dataset.json"
        if FileManager.default.fileExists(atPath: path) {
            let present = try? DatasetDescription(
                json: InputFile(path: path).contents(upTo: DatasetDescription.mostBytes),
                path: path
            )
            guard present == description else {
                throw DataFileError(
                    .content,
                    path: path,
                    message: "another dataset is there; name another folder with --output, or delete this one"
                )
            }
            guard unlink(path) == 0 else { throw DataFileError.system(path, "cannot be replaced") }
        }
        let generator = MQARGenerator(task)
        let total = task.segments(split).examples
        var done = 0
        for (index, entry) in description.segments.enumerated() {
            let folder = directory + "/" + entry.folder
            do {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            } catch {
                throw DataFileError.foundation(folder, "cannot be made", error)
            }
            var inputs = try NPYWriter(path: folder + "/inputs.npy", type: .int64, shape: entry.shape)
            var labels = try NPYWriter(path: folder + "/labels.npy", type: .int64, shape: entry.shape)
            let chunk = max(1, chunkElements / entry.sequenceLength)
            for first in stride(from: 0, to: entry.examples, by: chunk) {
                let data = SegmentData.make(
                    generator,
                    split,
                    index,
                    firstExample: first,
                    examples: min(chunk, entry.examples - first),
                    threads: threads
                )
                try inputs.append(data.tokens.map(Int64.init))
                try labels.append(data.denseLabels())
                done += data.count
                progress(done, total)
            }
            try inputs.finish()
            try labels.finish()
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try (encoder.encode(description) + Data("\n".utf8)).write(
                to: URL(fileURLWithPath: path),
                options: .atomic
            )
        } catch {
            throw DataFileError.foundation(path, "cannot be written", error)
        }
    }
}
