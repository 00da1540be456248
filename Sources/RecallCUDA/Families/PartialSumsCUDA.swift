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

    /// Many parts are added by many threads a column, so that each waits for its few numbers once.
    static func partialsGrid(parts: Int, columns: Int) -> LaunchGrid {
        let (across, slices) = parts > 64 ? (8, 128) : (32, 16)
        return LaunchGrid(blocks: (columns + across - 1) / across, threads: across, slices)
    }
}
