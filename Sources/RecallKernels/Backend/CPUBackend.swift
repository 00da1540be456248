/// The kernels in Swift on this machine's processor, whole matrix products by OpenBLAS on one thread each.
///
/// One backend belongs to one run: it owns that run's threads' workspaces. Not for use from two threads at once.
public final class CPUBackend: Backend {
    let workers: Workers
    /// The scalars of the step at hand.
    private(set) var currentStep: StepScalars?
    /// Products of this run that may be under way at once, as OpenBLAS has memory for.
    private let products: Int
    /// Why OpenBLAS is not there, or has no memory for this run.
    private let blasFailure: BackendError?

    private let takesMemory: Bool

    /// - Parameters:
    ///   - threads: how many threads one run may use. Results do not depend on it.
    ///   - takesMemory: false to compute how much a model or a step would take, whatever its size. Its addresses are
    ///     not memory then, so no kernel may run.
    public init(threads: Int = 1, takesMemory: Bool = true) {
        workers = Workers(threads: threads)
        self.takesMemory = takesMemory
        guard takesMemory else {
            (products, blasFailure) = (0, nil)
            return
        }
        let wanted = min(threads, ProcessorCount.online)
        do throws(BackendError) {
            try OpenBLAS.shared.get().memory?.reserve(wanted)
            (products, blasFailure) = (wanted, nil)
        } catch {
            (products, blasFailure) = (0, error)
        }
    }

    deinit { (try? OpenBLAS.shared.get())?.memory?.release(products) }

    public var deviceDescription: String { CPUInformation.description }

    /// Set where there is no OpenBLAS, or no memory for its products or for a kernel's workspace.
    public var failure: BackendError? { blasFailure ?? workers.failure }

    public var workspaceBytes: Int { workers.bytes }
    public var workspaceGrowths: Int { workers.growths }

    public func cancellable(by isCancelled: @escaping @Sendable () -> Bool, _ body: () -> Void) {
        let outer = workers.cancellation
        workers.cancellation = isCancelled
        defer { workers.cancellation = outer }
        body()
    }

    public var stepsAhead: Int { 1 }

    public func step(_ key: StepKey, _ scalars: StepScalars, _ body: () throws -> Void) rethrows {
        currentStep = scalars
        defer { currentStep = nil }
        try body()
    }

    /// Everything is over when it returns.
    public func mark() -> Int { 0 }

    public func reserve(bytes: Int) throws -> UnsafeMutableRawPointer {
        guard let address = takesMemory ? Pages.map(bytes: bytes) : UnsafeMutableRawPointer(bitPattern: 1 << 20)
        else { throw BackendError.outOfMemory(bytes: bytes) }
        return address
    }

    public func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool {
        // Pages become resident as they are touched.
        true
    }

    public func release(_ address: UnsafeMutableRawPointer, bytes: Int) {
        if takesMemory { Pages.unmap(address, bytes: bytes) }
    }

    public func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        destination.copyMemory(from: source, byteCount: bytes)
    }

    public func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        after mark: Int
    ) {
        copyToHost(source, destination, bytes: bytes)
    }

    public func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        destination.copyMemory(from: source, byteCount: bytes)
    }

    public func copyOnDevice(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        destination.copyMemory(from: source, byteCount: bytes)
    }

    public func withHostNumbers(
        _ numbers: UnsafeMutableBufferPointer<Float>,
        isWritten: Bool,
        _ body: (_ address: MutableFloats) -> Void
    ) {
        if let address = numbers.baseAddress { return body(address) }
        // No numbers still need an address, which no kernel reads.
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 1) { spare in
            if let address = spare.baseAddress { body(address) }
        }
    }

    public func withNumbersOnHost(_ source: Floats, count: Int, _ body: (_ numbers: Floats) -> Void) {
        body(source)
    }
}
