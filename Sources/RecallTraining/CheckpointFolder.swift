import Foundation
import RecallInput

/// Where the runs of one database keep their checkpoints: those that they continue from, and the last ones of finished runs.
public struct CheckpointFolder: Sendable {
    /// The folder of the checkpoints that runs continue from.
    public let path: String
    /// The folder of the checkpoints that finished runs keep.
    public let keptPath: String
    /// Tells the files of databases apart that share the folder; nil where they do not.
    private let tag: String?

    /// The folders of a database: `FILE.checkpoints/`, and `checkpoints/` beside it for what is kept.
    ///
    /// - Parameter database: the file itself, with links followed.
    public init(ofDatabase database: String) {
        path = database + ".checkpoints"
        let folder = database.lastIndex(of: "/").map { String(database[...$0]) } ?? ""
        (keptPath, tag) = (folder + "checkpoints", nil)
    }

    /// One folder for both, which other databases may share.
    ///
    /// - Parameter tag: this database's, of letters and digits; nil where no other one has the folder.
    public init(path: String, tag: String? = nil) { (self.path, keptPath, self.tag) = (path, path, tag) }

    /// The checkpoint that a run continues from while it is trained.
    public func file(of runID: String) -> CheckpointFile {
        CheckpointFile(path: "\(path)/\(runID)\(tag.map { ".\($0)" } ?? "").partial.safetensors")
    }

    /// The last checkpoint of a finished run that keeps it.
    public func keptFile(of runID: String) -> CheckpointFile {
        CheckpointFile(path: "\(keptPath)/\(runID).safetensors")
    }

    /// Whether there is a checkpoint that a run may continue from.
    public func canContinue(_ runID: String) -> Bool { file(of: runID).exists || formerFile(of: runID) != nil }

    /// Where an earlier version, whose databases shared a folder's files, left what a run continues from.
    private func formerFile(of runID: String) -> CheckpointFile? {
        let file = CheckpointFile(path: "\(keptPath)/\(runID).partial.safetensors")
        return file.path != self.file(of: runID).path && file.exists ? file : nil
    }

    /// Takes over the checkpoint that an earlier version left of a run, if it is this database's: by its id or, where it has
    /// none, because it was written after an epoch that is on record here.
    ///
    /// - Parameters:
    ///   - database: this one's id.
    ///   - history: the epochs on record here. Only asked where there is such a file.
    public func adopt(_ runID: String, database: String, history: () throws -> [EpochRecord]) rethrows {
        let file = file(of: runID)
        guard !file.exists, let former = formerFile(of: runID) else { return }
        guard let metadata = former.metadata, metadata.runID == runID else { return }
        let isOurs =
            if let origin = metadata.origin { origin.database == database } else {
                try history().contains(metadata.record)
            }
        if isOurs { former.move(to: file) }
    }

    /// What becomes of a run's checkpoint when the run is finished. A second time changes nothing.
    public func settle(_ runID: String, keeping: Bool) {
        let partial = file(of: runID)
        // Where it cannot take its name it stays under the other, whole.
        if !keeping { partial.remove() } else if partial.exists { partial.move(to: keptFile(of: runID)) }
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
        for runs: [(runID: String, parameters: Int)],
        further: [Int] = [],
        jobs: Int,
        keeping: Bool = false,
        reserved: Int64 = 0,
        freeBytes: (String) -> Int64? = DiskSpace.freeBytes
    ) -> Shortage? {
        var needed = reserved
        // What a run takes besides the checkpoints that are kept.
        var passing: [Int64] = []
        for run in runs {
            let bytes = CheckpointFile.estimatedBytes(parameters: run.parameters)
            // What an earlier sitting left is taken already.
            let there = file(of: run.runID).bytes ?? formerFile(of: run.runID)?.bytes ?? 0
            let first = bytes - min(bytes, there)
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

extension CheckpointFile {
    /// What the file says of itself; nil where it is no checkpoint.
    fileprivate var metadata: CheckpointMetadata? { try? open().metadata }

    /// Gives the file another place, whole or not at all. Where that cannot be it stays.
    fileprivate func move(to other: CheckpointFile) {
        other.makeFolder()
        // Another file system takes a copy.
        if rename(path, other.path) != 0, errno == EXDEV, other.take(copyOf: self) { remove() }
    }

    private func makeFolder() {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// - Returns: whether it is there now.
    private func take(copyOf other: CheckpointFile) -> Bool {
        let beside = temporaryPath
        try? FileManager.default.removeItem(atPath: beside)
        let isCopied = (try? FileManager.default.copyItem(atPath: other.path, toPath: beside)) != nil
        if isCopied, rename(beside, path) == 0 { return true }
        try? FileManager.default.removeItem(atPath: beside)
        return false
    }
}
