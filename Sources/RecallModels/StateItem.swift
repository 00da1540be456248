import RecallTensor

/// One part of what a model carries from token to token.
public struct StateItem: Hashable, Sendable {
    /// The layer's index.
    public let layer: Int
    /// The layer's mixer.
    public let mixer: String
    /// What the mixer calls the part: "keys".
    public let name: String
    public let kind: StateKind
    /// Bytes that one sequence carries of it, Float32.
    public let bytes: Int
}

extension LanguageModel {
    /// What `measureStateBytes` counts, part by part: the layers are stepped to `length` and their parts looked at. The
    /// parts' bytes sum to that count.
    ///
    /// - Throws: `TapeError` where memory does not do.
    public func measureStateItems(length: Int, arena: Arena) throws(TapeError) -> [StateItem] {
        try statesAfter(length, arena: arena).enumerated().flatMap { layer, state in
            state.parts.map { part in
                StateItem(
                    layer: layer, mixer: config.layers[layer].mixer, name: part.name, kind: part.kind,
                    bytes: part.rows * part.width * MemoryLayout<Float>.stride)
            }
        }
    }
}
