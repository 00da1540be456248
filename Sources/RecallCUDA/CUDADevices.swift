/// The graphics cards of this machine.
public enum CUDADevices {
    /// 0 where there is no driver.
    public static var count: Int { CUDADevice.count }

    /// Bytes of memory that a device has left.
    ///
    /// - Throws: `BackendError.unavailable`.
    public static func freeMemory(of index: Int) throws -> Int {
        let device = try CUDADevice(index: index)
        device.makeCurrent()
        var (free, total) = (0, 0)
        device.driver.check(device.driver.memoryInformation(&free, &total))
        return free
    }

    /// What a device and its libraries call themselves.
    ///
    /// - Throws: `BackendError.unavailable` with what is missing.
    public static func description(of index: Int) throws -> String {
        try CUDABackend(index: index).deviceDescription
    }
}
