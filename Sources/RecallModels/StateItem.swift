import RecallTensor

/// What one layer of a model carries from token to token of one kind of memory.
public struct StateItem: Hashable, Codable, Sendable {
    /// The layer's index.
    public let layer: Int
    /// The layer's mixer, by the registry's name.
    public let mixer: String
    public let kind: StateKind
    /// Bytes that one sequence carries of it, Float32.
    public let bytes: Int

    public init(layer: Int, mixer: String, kind: StateKind, bytes: Int) {
        (self.layer, self.mixer, self.kind, self.bytes) = (layer, mixer, kind, bytes)
    }
}

extension LanguageModel {
    /// What `measureStateBytes` counts, by layer and kind: the layers are stepped to `length`, their states serialised
    /// part by part, and the bytes counted. They sum to that count.
    ///
    /// - Returns: in the order of the layers, and in each of the kinds (`StateKind.allCases`); a kind that a layer has
    ///   but needs no byte of, as a window of one token, is there with 0.
    /// - Throws: `TapeError` where memory does not do.
    public func measureStateItems(length: Int, arena: Arena) throws(TapeError) -> [StateItem] {
        let states = try statesAfter(length, arena: arena)
        return states.enumerated().flatMap { layer, state in
            StateKind.allCases.compactMap { kind in
                let parts = state.parts.filter { $0.kind == kind }
                guard !parts.isEmpty else { return nil }
                return StateItem(
                    layer: layer, mixer: config.layers[layer].mixer, kind: kind,
                    bytes: parts.reduce(0) { $0 + $1.serialised(batch: state.batch).count })
            }
        }
    }
}
