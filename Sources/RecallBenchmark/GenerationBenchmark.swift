import Foundation
import RecallInput
import RecallKernels
import RecallModels
import RecallRandom
import RecallTensor

/// A batch of prompts that are read and then written on.
public struct GenerationShape: Hashable, Sendable {
    /// Sequences.
    public var batch: Int
    /// Tokens of each prompt.
    public var context: Int

    public init(batch: Int, context: Int) {
        (self.batch, self.context) = (batch, context)
    }
}

/// How long a model takes to read prompts and to write the tokens after them.
public struct GenerationTimes: Sendable {
    /// Seconds of reading the whole batch of prompts, of each repeat.
    public let prefill: [Double]
    /// Seconds of writing one token of every sequence, of each repeat.
    public let decode: [Double]
    /// Bytes that one sequence carries after its prompt, Float32.
    public let stateBytes: Int
    /// What the two cannot do without.
    public let prefillWork: Work
    public let decodeWork: Work
}

/// Why a shape is not timed.
public enum GenerationError: Error, Equatable, Sendable {
    /// States and activations would take more bytes than the machine has to give.
    case noRoom(needed: Int, available: Int)
}

/// One model that generates, with everything that it needs from shape to shape.
public final class GenerationBenchmark {
    private let model: LanguageModel
    private let arena: Arena
    private let vocabulary: Int
    private let threads: Int
    /// What repeats of one kind take together at least.
    private static let seconds = 0.2
    /// Fewer repeats are no measurement.
    private static let leastTokens = 3

    /// - Parameters:
    ///   - config: resolved.
    ///   - longestContext: of the shapes to come.
    /// - Throws: `BackendError.outOfMemory`.
    public init(_ config: ModelConfig, vocabulary: Int, longestContext: Int, threads: Int) throws {
        let backend = CPUBackend(threads: threads)
        model = try Self.model(
            config,
            vocabulary: vocabulary,
            longestContext: longestContext,
            backend,
            seed: 0
        )
        arena = try Arena(backend: backend)
        (self.vocabulary, self.threads) = (vocabulary, threads)
    }

    /// Bytes of such a model's parameters, without making it.
    ///
    /// - Throws: `BackendError.outOfMemory` for a model beyond all bounds.
    public static func modelBytes(
        _ config: ModelConfig,
        vocabulary: Int,
        longestContext: Int
    ) throws -> Int {
        try model(
            config,
            vocabulary: vocabulary,
            longestContext: longestContext,
            CPUBackend(takesMemory: false),
            seed: nil
        ).store.bytes
    }

    private static func model(
        _ config: ModelConfig,
        vocabulary: Int,
        longestContext: Int,
        _ backend: CPUBackend,
        seed: UInt64?
    ) throws -> LanguageModel {
        try LanguageModel(
            config,
            vocabulary: vocabulary,
            maximumLength: longestContext + mostTokensInARow + 1,
            backend: backend,
            seed: seed
        )
    }

    /// Times both at one shape. Tokens are random ones: none is sampled.
    ///
    /// - Parameters:
    ///   - tokens: the most that are timed; fewer where they take long, but three.
    ///   - available: bytes of memory there are; nil to ask the system.
    /// - Throws: `GenerationError.noRoom`, `TapeError`.
    public func run(_ shape: GenerationShape, tokens: Int, available: Int? = nil) throws -> GenerationTimes {
        precondition(shape.batch >= 1 && shape.context >= 1 && tokens >= 1)
        try requireRoom(shape, available: available ?? AvailableMemory.bytes)
        let (states, prefill) = try self.prefill(shape)
        let decode = try self.decode(states, shape, tokens: tokens)
        return GenerationTimes(
            prefill: prefill.seconds,
            decode: decode.seconds,
            stateBytes: states.reduce(0) { $0 + $1.bytesPerSequence },
            prefillWork: prefill.work,
            decodeWork: decode.work
        )
    }

    // MARK: - Reading

    /// Reads the prompts as often as fits the time. The first time counts only where it fills it alone: else it finds out
    /// what memory is needed and counts the work.
    private func prefill(_ shape: GenerationShape) throws -> (
        states: [MixerState], timing: (seconds: [Double], work: Work)
    ) {
        let prompts = randomTokens(shape.batch * shape.context)
        let capacity = shape.context + Self.tokensInARow(after: shape.context) + 1
        func read(counting: Bool) throws -> (states: [MixerState], seconds: Double, work: Work) {
            var states = model.makeStates(batch: shape.batch, capacity: capacity)
            let profile = counting ? StepProfile() : nil
            let tape = Tape(arena: arena, isTraining: false, profile: profile)
            let seconds =
                ContinuousClock().measure {
                    _ = model.prefill(prompts, &states, tape, tokensAtOnce: tokensAtOnce(shape))
                } / .seconds(1)
            try tape.check()
            return (states, seconds, profile?.work ?? Work())
        }
        let first = try read(counting: true)
        guard first.seconds < Self.seconds else {
            return (first.states, ([first.seconds], first.work))
        }
        var seconds: [Double] = []
        repeat { seconds.append(try read(counting: false).seconds) } while seconds.reduce(0, +) < Self.seconds
        return (first.states, (seconds, first.work))
    }

    /// A sequence for each thread at least: over sequences they share the work.
    private func tokensAtOnce(_ shape: GenerationShape) -> Int {
        threads * max(LanguageModel.prefillTokens, shape.context)
    }

    // MARK: - Writing

    /// Tokens written in a row before the prompt is gone back to: few beside the context, so that it is what it is called.
    private static func tokensInARow(after context: Int) -> Int {
        min(max(leastTokens, context / 8), mostTokensInARow)
    }
    private static let mostTokensInARow = 64

    private func decode(_ start: [MixerState], _ shape: GenerationShape, tokens: Int) throws -> (
        seconds: [Double], work: Work
    ) {
        let inputs = randomTokens(shape.batch)
        func step(_ states: inout [MixerState], counting: Bool = false) throws -> Work {
            let profile = counting ? StepProfile() : nil
            let tape = Tape(arena: arena, isTraining: false, profile: profile)
            _ = model.step(inputs, &states, tape)
            try tape.check()
            return profile?.work ?? Work()
        }
        var seconds: [Double] = []
        var work: Work?
        let clock = ContinuousClock()
        let end = clock.now + .seconds(Self.seconds)
        func isEnough() -> Bool {
            seconds.count >= tokens || (seconds.count >= Self.leastTokens && clock.now >= end)
        }
        repeat {
            // The first token of a row is not timed: the states are copied when it changes them.
            var states = start
            let counted = try step(&states, counting: work == nil)
            work = work ?? counted
            for _ in 0..<Self.tokensInARow(after: shape.context) where !isEnough() {
                let before = clock.now
                _ = try step(&states)
                seconds.append((clock.now - before) / .seconds(1))
            }
        } while !isEnough()
        return (seconds, work ?? Work())
    }

    private func randomTokens(_ count: Int) -> [Int32] {
        var stream = RandomStream(seed: 0, purpose: .test)
        return (0..<count).map { _ in Int32(stream.below(UInt32(vocabulary))) }
    }

    // MARK: - Memory

    /// Refuses a shape that would not fit: its states twice, for the prompt's are kept while tokens are written, its
    /// prompts, and some rows of the model's width for each token that is read at once.
    private func requireRoom(_ shape: GenerationShape, available: Int) throws {
        let (batch, context) = (Double(shape.batch), Double(shape.context))
        let capacity = shape.context + Self.tokensInARow(after: shape.context) + 1
        let state = model.stateBytes(capacity: capacity)
        let atOnce = min(batch * context, Double(tokensAtOnce(shape)))
        let needed =
            2 * batch * Double(state) + 4 * batch * context + 4 * 16 * atOnce * Double(model.config.dModel)
        guard needed <= 0.9 * Double(available) else {
            throw GenerationError.noRoom(needed: Int(clamping: needed), available: available)
        }
    }
}
