import COpenBLAS

/// The kernels in Swift on this machine's processor, whole matrix products by OpenBLAS on one thread each.
///
/// One backend belongs to one run: it owns that run's threads' workspaces. Not for use from two threads at once.
public final class CPUBackend: Backend {
    let workers: Workers

    /// - Parameter threads: how many threads one run may use. Results do not depend on it.
    public init(threads: Int = 1) {
        openblas_set_num_threads(1)
        workers = Workers(threads: threads)
    }

    public var deviceDescription: String { CPUInformation.description }

    public var workspaceBytes: Int { workers.bytes }
    public var workspaceGrowths: Int { workers.growths }

    public func cancellable(by isCancelled: @escaping @Sendable () -> Bool, _ body: () -> Void) {
        let outer = workers.cancellation
        workers.cancellation = isCancelled
        defer { workers.cancellation = outer }
        body()
    }

    public func reserve(bytes: Int) throws -> UnsafeMutableRawPointer {
        guard let address = Pages.map(bytes: bytes) else { throw BackendError.outOfMemory(bytes: bytes) }
        return address
    }

    public func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool {
        // Pages become resident as they are touched.
        true
    }

    public func release(_ address: UnsafeMutableRawPointer, bytes: Int) {
        Pages.unmap(address, bytes: bytes)
    }

    public func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        destination.copyMemory(from: source, byteCount: bytes)
    }

    public func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        destination.copyMemory(from: source, byteCount: bytes)
    }
}
