import RecallKernels

/// A block of an arena that is given back when the last tensor on it goes.
final class Storage {
    let address: UnsafeMutableRawPointer
    private let bytes: Int
    private let arena: Arena?

    init(arena: Arena, address: UnsafeMutableRawPointer, bytes: Int) {
        (self.arena, self.address, self.bytes) = (arena, address, bytes)
    }

    /// Memory that somebody else owns and outlives this.
    init(borrowing address: UnsafeMutableRawPointer) {
        (arena, self.address, bytes) = (nil, address, 0)
    }

    /// No memory at all, for what nobody reads.
    static var none: Storage {
        Storage(borrowing: UnsafeMutableRawPointer(bitPattern: Arena.alignment).unsafelyUnwrapped)
    }

    deinit { arena?.deallocate(address, bytes: bytes) }
}

/// Where a tensor's gradient is kept: it outlives the tensor's numbers.
private final class GradientHolder {
    var gradient: Tensor?
}

/// A Float32 array of one step, row-major; its rows are its last dimension.
///
/// A tensor may be some columns of another (`columns`): its rows are then `rowStride` apart, and its gradient is the
/// same columns of the other's gradient.
public final class Tensor {
    /// Sizes, outermost first.
    public let shape: [Int]
    /// Elements from one row to the next; the last dimension where the tensor is contiguous.
    public let rowStride: Int
    let storage: Storage
    private let offset: Int
    private let parent: Tensor?

    private let holder: GradientHolder

    /// ∂loss/∂self, once an entry has written it. Never changed in place while somebody else refers to it.
    var gradient: Tensor? {
        get { holder.gradient }
        set { holder.gradient = newValue }
    }

    /// Whether there is a gradient and nobody else refers to it.
    var hasGradientOfItsOwn: Bool { isKnownUniquelyReferenced(&holder.gradient) }

    init(shape: [Int], storage: Storage) {
        self.shape = shape
        rowStride = shape.last ?? 1
        self.storage = storage
        offset = 0
        parent = nil
        holder = GradientHolder()
    }

    private init(_ original: Tensor, parent: Tensor?, storage: Storage) {
        (shape, rowStride, offset, holder) = (
            original.shape, original.rowStride, original.offset, original.holder
        )
        (self.parent, self.storage) = (parent, storage)
    }

    /// The same tensor for an entry whose backward reads or writes its gradient and never its numbers, which may go.
    var gradientOnly: Tensor { Tensor(self, parent: parent?.gradientOnly, storage: .none) }

    private init(parent: Tensor, columns: Range<Int>) {
        precondition(parent.parent == nil && columns.upperBound <= parent.width)
        shape = parent.shape.dropLast() + [columns.count]
        rowStride = parent.rowStride
        storage = parent.storage
        offset = columns.lowerBound
        self.parent = parent
        holder = GradientHolder()
    }

    /// Numbers in the tensor.
    public var count: Int { shape.reduce(1, *) }
    /// The last dimension.
    public var width: Int { shape.last ?? 1 }
    /// All dimensions but the last, multiplied.
    public var rows: Int { shape.dropLast().reduce(1, *) }
    var isContiguous: Bool { rowStride == width }

    package var pointer: MutableFloats { storage.address.assumingMemoryBound(to: Float.self) + offset }
    /// For kernels that read.
    var values: Floats { Floats(pointer) }

    /// Some columns of a contiguous tensor. Each column must belong to exactly one such part, and each part be used by
    /// exactly one entry of the tape: together their gradients make up this tensor's.
    public func columns(_ range: Range<Int>) -> Tensor {
        Tensor(parent: self, columns: range)
    }

    /// The same numbers with other sizes; the gradient is the original's.
    var gradientOwner: Tensor { parent ?? self }
    var columnOffset: Int { offset }
}
