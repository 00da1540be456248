import RecallKernels

/// What a graphics card reaches, measured: work divided by it is a floor.
public struct CUDARates: Sendable {
    /// Floating-point operations a second of a large matrix product by cuBLAS.
    public let productOperations: Double
    /// Bytes read and written a second by copying on the device.
    public let bytes: Double

    /// Rows and columns of the product, and bytes of the copy: far beyond any cache.
    private static let (size, copied) = (8192, 1 << 30)

    /// - Throws: `BackendError.unavailable`, `outOfMemory`.
    public static func measured(index: Int, _ arithmetic: Arithmetic) throws -> CUDARates {
        let backend = try CUDABackend(index: index, arithmetic: arithmetic)
        let numbers = size * size
        let bytes = max(3 * numbers * MemoryLayout<Float>.stride, 2 * copied)
        let memory = try backend.allocate(bytes: bytes)
        defer { backend.release(memory, bytes: bytes) }
        let a = memory.bindMemory(to: Float.self, capacity: 3 * numbers)
        // Random factors: a card multiplies zeros faster.
        backend.launch("elementwise", "fillUniform", .covering(2 * numbers), 2 * numbers, a)
        let product = backend.shortest {
            backend.product(
                m: size, n: size, k: size, DeviceMatrix(a, stride: size),
                DeviceMatrix(a + numbers, stride: size),
                a + 2 * numbers, stride: size)
        }
        let copy = backend.shortest { backend.copyOnDevice(memory, memory + copied, bytes: copied) }
        let operations = 2 * Double(size) * Double(size) * Double(size)
        return CUDARates(productOperations: operations / product, bytes: 2 * Double(copied) / copy)
    }
}

extension CUDABackend {
    /// Seconds of the shortest of ten calls after two others, by the device's own clock.
    fileprivate func shortest(_ body: () -> Void) -> Double {
        let driver = device.driver
        var (start, end): (DriverObject?, DriverObject?)
        driver.check(driver.createEvent(&start, 0))
        driver.check(driver.createEvent(&end, 0))
        defer {
            _ = driver.destroyEvent(start)
            _ = driver.destroyEvent(end)
        }
        return (0..<12).map { _ in
            driver.check(driver.recordEvent(start, stream))
            body()
            driver.check(driver.recordEvent(end, stream))
            driver.check(driver.synchroniseEvent(end), "a measurement")
            var milliseconds = Float(0)
            driver.check(driver.elapsedTime(&milliseconds, start, end))
            return Double(milliseconds) / 1e3
        }.dropFirst(2).min() ?? .nan
    }
}
