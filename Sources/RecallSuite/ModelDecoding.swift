import RecallModels

/// A layer as a grid point has it, with the places to blame.
private struct LayerDraft {
    var mixer: String
    var cursor: Cursor
    var knobs: [String: (value: KnobValue, cursor: Cursor)] = [:]

    var config: LayerConfig { LayerConfig(mixer: mixer, knobs: knobs.mapValues(\.value)) }
}

/// A point of a model's grid.
private struct ModelDraft {
    /// What `layers` names instead of a list.
    var preset: ModelPreset?
    var presetKnobs: [String: (value: KnobValue, cursor: Cursor)] = [:]
    var layers: [LayerDraft] = []
    var config: ModelConfig
    var widthCursor: Cursor
    var block: BlockKind?
    /// Where the document gives them.
    var stateMixerCursor: Cursor?
    var embedDropoutCursor: Cursor?
    var residualDropoutCursor: Cursor?
    var normCursor: Cursor?
}

/// A model of a suite on its way from the document to configurations.
struct ModelDecoding {
    static let keys = [
        "name", "d_model", "layers", "block", "state_mixer", "positions", "embed_dropout", "residual_dropout",
        "norm", "norm_epsilon", "init",
    ]
    static let widths = 1...16_384
    static let maximumLayers = 256

    let name: String
    let nameCursor: Cursor
    private let layersCursor: Cursor
    private let base: ModelDraft
    private let grid: Grid<ModelDraft>

    /// How many configurations there are; nil beyond Int.
    var count: Int? { grid.count }

    /// - Throws: `SuiteError` where the model is wrong; each key's errors are reported.
    init(_ cursor: Cursor) throws(SuiteError) {
        let before = cursor.reports
        let model = try cursor.mapping(keys: Self.keys)
        let name = model.required("name") { named throws(SuiteError) in (try named.name(), named) }
        let width = model.required("d_model") { $0 }
        let layers = model.required("layers") { $0 }
        var base = ModelDraft(config: ModelConfig(dModel: 1, layers: []), widthCursor: width ?? cursor)
        var grid = Grid<ModelDraft>()
        for (key, cursor) in model.entries {
            _ = cursor.attempt { () throws(SuiteError) in try Self.read(key, cursor, into: &base, &grid) }
        }
        guard let name, let layers, cursor.reports == before else { throw cursor.consequence }
        (self.name, nameCursor, layersCursor) = (name.0, name.1, layers)
        (self.base, self.grid) = (base, grid)
    }

    private static func read(
        _ key: String,
        _ cursor: Cursor,
        into base: inout ModelDraft,
        _ grid: inout Grid<ModelDraft>
    ) throws(SuiteError) {
        switch key {
        case "name": break
        case "layers": try LayersDecoding.read(cursor, into: &base, &grid)
        case "d_model":
            let widths = try cursor.grid { item throws(SuiteError) in try item.integer(in: Self.widths) }
            grid.add(
                widths.map { width in { ($0.config.dModel, $0.widthCursor) = (width.value, width.cursor) } }
            )
        case "block":
            let blocks = try cursor.grid { item throws(SuiteError) in try item.choice(BlockKind.self) }
            grid.add(blocks.map { block in { $0.block = block.value } })
        case "state_mixer":
            let mixers = try cursor.grid { item throws(SuiteError) in try item.choice(StateMixerKind.self) }
            grid.add(
                mixers.map { mixer in
                    { ($0.config.stateMixer, $0.stateMixerCursor) = (mixer.value, mixer.cursor) }
                }
            )
        case "positions":
            grid.add(cursor, \.config.positions) { item throws(SuiteError) in
                try item.choice(PositionKind.self)
            }
        case "embed_dropout":
            let rates = try cursor.grid { item throws(SuiteError) in try Self.dropout(item) }
            grid.add(
                rates.map { rate in
                    { ($0.config.embedDropout, $0.embedDropoutCursor) = (rate.value, rate.cursor) }
                }
            )
        case "residual_dropout":
            let rates = try cursor.grid { item throws(SuiteError) in try Self.dropout(item) }
            grid.add(
                rates.map { rate in
                    { ($0.config.residualDropout, $0.residualDropoutCursor) = (rate.value, rate.cursor) }
                }
            )
        case "norm":
            let norms = try cursor.grid { item throws(SuiteError) in try item.choice(NormChoice.self) }
            grid.add(norms.map { norm in { ($0.config.norm, $0.normCursor) = (norm.value, norm.cursor) } })
        case "norm_epsilon":
            grid.add(cursor, \.config.normEpsilon) { item throws(SuiteError) in
                try item.number("a number above 0 and at most 1") {
                    $0 > 0 && ModelConfig.normEpsilons.contains($0)
                }
            }
        case "init":
            grid.add(cursor, \.config.initialisation) { item throws(SuiteError) in
                try item.choice(InitialisationKind.self)
            }
        default: preconditionFailure("a key of a model that nothing reads: \(key)")
        }
    }

    private static func dropout(_ cursor: Cursor) throws(SuiteError) -> Double {
        try cursor.number("a number from 0 to below 1") { ModelConfig.dropouts.contains($0) }
    }

    /// Every point of the grid, canonical, the first key of the document outermost, each once.
    func configurations() throws(SuiteError) -> [ModelConfig] {
        var result: [ModelConfig] = []
        var seen: Set<ModelConfig> = []
        for draft in grid.points(from: base) {
            let config = try resolve(draft)
            if seen.insert(config).inserted { result.append(config) }
        }
        return result
    }

    /// The name that a model's mapping has, whatever else is wrong with it; nil where the name itself is. Nothing is reported.
    static func name(of item: Cursor) -> (name: String, cursor: Cursor)? {
        guard let cursor = item.entries()?.first(where: { $0.key == "name" })?.cursor,
            let name = try? cursor.name()
        else { return nil }
        return (name, cursor)
    }

    /// A word about `layers: [NAME]` where `layers: NAME` is a preset of another stack, and the line that it is in; nil
    /// where there is nothing to mistake. The model must be right.
    var note: (text: String, line: Int)? {
        guard let (cursor, preset) = LayersDecoding.namesake(layersCursor),
            let draft = grid.points(from: base).first, let given = try? resolve(draft)
        else { return nil }
        var other = draft
        (other.preset, other.layers) = (preset, [])
        // What else the model says may not go with the preset; then its own settings tell.
        let meant = (try? resolve(other)) ?? (try? preset.config(dModel: given.dModel).resolved())
        guard let meant, meant != given else { return nil }
        let text =
            "layers: [\(preset.name)] is one layer of the mixer: \(ModelStack(given)); layers: \(preset.name), without "
            + "brackets, is the preset: \(ModelStack(meant))"
        return (cursor.error(text).description, cursor.place.line)
    }

    private func resolve(_ draft: ModelDraft) throws(SuiteError) -> ModelConfig {
        var config = draft.config
        config.block = draft.block ?? draft.preset?.block ?? config.block
        if draft.embedDropoutCursor == nil { config.embedDropout = config.block.defaultEmbedDropout }
        // What the document does not say, a preset may.
        if draft.stateMixerCursor == nil { config.stateMixer = draft.preset?.stateMixer ?? config.stateMixer }
        if draft.normCursor == nil { config.norm = draft.preset?.norm ?? config.norm }
        if config.block == .mamba { try fitMambaBlock(draft, &config) }
        var layers = draft.layers
        if let preset = draft.preset {
            do {
                layers = try preset.layers(draft.presetKnobs.mapValues(\.value)).map {
                    LayerDraft(
                        mixer: $0.mixer,
                        cursor: layersCursor,
                        knobs: $0.knobs.reduce(into: [:]) { knobs, knob in
                            knobs[knob.key] = (knob.value, draft.presetKnobs[knob.key]?.cursor ?? layersCursor)
                        }
                    )
                }
            } catch {
                throw blame(error, draft.presetKnobs, layersCursor, draft)
            }
        }
        config.layers = []
        for layer in layers {
            do {
                config.layers.append(try MixerRegistry.resolve(layer.config, dModel: config.dModel))
            } catch {
                throw blame(error, layer.knobs, layer.cursor, draft)
            }
        }
        return config
    }

    /// A Mamba block has no state mixer and no residual dropout, so these keep one form: none and 0. Its norms are its own:
    /// a preset's do not reach it, and `norm` is the one at the end.
    private func fitMambaBlock(_ draft: ModelDraft, _ config: inout ModelConfig) throws(SuiteError) {
        if let cursor = draft.stateMixerCursor, config.stateMixer != .none {
            throw cursor.error("a mamba block has no state mixer; leave the key out or set block: transformer")
        }
        if let cursor = draft.residualDropoutCursor, config.residualDropout > 0 {
            throw cursor.error(
                "a mamba block has no residual dropout; leave the key out or set block: transformer"
            )
        }
        config.stateMixer = .none
        if draft.normCursor == nil { config.norm = .layer }
    }

    private func blame(
        _ error: ConfigurationError,
        _ knobs: [String: (value: KnobValue, cursor: Cursor)],
        _ layer: Cursor,
        _ draft: ModelDraft
    ) -> SuiteError {
        let cursor = knobs[error.key]?.cursor ?? (error.key == "d_model" ? draft.widthCursor : layer)
        return cursor.error(error.message)
    }
}

/// The forms of `layers`: a preset's name, {preset: NAME, knobs}, or a list of mixers.
private enum LayersDecoding {
    static var presetNames: [String] { ModelPresets.presets.map(\.name) }

    static func read(
        _ cursor: Cursor,
        into base: inout ModelDraft,
        _ grid: inout Grid<ModelDraft>
    ) throws(SuiteError) {
        if case .list = cursor.value.content {
            let items = try cursor.list(of: "mixers")
            if items.count > ModelDecoding.maximumLayers {
                throw cursor.error(
                    "has \(items.count) layers; at most \(ModelDecoding.maximumLayers) are taken"
                )
            }
            for (index, item) in items.enumerated() {
                base.layers.append(LayerDraft(mixer: "", cursor: item))
                _ = item.attempt { () throws(SuiteError) in try readLayer(item, index, into: &base, &grid) }
            }
        } else if let entries = cursor.entries() {
            guard let named = entries.first(where: { $0.key == "preset" })?.cursor else {
                throw cursor.error(
                    "must be a list of mixers, a preset's name, or {preset: NAME}; the key 'preset' is missing"
                )
            }
            let preset = try preset(named)
            base.preset = preset
            for (key, place, cursor) in entries where key != "preset" {
                let choices = cursor.attempt { () throws(SuiteError) in
                    try knob(key, place, cursor, owner: preset.name, knobs: preset.knobs)
                }
                if let choices { grid.add(choices.map { choice in { $0.presetKnobs[key] = choice } }) }
            }
        } else {
            base.preset = try preset(cursor)
        }
    }

    /// The one mixer of a list, by its name alone, that a preset is called by too.
    static func namesake(_ layers: Cursor) -> (cursor: Cursor, preset: ModelPreset)? {
        guard case .list = layers.value.content, let items = try? layers.list(of: "mixers"), items.count == 1,
            case .text(let name) = items[0].scalar, let preset = ModelPresets.preset(name)
        else { return nil }
        return (items[0], preset)
    }

    private static func preset(_ cursor: Cursor) throws(SuiteError) -> ModelPreset {
        let name = try cursor.text()
        if let preset = ModelPresets.preset(name) { return preset }
        if MixerRegistry.names.contains(name) {
            throw cursor.error("\(quoted(name)) is a mixer, not a preset; write it as a list, [\(name)]")
        }
        let near = suggestion(for: name, in: presetNames)
        throw cursor.error(
            "there is no preset \(quoted(name))" + (near.isEmpty ? "; there are \(listed(presetNames))" : near)
        )
    }

    private static func readLayer(
        _ cursor: Cursor,
        _ index: Int,
        into base: inout ModelDraft,
        _ grid: inout Grid<ModelDraft>
    ) throws(SuiteError) {
        guard let entries = cursor.entries() else {
            if case .list = cursor.value.content {
                throw cursor.error("must be a mixer's name or a mapping with 'mixer', not a list")
            }
            base.layers[index].mixer = try mixer(cursor).name
            return
        }
        guard let named = entries.first(where: { $0.key == "mixer" })?.cursor else {
            if entries.contains(where: { $0.key == "preset" }) {
                throw cursor.error(
                    "a preset stands for all layers: write layers: {preset: NAME}, without a list"
                )
            }
            let near = entries.first { nearest($0.key, in: ["mixer"]) != nil }
            throw cursor.error(
                "the key 'mixer' is missing" + (near.map { "; is \(quoted($0.key)) meant?" } ?? "")
            )
        }
        let (name, description) = try mixer(named)
        base.layers[index].mixer = name
        let fixed = MixerRegistry.aliases[name]?.knobs ?? [:]
        let knobs = description.knobs.filter { fixed[$0.name] == nil }
        for (key, place, cursor) in entries where key != "mixer" {
            let choices = cursor.attempt { () throws(SuiteError) in
                try knob(key, place, cursor, owner: name, knobs: knobs)
            }
            if let choices { grid.add(choices.map { choice in { $0.layers[index].knobs[key] = choice } }) }
        }
    }

    private static func mixer(_ cursor: Cursor) throws(SuiteError) -> (name: String, MixerDescription) {
        let name = try cursor.text()
        if let description = MixerRegistry.description(of: name) { return (name, description) }
        if ModelPresets.preset(name) != nil {
            throw cursor.error("\(quoted(name)) is a preset, a whole stack of layers; write layers: \(name)")
        }
        let near = suggestion(for: name, in: MixerRegistry.names)
        throw cursor.error(
            "there is no mixer \(quoted(name))"
                + (near.isEmpty ? "; there are \(listed(MixerRegistry.names))" : near)
        )
    }

    /// The values of one knob, as it keeps them.
    private static func knob(
        _ key: String,
        _ place: Place,
        _ cursor: Cursor,
        owner: String,
        knobs: [Knob]
    ) throws(SuiteError) -> [(value: KnobValue, cursor: Cursor)] {
        guard let knob = knobs.first(where: { $0.name == key }) else {
            let names = knobs.map(\.name)
            let near = suggestion(for: key, in: names)
            let known = names.isEmpty ? "; \(owner) has no knobs" : "; \(owner) has \(listed(names))"
            throw cursor.error("unknown key" + (near.isEmpty ? known : near), at: place)
        }
        return try cursor.grid { item throws(SuiteError) in
            let given: KnobValue? =
                switch item.scalar {
                case .integer(let value): .integer(value)
                case .number(let value): .number(value)
                case .flag(let value): .flag(value)
                case .text(let value): .text(value)
                case .hugeInteger, .ambiguousFlag, .nothing, nil: nil
                }
            if let accepted = given.flatMap(knob.accepts) { return accepted }
            var words: [String] = []
            switch knob.kind {
            case .choice(let choices), .integerOrChoice(_, let choices): words = choices
            case .integer, .number, .flag: break
            }
            var near = ""
            if case .text(let word) = given { near = suggestion(for: word, in: words) }
            throw item.error("must be \(knob.expectation), not \(item.shown)\(near)")
        }
    }
}
