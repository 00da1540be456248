import RecallData
import RecallInput
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
        _ segment: Int,
        first: Int,
        count: Int,
        on backend: any Backend
    ) throws -> ExamplesOnDevice {
        try ExamplesOnDevice(
            generator.recipe(split, segment),
            first: first,
            count: count,
            backend: backend,
            stop: stop
        )
    }
}

/// Examples that a device keeps once it was asked for them, if they are few.
final class KeptExamples: ExampleSource {
    private let source: any ExampleSource
    private let areFew: Bool
    private var kept: [Piece: ExamplesOnDevice] = [:]
    /// Bytes of tokens to keep of all segments together, and pieces of address space.
    private static let (mostBytes, mostPieces) = (64 << 20, 256)

    private struct Piece: Hashable {
        let segment, first, count: Int
    }

    init(_ source: some ExampleSource) {
        self.source = source
        areFew = source.segments.tokens.times(MemoryLayout<Int32>.stride) <= Self.mostBytes
    }

    var segments: [Segment] { source.segments }

    func examples(_ segment: Int, first: Int, count: Int, on backend: any Backend) throws -> ExamplesOnDevice {
        let piece = Piece(segment: segment, first: first, count: count)
        if let data = kept[piece] { return data }
        let data = try source.examples(segment, first: first, count: count, on: backend)
        if areFew, kept.count < Self.mostPieces { kept[piece] = data }
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
        _ source: some ExampleSource,
        name: String,
        step: Int,
        didEvaluate: (ExamplesOnDevice) throws -> Void = { _ in }
    ) throws -> Evaluation {
        let backend = arena.backend
        var pieces = Pieces(source.segments, batchSize: batchSize, backend)
        let results = try Results(pieces, backend)
        var underWay = StepsUnderWay(backend)
        var queued: [(piece: Piece, data: ExamplesOnDevice)] = []
        var sums = source.segments.map { SegmentSums($0) }
        var steps = 0
        while let piece = pieces.next() {
            let data = try source.examples(
                piece.segment,
                first: piece.first,
                count: piece.count,
                on: backend
            )
            for (slot, first) in zip(piece.slots, piece.firsts) {
                let batch = BatchOnDevice(
                    data,
                    count: min(piece.batchSize, piece.count - first),
                    order: results.order,
                    first: first
                )
                try queue(batch, slot: slot, results, step: step)
            }
            queued.append((piece, data))
            steps += piece.slots.count
            underWay.queued(steps, endsGroup: true)
            while let group = underWay.next(isLast: pieces.isAtEnd) {
                let (piece, data) = queued.removeFirst()
                let losses = try results.losses.read(piece.slots, after: group.mark)
                if let batch = losses.firstIndex(where: { !$0.isFinite }) {
                    throw diagnose(try piece.batch(batch, of: data), name, step: step)
                }
                sums[piece.segment].add(losses, try results.correct.read(piece.slots, after: group.mark))
                try didEvaluate(data)
            }
        }
        return Evaluation(sums)
    }

    /// The logits at the labelled positions of some examples, in the labels' order, a piece at a time.
    ///
    /// - Parameters:
    ///   - mostAtOnce: numbers of a piece, unless one example has more.
    ///   - take: called with each piece: (positions, V).
    /// - Throws: `RunError`, and what `take` threw.
    public func logits(
        _ data: ExamplesOnDevice,
        mostAtOnce: Int = mostLogits,
        take: ([Float]) throws -> Void
    ) throws {
        let numbersOfAnExample = data.pairs * model.vocabulary
        let count = max(1, mostAtOnce / max(numbersOfAnExample, 1))
        for first in stride(from: 0, to: data.count, by: count) {
            let examples = Int32(first)..<Int32(min(first + count, data.count))
            let batch = try HostBatch(data, examples: examples)
            let tape = Tape(arena: arena, isTraining: false, stop: stop)
            let logits = model.logits(tape.input(batch), tape)
            let numbers: [Float]
            do { numbers = try tape.read(logits) } catch { throw RunError(error, step: 0) }
            try take(numbers)
        }
    }

    /// Queues a batch, whose sums are in its slot when the device has done it.
    private func queue(_ batch: BatchOnDevice, slot: Int, _ results: Results, step: Int) throws(RunError) {
        let nothing = AdamWStep(learningRate: 0, weightDecay: 0, step: 1)
        let scalars = batch.scalars(nothing, slot: slot, losses: results.losses, correct: results.correct)
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

// MARK: - Pieces

extension Evaluator {
    /// Examples of a batch on sequences of a length: long ones would make a batch as large as training's take many times its
    /// memory.
    public static func batchSize(_ batchSize: Int, length: Int) -> Int {
        max(1, min(batchSize, mostTokens / max(1, length)))
    }

    /// Examples of a segment that are asked for together: as many batches as the device takes before anybody looks at
    /// another piece.
    private struct Piece {
        let segment: Int
        /// The first of the segment's examples.
        let first: Int
        let count: Int
        let batchSize: Int
        /// Where its batches, in order, leave what they come to.
        let slots: Range<Int>

        /// Where each batch begins in the piece.
        var firsts: StrideTo<Int> { stride(from: 0, to: count, by: batchSize) }

        func batch(_ index: Int, of data: ExamplesOnDevice) throws(RunError) -> HostBatch {
            let first = index * batchSize
            return try HostBatch(data, examples: Int32(first)..<Int32(min(first + batchSize, count)))
        }
    }

    /// The pieces of segments, one after another: there may be more than memory holds. Their slots are used again when a
    /// piece has been looked at.
    private struct Pieces: IteratorProtocol {
        private let segments: [Segment]
        private let batchSize: Int
        private let batchesOfAPiece: Int
        /// Pieces that may be under way at once, and one more.
        private let lanes: Int
        private var segment = 0
        private var first = 0
        private var number = 0

        init(_ segments: [Segment], batchSize: Int, _ backend: any Backend) {
            (self.segments, self.batchSize) = (segments, batchSize)
            batchesOfAPiece = StepsUnderWay.groupSize(backend)
            lanes = backend.stepsAhead + 1
        }

        var slots: Int { lanes * batchesOfAPiece }

        /// Examples of the largest piece.
        var mostExamples: Int { segments.map { min($0.examples, examplesOfAPiece($0)) }.max() ?? 0 }

        var isAtEnd: Bool { segment == segments.count }

        private func examplesOfAPiece(_ segment: Segment) -> Int {
            Evaluator.batchSize(batchSize, length: segment.sequenceLength) * batchesOfAPiece
        }

        mutating func next() -> Piece? {
            guard !isAtEnd else { return nil }
            let shape = segments[segment]
            let batch = Evaluator.batchSize(batchSize, length: shape.sequenceLength)
            let count = min(examplesOfAPiece(shape), shape.examples - first)
            let slot = number % lanes * batchesOfAPiece
            let piece = Piece(
                segment: segment,
                first: first,
                count: count,
                batchSize: batch,
                slots: slot..<slot + (count + batch - 1) / batch
            )
            number += 1
            first += count
            if first >= shape.examples { (segment, first) = (segment + 1, 0) }
            return piece
        }
    }

    /// Where batches leave what they come to, and the order of their examples, which is that of the data.
    private struct Results {
        let losses: ArrayOnDevice<Double>
        let correct: ArrayOnDevice<Double>
        let order: ArrayOnDevice<Int32>

        init(_ pieces: Pieces, _ backend: any Backend) throws {
            let none = [Double](repeating: .nan, count: pieces.slots)
            losses = try ArrayOnDevice(none, backend: backend)
            correct = try ArrayOnDevice(none, backend: backend)
            order = try ArrayOnDevice(Array(0..<Int32(pieces.mostExamples)), backend: backend)
        }
    }
}

/// Sums over a segment's labelled positions.
private struct SegmentSums {
    let segment: Segment
    var loss = 0.0
    var correct = 0.0

    init(_ segment: Segment) { self.segment = segment }

    /// Adds those of batches, in order.
    mutating func add(_ losses: [Double], _ corrects: [Double]) {
        loss = losses.reduce(loss, +)
        correct = corrects.reduce(correct, +)
    }
}

extension Evaluation {
    /// - Parameter sums: of all segments.
    fileprivate init(_ sums: [SegmentSums]) {
        (loss, accuracy, examples, slices) = (0, 0, 0, [])
        for sums in sums {
            // Every example of a segment has as many labels as any other.
            let perExample = Double(sums.segment.kvPairs)
            let segmentExamples = Double(sums.segment.examples)
            loss += sums.loss / perExample
            accuracy += sums.correct / perExample
            examples = examples.plus(sums.segment.examples)
            slices.append(
                Slice(
                    segment: sums.segment,
                    loss: sums.loss / (perExample * segmentExamples),
                    accuracy: sums.correct / perExample / segmentExamples
                )
            )
        }
        loss /= Double(examples)
        accuracy /= Double(examples)
    }
}

extension Tape {
    /// A batch on the device.
    func input(_ batch: HostBatch) -> ModelInput {
        ModelInput(
            batch: batch.batch,
            tokens: integers(batch.tokens),
            labelledRows: integers(batch.labelledRows)
        )
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
