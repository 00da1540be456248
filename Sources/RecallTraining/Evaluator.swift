import RecallData
import RecallKernels
import RecallModels
import RecallTensor

/// Examples to evaluate on, segment by segment.
public protocol ExampleSource {
    var segments: [Segment] { get }

    /// `count` examples of a segment from example `first` on.
    func examples(_ segment: Int, first: Int, count: Int) throws -> SegmentData
}

/// A split of a task, made as it is asked for.
public struct GeneratedExamples: ExampleSource {
    private let generator: MQARGenerator
    private let split: Split
    private let stop: StopRequest?

    /// - Parameter stop: polled while data are made.
    public init(_ generator: MQARGenerator, _ split: Split, stop: StopRequest? = nil) {
        (self.generator, self.split, self.stop) = (generator, split, stop)
    }

    public var segments: [Segment] { generator.task.segments(split) }

    public func examples(_ segment: Int, first: Int, count: Int) throws(RunError) -> SegmentData {
        let data = SegmentData.make(
            generator, split, segment, firstExample: first, examples: count,
            isCancelled: { [stop] in stop?.isRaised ?? false })
        guard let data else { throw RunError.stopped }
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
    ///   - didEvaluate: told of each batch, in order.
    /// - Throws: `RunError`, and what the source or `didEvaluate` threw.
    public func evaluate(
        _ source: some ExampleSource, name: String, step: Int,
        didEvaluate: (SegmentData) throws -> Void = { _ in }
    ) throws -> Evaluation {
        var (loss, accuracy, examples) = (0.0, 0.0, 0)
        var slices: [Evaluation.Slice] = []
        for (index, segment) in source.segments.enumerated() {
            var (segmentLoss, segmentCorrect) = (0.0, 0.0)
            // Long sequences would make a batch as large as training's take many times its memory.
            let batchSize = max(1, min(batchSize, Self.mostTokens / segment.sequenceLength))
            for first in stride(from: 0, to: segment.examples, by: batchSize) {
                let count = min(batchSize, segment.examples - first)
                let data = try source.examples(index, first: first, count: count)
                let batch = HostBatch(data, examples: Array(0..<Int32(count)))
                let sums = try evaluate(batch, step: step)
                guard sums.loss.isFinite else { throw diagnose(batch, name, step: step) }
                segmentLoss += sums.loss
                segmentCorrect += sums.correct
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
        _ data: SegmentData, mostAtOnce: Int = mostLogits, take: ([Float]) throws -> Void
    ) throws {
        let numbersOfAnExample = data.segment.kvPairs * model.vocabulary
        let count = max(1, mostAtOnce / max(numbersOfAnExample, 1))
        for first in stride(from: 0, to: data.count, by: count) {
            let examples = Int32(first)..<Int32(min(first + count, data.count))
            let batch = HostBatch(data, examples: Array(examples))
            let tape = Tape(arena: arena, isTraining: false, stop: stop)
            let logits = model.logits(tape.input(batch), tape)
            let numbers: [Float]
            do { numbers = try tape.read(logits) } catch { throw RunError(error, step: 0) }
            try take(numbers)
        }
    }

    /// The sums of losses and of right answers over a batch's labelled positions.
    private func evaluate(
        _ batch: HostBatch, step: Int, isDiagnosing: Bool = false
    ) throws(RunError) -> (loss: Double, correct: Double) {
        let tape = Tape(arena: arena, isTraining: false, stop: stop, isDiagnosing: isDiagnosing)
        let head = model.loss(tape.input(batch), labels: tape.integers(batch.labels), tape)
        return (try tape.sum(head.losses, step: step), try tape.sum(head.correct, step: step))
    }

    /// Evaluates a batch that gave NaN or infinity once more, to name the first tensor that did.
    private func diagnose(_ batch: HostBatch, _ name: String, step: Int) -> RunError {
        if let parameter = model.store.firstNotFinite() {
            return .notFinite(step: step, tensor: "parameter \(parameter)")
        }
        do {
            _ = try evaluate(batch, step: step, isDiagnosing: true)
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
