/// Rows that a kernel is about to read or write out of their order in memory, and that caches may not hold yet.
///
/// A kernel that works on sixteen channels at a time takes one line of each row and comes back for the next later. From
/// memory such lines come at the pace of its latency, a few at a time, for the processor fetches ahead by itself only lines
/// that follow each other. Reading the rows in order first has it do so. Rows to be written are read, too: a core fetches a
/// line before it writes a part of it.
struct ReadAhead {
    /// Rows that take more than this drive each other out of the second-level cache before they are used.
    private static let mostFloats = 1 << 18

    let rows: Int
    /// Elements of each row that are wanted, and from one row to the next.
    let width, stride: Int

    /// Reads the rows of all these matrices, or of none where they are too many.
    ///
    /// - Parameter scratch: an element that may be overwritten. Without a use of what is read, nothing would be read.
    func fetch(_ matrices: [Floats], scratch: MutableFloats) {
        guard matrices.count * rows * width <= Self.mostFloats else { return }
        var bits = SIMD16<UInt32>.zero
        for matrix in matrices {
            let matrix = UnsafeRawPointer(matrix)
            for row in 0..<rows {
                let row = matrix + row * stride * MemoryLayout<Float>.stride
                // As bits: what an output holds may be any number, and some take long to add.
                for i in Swift.stride(from: 0, to: width / 16 * 64, by: 64) {
                    bits |= (row + i).loadUnaligned(as: SIMD16<UInt32>.self)
                }
            }
        }
        scratch.pointee = Float(bitPattern: bits[0])
    }
}
