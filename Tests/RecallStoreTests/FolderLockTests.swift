import Foundation
import Testing

@testable import RecallStore

/// A folder that another process keeps locked: waited for with a word, and not for ever.
@Suite struct FolderLockTests {
    let folder = try! TemporaryFolder()

    /// The same as another process's: a lock belongs to what was opened.
    private func locked() throws -> Int32 {
        let descriptor = Foundation.open(folder.path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0 && flock(descriptor, LOCK_EX) == 0)
        return descriptor
    }

    private func open(busyTimeout: TimeInterval, say: (String) -> Void) throws(StoreError) -> Store {
        try Store(
            path: folder.file(),
            mode: .readWrite,
            identity: .current,
            busyTimeout: busyTimeout,
            say: say
        )
    }

    @Test func aLockThatStaysIsGivenUpWithItsHolder() throws {
        let lock = try locked()
        defer { close(lock) }
        do {
            _ = try open(busyTimeout: 0.1) { _ in }
            Issue.record("the lock was not seen")
        } catch {
            #expect(error.kind == .busy && error.exitStatus == 74)
            #expect(error.message.contains("process \(getpid()) ("), "\(error)")
            #expect(error.message.contains("has held a lock on the folder \(folder.path)"), "\(error)")
            #expect(error.message.contains("for 0.1 seconds"), "\(error)")
        }
    }

    @Test func aLockThatEndsIsWaitedForWithAWord() throws {
        let lock = try locked()
        var said: [String] = []
        let store = try open(busyTimeout: 30) { sentence in
            said.append(sentence)
            close(lock)
        }
        #expect(said.count == 1 && said[0].contains("waiting for process \(getpid()) ("), "\(said)")
        #expect(try store.suites().isEmpty)
    }

    @Test func aFreeFolderIsNotTalkedOf() throws {
        _ = try open(busyTimeout: 30) { Issue.record("\($0)") }
    }

    @Test func theHolderIsFoundAmongOthers() {
        let locks = """
            1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF
            2: FLOCK  ADVISORY  WRITE 12 fe:01:77 0 EOF
            3: FLOCK  ADVISORY  WRITE 0 fe:00:77 0 EOF
            3: -> FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF
            4: FLOCK  ADVISORY  WRITE 14 fe:00:77 0 EOF
            """
        #expect(CreationLock.holder(device: 0xFE00, number: 77, in: locks) == 14)
        #expect(CreationLock.holder(device: 0xFE01, number: 77, in: locks) == 12)
        #expect(CreationLock.holder(device: 0xFE00, number: 78, in: locks) == nil)
        #expect(CreationLock.holder(device: 0xFE00, number: 77, in: "") == nil)
    }
}
