/// What one core of this machine reaches, measured: the ceilings that throughput is set beside.
public enum CPUMeasurement {
    /// Floating-point operations a second of fused multiply-adds in registers alone, two an addition with product.
    ///
    /// - Parameter seconds: how long to measure; the best of many short pieces counts.
    public static func peakFlops(seconds: Double = 0.1) -> Double {
        let isWide = CPUInformation.compiledFeatures.contains("avx512f")
        // From memory, so that the compiler cannot work out the sums itself.
        let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 14 * 16)
        defer { numbers.deallocate() }
        numbers.initialize(repeating: 1e-3, count: 14 * 16)
        let time = shortest(seconds) { if isWide { addTwelve(numbers) } else { addSix(numbers) } }
        return Double(2 * (isWide ? 12 : 6) * Vector.scalarCount * rounds) / time
    }

    /// Floating-point operations a second of C = A·Bᵀ by the BLAS: A (m, k), B (n, k), one thread.
    public static func matrixProductFlops(m: Int, n: Int, k: Int, seconds: Double = 0.1) -> Double {
        withProduct(m: m, n: n, k: k, transposed: true) { multiply in
            multiply()
            return 2 * Double(m * n * k) / shortest(seconds, multiply)
        }
    }

    /// Seconds of C = A·B by the BLAS, A (m, k), B (k, n), one thread: the shortest of `repeats` after a first.
    public static func matrixProductSeconds(m: Int, n: Int, k: Int, repeats: Int = 20) -> Double {
        precondition(repeats > 0)
        // Calls too short for the clock are timed several together.
        let calls = max(1, Int(2e-5 * 1e11 / (2 * Double(m) * Double(n) * Double(k))))
        return withProduct(m: m, n: n, k: k, transposed: false) { multiply in
            func several() { for _ in 0..<calls { multiply() } }
            several()
            let clock = ContinuousClock()
            return (0..<repeats).reduce(Double.infinity) { best, _ in
                min(best, clock.measure(several) / .seconds(1) / Double(calls))
            }
        }
    }

    /// Calls `body` with a product C = A·B on one thread: A (m, k), B (k, n) or, transposed, stored as (n, k).
    private static func withProduct<Result>(
        m: Int,
        n: Int,
        k: Int,
        transposed: Bool,
        _ body: (_ multiply: () -> Void) -> Result
    ) -> Result {
        precondition(m > 0 && n > 0 && k > 0)
        let a = UnsafeMutablePointer<Float>.allocate(capacity: m * k)
        let b = UnsafeMutablePointer<Float>.allocate(capacity: k * n)
        let c = UnsafeMutablePointer<Float>.allocate(capacity: m * n)
        defer { for buffer in [a, b, c] { buffer.deallocate() } }
        a.initialize(repeating: 0.5, count: m * k)
        b.initialize(repeating: 0.25, count: k * n)
        c.initialize(repeating: 0, count: m * n)
        return body {
            matrixProduct(
                m: m,
                n: n,
                k: k,
                a,
                stride: k,
                transposed: false,
                b,
                stride: transposed ? k : n,
                transposed: transposed,
                c,
                stride: n
            )
        }
    }

    /// Exponentials a second of the kernels' vector function, over numbers that stay in the nearest cache.
    public static func exponentialRate(seconds: Double = 0.1) -> Double {
        let (count, passes) = (1024, 100)
        let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 2 * count)
        defer { numbers.deallocate() }
        for index in 0..<count { numbers[index] = -Float(index) / 100 }
        return Double(count * passes) / shortest(seconds) { exponentiate(numbers, count, passes) }
    }

    private static func exponentiate(_ numbers: UnsafeMutablePointer<Float>, _ count: Int, _ passes: Int) {
        for _ in 0..<passes {
            for index in stride(from: 0, to: count, by: Vector.scalarCount) {
                exponential(.load(numbers + index)).store(numbers + count + index)
            }
        }
    }

    /// Bytes a second that copying reaches, the bytes written counted, between two buffers of `bytes`: small ones stay in
    /// cache.
    public static func copyBandwidth(bytes: Int = 64 << 20, seconds: Double = 0.1) -> Double {
        precondition(bytes > 0)
        let source = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        let target = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        defer {
            source.deallocate()
            target.deallocate()
        }
        source.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
        target.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        return Double(bytes) / shortest(seconds) { target.copyMemory(from: source, byteCount: bytes) }
    }

    /// The seconds of the shortest call among as many as fit.
    static func shortest(_ seconds: Double, _ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        var best = Double.infinity
        var now = clock.now
        repeat {
            let start = now
            body()
            now = clock.now
            best = min(best, (now - start) / .seconds(1))
        } while now < end
        return max(best, 1e-9)
    }

    private static let rounds = 20_000

    /// Twelve sums, for two units of four cycles' latency need eight.
    private static func addTwelve(_ numbers: UnsafeMutablePointer<Float>) {
        let (x, y) = (vector(0, numbers), vector(1, numbers))
        var (a, b, c, d) = (vector(2, numbers), vector(3, numbers), vector(4, numbers), vector(5, numbers))
        var (e, f, g, h) = (vector(6, numbers), vector(7, numbers), vector(8, numbers), vector(9, numbers))
        var (i, j, k, l) = (vector(10, numbers), vector(11, numbers), vector(12, numbers), vector(13, numbers))
        for _ in 0..<rounds {
            a = a.addingProduct(x, y)
            b = b.addingProduct(x, y)
            c = c.addingProduct(x, y)
            d = d.addingProduct(x, y)
            e = e.addingProduct(x, y)
            f = f.addingProduct(x, y)
            g = g.addingProduct(x, y)
            h = h.addingProduct(x, y)
            i = i.addingProduct(x, y)
            j = j.addingProduct(x, y)
            k = k.addingProduct(x, y)
            l = l.addingProduct(x, y)
        }
        keep((a + b + c) + (d + e + f) + (g + h + i) + (j + k + l), numbers)
    }

    /// Six, which are twelve registers of AVX2's sixteen.
    private static func addSix(_ numbers: UnsafeMutablePointer<Float>) {
        let (x, y) = (vector(0, numbers), vector(1, numbers))
        var (a, b, c) = (vector(2, numbers), vector(3, numbers), vector(4, numbers))
        var (d, e, f) = (vector(5, numbers), vector(6, numbers), vector(7, numbers))
        for _ in 0..<rounds {
            a = a.addingProduct(x, y)
            b = b.addingProduct(x, y)
            c = c.addingProduct(x, y)
            d = d.addingProduct(x, y)
            e = e.addingProduct(x, y)
            f = f.addingProduct(x, y)
        }
        keep((a + b + c) + (d + e + f), numbers)
    }

    /// Uses a result, so that the work for it is not left out; what the next call starts from stays small.
    private static func keep(_ sum: Vector, _ numbers: UnsafeMutablePointer<Float>) {
        numbers[0] = 1e-6 * sum.laneSum
    }

    @inline(__always)
    private static func vector(_ index: Int, _ numbers: UnsafeMutablePointer<Float>) -> Vector {
        .load(numbers + 16 * index)
    }
}
