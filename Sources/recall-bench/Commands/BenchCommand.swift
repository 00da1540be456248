import ArgumentParser
import Foundation
import RecallBenchmark
import RecallData
import RecallKernels
import RecallReport
import RecallStore
import RecallSuite

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed, each figure beside its floor.",
        discussion: """
            EXAMPLES
              recall-bench bench data
              recall-bench bench train --models based --widths 128
              recall-bench bench kernels
              recall-bench bench generate
            """,
        subcommands: [Train.self, Kernels.self, Generate.self, Generator.self]
    )

    struct Generator: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "data",
            abstract: "How fast the data generator makes examples.",
            discussion: """
                Batches of 4096 new examples, made anew for a second. The floor is the time that copying as many bytes takes. \
                Every measurement becomes a row of the table benchmarks.

                EXAMPLES
                  recall-bench bench data
                  recall-bench bench data --shapes 64:4,1024:64 --vocab 8192 --threads 2
                  recall-bench bench data --suite quick --json
                """
        )

        @Option(help: ArgumentHelp("The training segments of this suite.", valueName: "name|path"))
        var suite: String?

        @Option(help: ArgumentHelp("Shapes to make. Default: 64:4,256:64.", valueName: "length:pairs,…"))
        var shapes: String?

        @Option(help: "The vocabulary's size, for --shapes. Default: 8192.")
        var vocab: Int?

        @Option(help: "Threads that generate.")
        var threads = 1

        @OptionGroup var measurements: MeasurementOptions

        /// As `DataBenchmark` makes them.
        private static let batch = 4096

        func validate() throws {
            try OptionRange.require(threads, in: OptionRange.threads, "--threads")
            guard suite == nil || (shapes == nil && vocab == nil) else {
                throw ValidationError("--suite brings its own shapes; leave out --shapes and --vocab")
            }
            _ = try shapes.map(SequenceShape.list)
        }

        func run() throws {
            let tasks = try self.tasks()
            for segment in tasks.flatMap(\.train) {
                var batch = segment
                batch.examples = Self.batch
                try MemoryCheck.require(
                    [batch].dataBytes,
                    for: "a batch of \(segment.sequenceLength):\(segment.kvPairs)",
                    advice: "give shorter --shapes"
                )
            }
            // Before the measurements, which take a while.
            let opened = try measurements.open()
            var table = TextTable([
                .init("L", .right), .init("pairs", .right), .init("vocab", .right), .init("threads", .right),
                .init("examples/s", .right), .init("tokens/s", .right), .init("ms a batch", .right),
                .init("floor", .right),
            ])
            for task in tasks {
                let generator = MQARGenerator(task)
                for index in task.train.indices {
                    let (record, shape) = measure(generator, index)
                    try measurements.keep(record, shape, in: opened)
                    table.add(Self.row(record, task.train[index], vocabulary: task.vocabSize))
                }
            }
            if !measurements.json { Output.write(table.render(width: Output.width)) }
        }

        private func tasks() throws -> [MQARTask] {
            if let suite { return try SuiteLibrary().load(suite).tasks.map(\.task) }
            return try SequenceShape.list(shapes ?? "64:4,256:64").map { shape in
                let segment = Segment(sequenceLength: shape.length, kvPairs: shape.pairs, examples: Self.batch)
                let task = MQARTask(
                    vocabSize: vocab ?? 8192,
                    train: [segment],
                    validation: [segment],
                    test: [segment]
                )
                do throws(TaskError) { try task.validate() } catch {
                    throw Failure(.usage, "--shapes \(shape.length):\(shape.pairs): \(error.message)")
                }
                return task
            }
        }

        private func measure(_ generator: MQARGenerator, _ index: Int) -> (BenchmarkRecord, BenchmarkShape) {
            let result = DataBenchmark.run(generator, segment: index, threads: threads)
            let segment = result.segment
            // Tokens, and for each pair a label and its position, four bytes each.
            let bytes = 4 * Self.batch * (segment.sequenceLength + 2 * segment.kvPairs)
            let floor = Double(bytes) / CPUMeasurement.copyBandwidth(bytes: bytes) / Double(threads)
            let shape = BenchmarkShape(
                batch: Self.batch,
                sequenceLength: segment.sequenceLength,
                kvPairs: segment.kvPairs,
                vocabSize: generator.task.vocabSize
            )
            let record = BenchmarkRecord(
                kind: "data",
                name: Suite.taskName,
                device: CPUInformation.device,
                precision: "int32",
                threads: threads,
                shape: RunSpec.json(shape),
                medianMilliseconds: result.medianSecondsPerExample * Double(Self.batch) * 1e3,
                minimumMilliseconds: result.minimumSecondsPerExample * Double(Self.batch) * 1e3,
                floorMilliseconds: floor * 1e3,
                gbyte: Double(bytes) / 1e9,
                examplesPerSecond: result.examplesPerSecond,
                tokensPerSecond: result.tokensPerSecond,
                commit: ProgramVersion.commit,
                measuredAt: Date()
            )
            return (record, shape)
        }

        private static func row(_ record: BenchmarkRecord, _ segment: Segment, vocabulary: Int) -> [String] {
            func count(_ number: Double?) -> String { number.map { Format.count(rounding: $0) } ?? "" }
            func milliseconds(_ number: Double?) -> String { number.map { String(format: "%.2f", $0) } ?? "" }
            return [
                "\(segment.sequenceLength)", "\(segment.kvPairs)", "\(vocabulary)", "\(record.threads)",
                count(record.examplesPerSecond), count(record.tokensPerSecond),
                milliseconds(record.medianMilliseconds), milliseconds(record.floorMilliseconds),
            ]
        }
    }
}
