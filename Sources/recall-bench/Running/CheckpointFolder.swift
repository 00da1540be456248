import Foundation

/// Where checkpoints go, looked at before anything is trained.
struct CheckpointFolder {
    let path: String

    /// Makes the folder where it is missing.
    ///
    /// - Throws: `Failure` (74) where it cannot be made or written to.
    func check() throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw refusal("cannot be made")
        }
        guard access(path, W_OK | X_OK) == 0 else { throw refusal("is not writable") }
    }

    private func refusal(_ what: String) -> Failure {
        Failure(.inputOutput, "the folder for checkpoints \(path) \(what); name another with --checkpoints")
    }
}
