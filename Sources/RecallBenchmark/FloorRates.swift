import RecallKernels

/// What one core of this machine reaches, measured in this process: work divided by it is a floor.
public final class FloorRates {
    /// Floating-point operations a second of fused multiply-adds in registers.
    public let vectorOperations: Double
    /// Exponentials a second of the kernels' own vector function, in cache.
    public let exponentials: Double
    /// Bytes read and written a second by copying, by the buffers' size.
    private var copying: [Int: Double] = [:]
    /// Bytes a second by reading alone, by the buffer's size.
    private var reading: [Int: Double] = [:]
    private var productSeconds: [Work.Product: Double] = [:]

    public init() {
        vectorOperations = CPUMeasurement.peakFlops()
        exponentials = CPUMeasurement.exponentialRate()
    }

    /// Seconds of a matrix product by the BLAS on one thread: the fastest of twenty after a first. Measured once a shape.
    public func seconds(_ product: Work.Product) -> Double {
        if let known = productSeconds[product] { return known }
        let measured = CPUMeasurement.matrixProductSeconds(m: product.m, n: product.n, k: product.k)
        productSeconds[product] = measured
        return measured
    }

    /// Bytes a second that a pass over so many reaches: what copying between buffers that together hold them does, so a
    /// small pass is held against the caches' speed. Measured once a power of two, up to what no cache holds.
    public func bytesPerSecond(pass bytes: Int) -> Double {
        var size = 4 << 10
        while 2 * size < bytes, size < 64 << 20 { size *= 2 }
        if let known = copying[size] { return known }
        let measured = 2 * CPUMeasurement.copyBandwidth(bytes: size)
        copying[size] = measured
        return measured
    }

    /// Bytes a second that reading so many over and over reaches. Measured once a power of two, the one below, so that no
    /// cache is left that the bytes fit in.
    public func bytesPerSecond(read bytes: Int) -> Double {
        var size = 4 << 10
        while 2 * size <= bytes, size < 64 << 20 { size *= 2 }
        if let known = reading[size] { return known }
        let measured = CPUMeasurement.readBandwidth(bytes: size)
        reading[size] = measured
        return measured
    }

    /// The least seconds that one core needs for the work, each part at the rate measured for its kind.
    public func seconds(_ work: Work) -> Double {
        let products = work.products.reduce(0) { $0 + seconds($1.key) * $1.value }
        let passes = work.passes.reduce(0) { $0 + Double($1.key) * $1.value / bytesPerSecond(pass: $1.key) }
        let reads = work.reads.reduce(0) { $0 + Double($1.key) * $1.value / bytesPerSecond(read: $1.key) }
        return products + work.vectorOperations / vectorOperations + work.exponentials / exponentials
            + passes + reads
    }
}
