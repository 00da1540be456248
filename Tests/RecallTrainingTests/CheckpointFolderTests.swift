import Foundation
import RecallKernels
import RecallModels
import RecallTraining
import Testing

/// Room for checkpoints, reckoned before there are any.
struct CheckpointFolderTests {
    private let folder = try! TemporaryFolder()
    private var checkpoints: CheckpointFolder { CheckpointFolder(path: folder.url.path) }

    private func shortage(
        _ parameters: [Int],
        jobs: Int,
        keeping: Bool = false,
        reserved: Int64 = 0,
        free: Int64?
    ) -> CheckpointFolder.Shortage? {
        let runs = parameters.enumerated().map { (runID: "run-\($0)", parameters: $1) }
        return checkpoints.shortage(for: runs, jobs: jobs, keeping: keeping, reserved: reserved) { path in
            #expect(path == folder.url.path)
            return free
        }
    }

    /// Parameters with two moments, twice, for the runs that may be trained at once, and something for headers.
    @Test func theLargestRunsAtOnceMustFit() throws {
        let million = 1 << 20
        func needed(_ parameters: [Int], jobs: Int, reserved: Int64 = 0) throws -> Int64 {
            try #require(shortage(parameters, jobs: jobs, reserved: reserved, free: 0)).needed
        }
        let one = try needed([million], jobs: 1)
        #expect(one >= 24 << 20 && one <= 28 << 20)
        let two = try needed([2 * million], jobs: 1)
        #expect(two - one == 24 << 20)
        #expect(try needed([million, 2 * million, million], jobs: 1) == two)
        #expect(try needed([million, 2 * million, million], jobs: 2) == one + two)
        #expect(try needed([million, 2 * million, million], jobs: 9) == one + two + one)
        #expect(try needed([million], jobs: 1, reserved: 77) == one + 77)

        // Kept: one of each, and the next one of as many as are trained at once.
        let kept = try #require(shortage([million, 2 * million, million], jobs: 1, keeping: true, free: 0))
            .needed
        #expect(kept == one / 2 + two + one / 2)

        // A search may come to more: kept all of them, otherwise as many as are trained at once.
        func searched(jobs: Int, keeping: Bool) throws -> Int64 {
            try #require(
                checkpoints.shortage(
                    for: [(runID: "run-0", parameters: million)],
                    further: [million, 2 * million],
                    jobs: jobs,
                    keeping: keeping
                ) { _ in 0 }
            ).needed
        }
        #expect(try searched(jobs: 1, keeping: true) == kept)
        #expect(
            try searched(jobs: 1, keeping: false) == two && searched(jobs: 3, keeping: false) == one + two + one
        )

        #expect(shortage([million], jobs: 1, free: one) == nil)
        #expect(shortage([million], jobs: 1, free: one - 1)?.free == one - 1)
        // Nothing to train, and a system that does not tell.
        #expect(shortage([], jobs: 2, free: 0) == nil)
        #expect(shortage([million], jobs: 1, free: nil) == nil)

        // What an earlier sitting left need not be found again.
        try Data(count: 12 << 20).write(to: URL(fileURLWithPath: checkpoints.file(of: "run-0").path))
        #expect(try needed([million], jobs: 1) == one - 12 << 20)
        try Data(count: 50 << 20).write(to: URL(fileURLWithPath: checkpoints.file(of: "run-0").path))
        #expect(try needed([million], jobs: 1) == one / 2)
    }

    /// The estimate holds for what is written.
    @Test(arguments: ModelPresets.presets.map(\.name)) func aCheckpointIsNoLargerThanReckoned(_ preset: String)
        throws
    {
        let trainer = try Trainer(
            task: smallTask(),
            model: try presetModel(preset),
            training: TrainingConfig(epochs: 1, batchSize: 64, learningRate: 0.01),
            seed: 1,
            backend: CPUBackend()
        )
        let file = checkpoints.file(of: "run")
        _ = try trainer.run(checkpoint: file, runID: "run", specification: "{}", observer: Recorder())
        let written = Int64(try Data(contentsOf: URL(fileURLWithPath: file.path)).count)
        file.remove()
        let runs = [(runID: "run", parameters: trainer.model.parameterCount)]
        let reckoned = try #require(checkpoints.shortage(for: runs, jobs: 1) { _ in 0 }).needed
        #expect(2 * written <= reckoned)
        #expect(written > 12 * trainer.model.parameterCount)
    }

    @Test func freeSpaceIsTheSystems() throws {
        #expect(try #require(DiskSpace.freeBytes(at: folder.url.path)) > 0)
        #expect(DiskSpace.freeBytes(at: folder.path("missing")) == nil)
        #expect(DiskSpace.isShared(folder.url.path, folder.url.path))
        #expect(!DiskSpace.isShared(folder.url.path, folder.path("missing")))
        #expect(!DiskSpace.isShared(folder.url.path, "/proc"))
    }
}
