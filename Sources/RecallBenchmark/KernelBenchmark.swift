import Foundation
import RecallKernels

/// A kernel that mixes tokens, to be timed alone, without projections, on one sequence and one core.
public struct KernelBenchmark: Sendable {
    public let name: String
    /// Its sizes but the length, for the column `shape`.
    public let sizes: [String: Int]
    /// How its time must grow with the length, as an exponent; nil for n log n.
    public let exponent: Double?
    /// From which length on the terms of lower order have died away.
    public let fitFrom: Int
    let make: @Sendable (_ length: Int, _ memory: KernelMemory) -> any KernelCase

    /// One of each way that tokens are mixed, at the sizes of the step benchmark's models.
    public static let all: [KernelBenchmark] = [
        KernelBenchmark(
            name: "attention",
            sizes: ["d_head": 64],
            exponent: 2,
            fitFrom: 1024,
            make: { AttentionCase(in: $1, length: $0) }
        ),
        KernelBenchmark(
            name: "sliding-window",
            sizes: ["d_head": 64, "window": 64],
            exponent: 1,
            fitFrom: 1024,
            make: { AttentionCase(in: $1, length: $0, window: 64) }
        ),
        KernelBenchmark(
            name: "taylor-linear-attention",
            sizes: ["feature_dim": 16, "d_head": 64],
            exponent: 1,
            fitFrom: max(1024, 2 * TaylorCase.crossover()),
            make: { TaylorCase(in: $1, length: $0) }
        ),
        KernelBenchmark(
            name: "selective-scan",
            sizes: ["channels": 128, "state_size": 16],
            exponent: 1,
            fitFrom: 1024,
            make: { ScanCase(in: $1, length: $0) }
        ),
        KernelBenchmark(
            name: "long-convolution",
            sizes: ["channels": 64],
            exponent: nil,
            fitFrom: 1024,
            make: { LongConvolutionCase(in: $1, length: $0) }
        ),
        KernelBenchmark(
            name: "short-convolution",
            sizes: ["channels": 64, "kernel_size": 3],
            exponent: 1,
            fitFrom: 1024,
            make: { ShortConvolutionCase(in: $1, length: $0) }
        ),
    ]

    /// Seconds of forward and of backward at a length, what they cannot do without, and how far they are from their
    /// Float64 reference.
    public struct Times: Sendable {
        public let length: Int
        public let forward: Timing
        public let backward: Timing
    }

    public struct Timing: Sendable {
        public let median: Double
        public let minimum: Double
        public let work: Work
        /// The largest difference as a part of the largest number; nil where the reference was left out.
        public let error: Double?
    }

    /// Tokens of the sequences that take turns, those of a step of 256 sequences of 64.
    public static let tokens = 1 << 14

    /// Bytes that a call on one sequence takes at the least: inputs and outputs of forward and backward, each as wide as the
    /// kernel's largest size but its state.
    public func leastBytes(length: Int) -> Int {
        let width = sizes["channels"] ?? sizes["d_head"] ?? 1
        return 8 * width * length * MemoryLayout<Float>.stride
    }

    /// How many sequences of a length take turns.
    static func sequences(length: Int) -> Int { max(1, min(256, tokens / length)) }

    /// Times as many calls as take 0.1 s, three at least, after a first one a sequence.
    ///
    /// Every call takes the next of as many sequences as make `tokens` tokens. A short sequence called again and again
    /// would stay in a cache that a longer one does not fit, which a step never sees, and which would make times grow
    /// with the length faster than the algorithm.
    ///
    /// - Parameter isChecked: whether to compare with the reference, whose cost grows with the square of the length.
    public func run(length: Int, isChecked: Bool) -> Times {
        let memory = KernelMemory()
        let kernels = (0..<Self.sequences(length: length)).map { _ in make(length, memory) }
        let backend = CPUBackend(threads: 1)
        let forward = Self.time(kernels) { $0.forward(backend) }
        let backward = Self.time(kernels) { $0.backward(backend) }
        let errors = isChecked ? kernels[0].errors() : nil
        return Times(
            length: length,
            forward: Timing(
                median: median(forward),
                minimum: forward.min()!,
                work: kernels[0].work.forward,
                error: errors?.forward
            ),
            backward: Timing(
                median: median(backward),
                minimum: backward.min()!,
                work: kernels[0].work.backward,
                error: errors?.backward
            )
        )
    }

    private static func time(_ kernels: [any KernelCase], _ body: (any KernelCase) -> Void) -> [Double] {
        kernels.forEach(body)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(0.1)
        var seconds: [Double] = []
        repeat {
            let kernel = kernels[seconds.count % kernels.count]
            seconds.append(clock.measure { body(kernel) } / .seconds(1))
        } while clock.now < end || seconds.count < 3
        return seconds
    }

    /// The exponent that the times of `fitFrom` and longer sequences grow with: the slope of log time over log length by
    /// least squares; nil for fewer than two lengths.
    ///
    /// - Parameter times: (length, seconds).
    public func slope(_ times: [(length: Int, seconds: Double)]) -> Double? {
        let points = times.filter { $0.length >= fitFrom }.map { (log(Double($0.length)), log($0.seconds)) }
        guard points.count >= 2 else { return nil }
        let count = Double(points.count)
        let (meanX, meanY) = (
            points.reduce(0) { $0 + $1.0 } / count, points.reduce(0) { $0 + $1.1 } / count
        )
        let covariance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
        let variance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.0 - meanX) }
        return variance > 0 ? covariance / variance : nil
    }

    /// The slope that the algorithm has over the same lengths.
    public func expectedSlope(_ lengths: [Int]) -> Double? {
        slope(
            lengths.map { length in
                let n = Double(length)
                return (length, exponent.map { pow(n, $0) } ?? n * log2(2 * n))
            }
        )
    }
}
