import ArgumentParser
import Foundation
import RecallBenchmark
import RecallKernels
import RecallModels
import RecallStore
import RecallSuite

extension BenchCommand {
    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "generate",
            abstract: "How fast mixers read prompts and write the tokens after them, against the context.",
            discussion: """
                Prefill takes a batch of prompts through the parallel forward and leaves each mixer's state; decoding \
                then writes token by token from that state, one of every sequence a step. Attention's state grows \
                with the context, and so does its step; a state of fixed size takes as long however much was read. \
                The last table says from which context on a mixer decodes faster than attention.

                The models are two layers of one width, a short gated convolution and then the mixer (Mamba: two of \
                it; base-conv: then a convolution as long as the sequence). Every step ends in the vocabulary head, \
                which is the same for all: the default vocabulary is small, so that it does not hide the mixers. \
                Tokens are random, none is sampled. Points whose states would not fit in memory are left out.

                The floor is what one core needs for a step's matrix products at the BLAS's own speed and for taking \
                the states' bytes through memory, at the speed of reading or, where they change, of copying, measured in the same process. Every \
                measurement becomes a row of the table benchmarks, "attention prefill" and "attention decode", its \
                state_bytes what one sequence carries after the prompt.

                EXAMPLES
                  recall-bench bench generate
                  recall-bench bench generate --models attention,based,mamba --contexts 1024,4096,16384 --batches 1
                  recall-bench bench generate --width 128 --threads 2 --json
                """
        )

        @Option(help: ArgumentHelp("Tokens of the prompts.", valueName: "tokens,…"))
        var contexts = "128,256,512,1024,2048,4096,8192"

        @Option(help: ArgumentHelp("Sequences side by side.", valueName: "sequences,…"))
        var batches = "1,16,128"

        @Option(help: "The width, d_model.")
        var width = 64

        @Option(help: "The vocabulary's size.")
        var vocab = 512

        @Option(
            help: "The most tokens that are timed a point. Fewer where they take longer than 0.2 s, but three."
        )
        var tokens = 1000

        @OptionGroup var options: ModelBenchmarkOptions

        private var threads: Int { options.threads }
        private var json: Bool { options.measurements.json }

        func validate() throws {
            try ModelBenchmarkOptions.requirePositive([("width", width), ("tokens", tokens)])
            try OptionRange.require(vocab, in: OptionRange.vocabulary, "--vocab")
            _ = try (numbers(contexts, of: "--contexts"), numbers(batches, of: "--batches"))
        }

        func run() throws {
            let (contexts, batches) = try (
                numbers(contexts, of: "--contexts"), numbers(batches, of: "--batches")
            )
            let cases = try self.cases()
            for one in cases {
                let bytes = try MemoryCheck.bytes {
                    try GenerationBenchmark.modelBytes(
                        one.model,
                        vocabulary: vocab,
                        longestContext: contexts.last ?? 1
                    )
                }
                try MemoryCheck.require(
                    bytes,
                    for: "\(one.name) d=\(width) and a vocabulary of \(vocab)",
                    advice: "give a smaller --width or --vocab"
                )
            }
            let available = try EnvironmentVariables.availableMemory()
            try SystemLimits.requireThreads(SystemLimits.kernelThreads(threads), options: "--threads")
            let opened = try options.measurements.open()
            let rates = FloorRates()
            var tables = GenerationTables(contexts: contexts, batches: batches)
            let total = cases.count * contexts.count * batches.count
            var number = 0
            for one in cases {
                let benchmark = try GenerationBenchmark(
                    one.model,
                    vocabulary: vocab,
                    longestContext: contexts.last ?? 1,
                    threads: threads
                )
                for context in contexts {
                    for batch in batches {
                        number += 1
                        Output.note("\(number) of \(total): \(one.name) context \(context) batch \(batch)")
                        let shape = GenerationShape(batch: batch, context: context)
                        let times: GenerationTimes
                        do {
                            times = try benchmark.run(shape, tokens: tokens, available: available)
                        } catch GenerationError.noRoom(let needed, let available) {
                            tables.leaveOut(one.name, shape)
                            Output.note(
                                "left out: it needs \(ByteSize(bytes: needed)) of memory, and "
                                    + "\(ByteSize(bytes: available)) are free"
                            )
                            continue
                        }
                        tables.add(one.name, shape, times)
                        let description = one.description(shape, vocabulary: vocab)
                        for record in one.records(times, shape, description, rates, threads: threads) {
                            try options.measurements.keep(record, description, in: opened)
                        }
                    }
                }
            }
            if !json { Output.write(tables.render(width: Output.width)) }
            if !json { Output.write(headNote(batches, rates)) }
        }

        /// What the vocabulary head is of each step.
        private func headNote(_ batches: [Int], _ rates: FloorRates) -> String {
            let parts = batches.map { batch in
                let seconds = rates.seconds(Work.Product(batch, vocab, width)) / Double(threads)
                return String(format: "%.3f ms at batch \(batch)", seconds * 1e3)
            }
            return
                "\nIn every step, the same for all: the head over \(vocab) words, \(parts.joined(separator: ", ")).\n"
        }

        /// Distinct and ascending.
        private func numbers(_ list: String, of option: String) throws -> [Int] {
            let numbers = try list.split(separator: ",", omittingEmptySubsequences: false).map { text in
                guard let number = Int(text), (1...1 << 20).contains(number) else {
                    throw ValidationError("\(option): '\(text)' is not a number from 1 to 1048576")
                }
                return number
            }
            return Set(numbers).sorted()
        }

        private func cases() throws -> [GenerationCase] {
            try options.names(default: PeerModels.everyMixer, all: PeerModels.everyMixer).map { name in
                GenerationCase(name: name, model: try ModelBenchmarkOptions.model(name, width: width))
            }
        }
    }
}

/// One model, to be timed.
private struct GenerationCase {
    let name: String
    let model: ModelConfig

    func description(_ shape: GenerationShape, vocabulary: Int) -> BenchmarkShape {
        BenchmarkShape(
            batch: shape.batch,
            sequenceLength: shape.context,
            dModel: model.dModel,
            vocabSize: vocabulary,
            knobs: model.layers.last?.knobs ?? [:]
        )
    }

    /// A row for prefill and one for decoding.
    func records(
        _ times: GenerationTimes,
        _ shape: GenerationShape,
        _ description: BenchmarkShape,
        _ rates: FloorRates,
        threads: Int
    ) -> [BenchmarkRecord] {
        [
            ("prefill", times.prefill, times.prefillWork, shape.batch * shape.context),
            ("decode", times.decode, times.decodeWork, shape.batch),
        ].map { what, seconds, work, tokens in
            let median = median(seconds)
            return BenchmarkRecord(
                kind: "generate",
                name: "\(name) \(what)",
                device: CPUInformation.device,
                precision: "fp32",
                threads: threads,
                shape: RunSpec.json(description),
                medianMilliseconds: median * 1e3,
                minimumMilliseconds: (seconds.min() ?? .nan) * 1e3,
                floorMilliseconds: rates.seconds(work) / Double(threads) * 1e3,
                gflop: (work.productOperations + work.vectorOperations) / 1e9,
                gbyte: work.bytes / 1e9,
                examplesPerSecond: Double(shape.batch) / median,
                tokensPerSecond: Double(tokens) / median,
                commit: ProgramVersion.commit,
                measuredAt: Date(),
                stateBytes: times.stateBytes
            )
        }
    }
}
