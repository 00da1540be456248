import Foundation
import GRDB
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining
import Synchronization
import Testing

/// The table state_items: a run's state by layer and kind.
@Suite struct StateItemStoreTests {
    let folder = try! TemporaryFolder()

    private func open() throws -> Store { try Store(path: folder.file(), mode: .readWrite) }

    private func csv(_ store: Store, suites: [String] = []) throws -> String {
        let pieces = Mutex("")
        try CSVExport(store, suites: suites).write(CSVExport.StoredTable.state) { piece in
            pieces.withLock { $0 += piece }
        }
        return pieces.withLock { $0 }
    }

    @Test func itemsArePlannedReadBackAndExported() throws {
        let store = try open()
        #expect(try csv(store) == "run_id,layer,mixer,kind,bytes\n")
        // Layers in disorder, and two kinds in one.
        let items = [
            StateItem(layer: 1, mixer: "mamba", kind: .recurrent, bytes: 8192),
            StateItem(layer: 1, mixer: "mamba", kind: .convolution, bytes: 1536),
            StateItem(layer: 0, mixer: "sliding-window", kind: .keyValueCache, bytes: 0),
        ]
        let facts = ModelFacts(parameters: 7, stateBytes: 9728, stateBytesZoology: 9, stateItems: items)
        let run = plannedRun()
        try store.plan([run], suite: suiteRecord) { _ in facts }
        let stored = try #require(try store.runs(suite: "quick").first)
        #expect(stored.facts.stateItems == [items[2], items[0], items[1]])
        #expect(stored.facts.stateItems.reduce(0) { $0 + $1.bytes } == stored.facts.stateBytes)
        let rows = """
            run_id,layer,mixer,kind,bytes
            \(run.runID),0,sliding-window,kv-cache,0
            \(run.runID),1,mamba,convolution,1536
            \(run.runID),1,mamba,recurrent,8192

            """
        #expect(try csv(store) == rows)
        #expect(try csv(store, suites: ["quick"]) == rows)
        #expect(try csv(store, suites: ["none"]) == "run_id,layer,mixer,kind,bytes\n")
        // What a run came to is forgotten; what its model is stays.
        try store.plan([run], suite: suiteRecord, fresh: true) { _ in facts }
        #expect(try csv(store) == rows)
    }

    /// A file of the version before the table, with a run in it.
    private func olderFile(with run: PlannedRun) throws {
        let store = try open()
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        _ = try store.claim(run.runID, on: execution)
        try store.finish(run.runID, runResult())
        try store.close()
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { db in
            try db.execute(
                sql: """
                    DROP TABLE state_items;
                    DELETE FROM grdb_migrations WHERE identifier = 'state_items';
                    PRAGMA user_version = 3;
                    """
            )
        }
        try queue.close()
    }

    @Test func runsOfAnOlderFileGetTheirItemsWhenPlannedAgain() throws {
        let run = plannedRun()
        try olderFile(with: run)
        #expect(throws: StoreError.self) { try Store(path: folder.file(), mode: .readOnly) }
        let store = try open()
        #expect(try store.runs().first?.facts.stateItems == [])
        var asked = 0
        for _ in 0..<2 {
            try store.plan([run], suite: suiteRecord) { _ in
                asked += 1
                return modelFacts
            }
        }
        #expect(asked == 1)
        let stored = try #require(try store.runs().first)
        #expect(stored.facts == modelFacts)
        // Nothing else about it has changed.
        #expect(stored.status == .finished && stored.testAccuracy == 0.75)
    }

    /// Where this version counts otherwise, the stored count stands and has no items that contradict it.
    @Test func itemsThatDoNotSumToTheStoredBytesAreLeftOut() throws {
        let run = plannedRun()
        try olderFile(with: run)
        let store = try open()
        var other = modelFacts
        other.stateBytes += 4
        other.stateItems.append(StateItem(layer: 2, mixer: "mamba", kind: .recurrent, bytes: 4))
        try store.plan([run], suite: suiteRecord) { _ in other }
        let stored = try #require(try store.runs().first)
        #expect(stored.facts.stateBytes == 2048 && stored.facts.stateItems == [])
        #expect(try csv(store) == "run_id,layer,mixer,kind,bytes\n")
    }

    @Test func aKindThatThisVersionDoesNotKnowIsSaid() throws {
        let store = try open()
        try store.plan([plannedRun()], suite: suiteRecord) { _ in modelFacts }
        let queue = try DatabaseQueue(path: folder.file())
        try queue.write { try $0.execute(sql: "UPDATE state_items SET kind = 'holographic' WHERE layer = 0") }
        #expect {
            try store.runs()
        } throws: { error in
            "\(error)".contains("holographic")
        }
    }
}
