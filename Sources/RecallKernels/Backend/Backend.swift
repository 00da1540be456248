import RecallRandom

/// Float32 numbers in a backend's memory that a kernel reads. On the CPU an ordinary address; a GPU backend
/// hands out device addresses of the same type, which nothing above it dereferences.
public typealias Floats = UnsafePointer<Float>

/// Float32 numbers in a backend's memory that a kernel writes.
public typealias MutableFloats = UnsafeMutablePointer<Float>

/// Token ids or row indices in a backend's memory.
public typealias Integers = UnsafePointer<Int32>

/// Whole numbers in a backend's memory that a kernel writes.
public typealias MutableIntegers = UnsafeMutablePointer<Int32>

/// Everything a device must be able to do: one protocol a kernel family, and its memory.
///
/// The contract of every kernel in every family:
/// - Matrices are row-major and contiguous unless a shape carries a row stride (in elements).
/// - Every output is overwritten, whatever it held (fresh memory is not cleared, it may hold NaN). The one
///   exception, `embeddingBackward`, adds, and says so.
/// - Optional gradient outputs that are nil are not computed.
/// - Outputs do not overlap inputs unless the kernel says that they may.
/// - Results depend on the arguments alone: never on the number of threads. Work is cut into blocks fixed by
///   the shape, and partial sums are added in block order.
/// - Shapes are checked above the kernels (they are built without checks).
public protocol Backend: AnyObject, LinearAlgebraKernels, NormalisationKernels, SoftmaxAttentionKernels,
    LinearAttentionKernels, ScanKernels, ConvolutionKernels, EmbeddingLossKernels, ElementwiseKernels,
    OptimiserKernels, ExampleKernels, BatchKernels
{
    /// The device in words, as stored with every result: processor, BLAS, its version and kernel.
    var deviceDescription: String { get }

    /// Bytes of the workspaces that kernels keep from call to call.
    var workspaceBytes: Int { get }

    /// How often a workspace was made or made larger: constant in steady state.
    var workspaceGrowths: Int { get }

    /// The first thing that the device could not do; nil while all is well.
    ///
    /// Kernels and copies do not throw: a device that works behind the host's back fails later than they return. Once
    /// this is set, they do nothing, and what they were to write is undefined. One backend serves one run, which ends
    /// with this error; `check()` throws it.
    var failure: BackendError? { get }

    /// Runs kernels that may be given up. Once `isCancelled` says yes, the kernels that `body` calls return when the block
    /// of work at hand is done, some tens of milliseconds later, and what they were to write is undefined: the caller
    /// must discard it. A kernel that is not called from such a `body` always runs to its end.
    ///
    /// - Parameter isCancelled: asked between blocks, from any thread; must be quick, and yes must be its last word.
    func cancellable(by isCancelled: @escaping @Sendable () -> Bool, _ body: () -> Void)

    /// How many steps may be under way before the host looks at what they came to: 1 where each is over when `step`
    /// returns.
    var stepsAhead: Int { get }

    /// Does a step, or does again what the last of the same key did. A device that works behind the host's back records the
    /// kernels that `body` queues and from then on queues that recording: so `body` may depend on nothing but the key and,
    /// through the kernels that say so, on the scalars, and reads nothing back.
    ///
    /// - Parameter key: names everything that `body` depends on: model, arena, shape.
    func step(_ key: StepKey, _ scalars: StepScalars, _ body: () throws -> Void) rethrows

    /// Says where the gradients of parameters lie that the step at hand makes. Within `step` a kernel may leave what is
    /// written there, and there alone, unfinished until one that reads gradients: `adamW`, `add` or `allFinite`.
    func expectGradients(at address: Floats, count: Int)

    /// Notes what is queued so far.
    ///
    /// - Returns: what `copyToHost(_:_:bytes:after:)` takes.
    func mark() -> Int

    /// Reserves `bytes` of address space in the device's memory, 64-byte aligned. Before any of it is used, `commit` must
    /// have put memory under it.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    func reserve(bytes: Int) throws -> UnsafeMutableRawPointer

    /// Sees to it that memory lies under the first `bytes` of what `reserve` returned.
    ///
    /// - Returns: false where the device has no more.
    func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool

    /// Gives back what `reserve` returned.
    func release(_ address: UnsafeMutableRawPointer, bytes: Int)

    /// Copies from the device to the host, after everything queued before.
    func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int)

    /// Copies from the device to the host, after everything queued before a mark. The device meanwhile goes on with what was
    /// queued since, which must not write there.
    func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        after mark: Int
    )

    /// Copies from the host to the device. What is copied within a `step` is copied again in every one of its key, as it
    /// was in the first.
    func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int)

    /// Copies within the device's memory; the two ranges are apart.
    func copyOnDevice(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int)

    /// Gives kernels numbers that the host keeps: a state of decoding.
    ///
    /// - Parameters:
    ///   - isWritten: whether the kernels write them.
    ///   - body: is called with their address for kernels.
    func withHostNumbers(
        _ numbers: UnsafeMutableBufferPointer<Float>,
        isWritten: Bool,
        _ body: (_ address: MutableFloats) -> Void
    )

    /// Lets the host read numbers in the device's memory, after everything queued before.
    ///
    /// - Parameter body: is called with their address for the host.
    func withNumbersOnHost(_ source: Floats, count: Int, _ body: (_ numbers: Floats) -> Void)
}

extension Backend {
    /// A backend whose kernels cannot fail.
    public var failure: BackendError? { nil }

    /// Throws the first thing that the device could not do, if there is one.
    ///
    /// - Throws: `failure`.
    public func check() throws(BackendError) {
        if let failure { throw failure }
    }

    /// Leaves nothing unfinished.
    public func expectGradients(at address: Floats, count: Int) {}

    /// Reserves `bytes` with memory under all of them; `release` gives them back.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    public func allocate(bytes: Int) throws -> UnsafeMutableRawPointer {
        let address = try reserve(bytes: bytes)
        guard commit(address, bytes: bytes) else {
            release(address, bytes: bytes)
            throw BackendError.outOfMemory(bytes: bytes)
        }
        return address
    }
}

/// What a step depends on.
public struct StepKey: Hashable, Sendable {
    private let owner: Int
    private let kind: String
    private let numbers: [Int]

    /// - Parameters:
    ///   - owner: of the memory that the step works in, by a number that nobody else has.
    ///   - kind: "train", "evaluate".
    ///   - shape: of its batch.
    public init(owner: Int, kind: String, _ shape: BatchShape) {
        (self.owner, self.kind) = (owner, kind)
        numbers = [shape.batch, shape.length, shape.pairs]
    }
}

/// What a device can refuse.
public enum BackendError: Error, Equatable, Sendable {
    /// The device has no room for this many bytes.
    case outOfMemory(bytes: Int)
    /// The device or a library it needs is not there; the text says which and what to do.
    case unavailable(String)
    /// The device or a library failed in the middle of its work; the text says at what, and its own error.
    case failed(String)
}

extension BackendError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .outOfMemory(let bytes):
            "out of memory: the device has no room for \(bytes) bytes; use a smaller batch_size, or fewer --jobs"
        case .unavailable(let text), .failed(let text): text
        }
    }
}
