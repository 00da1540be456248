import Foundation
import RecallStore
import RecallSuite
import RecallTraining

/// The folder for checkpoints, looked at before anything is trained.
extension CheckpointFolder {
    /// Makes the folders that are missing.
    ///
    /// - Parameter isKeeping: whether finished runs keep theirs.
    /// - Throws: `Failure` (74) where one cannot be made or written to.
    func check(keeping isKeeping: Bool) throws {
        for path in Set([path, isKeeping ? keptPath : path]).sorted() {
            do {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            } catch {
                throw refusal("cannot be made; name another with --checkpoints", path)
            }
            guard access(path, W_OK | X_OK) == 0 else {
                throw refusal("is not writable; name another with --checkpoints", path)
            }
        }
    }

    /// Looks whether what runs are going to write will fit.
    ///
    /// - Parameters:
    ///   - further: the most runs that a search may come to beside these.
    ///   - keeping: whether finished runs keep theirs.
    ///   - database: a file whose rows want their room too, where it shares the file system.
    /// - Throws: `Failure` (74).
    func checkSpace(
        for runs: [PlannedRun],
        further: [PlannedRun],
        jobs: Int,
        keeping: Bool,
        database: String,
        measurement: ModelMeasurement
    ) throws {
        let sizes = try runs.map { (runID: $0.runID, parameters: try measurement.facts($0).parameters) }
        let furtherSizes = try further.map { try measurement.facts($0).parameters }
        let all = runs + further
        let besides = URL(fileURLWithPath: DatabaseFile.resolved(database)).deletingLastPathComponent().path
        let rows = DiskSpace.isShared(path, besides) ? Store.bytesNeeded(for: all) : 0
        guard
            let shortage = shortage(
                for: sizes,
                further: furtherSizes,
                jobs: jobs,
                keeping: keeping,
                reserved: rows
            )
        else { return }
        let parallel = min(jobs, all.count)
        let whose =
            keeping
            ? further.isEmpty
                ? "all \(runs.count) runs" : "the \(all.count) runs that the search may come to at most"
            : parallel == 1 ? "a run" : "\(parallel) runs at once"
        throw refusal(
            "has \(ByteSize(bytes: Int(shortage.free))) of free space, and \(ByteSize(bytes: Int(shortage.needed))) are "
                + "needed for the checkpoints of \(whose)"
                + (rows > 0 ? " and the database beside them" : "")
                + "; free some, \(parallel == 1 || keeping ? "" : "use fewer --jobs, ")or name another folder with --checkpoints"
        )
    }

    private func refusal(_ what: String, _ folder: String? = nil) -> Failure {
        Failure(.inputOutput, "the folder for checkpoints \(folder ?? path) \(what)")
    }
}
