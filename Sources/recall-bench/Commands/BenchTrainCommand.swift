import ArgumentParser
import Foundation
import RecallBenchmark
import RecallData
import RecallInput
import RecallKernels
import RecallModels
import RecallReport
import RecallStore
import RecallSuite

extension BenchCommand {
    struct Train: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "train",
            abstract: "How long a full training step takes, beside its floor, and its memory.",
            discussion: """
                Forward, backward and AdamW on one batch: the models of the PyTorch baseline, or any registered mixer after a \
                short gated convolution. The floor is what one core needs for the step's matrix products at the BLAS's \
                own speed on those shapes, for its scans and transforms at the core's SIMD speed, and for its element-wise \
                passes at copying speed, all measured in the same process; on a graphics card, for the products at the rate \
                of a large one by cuBLAS and for the passes at copying speed, and steps are timed twenty together. Every measurement becomes a row of the table \
                benchmarks.

                The peak is the memory of one run's step, measured: what the process holds in RAM once every run has done its \
                first steps (tensors, parameters with gradients and moments, the kernels' and the BLAS's workspaces, \
                stacks), less what it held before the row, over the runs side by side. Nothing that a step has \
                touched is given back before its run ends, so that is the step's peak. The batch on the host and the \
                program itself are not in it, nor pages of files; it is empty where the system does not tell (other \
                than Linux).

                EXAMPLES
                  recall-bench bench train
                  recall-bench bench train --models based,attention --widths 128 --shapes 256:64 --steps 20
                  recall-bench bench train --models all --threads 2 --jobs 1 --json
                  recall-bench bench train --models mamba --widths 128 --shapes 64:4 --operations
                """
        )

        @Option(help: "Widths, d_model.")
        var widths = "64,128"

        @Option(help: ArgumentHelp("Shapes of the batch.", valueName: "length:pairs,…"))
        var shapes = "64:4,256:64"

        @Option(help: "Examples a batch.")
        var batch = 256

        @Option(help: "The vocabulary's size.")
        var vocab = 8192

        @Option(help: "Steps to time, after two that are not.")
        var steps = 5

        @Option(help: "Runs side by side. Default: the cores that this process may use.")
        var jobs: Int?

        @Option(help: DeviceChoice.help)
        var device = "cpu"

        @Option(help: "What matrix products round their factors to. Default: fp32 on a CPU, else tf32.")
        var precision: String?

        @Flag(
            help: "Where a step's time goes: each operation beside its floor, of one run alone; keeps nothing."
        )
        var operations = false

        @OptionGroup var options: ModelBenchmarkOptions

        var threads: Int { options.threads }
        var json: Bool { options.measurements.json }

        func validate() throws {
            try ModelBenchmarkOptions.requirePositive([
                ("batch", batch), ("steps", steps), ("jobs", jobs ?? 1),
            ])
            if let jobs { try OptionRange.require(jobs, in: OptionRange.threads, "--jobs") }
            _ = try SequenceShape.list(shapes)
            _ = try widthList()
            guard try DeviceChoice(device).isCPU || !operations else {
                throw ValidationError("--operations times the CPU's kernels")
            }
            _ = try DeviceChoice(device).arithmetic(precision: precision)
        }

        func run() throws {
            let cases = try self.cases()
            let device = try DeviceChoice(device)
            let jobs = operations ? 1 : self.jobs ?? (device.isCPU ? AvailableCores.current.count : 1)
            for one in cases { try one.requireRoom(jobs: jobs, on: device) }
            if operations { return try writeOperations(cases) }
            let opened = try options.measurements.open()
            var table = TextTable([
                .init("model"), .init("d_model", .right), .init("L", .right), .init("pairs", .right),
                .init("threads", .right), .init("jobs", .right), .init("ms a step", .right),
                .init("floor", .right), .init("step/floor", .right), .init("examples/s", .right),
                .init("peak", .right),
            ])
            let arithmetic = try device.arithmetic(precision: precision)
            try SystemLimits.requireThreads(
                jobs + SystemLimits.kernelThreads(threads, runs: jobs),
                options: "--jobs and --threads"
            )
            let floor = try device.floor(arithmetic)
            let (threads, name) = (threads, try device.name())
            for (number, one) in cases.enumerated() {
                Output.note(
                    "\(number + 1) of \(cases.count): \(one.name) d=\(one.model.dModel) "
                        + "\(one.shape.length):\(one.shape.pairs)"
                )
                let times = try StepBenchmark.run(one.model, one.shape, steps: steps, jobs: jobs) {
                    try device.makeBackend(threads: threads, arithmetic)
                }
                var record = one.record(
                    times,
                    floor: floor(times.plan.work) / Double(device.isCPU ? threads : 1),
                    threads: threads
                )
                (record.device, record.precision) = (name, arithmetic.rawValue)
                // What the process holds on the host says nothing of a card's memory.
                if !device.isCPU { record.peakBytes = nil }
                try options.measurements.keep(record, one.description, jobs: jobs, in: opened)
                table.add(one.row(record, threads: threads, jobs: jobs))
            }
            if !json { Output.write(table.render(width: Output.width)) }
        }

        private func widthList() throws -> [Int] {
            try widths.split(separator: ",", omittingEmptySubsequences: false).map {
                guard let width = Int($0), width > 0 else {
                    throw ValidationError("--widths: '\($0)' is not a width, such as 64")
                }
                return width
            }
        }

        private func cases() throws -> [TrainCase] {
            let names = options.names(default: PeerModels.names, all: MixerRegistry.mixers.map(\.name))
            return try SequenceShape.list(shapes).flatMap { shape in
                let step = StepShape(
                    batch: batch,
                    length: shape.length,
                    pairs: shape.pairs,
                    vocabulary: vocab
                )
                do throws(TaskError) { try step.task.validate() } catch {
                    throw Failure(.usage, "--shapes \(shape.length):\(shape.pairs): \(error.message)")
                }
                return try widthList().flatMap { width in
                    try names.map { name in
                        TrainCase(
                            name: name,
                            model: try ModelBenchmarkOptions.model(name, width: width),
                            shape: step
                        )
                    }
                }
            }
        }
    }
}

/// One model at one shape, to be timed.
struct TrainCase {
    let name: String
    let model: ModelConfig
    let shape: StepShape

    /// - Throws: `Failure` (69) where so many runs side by side do not fit in memory.
    func requireRoom(jobs: Int, on device: DeviceChoice) throws {
        let bytes = try MemoryCheck.bytes {
            try StepBenchmark.plan(model, shape).bytes.plus(shape.task.train.dataBytes)
        }
        try MemoryCheck.require(
            bytes.times(jobs),
            for:
                "\(name) d=\(model.dModel) \(shape.length):\(shape.pairs), batch \(shape.batch), --jobs \(jobs),",
            advice: "use fewer --jobs, a smaller --batch, or leave it out",
            on: device
        )
    }

    var description: BenchmarkShape {
        BenchmarkShape(
            batch: shape.batch,
            sequenceLength: shape.length,
            kvPairs: shape.pairs,
            dModel: model.dModel,
            vocabSize: shape.vocabulary,
            knobs: model.layers.last?.knobs ?? [:]
        )
    }

    /// - Parameter floor: in seconds.
    func record(_ times: StepTimes, floor: Double, threads: Int) -> BenchmarkRecord {
        let examples = times.examplesPerSecond(batch: shape.batch)
        let work = times.plan.work
        return BenchmarkRecord(
            kind: "train",
            name: name,
            device: CPUInformation.device,
            precision: "fp32",
            threads: threads,
            shape: RunSpec.json(description),
            medianMilliseconds: times.median * 1e3,
            minimumMilliseconds: times.minimum * 1e3,
            floorMilliseconds: floor * 1e3,
            gflop: (work.productOperations + work.vectorOperations) / 1e9,
            gbyte: work.bytes / 1e9,
            examplesPerSecond: examples,
            tokensPerSecond: examples * Double(shape.length),
            commit: ProgramVersion.commit,
            measuredAt: Date(),
            peakBytes: times.residentBytes
        )
    }

    private static func milliseconds(_ number: Double) -> String {
        String(format: number < 10 ? "%.3f" : "%.1f", number)
    }

    func row(_ record: BenchmarkRecord, threads: Int, jobs: Int) -> [String] {
        let floor = record.floorMilliseconds ?? .nan
        return [
            name, "\(model.dModel)", "\(shape.length)", "\(shape.pairs)", "\(threads)", "\(jobs)",
            Self.milliseconds(record.medianMilliseconds), Self.milliseconds(floor),
            String(format: "%.2f", record.medianMilliseconds / floor),
            Format.count(rounding: record.examplesPerSecond ?? 0),
            record.peakBytes.map { Format.bytes($0) } ?? "",
        ]
    }
}
