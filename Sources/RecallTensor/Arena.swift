import RecallKernels
import Synchronization

/// Where the tensors of a step live: one reserved range of a device's address space, handed out first-fit.
///
/// A tensor gives its block back when nothing refers to it any more: in forward as soon as no later entry of the
/// tape keeps it, in backward after its entry ran. The order of these events is fixed by the model and the shape,
/// so each step of a shape gets the same addresses, and after the first step nothing grows.
public final class Arena {
    private struct Block {
        var offset: Int
        var size: Int
    }

    package let backend: any Backend
    /// No other arena of the process has it.
    package let number: Int
    private let base: UnsafeMutableRawPointer
    private let capacity: Int
    /// Free blocks by offset, neighbours merged.
    private var free: [Block]

    /// Bytes that living tensors hold.
    public private(set) var bytesInUse = 0
    /// The most address space that was ever needed: the arena's resident size.
    public private(set) var peakBytes = 0
    /// How often `peakBytes` rose: constant in steady state.
    public private(set) var growths = 0
    /// Where every block lay that was handed out since it was set to an empty list, in bytes from the start; nil where
    /// nobody asked. For tests.
    package var placements: [Int]?

    /// Blocks start at multiples of this, one cache line.
    package static let alignment = 64

    /// Bytes of address space that an arena asks for.
    public static let defaultCapacity = 1 << 37

    /// - Parameter capacity: bytes of address space; memory is taken only as it is used. Where the system grants less,
    ///   less it is, down to a thousandth.
    /// - Throws: `BackendError.outOfMemory`.
    public init(backend: any Backend, capacity: Int = defaultCapacity) throws {
        self.backend = backend
        number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        var granted = capacity
        while true {
            do {
                base = try backend.reserve(bytes: granted)
                break
            } catch {
                granted /= 2
                guard granted > capacity / 1000 else { throw error }
            }
        }
        self.capacity = granted
        free = [Block(offset: 0, size: granted)]
    }

    private static let count = Atomic(0)

    deinit {
        backend.release(base, bytes: capacity)
    }

    /// A block of at least `bytes`, its content undefined; nil when the range is used up.
    package func allocate(bytes: Int) -> UnsafeMutableRawPointer? {
        guard bytes <= capacity else { return nil }
        let size = Self.rounded(bytes)
        guard let index = free.firstIndex(where: { $0.size >= size }) else { return nil }
        let offset = free[index].offset
        if offset + size > peakBytes, !backend.commit(base, bytes: offset + size) { return nil }
        if free[index].size == size {
            free.remove(at: index)
        } else {
            free[index].offset += size
            free[index].size -= size
        }
        bytesInUse += size
        placements?.append(offset)
        if offset + size > peakBytes {
            peakBytes = offset + size
            growths += 1
        }
        return base + offset
    }

    package func deallocate(_ address: UnsafeMutableRawPointer, bytes: Int) {
        let size = Self.rounded(bytes)
        let offset = address - base
        bytesInUse -= size
        let next = free.firstIndex { $0.offset > offset } ?? free.count
        let joinsPrevious = next > 0 && free[next - 1].offset + free[next - 1].size == offset
        let joinsNext = next < free.count && offset + size == free[next].offset
        switch (joinsPrevious, joinsNext) {
        case (true, true):
            free[next - 1].size += size + free[next].size
            free.remove(at: next)
        case (true, false): free[next - 1].size += size
        case (false, true):
            free[next].offset = offset
            free[next].size += size
        case (false, false): free.insert(Block(offset: offset, size: size), at: next)
        }
    }

    /// A size in whole cache lines. Whole pages get a few lines more: neighbours of the same size would otherwise start
    /// at the same offset in their pages, and a kernel that walks several at once would wait for false conflicts of
    /// loads with stores 4 KiB apart.
    private static func rounded(_ bytes: Int) -> Int {
        let size = max(alignment, (bytes + alignment - 1) / alignment * alignment)
        return size % 4096 == 0 ? size + 5 * alignment : size
    }
}
