import RecallKernels

/// The kernels on one of NVIDIA's graphics cards, whole matrix products by cuBLAS.
///
/// One backend belongs to one run: it owns that run's stream and workspace. Not for use from two threads at once.
public final class CUDABackend {
    let device: CUDADevice
    let kernels: KernelLibrary
    let matrices: MatrixLibrary
    let matrixHandle: MatrixLibrary.Handle?
    let plannedProducts: PlannedProductLibrary
    /// Plans of the shapes that there were; nil for those without.
    var biasedProducts: [LinearShape: BiasedProduct?] = [:]
    let stream: DriverObject?
    let memory: DeviceMemory
    /// Memory that a kernel uses for itself, valid until the next kernel that asks for it.
    private var scratch: (address: DeviceAddress, bytes: Int)
    let matrixWorkspace: DeviceAddress
    var lateSums: LateSums
    public internal(set) var workspaceGrowths = 0
    /// How products are rounded. Our own kernels multiply in tf32 where cuBLAS is told bf16.
    public let arithmetic: Arithmetic
    /// Asked between the pieces of what the host itself does; kernels are queued faster than anybody could ask.
    private var cancellation: (@Sendable () -> Bool)?
    /// The device's own idea of the step at hand.
    let stepCell: UnsafeMutableRawPointer
    /// The same within a step; nil outside of any, where the host says what a kernel needs to know.
    var cellAtHand: UnsafeMutableRawPointer?
    /// What has been done and recorded of each key.
    var steps: [StepKey: RecordedStep] = [:]
    /// Whether kernels are recorded rather than queued.
    var isRecording = false
    /// Device memory that recorded copies from the host copy from.
    var constants: [(address: UnsafeMutableRawPointer, bytes: Int)] = []
    private let copyStream: DriverObject?
    /// Events of the latest marks, in turn: who waits for an older mark waits for a later one.
    private let marks: [DriverObject?]
    private var markCount = 0
    private static let mostMarks = 4
    var optimiserTable: OptimiserTable?

    /// What cuBLAS wants for Hopper's products: with its own memory their split, and so their bits, are always the same.
    static let matrixWorkspaceBytes = 32 << 20
    private static let scratchRange = 1 << 36

    /// - Parameter index: of the device, from 0.
    /// - Throws: `BackendError.unavailable` with what is missing, `outOfMemory`.
    public init(index: Int = 0, arithmetic: Arithmetic = .tf32) throws {
        self.arithmetic = arithmetic
        device = try CUDADevice(index: index)
        device.makeCurrent()
        kernels = try KernelLibrary(device)
        matrices = try MatrixLibrary()
        plannedProducts = try PlannedProductLibrary()
        memory = DeviceMemory(device)
        let driver = device.driver
        var stream: DriverObject?
        // CU_STREAM_NON_BLOCKING: other runs' streams do not wait for this one.
        driver.check(CUDADevice.exclusively { driver.createStream(&stream, 1) }, "a stream")
        self.stream = stream
        var copyStream: DriverObject?
        driver.check(CUDADevice.exclusively { driver.createStream(&copyStream, 1) }, "a stream")
        self.copyStream = copyStream
        marks = CUDADevice.exclusively {
            (0..<CUDABackend.mostMarks).map { _ in
                var event: DriverObject?
                // CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING: the thread sleeps until then.
                driver.check(driver.createEvent(&event, 3), "an event")
                return event
            }
        }
        scratch = (try memory.reserve(bytes: Self.scratchRange), 0)
        lateSums = LateSums(at: try memory.reserve(bytes: LateSums.range))
        matrixWorkspace = try memory.allocate(bytes: Self.matrixWorkspaceBytes)
        let cell = try memory.allocate(bytes: MemoryLayout<StepCell>.stride)
        stepCell = UnsafeMutableRawPointer(bitPattern: UInt(cell)).unsafelyUnwrapped
        var handle: MatrixLibrary.Handle?
        let status = CUDADevice.exclusively { [matrices, matrixWorkspace] in
            max(
                matrices.create(&handle), matrices.setStream(handle, stream),
                matrices.setWorkspace(handle, matrixWorkspace, Self.matrixWorkspaceBytes))
        }
        guard status == 0 else { throw BackendError.unavailable("cuBLAS does not start on \(device.name)") }
        matrixHandle = handle
        var none = StepCell()
        copyFromHost(&none, stepCell, bytes: MemoryLayout<StepCell>.stride)
    }

    deinit { CUDADevice.exclusively(giveBack) }

    private func giveBack() {
        device.makeCurrent()
        let driver = device.driver
        _ = driver.synchroniseStream(stream)
        forgetSteps()
        if let optimiserTable { release(optimiserTable.address, bytes: optimiserTable.bytes) }
        release(stepCell, bytes: MemoryLayout<StepCell>.stride)
        _ = matrices.destroy(matrixHandle)
        memory.releaseKept()
        memory.release(scratch.address)
        memory.release(lateSums.address)
        memory.release(matrixWorkspace)
        for event in marks { _ = driver.destroyEvent(event) }
        _ = driver.destroyStream(stream)
        _ = driver.destroyStream(copyStream)
    }

    public var deviceDescription: String { CUDADevices.description(device, kernels, matrices) }
    public var workspaceBytes: Int { scratch.bytes + lateSums.bytes + Self.matrixWorkspaceBytes }

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

    /// Whether what is left is not wanted any more.
    var isCancelled: Bool { cancellation?() ?? false }

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
        // A constant is copied besides the stream, on which a range that is reused may still be read.
        let address = try memory.reserve(bytes: bytes, reuses: !isRecording)
        return UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
    }

    public func commit(_ address: UnsafeMutableRawPointer, bytes: Int) -> Bool {
        memory.commit(DeviceAddress(UInt(bitPattern: address)), bytes: bytes)
    }

    public func release(_ address: UnsafeMutableRawPointer, bytes: Int) {
        let address = DeviceAddress(UInt(bitPattern: address))
        if memory.keep(address) { return }
        device.makeCurrent()
        synchronise()
        memory.release(address)
    }

    public func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let address = DeviceAddress(UInt(bitPattern: source))
        device.driver.check(device.driver.copyToHost(destination, address, bytes, stream), "a copy to the host")
        synchronise()
    }

    public func mark() -> Int {
        markCount += 1
        let event = marks[markCount % Self.mostMarks]
        device.driver.check(device.driver.recordEvent(event, stream), "a mark")
        return markCount
    }

    public func copyToHost(
        _ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int, after mark: Int
    ) {
        let (driver, address) = (device.driver, DeviceAddress(UInt(bitPattern: source)))
        driver.check(driver.synchroniseEvent(marks[mark % Self.mostMarks]), "a kernel")
        driver.check(driver.copyToHost(destination, address, bytes, copyStream), "a copy to the host")
        driver.check(driver.synchroniseStream(copyStream), "a copy to the host")
    }

    public func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        guard isRecording else { return copy(source, destination, bytes: bytes, on: stream) }
        // The host's memory may be gone when the step is replayed: what it holds is kept on the device.
        guard let constant = try? allocate(bytes: bytes) else {
            fatalError("CUDA: no device memory for \(bytes) bytes of a step's constants")
        }
        constants.append((constant, bytes))
        copy(source, constant, bytes: bytes, on: copyStream)
        copyOnDevice(constant, destination, bytes: bytes)
    }

    /// Waits for the copy, after which the host's memory is the caller's again.
    private func copy(
        _ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int, on stream: DriverObject?
    ) {
        let (driver, address) = (device.driver, DeviceAddress(UInt(bitPattern: destination)))
        driver.check(driver.copyToDevice(address, source, bytes, stream), "a copy to the device")
        driver.check(driver.synchroniseStream(stream), "a copy to the device")
    }

    public func copyOnDevice(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let (from, to) = (DeviceAddress(UInt(bitPattern: source)), DeviceAddress(UInt(bitPattern: destination)))
        device.driver.check(device.driver.copyOnDevice(to, from, bytes, stream), "a copy on the device")
    }

    public func withHostNumbers(
        _ numbers: UnsafeMutableBufferPointer<Float>, isWritten: Bool,
        _ body: (_ address: MutableFloats) -> Void
    ) {
        let bytes = numbers.count * MemoryLayout<Float>.stride
        guard let copy = try? allocate(bytes: max(bytes, 1)) else {
            fatalError("CUDA: no device memory for a state of \(bytes) bytes")
        }
        defer { release(copy, bytes: max(bytes, 1)) }
        if let source = numbers.baseAddress { copyFromHost(source, copy, bytes: bytes) }
        body(copy.assumingMemoryBound(to: Float.self))
        if isWritten, let target = numbers.baseAddress { copyToHost(copy, target, bytes: bytes) }
    }

    public func withNumbersOnHost(_ source: Floats, count: Int, _ body: (_ numbers: Floats) -> Void) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, count)) { host in
            guard let address = host.baseAddress else { return }
            copyToHost(source, address, bytes: count * MemoryLayout<Float>.stride)
            body(Floats(address))
        }
    }
}
