import ArgumentParser
import Foundation
import RecallData
import RecallInput
import RecallKernels
import RecallModels
import RecallReport
import RecallSuite
import RecallTensor
import RecallTraining
import Synchronization

struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Evaluate a checkpoint.",
        discussion: """
            Loss and accuracy of a checkpoint's model on the task that its specification names, on that of another suite, \
            or on a folder that `data write` wrote. A run's checkpoint stays only with --keep-checkpoints. Checkpoints of \
            other programs are read too: docs/interchange.md names the parameters and the metadata.

            --logits writes float32 numbers, (positions, V): a row a labelled position, segment after segment, in a segment \
            example after example, in an example in the order of the sequence. That is the order of labels[labels != -100] \
            over the segments' labels.npy.

            EXAMPLES
              recall-bench eval --checkpoint checkpoints/0123456789abcdef.safetensors
              recall-bench eval --checkpoint run.safetensors --split validation --json
              recall-bench eval --checkpoint run.safetensors --suite mqar-small
              recall-bench eval --checkpoint run.safetensors --dataset d --logits l.npy
            """
    )

    @Option(help: ArgumentHelp("The .safetensors file.", valueName: "file"))
    var checkpoint: String

    @Option(help: "train, validation or test. Default: test.")
    var split: Split?

    @Option(
        help: ArgumentHelp("Take the task of this suite instead of the checkpoint's.", valueName: "name|path")
    )
    var suite: String?

    @Option(help: ArgumentHelp("Which of the suite's tasks, from 0.", valueName: "i"))
    var taskIndex: Int?

    @Option(help: ArgumentHelp("Take the split in this folder, as `data write` leaves it.", valueName: "dir"))
    var dataset: String?

    @Option(help: ArgumentHelp("Write the logits at labelled positions.", valueName: "file.npy"))
    var logits: String?

    @Option(help: "Threads. Results do not depend on it.")
    var threads = 1

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        try OptionRange.require(threads, in: OptionRange.threads, "--threads")
        if dataset != nil {
            guard suite == nil else { throw ValidationError("--dataset and --suite exclude each other") }
            guard split == nil else { throw ValidationError("--dataset has its own split: leave --split out") }
        }
        guard taskIndex == nil || suite != nil else {
            throw ValidationError("--task-index is of the suite that --suite names")
        }
        if let logits, logits.isEmpty { throw ValidationError("--logits names no file") }
    }

    func run() throws {
        try SystemLimits.requireThreads(SystemLimits.kernelThreads(threads), options: "--threads")
        let content = try CheckpointContent(path: checkpoint)
        do {
            try evaluate(content)
        } catch RunError.notFinite(_, let tensor) {
            throw Failure(.data, "\(checkpoint): not finite: \(tensor)")
        } catch RunError.outOfMemory(let bytes), BackendError.outOfMemory(let bytes) {
            throw Failure(.unavailable, "the device has no room for \(ByteSize(bytes: bytes))")
        }
    }

    private func evaluate(_ content: CheckpointContent) throws {
        let spec = try specification(of: content)
        let interrupts = Interrupts()
        let examples = try EvaluatedExamples(self, spec, stop: interrupts.stop)
        try examples.requireFit(spec, checkpoint: checkpoint)
        try requireRoom(content, spec, examples)
        let backend = CPUBackend(threads: threads)
        // Every parameter is the checkpoint's: none is drawn.
        let model = try LanguageModel(
            spec.model,
            vocabulary: spec.task.vocabSize,
            maximumLength: spec.task.maximumLength,
            backend: backend,
            seed: nil
        )
        try content.write(to: model.store)
        let evaluator = Evaluator(
            model,
            arena: try Arena(backend: backend),
            batchSize: spec.training.batchSize,
            stop: interrupts.stop
        )
        let segments = examples.source.segments
        let file = try logits.map {
            try LogitsFile(path: $0, positions: segments.labels, vocabulary: spec.task.vocabSize)
        }
        let progress = EvaluationProgress(of: segments.examples)
        defer { progress.end() }
        let evaluation = try evaluator.evaluate(
            examples.source,
            name: examples.split.rawValue,
            step: content.step ?? 0
        ) { data in
            if let file { try evaluator.logits(data) { try file.append($0) } }
            progress.add(data.count)
        }
        progress.end()
        try file?.finish()
        if json {
            let report = EvaluationReport(content, evaluation, split: examples.split, logits: logits)
            Output.write(try report.line() + "\n")
        } else {
            Output.write(evaluation.table(examples.split).render(width: Output.width))
        }
    }

    /// Refuses what the checkpoint has not the parameters of or memory has no room for, before anything is made.
    ///
    /// - Throws: `CheckpointError`, `Failure` (69).
    private func requireRoom(
        _ content: CheckpointContent,
        _ spec: RunSpec,
        _ examples: EvaluatedExamples
    ) throws {
        let (task, segments) = (spec.task, examples.source.segments)
        let bytes = try MemoryCheck.bytes {
            let layout = try ModelMeasurement.layout(
                spec.model,
                vocabulary: task.vocabSize,
                maximumLength: task.maximumLength
            )
            try content.requireParameters(of: layout.store)
            let batches = try layout.largestEvaluation(segments, batchSize: spec.training.batchSize)
            guard logits != nil else { return batches }
            // Of an example at the least, as the device leaves them and as they are written.
            let logitsOfAnExample = (segments.map(\.kvPairs).max() ?? 0).times(task.vocabSize).times(4)
            return batches.plus(logitsOfAnExample.times(2))
        }
        try MemoryCheck.require(
            bytes,
            for: "to evaluate \(checkpoint) on \(examples.name)",
            advice: "shorter sequences need less"
        )
    }

    /// The specification in a checkpoint's metadata, with a model and a task that are possible.
    private func specification(of content: CheckpointContent) throws -> RunSpec {
        func refusal(_ why: String) -> Failure {
            Failure(
                .data,
                "\(checkpoint): the specification in its metadata is of no run: \(why); docs/interchange.md shows one"
            )
        }
        do {
            return try JSONDecoder().decode(RunSpec.self, from: Data(content.specification.utf8)).validated()
        } catch let error as SpecificationError {
            throw refusal(error.description)
        } catch let error as DecodingError {
            throw refusal(error.reason)
        }
    }
}

/// What a checkpoint is evaluated on.
private struct EvaluatedExamples {
    let source: any ExampleSource
    let split: Split
    /// V of the examples.
    let vocabulary: Int
    /// What an error calls them.
    let name: String

    /// - Throws: what is wrong with the suite or the folder.
    init(_ command: EvalCommand, _ spec: RunSpec, stop: StopRequest) throws {
        if let folder = command.dataset {
            let dataset = try WrittenDataset(directory: folder)
            source = DatasetExamples(dataset: dataset, stop: stop)
            (split, vocabulary) = (dataset.description.split, dataset.description.task.vocabSize)
            name = folder
            return
        }
        let task =
            try command.suite.map { try DataCommand.task(ofSuite: $0, index: command.taskIndex) } ?? spec.task
        split = command.split ?? .test
        source = GeneratedExamples(MQARGenerator(task), split, stop: stop)
        vocabulary = task.vocabSize
        name = command.suite ?? "its task"
    }

    /// Refuses examples that a model cannot take.
    func requireFit(_ spec: RunSpec, checkpoint: String) throws {
        guard vocabulary == spec.task.vocabSize else {
            throw Failure(
                .data,
                "\(name) has a vocabulary of \(vocabulary), the model of \(checkpoint) one of \(spec.task.vocabSize)"
            )
        }
        let longest = source.segments.map(\.sequenceLength).max() ?? 0
        guard longest <= spec.task.maximumLength || !spec.model.hasLongestLength else {
            throw Failure(
                .data,
                "\(name) has sequences of \(longest) tokens, and the model of \(checkpoint), which has learned positions or "
                    + "a filter as long as the sequence, takes at most \(spec.task.maximumLength)"
            )
        }
    }
}

/// A written dataset, until a stop is asked for.
private struct DatasetExamples: ExampleSource {
    let dataset: WrittenDataset
    let stop: StopRequest

    var segments: [Segment] { dataset.segments }

    func examples(_ segment: Int, first: Int, count: Int, on backend: any Backend) throws -> ExamplesOnDevice {
        if stop.isRaised { throw RunError.stopped }
        return try ExamplesOnDevice(dataset.examples(segment, first: first, count: count), backend: backend)
    }
}

/// The file of `--logits`, written while there is something to write.
private final class LogitsFile {
    private var writer: NPYWriter?

    init(path: String, positions: Int, vocabulary: Int) throws {
        writer = try NPYWriter(path: path, type: .float32, shape: [positions, vocabulary])
    }

    func append(_ logits: [Float]) throws { try writer?.append(logits) }

    func finish() throws {
        if let writer = writer.take() { try writer.finish() }
    }
}

/// News on standard error for those who wait.
private final class EvaluationProgress {
    private let done: Counter
    private let patience: Patience

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    init(of total: Int) {
        let done = Counter()
        self.done = done
        patience = Patience {
            "\(Format.count(done.value.load(ordering: .relaxed))) of \(Format.count(total)) examples"
        }
    }

    func add(_ examples: Int) { done.value.add(examples, ordering: .relaxed) }

    func end() { patience.end() }
}

extension Evaluation {
    /// A row a segment, and one for all where there are several.
    fileprivate func table(_ split: Split) -> TextTable {
        var table = TextTable([
            .init("split"), .init("length", .right), .init("pairs", .right), .init("examples", .right),
            .init("accuracy", .right), .init("loss", .right),
        ])
        for slice in slices {
            table.add([
                split.rawValue, "\(slice.segment.sequenceLength)", "\(slice.segment.kvPairs)",
                "\(slice.segment.examples)", Format.accuracy(slice.accuracy),
                String(format: "%.4f", slice.loss),
            ])
        }
        if slices.count > 1 {
            table.add([
                split.rawValue, "all", "", "\(examples)", Format.accuracy(accuracy),
                String(format: "%.4f", loss),
            ])
        }
        return table
    }
}

/// The object of `--json`.
private struct EvaluationReport: Encodable {
    struct Slice: Encodable {
        let sequenceLength: Int
        let kvPairs: Int
        let examples: Int
        let accuracy: Double
        let loss: Double
    }

    let checkpoint: String
    let runID: String?
    let epoch: Int?
    let step: Int?
    let split: String
    let examples: Int
    let accuracy: Double
    let loss: Double
    let slices: [Slice]
    let logits: String?

    init(_ content: CheckpointContent, _ evaluation: Evaluation, split: Split, logits: String?) {
        (checkpoint, runID, epoch, step) = (content.path, content.runID, content.epoch, content.step)
        (self.split, self.logits) = (split.rawValue, logits)
        (examples, accuracy, loss) = (evaluation.examples, evaluation.accuracy, evaluation.loss)
        slices = evaluation.slices.map {
            Slice(
                sequenceLength: $0.segment.sequenceLength,
                kvPairs: $0.segment.kvPairs,
                examples: $0.segment.examples,
                accuracy: $0.accuracy,
                loss: $0.loss
            )
        }
    }

    /// Its JSON, with the keys of the tables.
    func line() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

extension DecodingError {
    /// What was not found, in one line.
    fileprivate var reason: String {
        func place(_ context: Context, _ key: String? = nil) -> String {
            let path =
                context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
                + (key.map { [$0] } ?? [])
            return path.isEmpty ? "the whole" : "'\(path.joined(separator: "."))'"
        }
        switch self {
        case .keyNotFound(let key, let context): return "\(place(context, key.stringValue)) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "\(place(context)) is of another type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "it is not JSON" : "\(place(context)) has an impossible value"
        @unknown default: return "it is not understood"
        }
    }
}
