import Foundation
import RecallKernels

/// A graphics card: its driver, its context, and what it is.
final class CUDADevice: @unchecked Sendable {
    let driver: Driver
    let index: Int
    /// As the driver has it: "NVIDIA H100 80GB HBM3".
    let name: String
    /// 80 for an A100, 90 for an H100.
    let capability: Int
    let multiprocessors: Int
    /// What a block may have at most.
    let sharedMemoryPerBlock: Int
    /// The driver's newest CUDA version: 13000 for 13.0.
    let driverVersion: Int
    /// Whether a kernel may be started before the one before is over: so a recorded step loses less between them. A driver
    /// older than CUDA 12.3 cannot record it.
    let startsKernelsEarly: Bool
    private let context: DriverObject?

    /// The oldest capability with the tensor cores' tf32 products and asynchronous copies: Ampere.
    static let leastCapability = 80

    /// - Throws: `BackendError.unavailable` with what is missing.
    init(index: Int) throws {
        driver = try Driver()
        Self.askForQueues
        let status = driver.initialise(0)
        guard status == 0 else {
            throw BackendError.unavailable("NVIDIA's driver does not start (\(driver.name(of: status)))")
        }
        let count = try Self.count(driver)
        guard count > 0 else { throw BackendError.unavailable("NVIDIA's driver finds no device") }
        guard index >= 0, index < count else {
            throw BackendError.unavailable(
                "there is no device cuda:\(index); there \(count == 1 ? "is cuda:0" : "are cuda:0 to cuda:\(count - 1)")"
            )
        }
        self.index = index
        var handle = Int32(0)
        try driver.require(driver.device(&handle, Int32(index)), "the device")
        var text = [CChar](repeating: 0, count: 256)
        try driver.require(driver.deviceName(&text, 256, handle), "the device's name")
        name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        capability =
            try 10 * driver.attribute(.majorCapability, of: handle)
            + driver.attribute(.minorCapability, of: handle)
        guard capability >= Self.leastCapability else {
            throw BackendError.unavailable(
                "\(name) has compute capability \(capability / 10).\(capability % 10); 8.0 is the least that will do"
            )
        }
        multiprocessors = try driver.attribute(.multiprocessors, of: handle)
        sharedMemoryPerBlock = try driver.attribute(.sharedMemoryPerBlock, of: handle)
        var version = Int32(0)
        try driver.require(driver.driverVersion(&version), "the driver's version")
        driverVersion = Int(version)
        startsKernelsEarly = capability >= 90 && driverVersion >= 12030 && driver.launchConfiguredKernel != nil
        var context: DriverObject?
        let retained = driver.retainPrimaryContext(&context, handle)
        guard retained == 0 else {
            throw BackendError.unavailable("\(name) cannot be used (\(driver.name(of: retained)))")
        }
        self.context = context
    }

    /// Held while a step is recorded, and by whatever makes or gives back memory, streams, modules and handles: from another
    /// run's thread that would spoil the recording.
    private static let exclusive = NSRecursiveLock()

    static func exclusively<Result>(_ body: () throws -> Result) rethrows -> Result {
        try exclusive.withLock(body)
    }

    /// Has the driver give every stream a hardware queue of its own, up to the most there are. It has eight otherwise, and runs
    /// whose streams share one wait for each other's kernels. Once, before the driver starts: it reads the environment then.
    private static let askForQueues: Void = { _ = setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0) }()

    /// How many devices there are; 0 where there is no driver.
    static var count: Int {
        askForQueues
        guard let driver = try? Driver(), driver.initialise(0) == 0 else { return 0 }
        return (try? count(driver)) ?? 0
    }

    private static func count(_ driver: Driver) throws -> Int {
        var count = Int32(0)
        let status = driver.deviceCount(&count)
        return status == 0 ? Int(count) : 0
    }

    /// Makes the device the calling thread's. Every thread that calls the driver must have done so.
    ///
    /// - Throws: `BackendError.failed`.
    func makeCurrent() throws(BackendError) {
        try driver.require(driver.setCurrentContext(context), "the device")
    }

    /// "cuda: NVIDIA H100 80GB HBM3, driver CUDA 13.0".
    var description: String {
        "\(name), driver CUDA \(driverVersion / 1000).\(driverVersion % 1000 / 10)"
    }
}

extension Driver {
    fileprivate func attribute(_ attribute: DeviceAttribute, of handle: Int32) throws(BackendError) -> Int {
        var value = Int32(0)
        try require(deviceAttribute(&value, attribute.rawValue, handle), "the device's \(attribute)")
        return Int(value)
    }

    /// What a status other than success comes from.
    ///
    /// - Parameter what: was being done.
    func error(_ status: DriverStatus, _ what: String) -> BackendError {
        .failed("CUDA: \(what): \(name(of: status))")
    }

    /// - Parameter what: was being done, for an error.
    /// - Throws: `BackendError.failed` for a status other than success.
    func require(_ status: DriverStatus, _ what: @autoclosure () -> String) throws(BackendError) {
        if status != 0 { throw error(status, what()) }
    }
}
