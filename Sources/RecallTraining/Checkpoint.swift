import Foundation
import RecallInput
import RecallKernels
import RecallTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

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
    /// Where it was written; nil for one of an earlier version, or of another program.
    public var origin: CheckpointOrigin?

    public init(
        runID: String,
        specification: String,
        record: EpochRecord,
        trainSeconds: Double,
        epochsNotRecorded: [EpochRecord] = [],
        origin: CheckpointOrigin? = nil
    ) {
        (self.epochsNotRecorded, self.origin) = (epochsNotRecorded, origin)
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

    /// What is written beside it, by this process alone, to take its name.
    var temporaryPath: String { "\(path).\(getpid()).new" }

    /// Removes what processes that were killed had begun to write. For the process that has the run.
    public func removeLeftovers() {
        let url = URL(fileURLWithPath: path)
        let (folder, name) = (url.deletingLastPathComponent(), url.lastPathComponent + ".")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for other in names where other.hasPrefix(name) && other.hasSuffix(".new") {
            let number = other.dropFirst(name.count).dropLast(4)
            // Earlier versions had no number.
            guard let pid = number.isEmpty ? 0 : Int32(number) else { continue }
            if pid > 0, pid != getpid(), kill(pid, 0) == 0 || errno != ESRCH { continue }
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(other))
        }
    }

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
                    name: prefix + parameter.name,
                    shape: parameter.shape,
                    values: store.read(source, count: parameter.count)
                )
            }
        }
        if let failure = store.backend.failure { throw RunError(failure) }
        return arrays
    }

    /// - Throws: what the disk refuses.
    package func write(_ arrays: [NamedArray], _ metadata: CheckpointMetadata) throws {
        let record = String(decoding: try JSONEncoder().encode(metadata.record), as: UTF8.self)
        var texts = [
            "format": "pt", "version": Self.version, "run_id": metadata.runID,
            "specification": metadata.specification, "record": record,
            "epoch": String(metadata.record.epoch), "step": String(metadata.record.step),
            "train_seconds": String(metadata.trainSeconds),
        ]
        if !metadata.epochsNotRecorded.isEmpty {
            texts["epochs_not_recorded"] = String(
                decoding: try JSONEncoder().encode(metadata.epochsNotRecorded),
                as: UTF8.self
            )
        }
        if let origin = metadata.origin {
            (texts["database"], texts["device"], texts["build"]) = (
                origin.database, origin.device, origin.build
            )
        }
        texts[CheckpointHash.ofParameters] = CheckpointHash.parameters(arrays)
        texts[CheckpointHash.whole] = CheckpointHash.whole(arrays, metadata: texts)
        try replaceFile(with: try SafeTensors.encode(arrays, metadata: texts))
    }

    private func replaceFile(with data: Data) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        // Another process, that has another database open, may write the same file.
        let beside = URL(fileURLWithPath: temporaryPath)
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
    /// - Parameter refusal: why a checkpoint that says this of itself is not used; nil where it is.
    /// - Throws: `RunError.checkpoint` for a file that is not whole, that is refused, or of another model.
    package func read(
        into store: ParameterStore,
        refusal: (CheckpointMetadata) -> String? = { _ in nil }
    ) throws -> CheckpointMetadata {
        let (file, metadata) = try open()
        // Damage comes first: it is what makes the rest disagree.
        let reason = refusal(metadata)
        var sources: [(name: String, destination: MutableFloats)] = []
        for parameter in store.parameters {
            for (prefix, destination) in [
                ("", parameter.value), ("optimizer.m.", parameter.firstMoment),
                ("optimizer.v.", parameter.secondMoment),
            ] {
                let name = prefix + parameter.name
                guard file.shape(of: name) == parameter.shape else {
                    throw unusable(reason ?? "it has no \(name) of shape \(parameter.shape)")
                }
                sources.append((name, destination))
            }
        }
        // Nothing larger than the model is read.
        let known = Set(sources.map(\.name))
        if let stranger = file.names.first(where: { !known.contains($0) }) {
            throw unusable(reason ?? "it has \(stranger), which the model has not")
        }
        let arrays = try numbers(of: sources.map(\.name), file)
        try requireUndamaged(arrays, file.metadata)
        if let reason { throw unusable(reason) }
        try requireFinite(arrays)
        for (array, source) in zip(arrays, sources) { store.write(array.values, to: source.destination) }
        if let failure = store.backend.failure { throw RunError(failure) }
        return metadata
    }

    /// - Throws: `RunError.checkpoint` for numbers that cannot be read.
    private func numbers(of names: [String], _ file: SafeTensorsFile) throws(RunError) -> [NamedArray] {
        var arrays: [NamedArray] = []
        for name in names {
            let values: [Float]
            do { values = try file.values(of: name) ?? [] } catch { throw unusable(error.message) }
            arrays.append(NamedArray(name: name, shape: file.shape(of: name) ?? [], values: values))
        }
        return arrays
    }

    /// A run would blame its learning rate for such a number. A moment may be infinite: its parameter rests.
    private func requireFinite(_ arrays: [NamedArray]) throws(RunError) {
        for array in arrays {
            let isMoment = CheckpointHash.isOptimizers(array.name)
            guard array.values.allSatisfy({ isMoment ? !$0.isNaN : $0.isFinite }) else {
                throw unusable("a number of \(array.name) is not finite")
            }
        }
    }

    /// Looks whether a file says what was written. Earlier versions wrote no hash.
    private func requireUndamaged(_ arrays: [NamedArray], _ texts: [String: String]) throws(RunError) {
        guard let hash = texts[CheckpointHash.whole] else { return }
        guard texts[CheckpointHash.ofParameters] == CheckpointHash.parameters(arrays),
            hash == CheckpointHash.whole(arrays, metadata: texts)
        else { throw unusable("it is damaged: its numbers or metadata are not those that were written") }
    }

    /// What a checkpoint's metadata say, apart from the hashes.
    ///
    /// - Throws: `RunError.checkpoint` for metadata that are not a checkpoint's.
    package func decode(_ metadata: [String: String]) throws(RunError) -> CheckpointMetadata {
        guard metadata["version"] == Self.version, let runID = metadata["run_id"],
            let specification = metadata["specification"], let record = metadata["record"],
            let trainSeconds = metadata["train_seconds"].flatMap(Double.init),
            let decoded = try? JSONDecoder().decode(EpochRecord.self, from: Data(record.utf8)),
            let earlier = try? JSONDecoder().decode(
                [EpochRecord].self,
                from: Data((metadata["epochs_not_recorded"] ?? "[]").utf8)
            )
        else { throw unusable("its metadata are not a checkpoint's") }
        let places = [metadata["database"], metadata["device"], metadata["build"]].compactMap(\.self)
        guard places.isEmpty || places.count == 3 && metadata[CheckpointHash.whole] != nil,
            (metadata["epoch"], metadata["step"]) == (String(decoded.epoch), String(decoded.step))
        else { throw unusable("its metadata contradict each other") }
        return CheckpointMetadata(
            runID: runID,
            specification: specification,
            record: decoded,
            trainSeconds: trainSeconds,
            epochsNotRecorded: earlier,
            origin: places.isEmpty
                ? nil : CheckpointOrigin(database: places[0], device: places[1], build: places[2])
        )
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
        let metadata = try decode(texts)
        try requireUndamaged(arrays, texts)
        return (arrays, metadata)
    }

    private func unusable(_ reason: String) -> RunError {
        .checkpoint("the checkpoint \(path) cannot be used: \(reason)")
    }
}
