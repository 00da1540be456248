import Dispatch
import RecallTensor
import Synchronization

/// An epoch that is over, reported once its checkpoint is on disk. The file is written by a thread of its own.
final class EpochToReport: Sendable {
    private let metadata: CheckpointMetadata
    private let outcome = Mutex<Result<Void, any Error>?>(nil)
    private let written = DispatchGroup()

    /// Copies the parameters and begins to write them.
    ///
    /// - Parameter file: nil for none.
    /// - Throws: `RunError`, where the device failed: its numbers must not replace those of an epoch before.
    init(_ metadata: CheckpointMetadata, _ store: ParameterStore, to file: CheckpointFile?) throws {
        self.metadata = metadata
        guard let file else {
            outcome.withLock { $0 = .success(()) }
            return
        }
        let arrays = try CheckpointFile.arrays(of: store)
        DispatchQueue.global(qos: .userInitiated).async(group: written) {
            let result = Result { try file.write(arrays, metadata) }
            self.outcome.withLock { $0 = result }
        }
    }

    /// Whether `record` returns, or throws, at once.
    var isSafe: Bool { outcome.withLock { $0 != nil } }

    /// The epoch's record, when its checkpoint is on disk.
    ///
    /// - Throws: what the disk refused.
    func record() throws -> EpochRecord {
        written.wait()
        try outcome.withLock { $0 }?.get()
        return metadata.record
    }
}
