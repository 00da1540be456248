import RecallModels

/// How a model is stacked, whatever its width and its mixers' settings: what a suite's few words resolve to.
public struct ModelStack: Hashable, Sendable, CustomStringConvertible {
    public let block: BlockKind
    /// The mixers' names in the registry, the first layer first.
    public let layers: [String]
    public let stateMixer: StateMixerKind
    public let embedDropout: Double
    public let residualDropout: Double

    public init(_ config: ModelConfig) {
        (block, layers, stateMixer) = (config.block, config.layers.map(\.mixer), config.stateMixer)
        (embedDropout, residualDropout) = (config.embedDropout, config.residualDropout)
    }

    /// "base-conv, mamba × 2": layers that repeat are counted.
    public var layersText: String {
        var runs: [(mixer: String, count: Int)] = []
        for mixer in layers {
            if runs.last?.mixer == mixer {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((mixer, 1))
            }
        }
        return runs.map { $0.count == 1 ? $0.mixer : "\($0.mixer) × \($0.count)" }.joined(separator: ", ")
    }

    /// "base-conv, attention (block transformer, state_mixer none, embed_dropout 0.1, residual_dropout 0.0)".
    public var description: String {
        "\(layersText) (block \(block.rawValue), state_mixer \(stateMixer.rawValue), embed_dropout \(embedDropout), "
            + "residual_dropout \(residualDropout))"
    }
}
