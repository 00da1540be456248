/// The graphics cards of this machine.
public enum CUDADevices {
    /// 0 where there is no driver.
    public static var count: Int { CUDADevice.count }

    /// Bytes of memory that a device has left.
    ///
    /// - Throws: `BackendError.unavailable`, `failed`.
    public static func freeMemory(of index: Int) throws -> Int {
        let device = try CUDADevice(index: index)
        try device.makeCurrent()
        var (free, total) = (0, 0)
        try device.driver.require(device.driver.memoryInformation(&free, &total), "its free memory")
        return free
    }

    /// What a device and its libraries call themselves.
    ///
    /// - Throws: `BackendError.unavailable` with what is missing.
    public static func description(of index: Int) throws -> String {
        let device = try CUDADevice(index: index)
        return try description(device, KernelLibrary(device), MatrixLibrary())
    }

    /// The devices that call themselves as one does, among them that one.
    ///
    /// - Throws: `BackendError.unavailable`.
    public static func alike(_ index: Int) throws -> [Int] {
        let name = try CUDADevice(index: index).description
        return try (0..<count).filter { try CUDADevice(index: $0).description == name }
    }

    /// "NVIDIA H100 80GB HBM3, driver CUDA 13.0, cuBLAS 13.1.0, NVRTC 13.0".
    static func description(
        _ device: CUDADevice,
        _ kernels: KernelLibrary,
        _ matrices: MatrixLibrary
    ) -> String {
        let version = matrices.version
        return "\(device.description), cuBLAS \(version / 10000).\(version / 100 % 100).\(version % 100)"
            + ", NVRTC \(kernels.compilerVersion)"
    }
}
