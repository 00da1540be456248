import RecallKernels

/// What a graphics card reaches, measured: work divided by it is a floor.
public struct CUDARates: Sendable {
    /// Floating-point operations a second of a large matrix product by cuBLAS.
    public let productOperations: Double
    /// Bytes read and written a second by copying on the device.
    public let bytes: Double

    /// Rows and columns of the product, and bytes of the copy: far beyond any cache.
    private static let (size, copied) = (8192, 1 << 30)

    /// - Throws: `BackendError`.
    public static func measured(index: Int, _ arithmetic: Arithmetic) throws -> CUDARates {
        let backend = try CUDABackend(index: index, arithmetic: arithmetic)
        let numbers = size * size
        let bytes = max(3 * numbers * MemoryLayout<Float>.stride, 2 * copied)
        let memory = try backend.allocate(bytes: bytes)
        defer { backend.release(memory, bytes: bytes) }
        let a = memory.bindMemory(to: Float.self, capacity: 3 * numbers)
        // Random factors: a card multiplies zeros faster.
        backend.launch("elementwise", "fillUniform", .covering(2 * numbers), 2 * numbers, a)
        let product = try backend.shortest {
            backend.product(
                m: size,
                n: size,
                k: size,
                DeviceMatrix(a, stride: size),
                DeviceMatrix(a + numbers, stride: size),
                a + 2 * numbers,
                stride: size
            )
        }
        let copy = try backend.shortest { backend.copyOnDevice(memory, memory + copied, bytes: copied) }
        let operations = 2 * Double(size) * Double(size) * Double(size)
        return CUDARates(productOperations: operations / product, bytes: 2 * Double(copied) / copy)
    }
}

extension CUDABackend {
    /// Seconds of the shortest of ten calls after two others, by the device's own clock.
    ///
    /// - Throws: `BackendError`.
    fileprivate func shortest(_ body: () -> Void) throws -> Double {
        let driver = device.driver
        var (start, end): (DriverObject?, DriverObject?)
        check(driver.createEvent(&start, 0), "an event")
        check(driver.createEvent(&end, 0), "an event")
        defer {
            _ = driver.destroyEvent(start)
            _ = driver.destroyEvent(end)
        }
        return try (0..<12).map { _ in
            check(driver.recordEvent(start, stream), "a measurement")
            body()
            check(driver.recordEvent(end, stream), "a measurement")
            check(driver.synchroniseEvent(end), "a measurement")
            var milliseconds = Float(0)
            check(driver.elapsedTime(&milliseconds, start, end), "a measurement")
            try check()
            return Double(milliseconds) / 1e3
        }.dropFirst(2).min() ?? .nan
    }
}
