import Foundation
import RecallStore
import Testing

@Suite struct LeaseTests {
    let folder = try! TemporaryFolder()
    let clock = TestClock()
    let run = plannedRun()

    private func store(_ identity: ProcessIdentity) throws -> Store {
        try Store(path: folder.file(), mode: .readWrite, identity: identity, now: clock.now)
    }

    private func plannedStore(_ identity: ProcessIdentity) throws -> Store {
        let store = try store(identity)
        try store.plan([run], suite: suiteRecord) { _ in modelFacts }
        return store
    }

    private let elsewhere = ProcessIdentity(host: "elsewhere", machine: "another boot", pid: 42, startTime: 7)

    @Test func theCurrentProcessKnowsItself() {
        let current = ProcessIdentity.current
        #expect(current.pid == getpid())
        #expect(current.startTime > 0 && !current.machine.isEmpty && !current.host.isEmpty)
        #expect(current.isGone(seenBy: current) == false)
        #expect(current.isGone(seenBy: elsewhere) == nil)
        var recycled = current
        recycled.startTime += 1
        #expect(recycled.isGone(seenBy: current) == true)
    }

    @Test func aLiveProcessKeepsItsRunHoweverSilent() throws {
        let first = try plannedStore(.current)
        let second = try store(elsewhereOnThisMachine())
        #expect(try first.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 0))
        clock.advance(3600)
        let held = ClaimResult.heldBy(host: ProcessIdentity.current.host, pid: getpid())
        #expect(try second.claim(run.runID, on: execution) == held)
        #expect(try first.claim(run.runID, on: execution) == held)
        #expect(try second.counts().running == 1)
        #expect(try second.releaseStale() == [])
        #expect(throws: StoreError.self) { try second.recordEpoch(run.runID, epochRecord(1)) }
    }

    /// Another process of this machine that lives: the parent of this one will do.
    private func elsewhereOnThisMachine() throws -> ProcessIdentity {
        var identity = ProcessIdentity.current
        identity.pid = getppid()
        identity.startTime = ProcessIdentity.processStart(getppid()) ?? 1
        return identity
    }

    @Test func aDeadProcessLosesItsRunAtOnce() throws {
        let dead = try plannedStore(try deadProcess())
        #expect(try dead.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 0))
        try dead.recordEpoch(run.runID, epochRecord(1))
        let living = try store(.current)
        #expect(try living.counts().interrupted == 1)
        #expect(try living.runs().first?.status == .interrupted)
        #expect(try living.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 1))
        // What the dead process's threads might still do is refused.
        for late in [
            { try dead.heartbeat(run.runID) }, { try dead.recordEpoch(run.runID, epochRecord(2)) },
            { try dead.finish(run.runID, runResult()) }, { try dead.fail(run.runID, error: "x") },
            { try dead.interrupt(run.runID) },
        ] {
            let error = #expect(throws: StoreError.self) { try late() }
            #expect(error?.kind == .leaseLost)
        }
        try living.finish(run.runID, runResult())
        #expect(try living.counts().finished == 1)
    }

    @Test func aZombieIsGone() throws {
        // The shell starts a child that ends at once, and then becomes a program that never reaps it.
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "sh -c 'exit 0' & echo $!; exec sleep 30"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        defer { kill(process.processIdentifier, SIGKILL) }
        let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        let pid = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let deadline = Date().addingTimeInterval(5)
        while ProcessIdentity.processStart(pid) != nil, Date() < deadline { usleep(10_000) }
        #expect(FileManager.default.fileExists(atPath: "/proc/\(pid)/stat"))
        #expect(ProcessIdentity.processStart(pid) == nil)
    }

    @Test func anotherMachineHasSixtySeconds() throws {
        let remote = try plannedStore(elsewhere)
        _ = try remote.claim(run.runID, on: execution)
        let local = try store(.current)
        clock.advance(59)
        #expect(try local.claim(run.runID, on: execution) == .heldBy(host: "elsewhere", pid: 42))
        try remote.heartbeat(run.runID)
        clock.advance(59)
        #expect(try local.claim(run.runID, on: execution) == .heldBy(host: "elsewhere", pid: 42))
        clock.advance(2)
        #expect(try local.counts().interrupted == 1)
        #expect(try local.releaseStale() == [run.runID])
        #expect(try local.runs().first?.lease == nil)
        #expect(try local.claim(run.runID, on: execution) == .claimed(resumeFromEpoch: 0))
    }

    @Test func freshSparesWhatALiveProcessHas() throws {
        let remote = try plannedStore(elsewhere)
        _ = try remote.claim(run.runID, on: execution)
        try remote.recordEpoch(run.runID, epochRecord(1))
        let local = try store(.current)
        try local.plan([run], suite: suiteRecord, fresh: true) { _ in modelFacts }
        #expect(try remote.history(run.runID).count == 1)
        clock.advance(61)
        try local.plan([run], suite: suiteRecord, fresh: true) { _ in modelFacts }
        #expect(try local.history(run.runID).isEmpty)
        #expect(try local.counts().pending == 1)
    }

    @Test func ofTwoStoresOneGetsEachRun() async throws {
        let runs = (0..<20).map { plannedRun(seed: $0) }
        let stores = [try plannedStore(.current), try store(elsewhere)]
        try stores[0].plan(runs, suite: suiteRecord) { _ in modelFacts }
        let claimed = try await withThrowingTaskGroup(of: [String].self) { group in
            for store in stores + stores {
                group.addTask {
                    try runs.map(\.runID).filter {
                        try store.claim($0, on: execution) == .claimed(resumeFromEpoch: 0)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(claimed.sorted() == runs.map(\.runID).sorted())
    }
}
