import Synchronization
import Testing

@testable import RecallKernels

/// What the system refuses ends a run, not the process.
@Suite struct MemoryShortageTests {
    /// Bytes that no address space has.
    private static let floats = 1 << 58

    @Test(arguments: [1, 3]) func aWorkspaceThatCannotBeMadeIsAFailure(_ threads: Int) {
        let workers = Workers(threads: threads)
        let blocks = Atomic(0)
        workers.forEachBlock(4, floats: 16) { _, _ in blocks.add(1, ordering: .relaxed) }
        #expect(workers.failure == nil && blocks.load(ordering: .relaxed) == 4)
        workers.forEachBlock(4, floats: Self.floats) { _, _ in blocks.add(1, ordering: .relaxed) }
        #expect(workers.failure == .outOfMemory(bytes: Self.floats * 4))
        // From then on nothing is done.
        workers.forEachBlock(4) { _, _ in blocks.add(1, ordering: .relaxed) }
        #expect(blocks.load(ordering: .relaxed) == 4 && workers.isCancelled)
        #expect(workers.sharedWorkspace(floats: 16) == nil)
    }

    @Test(arguments: [1 << 58, Int.max]) func aSharedWorkspaceIsNoOther(_ floats: Int) {
        let workers = Workers(threads: 1)
        #expect(workers.sharedWorkspace(floats: 16) != nil && workers.failure == nil)
        #expect(workers.sharedWorkspace(floats: floats) == nil)
        #expect(workers.failure == .outOfMemory(bytes: floats == .max ? .max : floats * 4))
        #expect(workers.bytes == 0)
    }

    /// Pieces of a library that counts those it has taken and not been given back.
    private static let counts = Mutex((pieces: 0, free: 0))

    private func memory(room: @escaping @Sendable () -> Bool) -> BLASMemory {
        Self.counts.withLock { $0 = (0, 0) }
        return BLASMemory(
            take: { _ in
                MemoryShortageTests.counts.withLock { counts in
                    if counts.free > 0 { counts.free -= 1 } else { counts.pieces += 1 }
                }
                return nil
            },
            giveBack: { _ in MemoryShortageTests.counts.withLock { $0.free += 1 } },
            map: { _ in room() }
        )
    }

    /// As many products at once as are reserved have a piece each; what has been released is taken again.
    @Test func piecesAreTakenAheadOfProducts() throws {
        let memory = memory { Self.counts.withLock { $0.pieces < 4 } }
        func pieces() -> [Int] { Self.counts.withLock { [$0.pieces, $0.free] } }
        try memory.reserve(1)
        #expect(pieces() == [1, 1])
        try memory.reserve(2)
        #expect(pieces() == [3, 3])
        memory.release(2)
        try memory.reserve(2)
        #expect(pieces() == [3, 3])
        try memory.reserve(1)
        #expect(pieces() == [4, 4])
        // A fifth is refused, and those that are there go on.
        #expect(throws: BackendError.outOfMemory(bytes: BLASMemory.pieceBytes)) { try memory.reserve(1) }
        #expect(pieces() == [4, 4])
        memory.release(1)
        try memory.reserve(1)
    }
}
