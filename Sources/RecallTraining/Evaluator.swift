import RecallData
import RecallKernels
import RecallModels
import RecallTensor

/// Examples to evaluate on, segment by segment.
public protocol ExampleSource {
    var segments: [Segment] { get }

    /// `count` examples of a segment from example `first` on, in the memory of the device that asks.
    func examples(_ segment: Int, first: Int, count: Int, on backend: any Backend) throws -> ExamplesOnDevice
}

/// A split of a task, made by the device as it is asked for.
public struct GeneratedExamples: ExampleSource {
    private let generator: MQARGenerator
    private let split: Split
    private let stop: StopRequest?

    /// - Parameter stop: polled while data are made.
    public init(_ generator: MQARGenerator, _ split: Split, stop: StopRequest? = nil) {
        (self.generator, self.split, self.stop) = (generator, split, stop)
    }

    public var segments: [Segment] { generator.task.segments(split) }

    public func examples(
        _ segment: Int, first: Int, count: Int, on backend: any Backend
    ) throws -> ExamplesOnDevice {
        try ExamplesOnDevice(
            generator.recipe(split, segment), first: first, count: count, backend: backend, stop: stop)
    }
}

/// Examples that a device keeps once it was asked for them, if they are few.
final class KeptExamples: ExampleSource {
    private let source: any ExampleSource
    private var kept: [Int: ExamplesOnDevice] = [:]
    /// Bytes of tokens to keep of all segments together.
    private static let mostBytes = 64 << 20

    init(_ source: some ExampleSource) { self.source = source }

    var segments: [Segment] { source.segments }

    func examples(_ segment: Int, first: Int, count: Int, on backend: any Backend) throws -> ExamplesOnDevice {
        let bytes = segments.reduce(0) { $0 + $1.examples * $1.sequenceLength * MemoryLayout<Int32>.stride }
        guard first == 0, count == segments[segment].examples, bytes <= Self.mostBytes else {
            return try source.examples(segment, first: first, count: count, on: backend)
        }
        if let data = kept[segment] { return data }
        let data = try source.examples(segment, first: first, count: count, on: backend)
        kept[segment] = data
        return data
    }
}

/// Loss and accuracy: means within an example, then over examples.
public struct Evaluation: Equatable, Sendable {
    /// One segment's.
    public struct Slice: Equatable, Sendable {
        public var segment: Segment
        public var loss: Double
        public var accuracy: Double
    }

    public var loss: Double
    public var accuracy: Double
    /// Of all segments.
    public var examples: Int
    public var slices: [Slice]
}

/// Evaluates a model. Batches are small enough for their memory to be bounded, whatever the sequences' lengths.
public struct Evaluator {
    private let model: LanguageModel
    private let arena: Arena
    private let batchSize: Int
    private let stop: StopRequest?

    /// Bounds the memory of a batch, and how long it may go on after a request to stop.
    private static let mostTokens = 1 << 15
    /// Bounds the logits that are there at once: 64 MiB.
    public static let mostLogits = 1 << 24

    /// - Parameters:
    ///   - batchSize: examples at once, where their sequences are short enough.
    ///   - stop: polled before every kernel, and between its blocks.
    public init(_ model: LanguageModel, arena: Arena, batchSize: Int, stop: StopRequest? = nil) {
        (self.model, self.arena, self.batchSize, self.stop) = (model, arena, batchSize, stop)
    }

    /// Loss and accuracy on all examples.
    ///
    /// - Parameters:
    ///   - name: what an error calls the examples: "test".
    ///   - step: the optimiser steps that the model has behind it, for an error.
    ///   - didEvaluate: told of examples that are done, in order.
    /// - Throws: `RunError`, and what the source or `didEvaluate` threw.
    public func evaluate(
        _ source: some ExampleSource, name: String, step: Int,
        didEvaluate: (ExamplesOnDevice) throws -> Void = { _ in }
    ) throws -> Evaluation {
        var (loss, accuracy, examples) = (0.0, 0.0, 0)
        var slices: [Evaluation.Slice] = []
        for (index, segment) in source.segments.enumerated() {
            var (segmentLoss, segmentCorrect) = (0.0, 0.0)
            // Long sequences would make a batch as large as training's take many times its memory.
            let batchSize = max(1, min(batchSize, Self.mostTokens / segment.sequenceLength))
            // As many batches as the device takes before anybody looks at what they came to.
            let atOnce = batchSize * arena.backend.stepsAhead
            for first in stride(from: 0, to: segment.examples, by: atOnce) {
                let count = min(atOnce, segment.examples - first)
                let data = try source.examples(index, first: first, count: count, on: arena.backend)
                let sums = try evaluate(data, batchSize: batchSize, name, step: step)
                segmentLoss = sums.reduce(segmentLoss) { $0 + $1.loss }
                segmentCorrect = sums.reduce(segmentCorrect) { $0 + $1.correct }
                try didEvaluate(data)
            }
            // Every example of a segment has as many labels as any other.
            let perExample = Double(segment.kvPairs)
            loss += segmentLoss / perExample
            accuracy += segmentCorrect / perExample
            examples += segment.examples
            let labels = perExample * Double(segment.examples)
            slices.append(
                Evaluation.Slice(
                    segment: segment, loss: segmentLoss / labels,
                    accuracy: segmentCorrect / perExample / Double(segment.examples)))
        }
        return Evaluation(
            loss: loss / Double(examples), accuracy: accuracy / Double(examples), examples: examples,
            slices: slices)
    }

    /// The logits at the labelled positions of some examples, in the labels' order, a piece at a time.
    ///
    /// - Parameters:
    ///   - mostAtOnce: numbers of a piece, unless one example has more.
    ///   - take: called with each piece: (positions, V).
    /// - Throws: `RunError`, and what `take` threw.
    public func logits(
        _ data: ExamplesOnDevice, mostAtOnce: Int = mostLogits, take: ([Float]) throws -> Void
    ) throws {
        let numbersOfAnExample = data.pairs * model.vocabulary
        let count = max(1, mostAtOnce / max(numbersOfAnExample, 1))
        for first in stride(from: 0, to: data.count, by: count) {
            let examples = Int32(first)..<Int32(min(first + count, data.count))
            let batch = HostBatch(data, examples: examples)
            let tape = Tape(arena: arena, isTraining: false, stop: stop)
            let logits = model.logits(tape.input(batch), tape)
            let numbers: [Float]
            do { numbers = try tape.read(logits) } catch { throw RunError(error, step: 0) }
            try take(numbers)
        }
    }

    /// The sums of losses and of right answers over each batch's labelled positions.
    private func evaluate(
        _ data: ExamplesOnDevice, batchSize: Int, _ name: String, step: Int
    ) throws -> [(loss: Double, correct: Double)] {
        let backend = arena.backend
        let order = try ArrayOnDevice(Array(0..<Int32(data.count)), backend: backend)
        let firsts = Array(stride(from: 0, to: data.count, by: batchSize))
        let none = [Double](repeating: .nan, count: firsts.count)
        let losses = try ArrayOnDevice(none, backend: backend)
        let correct = try ArrayOnDevice(none, backend: backend)
        for (slot, first) in firsts.enumerated() {
            let batch = BatchOnDevice(
                data, count: min(batchSize, data.count - first), order: order, first: first)
            try queue(batch, slot: slot, losses: losses, correct: correct, step: step)
        }
        let slots = firsts.indices
        return try zip(losses.read(slots), correct.read(slots)).enumerated().map { slot, sums in
            guard sums.0.isFinite else {
                let end = min(firsts[slot] + batchSize, data.count)
                throw diagnose(
                    HostBatch(data, examples: Int32(firsts[slot])..<Int32(end)), name, step: step)
            }
            return (sums.0, sums.1)
        }
    }

    private func queue(
        _ batch: BatchOnDevice, slot: Int, losses: ArrayOnDevice<Double>, correct: ArrayOnDevice<Double>,
        step: Int
    ) throws(RunError) {
        let nothing = AdamWStep(learningRate: 0, weightDecay: 0, step: 1)
        let scalars = batch.scalars(nothing, slot: slot, losses: losses, correct: correct)
        try batch.queue("evaluate", scalars, arena: arena, stop: stop, step: step) {
            let tape = Tape(arena: arena, isTraining: false, stop: stop)
            let (input, labels) = tape.batch(batch.shape)
            let head = model.loss(input, labels: labels, tape)
            _ = tape.recordLoss(head.losses)
            tape.recordCorrect(head.correct)
            try tape.check()
        }
    }

    /// A batch's loss, for `diagnose`.
    private func loss(of batch: HostBatch, step: Int) throws(RunError) -> Double {
        let tape = Tape(arena: arena, isTraining: false, stop: stop, isDiagnosing: true)
        let head = model.loss(tape.input(batch), labels: tape.integers(batch.labels), tape)
        return try tape.sum(head.losses, step: step)
    }

    /// Evaluates a batch that gave NaN or infinity once more, to name the first tensor that did.
    private func diagnose(_ batch: HostBatch, _ name: String, step: Int) -> RunError {
        if let parameter = model.store.firstNotFinite() {
            return .notFinite(step: step, tensor: "parameter \(parameter)")
        }
        do {
            _ = try loss(of: batch, step: step)
            return .notFinite(step: step, tensor: "\(name) loss")
        } catch RunError.notFinite(let step, let tensor) {
            return .notFinite(step: step, tensor: "\(tensor), in \(name)")
        } catch { return error }
    }
}

extension Tape {
    /// A batch on the device.
    func input(_ batch: HostBatch) -> ModelInput {
        ModelInput(
            batch: batch.batch, tokens: integers(batch.tokens), labelledRows: integers(batch.labelledRows))
    }

    /// The sum of a tensor's numbers.
    ///
    /// - Parameter step: for an error.
    func sum(_ tensor: Tensor, step: Int) throws(RunError) -> Double {
        let numbers: [Float]
        do { numbers = try read(tensor) } catch { throw RunError(error, step: step) }
        var sum = 0.0
        for number in numbers { sum += Double(number) }
        return sum
    }
}
