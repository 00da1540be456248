import RecallKernels

/// A device's address.
typealias DeviceAddress = UInt64
/// One of the driver's objects: a context, module, function, stream, event or graph.
typealias DriverObject = OpaquePointer

/// What a call of the driver came to; 0 is success.
typealias DriverStatus = Int32

/// The functions of CUDA's driver library that the backend calls, found at run time. Names and signatures are the
/// driver API's (cuda.h); `_v2` and the like are the names that its headers stand for.
struct Driver: Sendable {
    typealias Out<Value> = UnsafeMutablePointer<Value>

    let initialise: @convention(c) (UInt32) -> DriverStatus
    let driverVersion: @convention(c) (Out<Int32>) -> DriverStatus
    let deviceCount: @convention(c) (Out<Int32>) -> DriverStatus
    let device: @convention(c) (Out<Int32>, Int32) -> DriverStatus
    let deviceName: @convention(c) (Out<CChar>, Int32, Int32) -> DriverStatus
    let deviceAttribute: @convention(c) (Out<Int32>, Int32, Int32) -> DriverStatus
    let deviceTotalMemory: @convention(c) (Out<Int>, Int32) -> DriverStatus
    let retainPrimaryContext: @convention(c) (Out<DriverObject?>, Int32) -> DriverStatus
    let setCurrentContext: @convention(c) (DriverObject?) -> DriverStatus
    let synchroniseContext: @convention(c) () -> DriverStatus
    let memoryInformation: @convention(c) (Out<Int>, Out<Int>) -> DriverStatus

    let reserveAddresses: @convention(c) (Out<DeviceAddress>, Int, Int, DeviceAddress, UInt64) -> DriverStatus
    let freeAddresses: @convention(c) (DeviceAddress, Int) -> DriverStatus
    let createMemory: @convention(c) (Out<UInt64>, Int, UnsafeRawPointer, UInt64) -> DriverStatus
    let releaseMemory: @convention(c) (UInt64) -> DriverStatus
    let mapMemory: @convention(c) (DeviceAddress, Int, Int, UInt64, UInt64) -> DriverStatus
    let unmapMemory: @convention(c) (DeviceAddress, Int) -> DriverStatus
    let setAccess: @convention(c) (DeviceAddress, Int, UnsafeRawPointer, Int) -> DriverStatus
    let allocationGranularity: @convention(c) (Out<Int>, UnsafeRawPointer, Int32) -> DriverStatus

    let copyToDevice: @convention(c) (DeviceAddress, UnsafeRawPointer, Int, DriverObject?) -> DriverStatus
    let copyToHost: @convention(c) (UnsafeMutableRawPointer, DeviceAddress, Int, DriverObject?) -> DriverStatus
    let copyOnDevice: @convention(c) (DeviceAddress, DeviceAddress, Int, DriverObject?) -> DriverStatus
    let setBytes: @convention(c) (DeviceAddress, UInt8, Int, DriverObject?) -> DriverStatus

    let createStream: @convention(c) (Out<DriverObject?>, UInt32) -> DriverStatus
    let destroyStream: @convention(c) (DriverObject?) -> DriverStatus
    let synchroniseStream: @convention(c) (DriverObject?) -> DriverStatus
    let createEvent: @convention(c) (Out<DriverObject?>, UInt32) -> DriverStatus
    let destroyEvent: @convention(c) (DriverObject?) -> DriverStatus
    let recordEvent: @convention(c) (DriverObject?, DriverObject?) -> DriverStatus
    let synchroniseEvent: @convention(c) (DriverObject?) -> DriverStatus
    let elapsedTime: @convention(c) (Out<Float>, DriverObject?, DriverObject?) -> DriverStatus

    let loadModule: @convention(c) (Out<DriverObject?>, UnsafeRawPointer) -> DriverStatus
    let unloadModule: @convention(c) (DriverObject?) -> DriverStatus
    let moduleFunction: @convention(c) (Out<DriverObject?>, DriverObject?, UnsafePointer<CChar>) -> DriverStatus
    let setFunctionAttribute: @convention(c) (DriverObject?, Int32, Int32) -> DriverStatus
    let launchKernel:
        @convention(c) (
            DriverObject?, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, DriverObject?,
            UnsafeMutablePointer<UnsafeMutableRawPointer?>?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> DriverStatus
    /// The same of a `LaunchConfiguration`; nil where the driver is older than CUDA 11.8.
    let launchConfiguredKernel:
        (
            @convention(c) (
                UnsafeRawPointer, DriverObject?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
                UnsafeMutablePointer<UnsafeMutableRawPointer?>?
            ) -> DriverStatus
        )?

    let beginCapture: @convention(c) (DriverObject?, Int32) -> DriverStatus
    let endCapture: @convention(c) (DriverObject?, Out<DriverObject?>) -> DriverStatus
    let instantiateGraph: @convention(c) (Out<DriverObject?>, DriverObject?, UInt64) -> DriverStatus
    let graphRoots: @convention(c) (DriverObject?, Out<DriverObject?>?, Out<Int>) -> DriverStatus
    /// Of a node of the graph that an executable one was made from: `KernelNode`.
    let setNode: @convention(c) (DriverObject?, DriverObject?, UnsafeRawPointer) -> DriverStatus
    let launchGraph: @convention(c) (DriverObject?, DriverObject?) -> DriverStatus
    let destroyGraph: @convention(c) (DriverObject?) -> DriverStatus
    let destroyExecutableGraph: @convention(c) (DriverObject?) -> DriverStatus
    private let errorName: @convention(c) (DriverStatus, Out<UnsafePointer<CChar>?>) -> DriverStatus

    /// - Throws: `BackendError.unavailable` where there is no driver or it is too old.
    init() throws {
        let library = try DynamicLibrary(
            anyOf: DynamicLibrary.candidates(
                ["libcuda.so.1", "libcuda.so"],
                folders: ["/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"]
            ),
            purpose: "NVIDIA's driver"
        )
        initialise = try library.function("cuInit")
        driverVersion = try library.function("cuDriverGetVersion")
        deviceCount = try library.function("cuDeviceGetCount")
        device = try library.function("cuDeviceGet")
        deviceName = try library.function("cuDeviceGetName")
        deviceAttribute = try library.function("cuDeviceGetAttribute")
        deviceTotalMemory = try library.function("cuDeviceTotalMem_v2")
        retainPrimaryContext = try library.function("cuDevicePrimaryCtxRetain")
        setCurrentContext = try library.function("cuCtxSetCurrent")
        synchroniseContext = try library.function("cuCtxSynchronize")
        memoryInformation = try library.function("cuMemGetInfo_v2")
        reserveAddresses = try library.function("cuMemAddressReserve")
        freeAddresses = try library.function("cuMemAddressFree")
        createMemory = try library.function("cuMemCreate")
        releaseMemory = try library.function("cuMemRelease")
        mapMemory = try library.function("cuMemMap")
        unmapMemory = try library.function("cuMemUnmap")
        setAccess = try library.function("cuMemSetAccess")
        allocationGranularity = try library.function("cuMemGetAllocationGranularity")
        copyToDevice = try library.function("cuMemcpyHtoDAsync_v2")
        copyToHost = try library.function("cuMemcpyDtoHAsync_v2")
        copyOnDevice = try library.function("cuMemcpyDtoDAsync_v2")
        setBytes = try library.function("cuMemsetD8Async")
        createStream = try library.function("cuStreamCreate")
        destroyStream = try library.function("cuStreamDestroy_v2")
        synchroniseStream = try library.function("cuStreamSynchronize")
        createEvent = try library.function("cuEventCreate")
        destroyEvent = try library.function("cuEventDestroy_v2")
        recordEvent = try library.function("cuEventRecord")
        synchroniseEvent = try library.function("cuEventSynchronize")
        elapsedTime = try library.function("cuEventElapsedTime")
        loadModule = try library.function("cuModuleLoadData")
        unloadModule = try library.function("cuModuleUnload")
        moduleFunction = try library.function("cuModuleGetFunction")
        setFunctionAttribute = try library.function("cuFuncSetAttribute")
        launchKernel = try library.function("cuLaunchKernel")
        launchConfiguredKernel = try? library.function("cuLaunchKernelEx")
        beginCapture = try library.function("cuStreamBeginCapture_v2")
        endCapture = try library.function("cuStreamEndCapture")
        instantiateGraph = try library.function("cuGraphInstantiateWithFlags")
        graphRoots = try library.function("cuGraphGetRootNodes")
        setNode = try library.function("cuGraphExecKernelNodeSetParams")
        launchGraph = try library.function("cuGraphLaunch")
        destroyGraph = try library.function("cuGraphDestroy")
        destroyExecutableGraph = try library.function("cuGraphExecDestroy")
        errorName = try library.function("cuGetErrorName")
    }

    /// The driver's name of a status: "CUDA_ERROR_OUT_OF_MEMORY".
    func name(of status: DriverStatus) -> String {
        var name: UnsafePointer<CChar>?
        guard errorName(status, &name) == 0, let name else { return "CUDA error \(status)" }
        return String(cString: name)
    }
}

/// Statuses that mean something else than a bug.
enum DriverStatuses {
    static let outOfMemory: DriverStatus = 2
    static let noDevice: DriverStatus = 100
}

/// The driver's numbers for what is asked of a device (CUdevice_attribute).
enum DeviceAttribute: Int32 {
    case multiprocessors = 16
    case majorCapability = 75
    case minorCapability = 76
    case l2CacheBytes = 38
    case sharedMemoryPerBlock = 97
}
