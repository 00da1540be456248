import ArgumentParser
import Foundation
import RecallBenchmark
import RecallKernels
import RecallModels
import RecallReport
import RecallStore
import RecallSuite

extension BenchCommand {
    struct Kernels: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "kernels",
            abstract: "Each kernel that mixes tokens, forward and backward, against reference and floor.",
            discussion: """
                One sequence a call on one core, projections left out. As many sequences as make \(KernelBenchmark.tokens) \
                tokens take turns, 256 at most, so that short ones find their rows no nearer than long ones, and than a \
                step. The error is the largest difference from the Float64 reference as a part of its largest number, up \
                to --check tokens. Below stands how the time grows with the length: the slope of log (shortest) time over \
                log length where terms of lower order have died away, beside the algorithm's own. Every measurement \
                becomes a row of the table benchmarks.

                EXAMPLES
                  recall-bench bench kernels
                  recall-bench bench kernels --kernels attention --lengths 64,256,1024
                  recall-bench bench kernels --json
                """
        )

        @Option(help: ArgumentHelp("Kernels to time. Default: all.", valueName: "name,…"))
        var kernels: String?

        @Option(help: "Sequence lengths.")
        var lengths = "64,128,256,512,1024,2048,4096,8192,16384"

        @Option(help: "Tokens of the longest sequence that is compared with the reference.")
        var check = 1024

        @OptionGroup var measurements: MeasurementOptions

        func validate() throws {
            _ = try chosen()
            _ = try lengthList()
        }

        func run() throws {
            let (chosen, lengths) = (try chosen(), try lengthList())
            let longest = lengths.max() ?? 1
            for kernel in chosen {
                try MemoryCheck.require(
                    kernel.leastBytes(length: longest),
                    for: "\(kernel.name) at \(longest) tokens",
                    advice: "give shorter --lengths"
                )
            }
            let opened = try measurements.open()
            let rates = FloorRates()
            var table = KernelTable()
            for kernel in chosen {
                Output.note(kernel.name)
                var all: [KernelBenchmark.Times] = []
                for length in lengths {
                    let times = kernel.run(length: length, isChecked: length <= check)
                    all.append(times)
                    for (direction, timing) in [("forward", times.forward), ("backward", times.backward)] {
                        let shape = BenchmarkShape(
                            batch: 1,
                            sequenceLength: length,
                            knobs: kernel.sizes.mapValues(KnobValue.integer)
                        )
                        let record = record(
                            "\(kernel.name) \(direction)",
                            timing,
                            shape,
                            length: length,
                            floor: rates.seconds(timing.work)
                        )
                        try measurements.keep(record, shape, in: opened)
                    }
                    table.add(kernel, times, rates)
                }
                table.addSlopes(kernel, all)
            }
            if !measurements.json { Output.write(table.render(width: Output.width)) }
        }

        private func record(
            _ name: String,
            _ timing: KernelBenchmark.Timing,
            _ shape: BenchmarkShape,
            length: Int,
            floor: Double
        ) -> BenchmarkRecord {
            BenchmarkRecord(
                kind: "kernel",
                name: name,
                device: CPUInformation.device,
                precision: "fp32",
                threads: 1,
                shape: RunSpec.json(shape),
                medianMilliseconds: timing.median * 1e3,
                minimumMilliseconds: timing.minimum * 1e3,
                floorMilliseconds: floor * 1e3,
                gflop: (timing.work.productOperations + timing.work.vectorOperations) / 1e9,
                gbyte: timing.work.bytes / 1e9,
                examplesPerSecond: 1 / timing.median,
                tokensPerSecond: Double(length) / timing.median,
                commit: ProgramVersion.commit,
                measuredAt: Date()
            )
        }

        private func chosen() throws -> [KernelBenchmark] {
            guard let kernels else { return KernelBenchmark.all }
            return try kernels.split(separator: ",", omittingEmptySubsequences: false).map { name in
                guard let kernel = KernelBenchmark.all.first(where: { $0.name == name }) else {
                    throw ValidationError(
                        "--kernels: there is no kernel '\(name)'; there are "
                            + KernelBenchmark.all.map(\.name).joined(separator: ", ")
                    )
                }
                return kernel
            }
        }

        private func lengthList() throws -> [Int] {
            try lengths.split(separator: ",", omittingEmptySubsequences: false).map {
                guard let length = Int($0), (1...1 << 20).contains(length) else {
                    throw ValidationError("--lengths: '\($0)' is not a length from 1 to 1048576")
                }
                return length
            }
        }
    }
}

/// The two tables: times by length, and slopes.
private struct KernelTable {
    private var times = TextTable([
        .init("kernel"), .init("L", .right), .init("forward ms", .right), .init("/floor", .right),
        .init("error", .right), .init("backward ms", .right), .init("/floor", .right), .init("error", .right),
    ])
    private var slopes = TextTable([
        .init("kernel"), .init("from L", .right), .init("grows with", .left), .init("slope", .right),
        .init("forward", .right), .init("backward", .right),
    ])

    mutating func add(_ kernel: KernelBenchmark, _ one: KernelBenchmark.Times, _ rates: FloorRates) {
        func cells(_ timing: KernelBenchmark.Timing) -> [String] {
            [
                String(format: "%.3f", timing.median * 1e3),
                String(format: "%.2f", timing.median / rates.seconds(timing.work)),
                timing.error.map { String(format: "%.0e", $0) } ?? "",
            ]
        }
        times.add([kernel.name, "\(one.length)"] + cells(one.forward) + cells(one.backward))
    }

    mutating func addSlopes(_ kernel: KernelBenchmark, _ all: [KernelBenchmark.Times]) {
        func text(_ slope: Double?) -> String { slope.map { String(format: "%.2f", $0) } ?? "" }
        slopes.add([
            kernel.name, "\(kernel.fitFrom)",
            kernel.exponent.map { $0 == 1 ? "L" : "L^\(Int($0))" } ?? "L log L",
            text(kernel.expectedSlope(all.map(\.length))),
            text(kernel.slope(all.map { ($0.length, $0.forward.minimum) })),
            text(kernel.slope(all.map { ($0.length, $0.backward.minimum) })),
        ])
    }

    func render(width: Int) -> String { times.render(width: width) + "\n" + slopes.render(width: width) }
}
