import Foundation
import RecallInput
import RecallKernels
import RecallReport
import RecallStore
import RecallSuite
import RecallTensor
import RecallTraining

/// How the runs of one sitting went.
struct RunnerOutcome {
    var finished = 0
    var failed = 0
    var isInterrupted = false
    /// Runs that other processes were still training at the end.
    var heldElsewhere = 0
    /// An error that ended the sitting: a full disk, a lost database.
    var error: (any Error)?
}

/// Trains planned runs on `jobs` threads of this process. A run is claimed in the store before it is trained, so several
/// processes share one database without doing a run twice.
final class Runner: @unchecked Sendable {
    private let store: Store
    private let display: ProgressDisplay
    private let stop: StopRequest
    private let jobs: Int
    private let threads: Int
    private let checkpoints: CheckpointFolder
    private let fresh: Bool
    private let keepsCheckpoints: Bool
    /// To spread the runs over.
    private let devices: [DeviceChoice]
    private let execution: Execution
    /// What checkpoints say of themselves.
    private let origin: CheckpointOrigin
    /// Knows what the end of a run makes necessary.
    private let planner: RunPlanner
    /// Why runs of some points fail before they begin, by `PlannedRun.pointID`.
    private let refusals: [String: String]
    private let recorder: EpochRecorder
    private let log = Log.make("runner")

    // Guarded by `lock`.
    private let lock = NSCondition()
    private var queue: [PlannedRun]
    /// Runs that another live process holds: waited for, and taken over should it end.
    private var held: [PlannedRun] = []
    /// Who held them at the last look.
    private var holders: [String: String] = [:]
    private var hasSaidThatItWaits = false
    /// When to look at them again.
    private var nextLook = Date.distantPast
    /// Runs that this process is training.
    private var active: Set<String> = []
    /// Threads that have taken a run and not yet done with it.
    private var busy = 0
    private var outcome = RunnerOutcome()

    /// Seconds between signs of life of a run, and between looks at runs that others hold.
    private static let heartbeatInterval = 10.0
    private static let heldInterval = 1.0
    /// Seconds between looks whether the database is still where it was.
    private static let placeInterval = 1.0

    init(
        _ runs: [PlannedRun],
        store: Store,
        display: ProgressDisplay,
        stop: StopRequest,
        options: TrainingOptions,
        checkpoints: CheckpointFolder,
        planner: RunPlanner,
        devices: [DeviceChoice],
        execution: Execution,
        refusals: [String: String]
    ) {
        (self.planner, self.refusals) = (planner, refusals)
        recorder = EpochRecorder(store, display)
        (queue, self.store, self.display, self.stop) = (runs, store, display, stop)
        (jobs, threads, fresh) = (options.jobCount, options.threads, options.fresh)
        keepsCheckpoints = options.keepCheckpoints
        self.checkpoints = checkpoints
        (self.devices, self.execution) = (devices, execution)
        // A store that is written to has one.
        origin = CheckpointOrigin(
            database: store.databaseID ?? "",
            device: execution.device,
            build: execution.build
        )
    }

    /// Trains until nothing is left, a stop is asked for, or the store fails.
    func run() -> RunnerOutcome {
        let timers = [startHeartbeat(), startPlaceWatch()]
        waitForLocks()
        defer {
            for timer in timers { timer.cancel() }
            // Once a stop is asked for, what follows is not held up either.
            if !stop.isRaised { store.waitForLocks(nil) }
        }
        let done = DispatchGroup()
        // A search may come to need more threads than it begins with.
        for number in 0..<(planner.suite.search == nil ? min(jobs, max(queue.count, 1)) : jobs) {
            done.enter()
            let worker = Worker(self, on: devices[number % devices.count], done)
            let thread = Thread { worker.run() }
            thread.stackSize = 16 << 20
            thread.start()
        }
        done.wait()
        outcome.heldElsewhere = held.count
        outcome.isInterrupted = stop.isRaised && outcome.error == nil
        return outcome
    }

    /// Another program's lock ends nothing: what is trained meanwhile is recorded when it is free.
    private func waitForLocks() {
        store.waitForLocks(
            LockPatience(
                isStopped: { [stop] in stop.isRaised },
                stalled: { [recorder] in recorder.stalled() },
                say: { [display, path = store.path] seconds in
                    display.note(
                        "\(path): another process has kept the database locked for \(Int(clamping: seconds.rounded(.up))) s; training "
                            + "goes on, and what it comes to is recorded when the lock is free"
                    )
                }
            )
        )
    }

    /// What a thread works for, let go of before the thread ends. What a thread still holds then is released among its
    /// own destructors, after those of libdispatch; the database's queues, taken down there, would corrupt the heap.
    private final class Worker: @unchecked Sendable {
        private var runner: Runner?
        private let device: DeviceChoice
        private var done: DispatchGroup?

        init(_ runner: Runner, on device: DeviceChoice, _ done: DispatchGroup) {
            (self.runner, self.device, self.done) = (runner, device, done)
        }

        func run() {
            runner?.work(on: device)
            runner = nil
            done?.leave()
            done = nil
        }
    }

    private func work(on device: DeviceChoice) {
        while let run = next() {
            do {
                try handle(run, on: device)
            } catch let error as StoreError where error.kind == .busy && stop.isRaised {
                // What could not be recorded is in the checkpoint.
                log.info("stopped with the database locked", metadata: ["run": "\(run.runID)"])
            } catch {
                // The store or the disk failed: no other run could be kept either.
                end(with: error)
            }
            lock.withLock {
                busy -= 1
                lock.broadcast()
            }
        }
    }

    private func end(with error: any Error) {
        lock.withLock { outcome.error = outcome.error ?? error }
        stop.raise()
    }

    /// An epoch may take an hour, and what is trained into a file that is gone is lost.
    private func startPlaceWatch() -> any DispatchSourceTimer {
        timer(every: Self.placeInterval) { runner in
            do { try runner.store.requireInPlace() } catch { runner.end(with: error) }
        }
    }

    /// Takes up what has become necessary.
    private func take(_ added: [SittingDetails.Run]) {
        if added.isEmpty || stop.isRaised { return }
        display.runsAdded(added)
        lock.withLock { queue += added.map(\.planned) }
    }

    /// Signs of life for every run under way, whatever its thread is busy with.
    private func startHeartbeat() -> any DispatchSourceTimer {
        timer(every: Self.heartbeatInterval) { runner in
            // A lease that was lost shows when the run next writes.
            for runID in runner.lock.withLock({ runner.active }) { try? runner.store.heartbeat(runID) }
        }
    }

    /// A timer that is running, and calls `body` until it is canceled.
    private func timer(
        every seconds: Double,
        _ body: @escaping @Sendable (Runner) -> Void
    ) -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        timer.schedule(deadline: .now() + seconds, repeating: seconds)
        timer.setEventHandler { [weak self] in
            if let self { body(self) }
        }
        timer.resume()
        return timer
    }

    /// The next run to try; nil when there is none left or all should stop.
    private func next() -> PlannedRun? {
        lock.lock()
        defer { lock.unlock() }
        while !stop.isRaised {
            if !queue.isEmpty {
                busy += 1
                return queue.removeFirst()
            }
            if held.isEmpty {
                // What is still being trained may make further runs necessary.
                guard busy > 0 else { return nil }
                lock.wait()
            } else if Date() >= nextLook {
                // One look a second at what others hold.
                queue = held
                held = []
                nextLook = Date(timeIntervalSinceNow: Self.heldInterval)
            } else {
                // Once, and when no other thread is still asking for a run.
                if !hasSaidThatItWaits, busy == active.count {
                    hasSaidThatItWaits = true
                    display.waiting(
                        forRuns: held.count,
                        holders: Set(held.compactMap { holders[$0.runID] }).sorted()
                    )
                }
                _ = lock.wait(until: nextLook)
            }
        }
        return nil
    }

    private func handle(_ run: PlannedRun, on device: DeviceChoice) throws {
        switch try store.claim(run.runID, on: execution) {
        case .finished:
            display.runFinishedElsewhere(run.runID, label: run.label, totalSteps: run.spec.totalSteps)
            take(try planner.additions(to: store))
        case .heldBy(let host, let pid):
            lock.withLock {
                held.append(run)
                holders[run.runID] = "\(host), process \(pid)"
            }
            display.runHeldElsewhere(run.runID, label: run.label, host: host, pid: pid)
        case .claimed(let epoch):
            recorder.begin(run.runID)
            lock.withLock { _ = active.insert(run.runID) }
            defer { lock.withLock { _ = active.remove(run.runID) } }
            do {
                if let reason = refusals[run.pointID] {
                    try fail(run, reason)
                } else {
                    try train(run, on: device, epochsOnRecord: epoch)
                }
            } catch let error as StoreError where error.kind == .leaseLost {
                // Another process has it now: that is no reason to stop the others.
                log.warning("lost a run to another process", metadata: ["run": "\(run.runID)"])
                display.runInterrupted(run.runID)
            } catch {
                // A claimed run is not left as running, whatever happened.
                try? recorder.flush(run.runID)
                try? store.interrupt(run.runID)
                display.runInterrupted(run.runID)
                throw error
            }
        }
    }

    private func train(_ run: PlannedRun, on device: DeviceChoice, epochsOnRecord: Int) throws {
        let checkpoint = checkpoints.file(of: run.runID)
        checkpoint.removeLeftovers()
        if fresh {
            checkpoint.remove()
            checkpoints.keptFile(of: run.runID).remove()
        } else {
            try checkpoints.adopt(run.runID, database: origin.database) { try store.history(run.runID) }
        }
        log.debug("claimed", metadata: ["run": "\(run.runID)", "epochs": "\(epochsOnRecord)"])
        let spec = run.spec
        do {
            let trainer = try Trainer(
                task: spec.task,
                model: spec.model,
                training: spec.training,
                seed: spec.seed,
                backend: device.makeBackend(threads: threads, spec.training.precision),
                stop: stop
            )
            let isLost = epochsOnRecord > 0 && !fresh && !checkpoint.exists
            let observer = RunObserver(
                run,
                totalSteps: trainer.totalSteps,
                recorder: recorder,
                display: display,
                refusal: isLost ? "the checkpoint \(checkpoint.path) is not there any more" : nil
            )
            let result = try trainer.run(
                checkpoint: checkpoint,
                runID: run.runID,
                specification: spec.canonicalJSON(),
                origin: origin,
                history: try store.history(run.runID),
                observer: observer
            )
            try recorder.flush(run.runID)
            let added = try planner.end { try store.finish(run.runID, result, then: $0) }
            checkpoints.settle(run.runID, keeping: keepsCheckpoints)
            display.runFinished(run.runID, result)
            lock.withLock { outcome.finished += 1 }
            take(added)
        } catch RunError.stopped {
            try recorder.flush(run.runID)
            try store.interrupt(run.runID)
            display.runInterrupted(run.runID)
        } catch let error as CocoaError {
            // Only checkpoints are read and written here.
            throw Failure(
                .inputOutput,
                "the checkpoint \(checkpoint.path) cannot be written (\(error.systemReason)); what was finished is kept: "
                    + "make room, or name another folder with --checkpoints, and run again"
            )
        } catch let error as RunError {
            try fail(run, error.description)
        } catch BackendError.outOfMemory(let bytes) {
            try fail(run, "out of memory: \(ByteSize(bytes: bytes)) could not be reserved; use fewer --jobs")
        } catch let error as BackendError {
            try fail(run, error.description)
        }
    }

    private func fail(_ run: PlannedRun, _ error: String) throws {
        try recorder.flush(run.runID)
        let added = try planner.end { try store.fail(run.runID, error: error, then: $0) }
        display.runFailed(run.runID, error: error)
        lock.withLock { outcome.failed += 1 }
        take(added)
    }
}

/// Passes what a run tells on to the store and the display.
private final class RunObserver: TrainingObserver {
    private let runID: String
    private let label: String
    private let totalSteps: Int
    private let recorder: EpochRecorder
    private let display: ProgressDisplay
    private let refusal: String?

    /// - Parameter refusal: why the run begins anew, where it has no checkpoint that should be there.
    init(
        _ run: PlannedRun,
        totalSteps: Int,
        recorder: EpochRecorder,
        display: ProgressDisplay,
        refusal: String?
    ) {
        (runID, label, self.totalSteps) = (run.runID, run.label, totalSteps)
        (self.recorder, self.display, self.refusal) = (recorder, display, refusal)
    }

    /// Without a checkpoint that can be read, because a disk or a person has cut it, say, the epochs on record are trained
    /// again, to the same bits.
    func willTrain(fromStep step: Int, refusal: String?) {
        if let reason = refusal ?? self.refusal { display.note("\(label): starts anew: \(reason)") }
        display.runStarted(runID, label: label, totalSteps: totalSteps, startStep: step)
    }

    func didStep(_ step: Int, of totalSteps: Int, loss: Double) throws {
        try recorder.check(runID)
        display.runProgress(runID, step: step, loss: loss)
    }

    func didFinishEpoch(_ record: EpochRecord) throws {
        try recorder.record(runID, record)
    }

    var epochsNotRecorded: [EpochRecord] { recorder.unrecorded(runID) }
}
