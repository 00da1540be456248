import RecallKernels

/// What one core of this machine reaches, measured in this process: work divided by it is a floor.
public final class FloorRates {
    /// Floating-point operations a second of fused multiply-adds in registers.
    public let vectorOperations: Double
    /// Exponentials a second of the kernels' own vector function, in cache.
    public let exponentials: Double
    /// Bytes read and written a second by copying between buffers larger than the caches.
    public let bytes: Double
    private var productSeconds: [Work.Product: Double] = [:]

    public init() {
        vectorOperations = CPUMeasurement.peakFlops()
        exponentials = CPUMeasurement.exponentialRate()
        bytes = 2 * CPUMeasurement.copyBandwidth()
    }

    /// Seconds of a matrix product by the BLAS on one thread: the fastest of twenty after a first. Measured once a shape.
    public func seconds(_ product: Work.Product) -> Double {
        if let known = productSeconds[product] { return known }
        let measured = CPUMeasurement.matrixProductSeconds(m: product.m, n: product.n, k: product.k)
        productSeconds[product] = measured
        return measured
    }

    /// The least seconds that one core needs for the work, each part at the rate measured for its kind.
    public func seconds(_ work: Work) -> Double {
        let products = work.products.reduce(0) { $0 + seconds($1.key) * $1.value }
        return products + work.vectorOperations / vectorOperations + work.exponentials / exponentials
            + work.bytes / bytes
    }
}
