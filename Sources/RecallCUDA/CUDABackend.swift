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
    public private(set) var failure: BackendError?
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
    /// - Throws: `BackendError.unavailable` with what is missing, `outOfMemory`, `failed`.
    public init(index: Int = 0, arithmetic: Arithmetic = .tf32) throws {
        self.arithmetic = arithmetic
        device = try CUDADevice(index: index)
        try device.makeCurrent()
        kernels = try KernelLibrary(device)
        matrices = try MatrixLibrary()
        plannedProducts = try PlannedProductLibrary()
        memory = try DeviceMemory(device)
        let driver = device.driver
        var stream: DriverObject?
        // CU_STREAM_NON_BLOCKING: other runs' streams do not wait for this one.
        try driver.require(CUDADevice.exclusively { driver.createStream(&stream, 1) }, "a stream")
        self.stream = stream
        var copyStream: DriverObject?
        try driver.require(CUDADevice.exclusively { driver.createStream(&copyStream, 1) }, "a stream")
        self.copyStream = copyStream
        marks = try CUDADevice.exclusively {
            try (0..<CUDABackend.mostMarks).map { _ in
                var event: DriverObject?
                // CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING: the thread sleeps until then.
                try driver.require(driver.createEvent(&event, 3), "an event")
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
                matrices.create(&handle),
                matrices.setStream(handle, stream),
                matrices.setWorkspace(handle, matrixWorkspace, Self.matrixWorkspaceBytes)
            )
        }
        guard status == 0 else { throw BackendError.unavailable("cuBLAS does not start on \(device.name)") }
        matrixHandle = handle
        var none = StepCell()
        copyFromHost(&none, stepCell, bytes: MemoryLayout<StepCell>.stride)
        try check()
    }

    deinit { CUDADevice.exclusively(giveBack) }

    /// Whatever the device says to it: a run that it has failed gives everything back all the same.
    private func giveBack() {
        try? device.makeCurrent()
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

    /// Notes what the device could not do. From then on nothing is queued; the first reason stands.
    func fail(_ reason: BackendError) {
        failure = failure ?? reason
    }

    /// Notes a call of the driver's that failed.
    ///
    /// - Parameter what: was being done.
    /// - Returns: whether it went well.
    @discardableResult
    func check(_ status: DriverStatus, _ what: @autoclosure () -> String) -> Bool {
        if status != 0 { fail(device.driver.error(status, what())) }
        return status == 0
    }

    /// Makes the device this thread's.
    private func makeCurrent() {
        do { try device.makeCurrent() } catch { fail(error) }
    }

    /// Device memory for a kernel's own use, valid until the next call; holds anything.
    func workspace(floats: Int) -> MutableFloats {
        let bytes = floats * MemoryLayout<Float>.stride
        if bytes > scratch.bytes {
            if memory.commit(scratch.address, bytes: bytes) {
                scratch.bytes = bytes
                workspaceGrowths += 1
            } else {
                fail(.outOfMemory(bytes: bytes))
            }
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
        check(device.driver.synchroniseStream(stream), "a kernel")
    }

    public func reserve(bytes: Int) throws -> UnsafeMutableRawPointer {
        try device.makeCurrent()
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
        makeCurrent()
        synchronise()
        memory.release(address)
    }

    public func copyToHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let address = DeviceAddress(UInt(bitPattern: source))
        if failure == nil {
            check(device.driver.copyToHost(destination, address, bytes, stream), "a copy to the host")
        }
        if failure == nil { synchronise() }
        spoilIfFailed(destination, bytes: bytes)
    }

    /// What a failed device has not copied must not pass for numbers: all bits set are a NaN.
    private func spoilIfFailed(_ destination: UnsafeMutableRawPointer, bytes: Int) {
        if failure != nil { destination.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes) }
    }

    public func mark() -> Int {
        markCount += 1
        let event = marks[markCount % Self.mostMarks]
        if failure == nil { check(device.driver.recordEvent(event, stream), "a mark") }
        return markCount
    }

    public func copyToHost(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        after mark: Int
    ) {
        let (driver, address) = (device.driver, DeviceAddress(UInt(bitPattern: source)))
        if failure == nil, check(driver.synchroniseEvent(marks[mark % Self.mostMarks]), "a kernel"),
            check(driver.copyToHost(destination, address, bytes, copyStream), "a copy to the host")
        {
            check(driver.synchroniseStream(copyStream), "a copy to the host")
        }
        spoilIfFailed(destination, bytes: bytes)
    }

    public func copyFromHost(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        guard isRecording else { return copy(source, destination, bytes: bytes, on: stream) }
        // The host's memory may be gone when the step is replayed: what it holds is kept on the device.
        guard let constant = try? allocate(bytes: bytes) else { return fail(.outOfMemory(bytes: bytes)) }
        constants.append((constant, bytes))
        copy(source, constant, bytes: bytes, on: copyStream)
        copyOnDevice(constant, destination, bytes: bytes)
    }

    /// Waits for the copy, after which the host's memory is the caller's again.
    private func copy(
        _ source: UnsafeRawPointer,
        _ destination: UnsafeMutableRawPointer,
        bytes: Int,
        on stream: DriverObject?
    ) {
        let (driver, address) = (device.driver, DeviceAddress(UInt(bitPattern: destination)))
        guard failure == nil, check(driver.copyToDevice(address, source, bytes, stream), "a copy to the device")
        else { return }
        check(driver.synchroniseStream(stream), "a copy to the device")
    }

    public func copyOnDevice(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer, bytes: Int) {
        let (from, to) = (DeviceAddress(UInt(bitPattern: source)), DeviceAddress(UInt(bitPattern: destination)))
        guard failure == nil else { return }
        check(device.driver.copyOnDevice(to, from, bytes, stream), "a copy on the device")
    }

    public func withHostNumbers(
        _ numbers: UnsafeMutableBufferPointer<Float>,
        isWritten: Bool,
        _ body: (_ address: MutableFloats) -> Void
    ) {
        let bytes = numbers.count * MemoryLayout<Float>.stride
        guard let copy = try? allocate(bytes: max(bytes, 1)) else { return fail(.outOfMemory(bytes: bytes)) }
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
