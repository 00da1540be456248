/// Where a checkpoint was written. A run's bits belong to one device and build, and its epochs to one database.
public struct CheckpointOrigin: Hashable, Sendable {
    /// The database's own id.
    public var database: String
    /// The device with what decides its bits.
    public var device: String
    /// The program's version, with its commit where that is known.
    public var build: String

    public init(database: String, device: String, build: String) {
        (self.database, self.device, self.build) = (database, device, build)
    }
}

/// What a checkpoint must agree with before a run goes on from it.
package struct CheckpointCheck {
    private let runID: String
    private let origin: CheckpointOrigin?
    private let history: [EpochRecord]?
    private let stepsPerEpoch: Int
    private let epochs: Int

    /// - Parameters:
    ///   - origin: where the run is trained; nil where nobody keeps a record of it.
    ///   - history: the epochs on record, in order; nil where nobody keeps one.
    ///   - stepsPerEpoch, epochs: of the run's plan.
    package init(
        runID: String,
        origin: CheckpointOrigin? = nil,
        history: [EpochRecord]? = nil,
        stepsPerEpoch: Int,
        epochs: Int
    ) {
        (self.runID, self.origin, self.history) = (runID, origin, history)
        (self.stepsPerEpoch, self.epochs) = (stepsPerEpoch, epochs)
    }

    /// Why the run cannot go on from a checkpoint; nil where it can.
    package func refusal(of metadata: CheckpointMetadata) -> String? {
        guard metadata.runID == runID else { return "it is of run \(metadata.runID), not \(runID)" }
        return refusalOfPlace(metadata) ?? refusalOfOrigin(metadata) ?? refusalOfRecord(metadata)
    }

    /// Epochs and steps that the run's plan does not have.
    private func refusalOfPlace(_ metadata: CheckpointMetadata) -> String? {
        let record = metadata.record
        func isPlanned(_ record: EpochRecord) -> Bool {
            (1...max(1, epochs)).contains(record.epoch)
                && record.step.isMultiple(of: record.epoch) && record.step / record.epoch == stepsPerEpoch
        }
        guard isPlanned(record) else {
            return
                "it says epoch \(record.epoch) and step \(record.step), and the run has \(epochs) epochs of \(stepsPerEpoch) steps"
        }
        let earlier = metadata.epochsNotRecorded
        let isInOrder = earlier.enumerated().allSatisfy { $1.epoch == record.epoch - earlier.count + $0 }
        guard isInOrder, earlier.allSatisfy(isPlanned) else {
            return "its epochs before epoch \(record.epoch) are not in order"
        }
        guard metadata.trainSeconds >= 0, metadata.trainSeconds.isFinite, record.seconds >= 0 else {
            return "its times are not possible"
        }
        return nil
    }

    /// Another database, device or build.
    private func refusalOfOrigin(_ metadata: CheckpointMetadata) -> String? {
        guard let origin, let found = metadata.origin else { return nil }
        if found.database != origin.database { return "it is of another database" }
        if found.device != origin.device {
            return "it was trained on another device (\(found.device)), and this is \(origin.device)"
        }
        if found.build != origin.build {
            return "it was trained by another build (\(found.build)), and this is \(origin.build)"
        }
        return nil
    }

    /// Epochs that do not follow on those on record, or are not the same.
    private func refusalOfRecord(_ metadata: CheckpointMetadata) -> String? {
        guard let history else { return nil }
        let (last, epoch) = (history.last?.epoch ?? 0, metadata.record.epoch)
        if epoch < last { return "it ends with epoch \(epoch), and \(last) epochs are on record" }
        let first = epoch - metadata.epochsNotRecorded.count
        if first > last + 1 {
            return
                "it begins after epoch \(first - 1), and \(last == 0 ? "none is" : "only \(last) are") on record; the "
                + "database may be an older copy"
        }
        let recorded = Dictionary(history.map { ($0.epoch, $0) }, uniquingKeysWith: { $1 })
        for record in metadata.epochsNotRecorded + [metadata.record] where record.epoch <= last {
            guard recorded[record.epoch] == record else {
                return "its epoch \(record.epoch) is not the one on record"
            }
        }
        // What earlier versions wrote does not say where. Its last line on record shows the database, which knows the device
        // and the build.
        if origin != nil, metadata.origin == nil, epoch != last {
            return "an earlier version wrote it, and its epoch \(epoch) is not on record"
        }
        return nil
    }
}
