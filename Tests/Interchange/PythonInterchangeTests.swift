import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallSuite
import RecallTraining
import Testing

/// A Python with the packages of requirements.txt, where the environment names one.
private enum Python {
    static let path = ProcessInfo.processInfo.environment["RECALL_BENCH_PYTHON"]

    /// Runs exchange.py to its end.
    static func exchange(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: try #require(path))
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "exchange.py").path
        // Nothing is to be left beside the script.
        process.arguments = ["-B", script] + arguments
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(
            process.terminationStatus == 0,
            "exchange.py \(arguments[0]): \(String(decoding: text, as: UTF8.self))"
        )
    }
}

/// A folder that goes with the test.
private final class Folder {
    let url = FileManager.default.temporaryDirectory.appending(path: "interchange-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }

    func data(_ name: String) throws -> Data { try Data(contentsOf: url.appending(path: name)) }

    func make(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
        return path(name)
    }
}

/// An array as exchange.py describes it.
private struct Description: Codable, Equatable {
    var dtype: String
    var shape: [Int]
    var bits: [String]

    init(_ file: NPYFile) {
        shape = file.shape
        switch file.elements {
        case .int64(let values):
            (dtype, bits) = ("<i8", values.map { "\(UInt64(bitPattern: $0))" })
        case .float32(let values):
            (dtype, bits) = ("<f4", values.map { "\($0.bitPattern)" })
        }
    }

    init(_ array: NamedArray) { self.init(NPYFile(shape: array.shape, elements: .float32(array.values))) }
}

/// Our files read by NumPy and safetensors, and theirs by us.
@Suite(
    "Interchange with Python",
    .enabled(
        if: Python.path != nil,
        "RECALL_BENCH_PYTHON names no Python; see Tests/Interchange/requirements.txt"
    )
)
struct PythonInterchangeTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    private let task = MQARTask(
        vocabSize: 64,
        train: [Segment(sequenceLength: 24, kvPairs: 3, examples: 40)],
        validation: [Segment(sequenceLength: 16, kvPairs: 2, examples: 8)],
        test: [
            Segment(sequenceLength: 16, kvPairs: 2, examples: 9),
            Segment(sequenceLength: 30, kvPairs: 5, examples: 4),
        ]
    )

    @Test(arguments: ["based", "mamba", "base-conv", "based-lm"]) func aCheckpointGoesThereAndBack(
        _ name: String
    )
        throws
    {
        let preset = try #require(ModelPresets.preset(name))
        let model = try preset.config(dModel: 10).resolved()
        let training = TrainingConfig(epochs: 1, batchSize: 20, learningRate: 0.01)
        let spec = RunSpec(task: task, model: model, training: training, seed: 5)
        let trainer = try Trainer(
            task: task,
            model: model,
            training: training,
            seed: 5,
            backend: CPUBackend()
        )
        let file = CheckpointFile(path: folder.path("run.safetensors"))
        _ = try trainer.run(
            checkpoint: file,
            runID: "größe 🦜",
            specification: spec.canonicalJSON(),
            observer: NoObserver()
        )
        let copy = try folder.make("copy")
        try Python.exchange("checkpoint", file.path, copy)

        let (arrays, metadata) = try SafeTensors.decode(try folder.data("run.safetensors"))
        #expect(metadata["run_id"] == "größe 🦜")
        let again = try SafeTensors.decode(try folder.data("copy/rewritten.safetensors"))
        #expect(again.arrays == arrays)
        #expect(again.metadata == metadata)
        #expect(
            try JSONDecoder().decode([String: String].self, from: folder.data("copy/metadata.json")) == metadata
        )
        for array in arrays {
            #expect(
                try NPYFile(path: folder.path("copy/\(array.name).npy"))
                    == NPYFile(shape: array.shape, elements: .float32(array.values)),
                "\(array.name)"
            )
        }
        // What Python wrote is a checkpoint to evaluate.
        let content = try CheckpointContent(path: folder.path("copy/rewritten.safetensors"))
        let model2 = try LanguageModel(
            model,
            vocabulary: task.vocabSize,
            maximumLength: task.maximumLength,
            backend: CPUBackend(),
            seed: 6
        )
        try content.write(to: model2.store)
        for (mine, theirs) in zip(trainer.model.store.parameters, model2.store.parameters) {
            #expect(
                trainer.model.store.read(mine.value, count: mine.count)
                    == model2.store.read(theirs.value, count: theirs.count)
            )
        }
    }

    @Test(arguments: Split.allCases) func aDatasetGoesThereAndBack(_ split: Split) throws {
        try DatasetWriter.write(task, split, to: folder.path("data"))
        try Python.exchange("dataset", folder.path("data"), folder.path("copy"))
        let dataset = try WrittenDataset(directory: folder.path("copy"))
        #expect(dataset.description.split == split)
        #expect(dataset.segments == task.segments(split))
        let generator = MQARGenerator(task)
        for (index, segment) in dataset.segments.enumerated() {
            let expected = SegmentData.make(generator, split, index)
            let read = try dataset.examples(index, first: 0, count: segment.examples)
            #expect(read.tokens == expected.tokens)
            #expect(read.denseLabels() == expected.denseLabels())
        }
    }

    @Test func pythonReadsOurArraysBitForBit() throws {
        let numbers: [Float] = [
            0, -0.0, 1.5, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude,
        ]
        let files: [String: NPYFile] = [
            "floats": NPYFile(shape: [8], elements: .float32(numbers)),
            "matrix": NPYFile(shape: [2, 4], elements: .float32(numbers)),
            "integers": NPYFile(shape: [2, 1, 2], elements: .int64([.min, .max, -100, 0])),
            "scalar": NPYFile(shape: [], elements: .int64([7])),
            "empty": NPYFile(shape: [0], elements: .float32([])),
            "hollow": NPYFile(shape: [3, 0, 2], elements: .int64([])),
            "many axes": NPYFile(shape: [Int](repeating: 1, count: 31), elements: .float32([2])),
        ]
        for (name, file) in files { try file.write(to: folder.path("\(name).npy")) }
        let arrays = [
            NamedArray(name: "weights.größe 層", shape: [2, 4], values: numbers),
            NamedArray(name: "scalar", shape: [], values: [3]),
            NamedArray(name: "empty", shape: [0], values: []),
            NamedArray(name: "hollow", shape: [5, 0], values: []),
            NamedArray(name: "quote \" and \\", shape: [1, 8, 1], values: numbers),
        ]
        let metadata = ["ключ": "значение 🦜", "quotes": "\"a\" \\ \n\t/", "": "no name"]
        try SafeTensors.encode(arrays, metadata: metadata).write(
            to: folder.url.appending(path: "arrays.safetensors")
        )
        try Python.exchange("arrays", folder.url.path)

        struct Read: Decodable {
            let npy: [String: Description]
            let safetensors: [String: Description]
            let metadata: [String: String]
        }
        let read = try JSONDecoder().decode(Read.self, from: folder.data("read.json"))
        #expect(read.npy == files.mapValues(Description.init))
        #expect(
            read.safetensors
                == Dictionary(uniqueKeysWithValues: arrays.map { ($0.name, Description($0)) })
        )
        #expect(read.metadata == metadata)
    }

    @Test func weReadOrRefuseWhatPythonWrites() throws {
        struct Entry: Decodable {
            let file: String
            /// A part of what is said; nil for a file to be read.
            let refused: String?
            let arrays: [String: Description]
            let metadata: [String: String]?
        }
        try Python.exchange("strange", folder.url.path)
        let entries = try JSONDecoder().decode([Entry].self, from: folder.data("manifest.json"))
        #expect(entries.count > 25)
        for entry in entries {
            var found: [String: Description] = [:]
            var refusal: String?
            do {
                if entry.file.hasSuffix(".npy") {
                    found = ["": Description(try NPYFile(path: folder.path(entry.file)))]
                } else {
                    let (arrays, metadata) = try SafeTensors.decode(try folder.data(entry.file))
                    found = Dictionary(uniqueKeysWithValues: arrays.map { ($0.name, Description($0)) })
                    #expect(metadata == entry.metadata, "\(entry.file)")
                }
            } catch { refusal = "\(error)" }
            if let part = entry.refused {
                #expect(refusal?.contains(part) == true, "\(entry.file): \(refusal ?? "was read")")
            } else {
                #expect(refusal == nil, "\(entry.file)")
                #expect(found == entry.arrays, "\(entry.file)")
            }
        }
    }
}

private struct NoObserver: TrainingObserver {
    func didStep(_ step: Int, of totalSteps: Int, loss: Double) {}
    func didFinishEpoch(_ record: EpochRecord) {}
}
