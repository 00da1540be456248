import RecallKernels

/// The kernels on one of NVIDIA's graphics cards, whole matrix products by cuBLAS.
///
/// One backend belongs to one run: it owns that run's stream and workspace. Not for use from two threads at once.
public final class CUDABackend {
    let device: CUDADevice
    let kernels: KernelLibrary
    let matrices: MatrixLibrary
    let matrixHandle: MatrixLibrary.Handle?
    let stream: DriverObject?
    let memory: DeviceMemory
    /// Memory that a kernel uses for itself, valid until the next kernel that asks for it.
    private var scratch: (address: DeviceAddress, bytes: Int)
    private let matrixWorkspace: DeviceAddress
    public private(set) var workspaceGrowths = 0
    /// How products are rounded.
    public var arithmetic = Arithmetic.tf32
    /// Asked before every kernel; once it says yes, those that are left are not queued.
    private var cancellation: (@Sendable () -> Bool)?
    /// Where the step's number lies in device memory while steps are replayed; nil while it is the host's to say.
    var stepCell: UnsafePointer<UInt32>?

    /// What cuBLAS wants for Hopper's products: with its own memory their split, and so their bits, are always the same.
    private static let matrixWorkspaceBytes = 32 << 20
    private static let scratchRange = 1 << 36

    /// - Parameter index: of the device, from 0.
    /// - Throws: `BackendError.unavailable` with what is missing, `outOfMemory`.
    public init(index: Int = 0) throws {
        device = try CUDADevice(index: index)
        device.makeCurrent()
        kernels = try KernelLibrary(device)
        matrices = try MatrixLibrary()
        memory = DeviceMemory(device)
        let driver = device.driver
        var stream: DriverObject?
        // CU_STREAM_NON_BLOCKING: other runs' streams do not wait for this one.
        driver.check(driver.createStream(&stream, 1), "a stream")
        self.stream = stream
        scratch = (try memory.reserve(bytes: Self.scratchRange), 0)
        matrixWorkspace = try memory.reserve(bytes: Self.matrixWorkspaceBytes)
        guard memory.commit(matrixWorkspace, bytes: Self.matrixWorkspaceBytes) else {
            throw BackendError.outOfMemory(bytes: Self.matrixWorkspaceBytes)
        }
        var handle: MatrixLibrary.Handle?
        guard matrices.create(&handle) == 0, matrices.setStream(handle, stream) == 0,
            matrices.setWorkspace(handle, matrixWorkspace, Self.matrixWorkspaceBytes) == 0
        else { throw BackendError.unavailable("cuBLAS does not start on \(device.name)") }
        matrixHandle = handle
    }

    deinit {
        device.makeCurrent()
        let driver = device.driver
        _ = driver.synchroniseStream(stream)
        _ = matrices.destroy(matrixHandle)
        memory.release(scratch.address)
        memory.release(matrixWorkspace)
        _ = driver.destroyStream(stream)
    }

    public var deviceDescription: String { device.description }
    public var workspaceBytes: Int { scratch.bytes + Self.matrixWorkspaceBytes }

    /// Device memory for a kernel's own use, valid until the next call; holds anything.
    func workspace(floats: Int) -> MutableFloats {
        let bytes = floats * MemoryLayout<Float>.stride
        if bytes > scratch.bytes {
            guard memory.commit(scratch.address, bytes: bytes) else {
                fatalError("CUDA: no device memory for a workspace of \(bytes) bytes")
            }
            scratch.bytes = bytes
            workspaceGrowths += 1
        }
        return MutableFloats(bitPattern: UInt(scratch.address)).unsafelyUnwrapped
    }

    public func cancellable(by isCancelled: @escaping @Sendable () -> Bool, _ body: () -> Void) {
        let outer = cancellation
        cancellation = isCancelled
        defer { cancellation = outer }
        body()
    }

    /// Waits for everything queued.
    public func synchronise() {
        device.driver.check(device.driver.synchroniseStream(stream), "a kernel")
    }

    public func reserve(bytes: Int) throws -> UnsafeMutableRawPointer {
        device.makeCurrent()
        let address = try memory.reserve(bytes: bytes)
        return UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
    }

    public func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool {
        memory.commit(DeviceAddress(UInt(bitPattern: address)), bytes: bytes)
    }

    public func release(_ address: UnsafeMutableRawPointer, bytes: Int) {
        device.makeCurrent()
        synchronise()
        memory.release(DeviceAddress(UInt(bitPattern: address)))
    }

    public func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let address = DeviceAddress(UInt(bitPattern: source))
        device.driver.check(device.driver.copyToHost(destination, address, bytes, stream), "a copy to the host")
        synchronise()
    }

    public func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let address = DeviceAddress(UInt(bitPattern: destination))
        device.driver.check(device.driver.copyToDevice(address, source, bytes, stream), "a copy to the device")
        // The host's memory is the caller's again.
        synchronise()
    }
}
