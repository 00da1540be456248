import RecallKernels

/// Numbers of a row of partial sums, and where their sums go; nil for those that nobody asked for.
typealias SumOutput = (count: Int, sums: MutableFloats?)

/// Rows of partial sums that a kernel's blocks have left: struct PartialSum in partial_sums.cu.
struct PartialSum {
    let partials: Floats
    let output: MutableFloats
    let stride, count, parts: Int
}

/// What many sums are told in one launch: struct PartialSums.
struct PartialSums: KernelArgument {
    let sums: [PartialSum]
    /// Columns of a block.
    let across: Int

    /// MOST_SUMS in partial_sums.cu.
    static let most = 24

    var blocks: Int { sums.reduce(0) { $0 + blocks($1) } }
    private func blocks(_ sum: PartialSum) -> Int { (sum.count + across - 1) / across }

    func write(to arguments: inout KernelArguments) {
        precondition(sums.count <= Self.most)
        var (words, first): ([UInt64], Int) = ([], 0)
        for sum in sums {
            words += [sum.partials.word, sum.output.word, sum.stride.word, sum.count.word]
            words.append(UInt64(UInt32(sum.parts)) | UInt64(UInt32(first)) << 32)
            first += blocks(sum)
        }
        arguments.append(words + Array(repeating: 0, count: 5 * Self.most - words.count))
    }
}

/// Sums of gradients that a step makes together when something reads them.
struct LateSums {
    /// Address space of the partial sums.
    let address: DeviceAddress
    /// Of memory under it.
    fileprivate(set) var bytes = 0
    /// Of those, used by the sums that wait.
    fileprivate var floats = 0
    fileprivate var sums: [PartialSum] = []
    /// Where the gradients of the step at hand lie.
    fileprivate var gradients: Range<UInt>?

    static let range = 1 << 32
    /// Bytes of the partial sums of one kernel; more are better added while they are in the cache.
    fileprivate static let most = 5 << 20

    init(at address: DeviceAddress) { self.address = address }
}

extension CUDABackend {
    /// Adds partial sums that a kernel's blocks leave, always in the same order: at once or, where they are gradients of the
    /// step at hand, with others at `addLateSums`.
    ///
    /// - Parameters:
    ///   - outputs: as they lie behind each other in a row; written.
    ///   - leave: launches the kernel with where its blocks leave theirs: (parts, sum of the outputs' counts).
    func addPartials(parts: Int, to outputs: [SumOutput], _ leave: (_ partials: MutableFloats) -> Void) {
        let floats = parts * outputs.reduce(0) { $0 + $1.count }
        guard mayWait(floats: floats, outputs) else {
            let partials = workspace(floats: floats)
            leave(partials)
            return addPartials(parts: parts, partials, outputs)
        }
        if lateSums.sums.count + outputs.count > PartialSums.most { addLateSums() }
        let partials = latePartials(floats: floats)
        leave(partials)
        lateSums.sums += Self.sums(parts: parts, partials, outputs)
    }

    /// Adds the rows of partial sums that a kernel's blocks have left.
    func addPartials(parts: Int, _ partials: Floats, _ outputs: [SumOutput]) {
        launch(Self.sums(parts: parts, partials, outputs), Self.partialsThreads(parts: parts))
    }

    /// Makes the sums that wait: before anything reads gradients, and at a step's end.
    func addLateSums() {
        launch(lateSums.sums, Self.partialsThreads(parts: .max))
        (lateSums.sums, lateSums.floats) = ([], 0)
    }

    /// Ends a step, whether it came to its end or not.
    func forgetLateSums() { (lateSums.sums, lateSums.floats, lateSums.gradients) = ([], 0, nil) }

    public func expectGradients(at address: Floats, count: Int) {
        let first = UInt(bitPattern: address)
        lateSums.gradients = first..<first + UInt(count * MemoryLayout<Float>.stride)
    }

    /// Whether sums are gradients of a step.
    private func mayWait(floats: Int, _ outputs: [SumOutput]) -> Bool {
        guard cellAtHand != nil, let gradients = lateSums.gradients, floats * 4 <= LateSums.most else {
            return false
        }
        return outputs.allSatisfy { $0.sums.map { gradients.contains(UInt(bitPattern: $0)) } ?? true }
    }

    /// Memory that is valid until the sums that wait are made.
    private func latePartials(floats: Int) -> MutableFloats {
        let first = lateSums.floats
        lateSums.floats += (floats + 3) / 4 * 4
        let bytes = lateSums.floats * MemoryLayout<Float>.stride
        if bytes > lateSums.bytes {
            if memory.commit(lateSums.address, bytes: bytes) {
                lateSums.bytes = bytes
                workspaceGrowths += 1
            } else {
                fail(.outOfMemory(bytes: bytes))
            }
        }
        return MutableFloats(bitPattern: UInt(lateSums.address)).unsafelyUnwrapped + first
    }

    private static func sums(parts: Int, _ partials: Floats, _ outputs: [SumOutput]) -> [PartialSum] {
        let stride = outputs.reduce(0) { $0 + $1.count }
        var (result, column): ([PartialSum], Int) = ([], 0)
        for output in outputs {
            if let sums = output.sums {
                result.append(
                    PartialSum(
                        partials: partials + column,
                        output: sums,
                        stride: stride,
                        count: output.count,
                        parts: parts
                    )
                )
            }
            column += output.count
        }
        return result
    }

    private func launch(_ sums: [PartialSum], _ threads: (across: Int, slices: Int)) {
        let list = PartialSums(sums: sums, across: threads.across)
        launch(
            "partial_sums",
            "sumPartials",
            LaunchGrid(blocks: list.blocks, threads: threads.across, threads.slices),
            sums.count,
            list
        )
    }

    /// A thread has eight parts on their way at once (AT_ONCE in partial_sums.cu): where they are more, 32 threads add a
    /// column's. The order is the same in the wider layout.
    static func partialsThreads(parts: Int) -> (across: Int, slices: Int) { parts <= 8 ? (256, 1) : (32, 32) }
}
