import Dispatch
import Foundation
import RecallReport
import RecallStore
import RecallTraining

/// Puts the epochs of a session's runs into the database, in the order in which they ended, and then shows them.
///
/// A run waits until its epoch is there, as long as the database can be written. While another program keeps it locked runs
/// go on, and their epochs wait here.
final class EpochRecorder: @unchecked Sendable {
    private struct Entry {
        let number: Int
        let runID: String
        let epoch: EpochRecord
    }

    private let store: Store
    private let display: ProgressDisplay
    private let worker = DispatchQueue(label: "recall-bench.epochs")

    // Guarded by `lock`.
    private let lock = NSCondition()
    private var queue: [Entry] = []
    private var nextNumber = 0
    private var isWorking = false
    private var isStalled = false
    /// Why a run's epochs cannot be recorded.
    private var failures: [String: any Error] = [:]

    /// How many epochs a run may be ahead of the database. They are in its checkpoint's header too.
    private static let mostAhead = 64

    init(_ store: Store, _ display: ProgressDisplay) { (self.store, self.display) = (store, display) }

    /// A run has been claimed.
    func begin(_ runID: String) { lock.withLock { failures[runID] = nil } }

    /// Records an epoch, at once or, while the database is locked, later.
    ///
    /// - Throws: why this epoch or one before it could not be recorded.
    func record(_ runID: String, _ epoch: EpochRecord) throws {
        lock.lock()
        defer { lock.unlock() }
        if let error = failures[runID] { throw error }
        let number = nextNumber
        nextNumber += 1
        if queue.isEmpty { isStalled = false }
        queue.append(Entry(number: number, runID: runID, epoch: epoch))
        if !isWorking {
            isWorking = true
            worker.async { self.work() }
        }
        while queue.contains(where: { $0.number == number }) {
            if isStalled, queue.count(where: { $0.runID == runID }) < Self.mostAhead { return }
            lock.wait()
        }
        if let error = failures[runID] { throw error }
    }

    /// Another program has kept the database locked for a while.
    func stalled() {
        lock.withLock {
            isStalled = true
            lock.broadcast()
        }
    }

    /// The run's epochs that wait here.
    func unrecorded(_ runID: String) -> [EpochRecord] {
        lock.withLock { queue.filter { $0.runID == runID }.map(\.epoch) }
    }

    /// - Throws: why an epoch of the run could not be recorded.
    func check(_ runID: String) throws {
        if let error = lock.withLock({ failures[runID] }) { throw error }
    }

    /// Waits until all of a run's epochs are recorded.
    ///
    /// - Throws: why one could not be.
    func flush(_ runID: String) throws {
        lock.lock()
        defer { lock.unlock() }
        while queue.contains(where: { $0.runID == runID }) { lock.wait() }
        if let error = failures[runID] { throw error }
    }

    private func work() {
        while let entry = next() {
            var failure: (any Error)?
            do {
                try store.recordEpoch(entry.runID, entry.epoch)
                display.epochFinished(entry.runID, entry.epoch)
            } catch { failure = error }
            lock.withLock {
                if let failure {
                    failures[entry.runID] = failure
                    queue.removeAll { $0.runID == entry.runID }
                } else {
                    queue.removeFirst()
                }
                isStalled = false
                lock.broadcast()
            }
        }
    }

    private func next() -> Entry? {
        lock.withLock {
            isWorking = !queue.isEmpty
            return queue.first
        }
    }
}
