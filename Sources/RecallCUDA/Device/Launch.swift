import RecallKernels
import RecallRandom

/// A kernel's parameters, each at the start of a 64-bit word of its own.
struct KernelArguments {
    fileprivate(set) var words: [UInt64] = []
    fileprivate(set) var starts: [Int] = []

    /// A parameter of one word or, for a struct, of several.
    mutating func append(_ parameter: UInt64...) { append(parameter) }

    mutating func append(_ parameter: [UInt64]) {
        starts.append(words.count)
        words += parameter
    }
}

/// What can be handed to a kernel. Whole numbers serve for the kernel's `int` and `long long` alike.
protocol KernelArgument {
    func write(to arguments: inout KernelArguments)
}

/// A parameter of at most eight bytes.
protocol KernelWord: KernelArgument {
    var word: UInt64 { get }
}

extension KernelWord {
    func write(to arguments: inout KernelArguments) { arguments.append(word) }
}

extension Int: KernelWord { var word: UInt64 { UInt64(bitPattern: Int64(self)) } }
extension UInt32: KernelWord { var word: UInt64 { UInt64(self) } }
extension UInt64: KernelWord { var word: UInt64 { self } }
extension Float: KernelWord { var word: UInt64 { UInt64(bitPattern) } }
extension Bool: KernelWord { var word: UInt64 { self ? 1 : 0 } }
extension UnsafePointer: KernelWord { var word: UInt64 { UInt64(UInt(bitPattern: self)) } }
extension UnsafeMutablePointer: KernelWord { var word: UInt64 { UInt64(UInt(bitPattern: self)) } }
extension UnsafeRawPointer: KernelWord { var word: UInt64 { UInt64(UInt(bitPattern: self)) } }
extension UnsafeMutableRawPointer: KernelWord { var word: UInt64 { UInt64(UInt(bitPattern: self)) } }

extension Optional: KernelArgument where Wrapped: KernelWord {
    /// Null for nil.
    func write(to arguments: inout KernelArguments) { arguments.append(self?.word ?? 0) }
}

/// A dropout mask as kernels take it: struct Mask in common.cuh, a threshold of 0 for none.
struct KernelMask: KernelArgument {
    let dropout: Dropout?
    /// What holds the step in device memory, if `dropout` does not.
    let cell: UnsafeMutableRawPointer?

    func write(to arguments: inout KernelArguments) {
        guard let dropout else { return arguments.append(0, 0, 0, 0) }
        func pair(_ low: UInt32, _ high: UInt32) -> UInt64 { UInt64(low) | UInt64(high) << 32 }
        arguments.append(
            pair(dropout.threshold, dropout.scale.bitPattern),
            pair(dropout.key.x, dropout.key.y),
            pair(dropout.step, dropout.site),
            UInt64(UInt(bitPattern: cell))
        )
    }
}

/// How many blocks of how many threads a kernel runs in.
struct LaunchGrid {
    var blocks: (x: Int, y: Int, z: Int)
    var threads: (x: Int, y: Int)
    /// Dynamic shared memory of a block, in bytes.
    var sharedBytes: Int

    init(blocks x: Int, _ y: Int = 1, _ z: Int = 1, threads: Int, _ threadsY: Int = 1, sharedBytes: Int = 0) {
        blocks = (x, y, z)
        self.threads = (threads, threadsY)
        self.sharedBytes = sharedBytes
    }

    /// One thread for each of `count` things, at most so many blocks: the threads then walk the rest in strides of all.
    static func covering(_ count: Int, threads: Int = 256, atMost blocks: Int = 4096) -> LaunchGrid {
        LaunchGrid(blocks: min(blocks, (count + threads - 1) / threads), threads: threads)
    }
}

/// Whether all addresses lie on 16 bytes, for kernels that read and write four numbers at a time; a null does.
func areInQuads(_ addresses: UnsafeRawPointer?...) -> Bool {
    addresses.allSatisfy { UInt(bitPattern: $0) % 16 == 0 }
}

extension CUDABackend {
    /// Queues a kernel on the run's stream. A grid without blocks does nothing; what the device refuses is noted in `failure`.
    ///
    /// - Parameters:
    ///   - module: the source's name without ".cu".
    ///   - arguments: in the kernel's order.
    func launch(_ module: String, _ name: String, _ grid: LaunchGrid, _ arguments: any KernelArgument...) {
        launch(module, name, grid, arguments)
    }

    func launch(_ module: String, _ name: String, _ grid: LaunchGrid, _ arguments: [any KernelArgument]) {
        guard failure == nil, grid.blocks.x > 0, grid.blocks.y > 0, grid.blocks.z > 0 else { return }
        let function: DriverObject
        do throws(BackendError) {
            function = try kernels.function(module, name)
            try kernels.allow(function, sharedMemory: grid.sharedBytes)
        } catch { return fail(error) }
        let status = withAddresses(of: arguments) {
            // The kernels themselves wait for what is before them (awaitEarlierKernels in common.cuh).
            device.driver.launch(function, grid, $0, on: stream, startsEarly: device.startsKernelsEarly)
        }
        check(status, "\(module)/\(name)")
    }

    /// Calls `body` with the address of each argument.
    func withAddresses<Result>(
        of arguments: [any KernelArgument],
        _ body: (UnsafeMutablePointer<UnsafeMutableRawPointer?>) -> Result
    ) -> Result {
        var parameters = KernelArguments()
        for argument in arguments { argument.write(to: &parameters) }
        let starts = parameters.starts
        return parameters.words.withUnsafeMutableBufferPointer { words in
            var addresses = starts.map {
                UnsafeMutableRawPointer(words.baseAddress.unsafelyUnwrapped + $0) as UnsafeMutableRawPointer?
            }
            return body(&addresses)
        }
    }

    /// A mask for a kernel. While steps are replayed, the step is the one in device memory.
    func mask(_ dropout: Dropout?) -> KernelMask { KernelMask(dropout: dropout, cell: cellAtHand) }
}
