import RecallInput
import RecallKernels
import RecallTensor

extension NormChoice {
    /// The kernels' name of it.
    fileprivate var kind: NormKind {
        switch self {
        case .layer: .layer
        case .rms: .rms
        }
    }
}

/// The residual stream between blocks: what has been added so far, and the last branch, which the next norm adds.
struct Stream {
    var residual: Tensor
    var branch: Tensor?
}

/// One layer: norm, mixer and, in a transformer block, norm and state mixer (docs/math/backbone.md, section 2).
final class Block {
    let mixer: any Mixer
    private let mixerNorm: Norm
    private let stateNorm: Norm?
    private let stateMixer: StateMixer?
    private let residualDropout: Double
    /// Dropout sites of this layer: the mixer's own come first.
    private let dropoutSites: (mixed: Int, state: Int)

    /// Dropout sites that each layer may use.
    static let dropoutSitesPerLayer = 8

    init(_ config: ModelConfig, layer: Int, maximumLength: Int) {
        let site = 1 + layer * Self.dropoutSitesPerLayer
        func context(_ path: String) -> MixerContext {
            MixerContext(
                dModel: config.dModel,
                layers: config.layers.count,
                maximumLength: maximumLength,
                block: config.block,
                initialisation: config.initialisation,
                path: path,
                firstDropoutSite: site
            )
        }
        let path = "layers.\(layer)"
        let layerConfig = config.layers[layer]
        guard let description = MixerRegistry.description(of: layerConfig.mixer) else {
            preconditionFailure("the configuration was not resolved: \(layerConfig.mixer)")
        }
        mixer = description.make(layerConfig, context("\(path).mixer"))
        let kind: NormKind = config.block == .mamba ? .rms : config.norm.kind
        mixerNorm = context(path).norm("norm1", kind: kind, epsilon: config.normEpsilon)
        stateMixer =
            config.block == .transformer ? StateMixer(config.stateMixer, context("\(path).state_mixer")) : nil
        stateNorm = stateMixer.map { _ in context(path).norm("norm2", kind: kind, epsilon: config.normEpsilon) }
        residualDropout = config.residualDropout
        dropoutSites = (site + Self.dropoutSitesPerLayer - 2, site + Self.dropoutSitesPerLayer - 1)
    }

    var parameters: [Parameter] {
        mixerNorm.parameters + mixer.parameters + (stateNorm?.parameters ?? []) + (stateMixer?.parameters ?? [])
    }

    /// The mixer's half, over whole sequences.
    ///
    /// - Parameters:
    ///   - rows: where only these rows of what comes out are wanted; nil for all.
    ///   - mix: the mixer's `mix` or `prefill`.
    func mix(
        _ stream: Stream,
        rows: IntegerTensor?,
        _ tape: Tape,
        _ mix: (_ x: Tensor) -> Tensor
    ) -> Stream {
        let (sum, y) = tape.addNorm(stream.residual, stream.branch, mixerNorm)
        let mixed = mix(y)
        guard let rows else { return Stream(residual: sum, branch: branch(mixer.project(mixed, tape), tape)) }
        // What works on each token by itself is done for those alone.
        return Stream(
            residual: tape.gatherRows(sum, rows: rows),
            branch: branch(mixer.project(tape.gatherRows(mixed, rows: rows), tape), tape)
        )
    }

    /// The mixer's half, one token of decoding.
    func step(_ stream: Stream, _ state: inout MixerState, _ tape: Tape) -> Stream {
        let (sum, y) = tape.addNorm(stream.residual, stream.branch, mixerNorm)
        return Stream(residual: sum, branch: branch(mixer.step(y, &state, tape), tape))
    }

    private func branch(_ mixed: Tensor, _ tape: Tape) -> Tensor {
        tape.dropout(mixed, probability: residualDropout, site: dropoutSites.mixed)
    }

    /// The state mixer's half, a token at a time: it may be given some tokens only.
    func transform(_ stream: Stream, _ tape: Tape) -> Stream {
        guard let stateMixer, let stateNorm else { return stream }
        let (sum, y) = tape.addNorm(stream.residual, stream.branch, stateNorm)
        return Stream(
            residual: sum,
            branch: tape.dropout(
                stateMixer.forward(y, tape),
                probability: residualDropout,
                site: dropoutSites.state
            )
        )
    }
}

/// A batch on the device, as the model takes it.
public struct ModelInput {
    /// Sequences.
    public let batch: Int
    /// (B, L) token ids.
    public let tokens: IntegerTensor
    /// Labelled positions as rows of the flattened (B·L, D), ascending and distinct.
    public let labelledRows: IntegerTensor

    public init(batch: Int, tokens: IntegerTensor, labelledRows: IntegerTensor) {
        (self.batch, self.tokens, self.labelledRows) = (batch, tokens, labelledRows)
    }
}

/// Embedding, blocks, final norm and the tied head.
public final class LanguageModel {
    public let config: ModelConfig
    public let store: ParameterStore
    private let table: Parameter
    private let positions: Parameter?
    private let blocks: [Block]
    private let finalNorm: Norm

    /// - Parameters:
    ///   - config: resolved (`ModelConfig.resolved`).
    ///   - vocabulary: V.
    ///   - maximumLength: the longest sequence of the task: fixes learned positions and implicit filters.
    ///   - seed: nil for a model that is only measured, or whose parameters a checkpoint brings: they hold anything.
    /// - Throws: `BackendError.outOfMemory`.
    public init(
        _ config: ModelConfig,
        vocabulary: Int,
        maximumLength: Int,
        backend: any Backend,
        seed: UInt64?
    ) throws {
        self.config = config
        let width = config.dModel
        table = Parameter(
            "embedding.weight",
            shape: [vocabulary, width],
            initialiser: .normal(deviation: 0.02),
            isExemptFromDecay: false
        )
        positions =
            config.positions == .learned
            ? Parameter(
                "positions.weight",
                shape: [maximumLength, width],
                initialiser: .normal(deviation: 0.02),
                isExemptFromDecay: false
            ) : nil
        blocks = config.layers.indices.map { Block(config, layer: $0, maximumLength: maximumLength) }
        // After Mamba blocks too, whose own norms are RMSNorm (docs/math/backbone.md, section 2).
        finalNorm = Norm(
            kind: config.norm.kind,
            gain: Parameter("norm.weight", shape: [width], initialiser: .constant(1), isExemptFromDecay: true),
            bias: config.norm == .layer
                ? Parameter("norm.bias", shape: [width], initialiser: .constant(0), isExemptFromDecay: true)
                : nil,
            epsilon: config.normEpsilon
        )
        store = try ParameterStore(
            [table] + (positions.map { [$0] } ?? []) + blocks.flatMap(\.parameters) + finalNorm.parameters,
            backend: backend,
            seed: seed
        )
    }

    /// V.
    public var vocabulary: Int { table.shape[0] }

    /// Trained numbers; the table, which is also the head, counts once.
    public var parameterCount: Int { store.parameters.map(\.count).saturatingSum() }

    /// The loss at labelled positions and, in training, everything that its backward needs.
    ///
    /// Once tokens have met for the last time only labelled ones go on: the rest of the model, the last mixer's own
    /// projection first, works on one token at a time, so nothing else can change the loss.
    ///
    /// - Parameter labels: the tokens expected at the labelled rows.
    public func loss(_ input: ModelInput, labels: IntegerTensor, _ tape: Tape) -> HeadOutput {
        let hidden = hidden(input, tape) { [blocks] in blocks[$0].mixer.mix($1, tape) }
        return tape.headLoss(hidden, table: table, labels: labels)
    }

    /// Logits at the labelled rows: (rows, V).
    public func logits(_ input: ModelInput, _ tape: Tape) -> Tensor {
        let hidden = hidden(input, tape) { [blocks] in blocks[$0].mixer.mix($1, tape) }
        return tape.logits(hidden, table: table)
    }

    /// The final norm's output at the labelled rows: (rows, D).
    ///
    /// - Parameter mix: a layer's mixer over whole sequences, up to where it projects.
    private func hidden(
        _ input: ModelInput,
        _ tape: Tape,
        _ mix: (_ layer: Int, _ x: Tensor) -> Tensor
    ) -> Tensor {
        var stream = embed(input.tokens, batch: input.batch, firstPosition: 0, tape)
        for (index, block) in blocks.enumerated() {
            let isLast = index == blocks.count - 1
            stream = block.mix(stream, rows: isLast ? input.labelledRows : nil, tape) { mix(index, $0) }
            stream = block.transform(stream, tape)
        }
        return tape.addNorm(stream.residual, stream.branch, finalNorm).y
    }

    private func embed(_ tokens: IntegerTensor, batch: Int, firstPosition: Int, _ tape: Tape) -> Stream {
        Stream(
            residual: tape.embedding(
                tokens,
                batch: batch,
                table: table,
                positions: positions,
                firstPosition: firstPosition,
                dropoutProbability: config.embedDropout,
                dropoutSite: 0
            ),
            branch: nil
        )
    }
}

// MARK: - Decoding

extension LanguageModel {
    /// The state of every layer before the first token.
    public func makeStates(batch: Int, capacity: Int) -> [MixerState] {
        blocks.map { $0.mixer.makeState(batch: batch, capacity: capacity) }
    }

    /// The arrays of each layer's state.
    func stateLayouts(capacity: Int) -> [[StateLayout]] {
        blocks.map { $0.mixer.stateLayouts(capacity: capacity) }
    }

    /// Bytes that one sequence's states take in memory where they have room for `capacity` tokens, without making them.
    public func stateBytes(capacity: Int) -> Int {
        stateLayouts(capacity: capacity).joined().map(\.allocatedBytes).saturatingSum()
    }

    /// The tokens that go through the layers at once in `prefill`, where sequences are shorter: enough for every kernel's
    /// full speed, few enough for their activations to stay in a cache.
    public static let prefillTokens = 4096

    /// A batch of prompts through the parallel forward: logits (batch, V) after each prompt's last token, and the states
    /// as stepping through the prompts would have left them.
    ///
    /// Some sequences at a time go through the layers, so that their activations never exist all at once.
    ///
    /// - Parameters:
    ///   - tokens: (batch, L), L at most the states' capacity.
    ///   - states: fresh from `makeStates`.
    ///   - tape: not in training.
    public func prefill(
        _ tokens: [Int32],
        _ states: inout [MixerState],
        _ tape: Tape,
        tokensAtOnce: Int = prefillTokens
    ) -> Tensor {
        let batch = states.first?.batch ?? 0
        let length = tokens.count / max(batch, 1)
        precondition(length >= 1 && tokens.count == batch * length && states.allSatisfy { $0.position == 0 })
        let slice = max(1, tokensAtOnce / length)
        // There before the slices, so that each of them finds the same memory free.
        let last = tape.tensor([batch, config.dModel])
        for first in stride(from: 0, to: batch, by: slice) {
            let sequences = first..<min(first + slice, batch)
            let input = ModelInput(
                batch: sequences.count,
                tokens: tape.integers(
                    Array(tokens[sequences.lowerBound * length..<sequences.upperBound * length])
                ),
                labelledRows: tape.integers((1...sequences.count).map { Int32($0 * length - 1) })
            )
            let hidden = hidden(input, tape) { layer, x in
                blocks[layer].mixer.prefill(x, sequences, &states[layer], tape)
            }
            tape.copyRows(hidden, into: last, from: first)
        }
        for index in states.indices { states[index].advance(by: length) }
        return tape.logits(last, table: table)
    }

    /// One token a sequence: logits (batch, V), the states moved on.
    ///
    /// - Parameters:
    ///   - tokens: (batch).
    ///   - tape: not in training.
    public func step(_ tokens: [Int32], _ states: inout [MixerState], _ tape: Tape) -> Tensor {
        let batch = tokens.count
        var stream = embed(
            tape.integers(tokens),
            batch: batch,
            firstPosition: states.first?.position ?? 0,
            tape
        )
        for (index, block) in blocks.enumerated() {
            stream = block.step(stream, &states[index], tape)
            stream = block.transform(stream, tape)
        }
        return tape.logits(tape.addNorm(stream.residual, stream.branch, finalNorm).y, table: table)
    }

    /// Bytes that one sequence carries after `length` tokens, Float32, measured: the state is stepped that far,
    /// serialised, and its bytes counted.
    ///
    /// - Throws: `TapeError` where memory does not do.
    public func measureStateBytes(length: Int, arena: Arena) throws(TapeError) -> Int {
        try statesAfter(length, arena: arena).reduce(0) { $0 + $1.serialised().count }
    }

    /// The state of every layer of one sequence after `length` tokens, each layer stepped by itself.
    func statesAfter(_ length: Int, arena: Arena) throws(TapeError) -> [MixerState] {
        var states = makeStates(batch: 1, capacity: length)
        for index in blocks.indices {
            for _ in 0..<length {
                let tape = Tape(arena: arena, isTraining: false)
                let x = tape.tensor([1, 1, config.dModel], Array(repeating: 0, count: config.dModel))
                _ = blocks[index].mixer.step(x, &states[index], tape)
                try tape.check()
            }
        }
        return states
    }

    /// Bytes that the published harness's formula gives at a length, or nil where a mixer has none.
    public func zoologyStateBytes(length: Int) -> Int? {
        var total = 0
        for block in blocks {
            guard let size = block.mixer.zoologyStateSize(length: length) else { return nil }
            total = total.plus(size.times(MemoryLayout<Float>.stride))
        }
        return total
    }
}
