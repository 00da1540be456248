import ArgumentParser
import Foundation
import RecallInput
import RecallModels
import RecallReport
import RecallSuite

struct ModelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "The mixers and models there are, or one in full.",
        discussion: """
            Mixers are layers of a model; an alias is a mixer with some knobs fixed; a preset is a paper's whole stack of \
            layers. Without a name, a line each. With one, its paper, its knobs, and the state that one sequence \
            carries: measured, by layer and kind, beside what the published harness's formula gives; of a large model \
            counted without being made, and refused where the model would not fit in memory. --config turns \
            knobs, or takes the JSON of the tables' config column: then that model is shown, under any name or none. \
            embed_dropout, where a suite does not state it, is \(Setting.embedDropoutDefaults).

            EXAMPLES
              recall-bench models
              recall-bench models mamba
              recall-bench models based --length 256 --d-model 128 --config feature_dim=8
              recall-bench models --length 64 --config '{"block":"transformer","d_model":64,…}'
            """
    )

    @Argument(help: "The mixer, alias or preset to show in full.")
    var name: String?

    @Option(help: "Tokens after which the state is measured.")
    var length = 64

    @Option(
        name: .customLong("d-model"),
        help: "The width to measure at. Default: 64; JSON has its own."
    )
    var dModel: Int?

    @Option(
        help: ArgumentHelp(
            "Knobs to measure with instead of the defaults, or a model's whole JSON.",
            valueName: "knob=value,…|json"
        )
    )
    var config: String?

    /// The state is stepped there token by token.
    private static let lengths = 1...16_384
    private static let widths = 1...16_384

    private var width: Int { dModel ?? 64 }

    func validate() throws {
        guard Self.lengths.contains(length) else {
            throw ValidationError("--length must be from 1 to \(Self.lengths.upperBound), not \(length)")
        }
        guard case .model(let model) = try configArgument() else {
            return try Self.requireWidth(width, "--d-model")
        }
        guard dModel == nil else {
            throw ValidationError(
                "--d-model does not go with a JSON --config, whose d_model is \(model.dModel)"
            )
        }
        try Self.requireWidth(model.dModel, "--config: d_model")
    }

    private static func requireWidth(_ width: Int, _ what: String) throws {
        guard widths.contains(width) else {
            throw ValidationError("\(what) must be from 1 to \(widths.upperBound), not \(width)")
        }
    }

    func run() throws {
        if case .model(let model) = try configArgument() {
            Output.write(try show(model))
            return
        }
        guard let name else {
            guard config == nil else { throw Failure(.usage, "--config needs the name of a model") }
            Output.write(Listing.columns(Self.list()))
            return
        }
        let (mixer, preset) = (MixerRegistry.description(of: name), ModelPresets.preset(name))
        guard mixer != nil || preset != nil else {
            let names = Self.list().map { $0[0] }
            let hint =
                nearest(name, in: names).map { "did you mean '\($0)'?" }
                ?? "there are \(Set(names).sorted().joined(separator: ", "))"
            throw Failure(.usage, "there is no model '\(name)'; \(hint)")
        }
        // All is measured before anything is printed: a refusal leaves no half page.
        var lines: [String] = []
        if let mixer { lines += try describe(mixer, as: name, besides: preset) }
        if let preset { lines += (lines.isEmpty ? [] : [""]) + (try describe(preset, besides: mixer)) }
        lines += ["", "settings of every model"] + Listing.lines(Setting.ofModels.map(\.line))
        Output.write(lines)
    }

    private static func list() -> [[String]] {
        MixerRegistry.mixers.map { [$0.name, "mixer", $0.summary] }
            + MixerRegistry.aliases.sorted { $0.key < $1.key }.map {
                [$0.key, "alias", Self.meaning(of: $0.value)]
            }
            + ModelPresets.presets.map { [$0.name, "preset", $0.summary] }
    }

    private static func meaning(of alias: LayerConfig) -> String {
        "\(alias.mixer) with " + alias.settings.map { "\($0.name): \($0.text)" }.joined(separator: ", ")
    }

    // MARK: One in full

    private func describe(
        _ mixer: MixerDescription,
        as name: String,
        besides preset: ModelPreset?
    ) throws -> [String] {
        let fixed = MixerRegistry.aliases[name]
        let knobs = mixer.knobs.filter { fixed?.knobs[$0.name] == nil }
        var head = [(name: "what", text: mixer.summary), (name: "paper", text: mixer.paper)]
        if let note = mixer.note { head.append(("note", note)) }
        if let fixed { head.insert(("alias of", Self.meaning(of: fixed)), at: 0) }
        var lines = ["\(name), a mixer"] + Listing.lines(head) + describe(knobs, stateKnob: mixer.stateKnob)
        if try applies(to: knobs, or: preset?.knobs, name: name) {
            let layer = LayerConfig(mixer: name, knobs: try self.knobs())
            lines += try measure(ModelConfig(dModel: width, layers: [layer]).resolved(), what: "one layer")
        }
        return lines
    }

    private func describe(_ preset: ModelPreset, besides mixer: MixerDescription?) throws -> [String] {
        var lines = ["\(preset.name), a preset"]
        var head = [(name: "what", text: preset.summary), (name: "paper", text: preset.paper)]
        let own = Self.modelKeys(preset)
        if !own.isEmpty { head.append(("sets", own.joined(separator: ", "))) }
        lines += Listing.lines(head)
        lines += describe(preset.knobs, stateKnob: preset.stateKnob)
        if try applies(to: preset.knobs, or: mixer?.knobs, name: preset.name) {
            lines += try measure(
                try preset.config(dModel: width, try knobs()).resolved(),
                what: "the whole stack"
            )
        }
        return lines
    }

    /// The keys of a model that a preset sets, as a suite would.
    private static func modelKeys(_ preset: ModelPreset) -> [String] {
        (preset.block == .transformer
            ? []
            : [
                "block: \(preset.block.rawValue)",
                "embed_dropout: \(preset.block.defaultEmbedDropout) unless a suite states another",
            ])
            + (preset.stateMixer.map { ["state_mixer: \($0.rawValue)"] } ?? [])
            + (preset.norm.map { ["norm: \($0.rawValue)"] } ?? [])
    }

    private func describe(_ knobs: [Knob], stateKnob: String?) -> [String] {
        guard !knobs.isEmpty else { return ["  no knobs"] }
        return Listing.lines(knobs.map(Setting.init).map(\.line), indent: 4)
            + Listing.lines([("size of the state", stateKnob.map { "set by \($0)" } ?? "set by d_model alone")])
    }

    /// Whether `--config` is for these knobs: a name may be a mixer's and a preset's.
    private func applies(to knobs: [Knob], or others: [Knob]?, name: String) throws -> Bool {
        let given = try self.knobs().keys
        if given.allSatisfy({ key in knobs.contains { $0.name == key } }) { return true }
        if let others, given.allSatisfy({ key in others.contains { $0.name == key } }) { return false }
        let names = knobs.isEmpty ? others?.map(\.name) ?? [] : knobs.map(\.name)
        let unknown = given.sorted().first { !names.contains($0) } ?? given.sorted().joined(separator: ", ")
        let hint =
            nearest(unknown, in: names).map { "did you mean '\($0)'?" }
            ?? "it has \(names.isEmpty ? "none" : names.joined(separator: ", "))"
        throw Failure(.usage, "--config: \(name) has no knob '\(unknown)'; \(hint)")
    }

    /// A model that a suite made: its settings and its state.
    private func show(_ model: ModelConfig) throws -> [String] {
        [name ?? "the model of --config"] + Listing.lines(model.settings)
            + (try measure(model, what: "the whole stack"))
    }

    /// - Parameter model: resolved.
    /// - Throws: `Failure` (69) for a model that has no room in memory.
    private func measure(_ model: ModelConfig, what: String) throws -> [String] {
        let layout = try ModelMeasurement.layout(model, vocabulary: 2, maximumLength: length)
        let state = layout.stateBytes(capacity: length)
        try MemoryCheck.require(
            layout.store.bytes.plus(state),
            for: "\(name ?? "the model of --config") at d_model \(model.dModel), with a state of "
                + "\(ByteSize(bytes: state)) (\(state) bytes) a sequence,",
            advice: "give a smaller --d-model or another --config"
        )
        let facts = try ModelMeasurement().facts(model, maximumLength: length, testLength: length)
        let table = StateTable(facts.stateItems, published: facts.stateBytesZoology)
        return [
            "  state of \(what) after \(length) tokens at d_model \(model.dModel), a sequence, float32:"
        ]
            + table.lines(width: Output.width - 4).map { "    " + $0 }
            + Listing.lines(table.summary, indent: 4)
    }

    // MARK: --config

    private func configArgument() throws -> ConfigArgument {
        try config.map(ConfigArgument.init) ?? .knobs([:])
    }

    private func knobs() throws -> [String: KnobValue] {
        guard case .knobs(let knobs) = try configArgument() else { return [:] }
        return knobs
    }
}
