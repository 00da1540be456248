extension CPUMeasurement {
    /// Bytes a second that reading a buffer of `bytes` over and over reaches: a small one stays in cache.
    public static func readBandwidth(bytes: Int, seconds: Double = 0.1) -> Double {
        let count = bytes / MemoryLayout<Float>.stride / readBlock * readBlock
        precondition(count > 0)
        let numbers = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { numbers.deallocate() }
        numbers.initialize(repeating: 1, count: count)
        // Buffers that the clock could not tell the time of are read several times together.
        let passes = max(1, (1 << 20) / bytes)
        var sum = Float(0)
        let time = shortest(seconds) { for _ in 0..<passes { sum += total(numbers, count: count) } }
        precondition(sum > 0)
        return Double(passes * count * MemoryLayout<Float>.stride) / time
    }

    /// Numbers that a turn of the sum takes.
    private static let readBlock = 8 * Vector.scalarCount

    @inline(never)
    private static func total(_ numbers: UnsafePointer<Float>, count: Int) -> Float {
        var (a, b, c, d) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var (e, f, g, h) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        for start in stride(from: 0, to: count, by: readBlock) {
            let x = numbers + start
            a += .load(x)
            b += .load(x + 16)
            c += .load(x + 32)
            d += .load(x + 48)
            e += .load(x + 64)
            f += .load(x + 80)
            g += .load(x + 96)
            h += .load(x + 112)
        }
        return ((a + b) + (c + d) + (e + f) + (g + h)).laneSum
    }
}
