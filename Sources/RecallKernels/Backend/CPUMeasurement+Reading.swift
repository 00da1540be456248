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

    /// In four runs side by side, a quarter each, which reach more from memory than one.
    @inline(never)
    private static func total(_ numbers: UnsafePointer<Float>, count: Int) -> Float {
        var (a, b, c, d) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var (e, f, g, h) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        let quarter = count / 4
        let (first, second) = (numbers, numbers + quarter)
        let (third, fourth) = (numbers + 2 * quarter, numbers + 3 * quarter)
        for start in stride(from: 0, to: quarter, by: readBlock / 4) {
            a += .load(first + start)
            b += .load(first + start + 16)
            c += .load(second + start)
            d += .load(second + start + 16)
            e += .load(third + start)
            f += .load(third + start + 16)
            g += .load(fourth + start)
            h += .load(fourth + start + 16)
        }
        return ((a + b) + (c + d) + (e + f) + (g + h)).laneSum
    }
}
