import RecallData
import RecallExamples
import RecallKernels
import RecallModels
import RecallTensor

/// An array in the device's memory.
final class ArrayOnDevice<Element: BitwiseCopyable> {
    let address: UnsafeMutablePointer<Element>
    private let count: Int
    private let bytes: Int
    private let backend: any Backend

    /// Elements that hold anything.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    init(count: Int, backend: any Backend) throws {
        (self.count, self.backend) = (count, backend)
        bytes = max(1, count) * MemoryLayout<Element>.stride
        address = try backend.allocate(bytes: bytes).bindMemory(to: Element.self, capacity: max(1, count))
    }

    /// - Throws: `BackendError`.
    convenience init(_ elements: [Element], backend: any Backend) throws {
        try self.init(count: elements.count, backend: backend)
        elements.withUnsafeBytes { source in
            guard let source = source.baseAddress, !elements.isEmpty else { return }
            backend.copyFromHost(source, address, bytes: elements.count * MemoryLayout<Element>.stride)
        }
        try backend.check()
    }

    deinit { backend.release(address, bytes: bytes) }

    /// Some of the elements.
    ///
    /// - Parameter mark: what they hold when everything before it is done; without one, before now.
    /// - Throws: `RunError`, where the device failed at what was queued.
    func read(_ range: Range<Int>, after mark: Int? = nil) throws(RunError) -> [Element] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let source = address + range.lowerBound
        let elements = [Element](unsafeUninitializedCapacity: range.count) { buffer, initialised in
            let bytes = range.count * MemoryLayout<Element>.stride
            switch (buffer.baseAddress, mark) {
            case (let target?, let mark?): backend.copyToHost(source, target, bytes: bytes, after: mark)
            case (let target?, nil): backend.copyToHost(source, target, bytes: bytes)
            case (nil, _): break
            }
            initialised = range.count
        }
        if let failure = backend.failure { throw RunError(failure) }
        return elements
    }
}

/// Examples of one segment in the device's memory.
public final class ExamplesOnDevice {
    /// N.
    public let count: Int
    /// L.
    let length: Int
    /// Labelled positions of an example.
    let pairs: Int
    /// (N, L)
    let tokens: ArrayOnDevice<Int32>
    /// (N, pairs)
    let positions: ArrayOnDevice<Int32>
    /// (N, pairs)
    let labels: ArrayOnDevice<Int32>

    /// Copies what the host has.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    public init(_ data: SegmentData, backend: any Backend) throws {
        (count, length, pairs) = (data.count, data.segment.sequenceLength, data.segment.kvPairs)
        tokens = try ArrayOnDevice(data.tokens, backend: backend)
        positions = try ArrayOnDevice(data.labelPositions, backend: backend)
        labels = try ArrayOnDevice(data.labels, backend: backend)
    }

    /// Makes examples `first ..< first + count` of a segment where they are to lie.
    ///
    /// - Parameter stop: polled meanwhile.
    /// - Throws: `BackendError`, `RunError.stopped`.
    init(_ recipe: ExampleRecipe, first: Int, count: Int, backend: any Backend, stop: StopRequest?) throws {
        (self.count, length, pairs) = (count, recipe.length, recipe.pairs)
        tokens = try ArrayOnDevice(count: count * recipe.length, backend: backend)
        positions = try ArrayOnDevice(count: count * recipe.pairs, backend: backend)
        labels = try ArrayOnDevice(count: count * recipe.pairs, backend: backend)
        let isCancelled: @Sendable () -> Bool = { stop?.isRaised ?? false }
        backend.cancellable(by: isCancelled) {
            backend.makeExamples(
                recipe,
                first: first,
                count: count,
                tokens: tokens.address,
                positions: positions.address,
                labels: labels.address
            )
        }
        if stop?.isRaised ?? false { throw RunError.stopped }
        try backend.check()
    }
}

/// A batch of examples in the device's memory, and where what it comes to is written.
struct BatchOnDevice {
    private let examples: ExamplesOnDevice
    private let order: ArrayOnDevice<Int32>
    let shape: BatchShape
    /// Where the batch begins in the order.
    private let first: Int

    /// - Parameters:
    ///   - count: sequences: the examples order[first ..< first + count].
    init(_ examples: ExamplesOnDevice, count: Int, order: ArrayOnDevice<Int32>, first: Int) {
        (self.examples, self.order, self.first) = (examples, order, first)
        shape = BatchShape(batch: count, length: examples.length, pairs: examples.pairs)
    }

    /// What a step on the batch is told.
    ///
    /// - Parameters:
    ///   - slot: of `losses` and `correct`.
    func scalars(
        _ update: AdamWStep,
        slot: Int,
        losses: ArrayOnDevice<Double>,
        correct: ArrayOnDevice<Double>
    ) -> StepScalars {
        StepScalars(
            update: update,
            tokens: Integers(examples.tokens.address),
            positions: Integers(examples.positions.address),
            labels: Integers(examples.labels.address),
            order: Integers(order.address + first),
            loss: losses.address + slot,
            correct: correct.address + slot
        )
    }

    /// Queues a step on the batch.
    ///
    /// - Parameters:
    ///   - kind: of the step: "train", "evaluate".
    ///   - arena: that the step works in.
    ///   - body: what it does: nothing that the kind, the arena and the batch's shape leave open.
    /// - Throws: `RunError`, also for a request to stop.
    func queue(
        _ kind: String,
        _ scalars: StepScalars,
        arena: Arena,
        stop: StopRequest?,
        step: Int,
        _ body: () throws -> Void
    ) throws(RunError) {
        if stop?.isRaised ?? false { throw .stopped }
        let key = StepKey(owner: arena.number, kind: kind, shape)
        do { try arena.backend.step(key, scalars, body) } catch let error as TapeError {
            throw RunError(error, step: step)
        } catch { preconditionFailure("a step threw \(error)") }
        if let failure = arena.backend.failure { throw RunError(failure) }
    }
}

extension Tape {
    /// The batch of the step at hand.
    func batch(_ shape: BatchShape) -> (ModelInput, labels: IntegerTensor) {
        let (tokens, rows, labels): (IntegerTensor, IntegerTensor, IntegerTensor) = batch(shape)
        return (ModelInput(batch: shape.batch, tokens: tokens, labelledRows: rows), labels)
    }
}

extension HostBatch {
    /// Examples that are on the device, after everything queued before.
    ///
    /// - Throws: `RunError`, where the device failed at what was queued.
    init(_ data: ExamplesOnDevice, examples: some Collection<Int32>) throws(RunError) {
        var (tokens, rows, labels): ([Int32], [Int32], [Int32]) = ([], [], [])
        for (row, example) in examples.map(Int.init).enumerated() {
            tokens += try data.tokens.read(example * data.length..<(example + 1) * data.length)
            let pairs = example * data.pairs..<(example + 1) * data.pairs
            rows += try data.positions.read(pairs).map { Int32(row * data.length) + $0 }
            labels += try data.labels.read(pairs)
        }
        self.init(tokens: tokens, labelledRows: rows, labels: labels, batch: examples.count)
    }
}
