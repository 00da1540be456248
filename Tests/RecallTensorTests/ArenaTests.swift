import RecallKernels
import RecallTensor
import TestSupport
import Testing

struct ArenaTests {
    private func allocate(_ arena: Arena, _ bytes: Int) throws -> UnsafeMutableRawPointer {
        try #require(arena.allocate(bytes: bytes))
    }

    @Test func blocksAreAlignedAndDoNotOverlap() throws {
        let arena = try Arena(backend: CPUBackend())
        var ends: [(start: UInt, end: UInt)] = []
        for bytes in [1, 64, 65, 4, 0, 1000, 127, 128] {
            let start = UInt(bitPattern: try allocate(arena, bytes))
            #expect(start % UInt(Arena.alignment) == 0)
            #expect(ends.allSatisfy { start >= $0.end })
            ends.append((start, start + UInt(max(bytes, 1))))
        }
        #expect(arena.bytesInUse == 64 * (1 + 1 + 2 + 1 + 1 + 16 + 2 + 2))
        #expect(arena.peakBytes == arena.bytesInUse)
    }

    /// Loads and stores 4 KiB apart look alike to a CPU, so blocks of whole pages must not lie whole pages apart.
    @Test(arguments: [4096, 8192, 1 << 20]) func blocksOfWholePagesAreStaggered(bytes: Int) throws {
        let arena = try Arena(backend: CPUBackend())
        let starts = try (0..<4).map { _ in UInt(bitPattern: try allocate(arena, bytes)) % 4096 }
        #expect(Set(starts).count == 4)
    }

    @Test func firstFitTakesTheLowestHole() throws {
        let arena = try Arena(backend: CPUBackend())
        let blocks = try (0..<6).map { _ in try allocate(arena, 128) }
        arena.deallocate(blocks[4], bytes: 128)
        arena.deallocate(blocks[1], bytes: 128)
        #expect(try allocate(arena, 64) == blocks[1])
        #expect(try allocate(arena, 128) == blocks[4])
        #expect(try allocate(arena, 64) == blocks[1] + 64)
        #expect(try allocate(arena, 64) == blocks[5] + 128)
    }

    /// Freed in any order, neighbours become one hole again that the whole fits into.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    func holesMerge(order: [Int]) throws {
        let arena = try Arena(backend: CPUBackend())
        let blocks = try (0..<3).map { _ in try allocate(arena, 64) }
        let guardBlock = try allocate(arena, 64)
        for index in order { arena.deallocate(blocks[index], bytes: 64) }
        #expect(try allocate(arena, 192) == blocks[0])
        arena.deallocate(blocks[0], bytes: 192)
        arena.deallocate(guardBlock, bytes: 64)
        #expect(arena.bytesInUse == 0)
        #expect(try allocate(arena, 1 << 20) == blocks[0])
    }

    @Test func peakAndGrowthsCountNewGroundOnly() throws {
        let arena = try Arena(backend: CPUBackend())
        let first = try allocate(arena, 64)
        let second = try allocate(arena, 64)
        #expect(arena.growths == 2 && arena.peakBytes == 128)
        arena.deallocate(first, bytes: 64)
        arena.deallocate(second, bytes: 64)
        _ = try allocate(arena, 128)
        #expect(arena.growths == 2 && arena.peakBytes == 128)
        _ = try allocate(arena, 1)
        #expect(arena.growths == 3 && arena.peakBytes == 192)
    }

    @Test func randomUseNeverOverlapsAndEndsEmpty() throws {
        let arena = try Arena(backend: CPUBackend(), capacity: 1 << 16)
        var living: [(address: UnsafeMutableRawPointer, bytes: Int)] = []
        for number in randomFloats(4000, seed: 3, in: 0...1) {
            if number < 0.5 || living.isEmpty {
                let bytes = 1 + Int(number * 3000)
                guard let address = arena.allocate(bytes: bytes) else { continue }
                #expect(living.allSatisfy { address + bytes <= $0.address || $0.address + $0.bytes <= address })
                living.append((address, bytes))
            } else {
                let block = living.remove(at: Int(number * 1e6) % living.count)
                arena.deallocate(block.address, bytes: block.bytes)
            }
        }
        for block in living { arena.deallocate(block.address, bytes: block.bytes) }
        #expect(arena.bytesInUse == 0)
        #expect(arena.allocate(bytes: (1 << 16) - Arena.alignment) != nil)
    }

    @Test func anExhaustedArenaGivesNil() throws {
        let arena = try Arena(backend: CPUBackend(), capacity: 256)
        #expect(arena.allocate(bytes: 257) == nil)
        #expect(arena.allocate(bytes: 256) != nil)
        #expect(arena.allocate(bytes: 1) == nil)
    }

    /// No kernel runs on a tensor that there was no room for; the tape says how many bytes were asked for.
    @Test func aTapeWithoutRoomThrows() throws {
        let arena = try Arena(backend: CPUBackend(), capacity: 4096)
        let layer = linearLayer("big", inputs: 8, outputs: 1024)
        let store = try ParameterStore([layer.weight], backend: arena.backend, seed: 1)
        store.beginStep()
        do {
            let tape = Tape(arena: arena, isTraining: true)
            let x = tape.tensor([4, 8], randomFloats(32, seed: 1))
            let y = tape.relu(tape.linear(x, layer))
            #expect(throws: TapeError.outOfMemory(bytes: 4 * 1024 * 4)) { try tape.check() }
            #expect(throws: TapeError.outOfMemory(bytes: 4 * 1024 * 4)) { try tape.read(y) }
            #expect(throws: TapeError.outOfMemory(bytes: 4 * 1024 * 4)) { try tape.backward() }
        }
        #expect(arena.bytesInUse == 0)
    }
}
