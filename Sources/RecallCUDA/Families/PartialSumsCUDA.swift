import RecallKernels

extension CUDABackend {
    /// Adds the rows of partial sums that a kernel's blocks have left, always in the same order.
    ///
    /// - Parameters:
    ///   - partials: (parts, sum of the outputs' counts).
    ///   - outputs: at most three, as they lie behind each other in a row; written.
    func addPartials(parts: Int, _ partials: Floats, _ outputs: (count: Int, sums: MutableFloats)...) {
        let stride = outputs.reduce(0) { $0 + $1.count }
        var arguments: [any KernelArgument] = [parts, stride, partials]
        for i in 0..<3 {
            arguments.append(i < outputs.count ? outputs[i].count : 0)
            arguments.append(i < outputs.count ? outputs[i].sums : MutableFloats?.none)
        }
        launch("partial_sums", "sumPartials", Self.partialsGrid(parts: parts, columns: stride), arguments)
    }

    /// A thread has eight parts on their way at once (AT_ONCE in partial_sums.cu): up to 32 threads a column then wait for
    /// all of them together. At least 256 threads a block, and whole warps across.
    static func partialsGrid(parts: Int, columns: Int) -> LaunchGrid {
        let slices = [1, 2, 4, 8, 16].first { 8 * $0 >= parts } ?? 32
        let across = max(32, 256 / slices)
        return LaunchGrid(blocks: (columns + across - 1) / across, threads: across, slices)
    }
}
