import Foundation
import RecallInput
import RecallKernels
import RecallTensor

/// What a checkpoint says of itself.
public struct CheckpointMetadata: Equatable, Sendable {
    public var runID: String
    /// The run's specification as JSON.
    public var specification: String
    /// The epoch after which it was written.
    public var record: EpochRecord
    public var trainSeconds: Double
    /// The epochs before it that were not on record then, in order.
    public var epochsNotRecorded: [EpochRecord]

    public init(
        runID: String, specification: String, record: EpochRecord, trainSeconds: Double,
        epochsNotRecorded: [EpochRecord] = []
    ) {
        self.epochsNotRecorded = epochsNotRecorded
        (self.runID, self.specification, self.record, self.trainSeconds) = (
            runID, specification, record, trainSeconds
        )
    }
}

/// A run's checkpoint on disk: every parameter with AdamW's moments, as .safetensors. Written beside and renamed, so that a
/// crash leaves the old one or the new one.
public struct CheckpointFile: Sendable {
    public let path: String

    public init(path: String) { self.path = path }

    /// Raised when the format changes.
    static let version = "1"

    /// What a checkpoint of so many parameters takes at most: they and two moments, Float32, and a header.
    static func estimatedBytes(parameters: Int) -> Int64 {
        Int64(parameters.times(3 * MemoryLayout<Float>.stride)).plus(largestHeader)
    }

    /// Some 150 bytes an array: enough for two thousand parameters' names.
    private static let largestHeader: Int64 = 1 << 20

    /// The file's size; nil where there is none.
    var bytes: Int64? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.size].flatMap {
            ($0 as? NSNumber)?.int64Value
        }
    }

    public var exists: Bool { FileManager.default.fileExists(atPath: path) }

    /// Removes the file, if it is there.
    public func remove() { try? FileManager.default.removeItem(atPath: path) }

    /// - Throws: what the disk refuses, `RunError` where the device failed.
    package func write(_ store: ParameterStore, _ metadata: CheckpointMetadata) throws {
        try write(Self.arrays(of: store), metadata)
    }

    /// What a checkpoint holds of some parameters, copied.
    ///
    /// - Throws: `RunError`, where the device failed.
    static func arrays(of store: ParameterStore) throws(RunError) -> [NamedArray] {
        let arrays = store.parameters.flatMap { parameter in
            [
                ("", parameter.value), ("optimizer.m.", parameter.firstMoment),
                ("optimizer.v.", parameter.secondMoment),
            ].map { prefix, source in
                NamedArray(
                    name: prefix + parameter.name, shape: parameter.shape,
                    values: store.read(source, count: parameter.count))
            }
        }
        if let failure = store.backend.failure { throw RunError(failure) }
        return arrays
    }

    /// - Throws: what the disk refuses.
    func write(_ arrays: [NamedArray], _ metadata: CheckpointMetadata) throws {
        let record = String(decoding: try JSONEncoder().encode(metadata.record), as: UTF8.self)
        var texts = [
            "format": "pt", "version": Self.version, "run_id": metadata.runID,
            "specification": metadata.specification, "record": record,
            "epoch": String(metadata.record.epoch), "step": String(metadata.record.step),
            "train_seconds": String(metadata.trainSeconds),
        ]
        if !metadata.epochsNotRecorded.isEmpty {
            texts["epochs_not_recorded"] = String(
                decoding: try JSONEncoder().encode(metadata.epochsNotRecorded), as: UTF8.self)
        }
        try replaceFile(with: try SafeTensors.encode(arrays, metadata: texts))
    }

    private func replaceFile(with data: Data) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        let beside = url.appendingPathExtension("new")
        do {
            try data.write(to: beside)
            let handle = try FileHandle(forUpdating: beside)
            // On disk before it takes the old one's name.
            try handle.synchronize()
            try handle.close()
        } catch {
            // A full disk must not keep half a file.
            try? FileManager.default.removeItem(at: beside)
            throw error
        }
        guard rename(beside.path, url.path) == 0 else {
            throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path])
        }
    }

    /// Puts the file's numbers into a model of the same parameters. Everything is checked first, before the numbers are read:
    /// a file that is refused leaves the model as it was.
    ///
    /// - Parameter runID: the run that it must be of; nil for any.
    /// - Throws: `RunError.checkpoint` for a file that is not whole, of another run or of another model.
    package func read(into store: ParameterStore, runID: String? = nil) throws -> CheckpointMetadata {
        let (file, metadata) = try open()
        if let runID, metadata.runID != runID {
            throw RunError.checkpoint(
                "the checkpoint \(path) cannot be used: it is of run \(metadata.runID), not \(runID)")
        }
        var sources: [(name: String, destination: MutableFloats)] = []
        for parameter in store.parameters {
            for (prefix, destination) in [
                ("", parameter.value), ("optimizer.m.", parameter.firstMoment),
                ("optimizer.v.", parameter.secondMoment),
            ] {
                let name = prefix + parameter.name
                guard file.shape(of: name) == parameter.shape else {
                    throw unusable("it has no \(name) of shape \(parameter.shape)")
                }
                sources.append((name, destination))
            }
        }
        var numbers: [(values: [Float], destination: MutableFloats)] = []
        for (name, destination) in sources {
            do { numbers.append((try file.values(of: name) ?? [], destination)) } catch {
                throw unusable(error.message)
            }
        }
        for (values, destination) in numbers { store.write(values, to: destination) }
        if let failure = store.backend.failure { throw RunError(failure) }
        return metadata
    }

    private func decode(_ metadata: [String: String]) throws(RunError) -> CheckpointMetadata {
        guard metadata["version"] == Self.version, let runID = metadata["run_id"],
            let specification = metadata["specification"], let record = metadata["record"],
            let trainSeconds = metadata["train_seconds"].flatMap(Double.init),
            let decoded = try? JSONDecoder().decode(EpochRecord.self, from: Data(record.utf8)),
            let earlier = try? JSONDecoder().decode(
                [EpochRecord].self, from: Data((metadata["epochs_not_recorded"] ?? "[]").utf8))
        else { throw unusable("its metadata are not a checkpoint's") }
        return CheckpointMetadata(
            runID: runID, specification: specification, record: decoded, trainSeconds: trainSeconds,
            epochsNotRecorded: earlier)
    }

    /// Opens the file and reads what it says of itself, but none of its numbers.
    ///
    /// - Throws: `RunError.checkpoint` for a file that cannot be read or is not a checkpoint.
    func open() throws(RunError) -> (file: SafeTensorsFile, metadata: CheckpointMetadata) {
        let file: SafeTensorsFile
        do { file = try SafeTensorsFile(path: path) } catch {
            throw unusable((error as? InputFileError)?.message ?? "\(error)")
        }
        return (file, try decode(file.metadata))
    }

    /// What a checkpoint of these bytes holds: its arrays by name, and the run that it is of.
    ///
    /// - Throws: `RunError.checkpoint` for bytes that are not a checkpoint's.
    public func parse(_ data: Data) throws(RunError) -> (arrays: [NamedArray], metadata: CheckpointMetadata) {
        let (arrays, texts): ([NamedArray], [String: String])
        do {
            (arrays, texts) = try SafeTensors.decode(data)
        } catch { throw unusable(error.description) }
        return (arrays, try decode(texts))
    }

    private func unusable(_ reason: String) -> RunError {
        .checkpoint("the checkpoint \(path) cannot be used: \(reason)")
    }
}
