import Foundation
import GRDB
import RecallTraining
import Testing

private let longSuite = tiny("epochs: 2", "epochs: 60")

/// Checkpoints that are whole files, and still not what the run goes on from.
@Suite struct CheckpointTrustTests {
    private static let arguments = [
        "run", "--suite", "tiny.yaml", "--json", "--only", "model=based,learning_rate=0.01",
    ]

    /// Trains the one run until some of its epochs are told of, then kills it.
    private func train(_ workspace: Workspace, epochs: Int) throws {
        let count = Counter()
        let outcome = try workspace.run(more: Self.arguments) { line, pid in
            if line.contains("\"epoch_finished\""), count.next() == epochs { kill(pid, SIGKILL) }
        }
        #expect(outcome.isSignalled)
    }

    private func checkpoint(_ workspace: Workspace) throws -> CheckpointFile {
        let name = try #require(workspace.content.first { $0.hasSuffix(".partial.safetensors") })
        return CheckpointFile(path: workspace.path(name))
    }

    private static let plain = Result {
        let workspace = try Workspace.withTinySuite(longSuite)
        let outcome = try workspace.run(
            "run",
            "--suite",
            "tiny.yaml",
            "--quiet",
            "--only",
            "model=based,learning_rate=0.01"
        )
        #expect(outcome.status == 0)
        return try workspace.results()
    }

    /// Trained again, the run begins anew with a line that says why, and comes to what it would have come to.
    private func expectBeginsAnew(_ workspace: Workspace, because words: String) throws {
        let outcome = try workspace.run(more: Self.arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let events = try outcome.errorLines.map(object)
        let notes = events.filter { $0["event"] as? String == "note" }.compactMap { $0["message"] as? String }
        #expect(notes.count == 1 && notes.first?.contains(": starts anew: the checkpoint ") == true, "\(notes)")
        #expect(notes.first?.contains(words) == true, "\(notes)")
        #expect(events.filter { $0["event"] as? String == "run_started" }.map { $0["step"] as? Int } == [0])
        #expect(try workspace.results() == Self.plain.get())
        #expect(try workspace.table("history").column("epoch") == (1...60).map(String.init))
    }

    private func expectContinues(_ workspace: Workspace) throws {
        let outcome = try workspace.run(more: Self.arguments)
        #expect(outcome.status == 0 && !outcome.errors.contains("starts anew"), "\(outcome.errors)")
        let starts = try outcome.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(starts.count == 1 && starts[0]["step"] as? Int ?? 0 >= 13, "\(starts)")
        #expect(try workspace.results() == Self.plain.get())
    }

    enum Lie: CaseIterable {
        case device, build, database, epoch, negativeEpoch, step, largestStep, notANumber, run, seconds
        case momentNotANumber
    }

    /// Written as the program writes, with hashes that are right, and yet not this run's of this database.
    @Test(arguments: Lie.allCases) func aCheckpointThatDoesNotAgreeIsNotBelieved(_ lie: Lie) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 3)
        let file = try checkpoint(workspace)
        var (arrays, metadata) = try file.parse(Data(contentsOf: URL(fileURLWithPath: file.path)))
        var words: String
        switch lie {
        case .device:
            metadata.origin?.device = "cpu OpenBLAS 0.3.21 Prescott"
            words = "it was trained on another device (cpu OpenBLAS 0.3.21 Prescott), and this is cpu"
        case .build:
            metadata.origin?.build = "0.0.1 (abc1234)"
            words = "it was trained by another build (0.0.1 (abc1234)), and this is "
        case .database:
            metadata.origin?.database = "0123"
            words = "it is of another database"
        case .epoch:
            (metadata.record.epoch, metadata.record.step) = (30, 13 * 30)
            words = "it begins after epoch 29, and only "
        case .negativeEpoch:
            metadata.record.epoch = -1
            words = "it says epoch -1 and step "
        case .step:
            metadata.record.step += 1
            words = " and step \(metadata.record.step), and the run has 60 epochs of 13 steps"
        case .largestStep:
            metadata.record.step = .max
            words = " and step 9223372036854775807, and the run has 60 epochs of 13 steps"
        case .notANumber, .momentNotANumber:
            let prefix = lie == .notANumber ? "" : "optimizer.v."
            let index = try #require(arrays.firstIndex { $0.name == prefix + "embedding.weight" })
            arrays[index].values[5] = .nan
            words = "a number of \(prefix)embedding.weight is not finite"
        case .run:
            metadata.runID = "0123456789abcdef"
            words = "it is of run 0123456789abcdef, not "
        case .seconds:
            metadata.record.seconds += 1
            words = "is not the one on record"
        }
        try file.write(arrays, metadata)
        if lie == .seconds {
            // Killed in between, the epoch is in the checkpoint alone.
            let last = try workspace.table("history").rows.count
            if last != metadata.record.epoch { return }
        }
        try expectBeginsAnew(workspace, because: words)
    }

    enum Damage: CaseIterable { case bodyBit, lastBit, recordDigit, deviceLetter }

    /// One bit or letter in the file.
    @Test(arguments: Damage.allCases) func aDamagedCheckpointIsFound(_ damage: Damage) throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 2)
        let url = URL(fileURLWithPath: try checkpoint(workspace).path)
        var data = try Data(contentsOf: url)
        func change(after text: String, _ byte: (UInt8) -> UInt8) throws {
            let found = try #require(data.range(of: Data(text.utf8)))
            data[found.upperBound] = byte(data[found.upperBound])
        }
        switch damage {
        case .bodyBit: data[data.count * 3 / 4] ^= 1
        case .lastBit: data[data.count - 1] ^= 1 << 6
        case .recordDigit:
            try change(after: #"\"trainLoss\":"#) { $0 == UInt8(ascii: "9") ? UInt8(ascii: "8") : $0 + 1 }
        case .deviceLetter: try change(after: #""device":"cp"#) { $0 ^ 1 }
        }
        try data.write(to: url)
        try expectBeginsAnew(workspace, because: "cannot be used: it is damaged: ")
    }

    /// A copy that was made before the newest epochs, put in the place of the database.
    @Test func anOlderCopyLosesNoEpoch() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 2)
        #expect(try workspace.run("export", "sqlite", "--output", "copy.sqlite").status == 0)
        try train(workspace, epochs: 6)
        for name in ["recall.sqlite", "recall.sqlite-wal", "recall.sqlite-shm"] {
            try? FileManager.default.removeItem(atPath: workspace.path("results/\(name)"))
        }
        try FileManager.default.moveItem(
            atPath: workspace.path("copy.sqlite"),
            toPath: workspace.path("results/recall.sqlite")
        )
        try expectBeginsAnew(workspace, because: " are on record; the database may be an older copy")
    }

    /// A new database where one with checkpoints was.
    @Test func aNewDatabaseDoesNotGoOnFromTheFormersCheckpoints() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 2)
        for name in ["recall.sqlite", "recall.sqlite-wal", "recall.sqlite-shm"] {
            try? FileManager.default.removeItem(atPath: workspace.path("results/\(name)"))
        }
        try expectBeginsAnew(workspace, because: "it is of another database")
    }

    /// Restored at once, a copy goes on: it is the same database.
    @Test func aCopyOfNowGoesOn() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 2)
        #expect(
            try workspace.run("export", "sqlite", "--output", "results/copy.sqlite").status == 0
        )
        for name in ["recall.sqlite", "recall.sqlite-wal", "recall.sqlite-shm"] {
            try? FileManager.default.removeItem(atPath: workspace.path("results/\(name)"))
        }
        try FileManager.default.moveItem(
            atPath: workspace.path("results/copy.sqlite"),
            toPath: workspace.path("results/recall.sqlite")
        )
        try expectContinues(workspace)
    }

    /// What an earlier version wrote says nothing of where: its epoch on record does.
    @Test(arguments: [true, false]) func anEarlierVersionsCheckpointIsUsedByItsEpoch(_ isOnRecord: Bool) throws
    {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 3)
        let file = try checkpoint(workspace)
        let url = URL(fileURLWithPath: file.path)
        let metadata = try file.parse(Data(contentsOf: url)).metadata
        let (arrays, texts) = try SafeTensors.decode(Data(contentsOf: url))
        let later = ["database", "device", "build", "sha256", "parameters_sha256"]
        try SafeTensors.encode(arrays, metadata: texts.filter { !later.contains($0.key) }).write(to: url)
        let recorded = try workspace.table("history").rows.count
        if !isOnRecord {
            try workspace.change("DELETE FROM history WHERE epoch >= \(metadata.record.epoch)")
        } else if recorded != metadata.record.epoch {
            // Killed in between.
            return
        }
        if isOnRecord { return try expectContinues(workspace) }
        try expectBeginsAnew(
            workspace,
            because: "an earlier version wrote it, and its epoch \(metadata.record.epoch) is not on record"
        )
    }

    /// What a killed process had begun to write is cleared away; what a living one writes is not.
    @Test func leftoversAreClearedAway() throws {
        let workspace = try Workspace.withTinySuite(longSuite)
        try train(workspace, epochs: 2)
        let path = try checkpoint(workspace).path
        let (gone, former, living) = ("\(path).\(Int32.max).new", "\(path).new", "\(path).\(getpid()).new")
        for path in [gone, former, living] { try Data("half".utf8).write(to: URL(fileURLWithPath: path)) }
        try expectContinues(workspace)
        #expect(
            [gone, former, living].map { FileManager.default.fileExists(atPath: $0) } == [false, false, true]
        )
    }
}

extension Workspace {
    /// Changes the default store as another program may.
    fileprivate func change(_ sql: String) throws {
        let queue = try DatabaseQueue(path: path("results/recall.sqlite"))
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }
}
