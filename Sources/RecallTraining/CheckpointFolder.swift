import Foundation

/// The folder in which runs keep their checkpoints while they are trained.
public struct CheckpointFolder: Sendable {
    public let path: String

    public init(path: String) { self.path = path }

    /// The checkpoint that a run continues from while it is trained.
    public func file(of runID: String) -> CheckpointFile {
        CheckpointFile(path: "\(path)/\(runID).partial.safetensors")
    }

    /// The last checkpoint of a finished run that keeps it.
    public func keptFile(of runID: String) -> CheckpointFile {
        CheckpointFile(path: "\(path)/\(runID).safetensors")
    }

    /// What becomes of a run's checkpoint when the run is finished. A second time changes nothing.
    public func settle(_ runID: String, keeping: Bool) {
        let partial = file(of: runID)
        // Where it cannot take its name it stays under the other, whole.
        if keeping { rename(partial.path, keptFile(of: runID).path) } else { partial.remove() }
    }

    /// Too little room, in bytes.
    public struct Shortage: Equatable, Sendable {
        public let needed: Int64
        public let free: Int64
    }

    /// Whether the checkpoints of runs that are trained `jobs` at a time will not fit; nil where they will, or where the
    /// system does not tell.
    ///
    /// A run has one checkpoint, and while it writes the next one two; it is removed when the run is finished, unless it is
    /// kept. The largest runs may be trained at the same time.
    ///
    /// - Parameters:
    ///   - runs: those to be trained, each with the number of its parameters.
    ///   - further: the numbers of parameters of runs that may have to be trained after these.
    ///   - keeping: whether finished runs keep theirs.
    ///   - reserved: bytes of the same file system that are wanted for something else.
    ///   - freeBytes: of the file system of a folder.
    public func shortage(
        for runs: [(runID: String, parameters: Int)], further: [Int] = [], jobs: Int, keeping: Bool = false,
        reserved: Int64 = 0,
        freeBytes: (String) -> Int64? = DiskSpace.freeBytes
    ) -> Shortage? {
        var needed = reserved
        // What a run takes besides the checkpoints that are kept.
        var passing: [Int64] = []
        for run in runs {
            let bytes = CheckpointFile.estimatedBytes(parameters: run.parameters)
            // What an earlier sitting left is taken already.
            let first = bytes - min(bytes, file(of: run.runID).bytes ?? 0)
            if keeping { needed += first }
            passing.append(keeping ? bytes : first + bytes)
        }
        for parameters in further {
            let bytes = CheckpointFile.estimatedBytes(parameters: parameters)
            if keeping { needed += bytes }
            passing.append(keeping ? bytes : 2 * bytes)
        }
        for bytes in passing.sorted(by: >).prefix(jobs) { needed += bytes }
        guard let free = freeBytes(path), free < needed else { return nil }
        return Shortage(needed: needed, free: free)
    }
}
