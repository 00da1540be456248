import RecallInput
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
    /// The same items as `measureStateItems` for any size, from the layout of the arrays that decoding carries: nothing is
    /// stepped and no state is made.
    public func stateItems(length: Int) -> [StateItem] {
        items(stateLayouts(capacity: length)) {
            $0.kind
        } bytes: {
            $0.bytes(after: length)
        }
    }

    /// Whether `measureStateItems` takes a second or two and some hundred megabytes at most.
    public func isQuicklyMeasured(length: Int) -> Bool {
        let steps = length.times(config.layers.count)
        let multiplications = parameterCount.times(length).plus(
            stateItems(length: length).map(\.bytes).saturatingSum().times(length)
        )
        return steps <= 1 << 16 && parameterCount <= 1 << 24 && multiplications <= 1 << 32
    }

    /// What `measureStateBytes` counts, by layer and kind: the layers are stepped to `length`, their states serialised
    /// part by part, and the bytes counted. They sum to that count.
    ///
    /// - Returns: in the order of the layers, and in each of the kinds (`StateKind.allCases`); a kind that a layer has
    ///   but needs no byte of, as a window of one token, is there with 0.
    /// - Throws: `TapeError` where memory does not do.
    public func measureStateItems(length: Int, arena: Arena) throws(TapeError) -> [StateItem] {
        items(try statesAfter(length, arena: arena).map(\.parts)) {
            $0.kind
        } bytes: {
            $0.serialised(batch: 1).count
        }
    }

    /// - Parameter layers: the parts of each layer's state.
    private func items<Part>(
        _ layers: [[Part]],
        kind: (Part) -> StateKind,
        bytes: (Part) -> Int
    ) -> [StateItem] {
        layers.enumerated().flatMap { layer, parts in
            StateKind.allCases.compactMap { wanted in
                let alike = parts.filter { kind($0) == wanted }
                guard !alike.isEmpty else { return nil }
                return StateItem(
                    layer: layer,
                    mixer: config.layers[layer].mixer,
                    kind: wanted,
                    bytes: alike.map(bytes).saturatingSum()
                )
            }
        }
    }
}
