import Foundation
import RecallKernels
import RecallModels
import RecallSuite
import Testing

/// The tables of docs/interchange.md against the models, so that neither has what the other lacks.
struct ParameterTableTests {
    /// A row: a parameter here, with the layer written N.
    private struct Row {
        let section: String
        let name: String
        /// "(H·f, D)"
        let shape: String
        let published: String
        let difference: String
    }

    private static let document: String = {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        do {
            return try String(contentsOf: package.appending(path: "docs/interchange.md"), encoding: .utf8)
        } catch {
            preconditionFailure("docs/interchange.md cannot be read: \(error)")
        }
    }()

    private static let rows: [Row] = {
        var section = ""
        var rows: [Row] = []
        for line in document.split(separator: "\n") {
            if line.hasPrefix("#") { section = line.drop { $0 == "#" || $0 == " " }.description }
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 4, cells[0].hasPrefix("`"), cells[1].hasPrefix("(") else { continue }
            rows.append(
                Row(
                    section: section,
                    name: cells[0].trimmingCharacters(in: ["`"]),
                    shape: cells[1],
                    published: cells[2],
                    difference: cells[3]
                )
            )
        }
        return rows
    }()

    /// A model and what the letters of its shapes stand for.
    private struct Model {
        let label: String
        let config: ModelConfig

        static let vocabulary = 30
        static let longest = 26

        func parameters() throws -> [(name: String, shape: [Int])] {
            let model = try LanguageModel(
                config,
                vocabulary: Self.vocabulary,
                maximumLength: Self.longest,
                backend: CPUBackend(),
                seed: 1
            )
            return model.store.parameters.map { ($0.name, $0.shape) }
        }

        /// The sections that describe a parameter.
        func sections(_ name: String) -> Set<String> {
            let parts = name.split(separator: ".")
            guard parts[0] == "layers", let layer = Int(parts[1]) else { return ["Every model"] }
            switch parts[2] {
            case "mixer": return [config.layers[layer].mixer]
            case "state_mixer": return ["state_mixer: \(config.stateMixer.rawValue)"]
            default: return ["block: \(config.block.rawValue)"]
            }
        }

        func letters(_ name: String) -> [String: Int] {
            let width = config.dModel
            var letters = [
                "V": Self.vocabulary, "D": width, "L": Self.longest, "R": (width + 15) / 16,
                "G": (8 * width / 3 + 255) / 256 * 256,
            ]
            let parts = name.split(separator: ".")
            guard parts[0] == "layers", let layer = Int(parts[1]) else { return letters }
            for (knob, letter) in [
                ("heads", "H"), ("feature_dim", "f"), ("kernel_size", "K"), ("state_size", "N"),
            ] {
                if case .integer(let value)? = config.layers[layer].knobs[knob] { letters[letter] = value }
            }
            if case .integer(let expand)? = config.layers[layer].knobs["expand"] {
                letters["I"] = expand * width
            }
            return letters
        }
    }

    /// Every mixer with its defaults and with each word and flag that its knobs take, in every block, norm, state mixer
    /// and with positions; and every preset.
    private static let models: [Model] = {
        var models: [Model] = []
        let width = 20
        for mixer in MixerRegistry.mixers {
            var layers = [LayerConfig(mixer: mixer.name)]
            for knob in mixer.knobs {
                switch knob.kind {
                case .flag: layers.append(LayerConfig(mixer: mixer.name, knobs: [knob.name: .flag(true)]))
                case .choice(let words), .integerOrChoice(_, let words):
                    layers += words.map { LayerConfig(mixer: mixer.name, knobs: [knob.name: .text($0)]) }
                case .integer, .number: break
                }
            }
            for layer in layers {
                for norm in NormChoice.allCases {
                    models.append(
                        Model(
                            label: "\(layer), \(norm)",
                            config: ModelConfig(
                                dModel: width,
                                layers: [layer, layer],
                                block: .mamba,
                                norm: norm
                            )
                        )
                    )
                }
                for (index, state) in StateMixerKind.allCases.enumerated() {
                    models.append(
                        Model(
                            label: "\(layer), \(state)",
                            config: ModelConfig(
                                dModel: width,
                                layers: [layer, layer],
                                stateMixer: state,
                                positions: index % 2 == 0 ? .none : .learned,
                                norm: NormChoice.allCases[index % 2]
                            )
                        )
                    )
                }
            }
        }
        for preset in ModelPresets.presets {
            guard let config = try? preset.config(dModel: width) else {
                preconditionFailure("\(preset.name) refuses its defaults")
            }
            models.append(Model(label: preset.name, config: config))
        }
        return models.map { model in
            guard let resolved = try? model.config.resolved() else {
                preconditionFailure("\(model.label) does not resolve")
            }
            return Model(label: model.label, config: resolved)
        }
    }()

    private static func generic(_ name: String) -> String {
        name.split(separator: ".").map { Int($0) == nil ? String($0) : "N" }.joined(separator: ".")
    }

    /// The sizes of "(R + 2·N, I)"; nil for what is not understood.
    private static func sizes(_ shape: String, _ letters: [String: Int]) -> [Int]? {
        let axes = shape.trimmingCharacters(in: ["(", ")"]).split(separator: ",").map { axis -> Int? in
            let terms = axis.split(separator: "+").map { term -> Int? in
                term.split(separator: "·").reduce(1 as Int?) { product, factor in
                    let factor = factor.trimmingCharacters(in: .whitespaces)
                    guard let product, let size = Int(factor) ?? letters[factor] else { return nil }
                    return product * size
                }
            }
            return terms.reduce(0 as Int?) { sum, term in sum.flatMap { sum in term.map { sum + $0 } } }
        }
        return axes.contains(nil) ? nil : axes.compactMap { $0 }
    }

    @Test func everyParameterHasARowWithItsShape() throws {
        #expect(Self.models.count > 60)
        for model in Self.models {
            for (name, shape) in try model.parameters() {
                let row = Self.rows.first {
                    $0.name == Self.generic(name) && model.sections(name).contains($0.section)
                }
                guard let row else {
                    Issue.record(
                        "docs/interchange.md has no row for \(name) under \(model.sections(name)), of \(model.label)"
                    )
                    continue
                }
                #expect(
                    Self.sizes(row.shape, model.letters(name)) == shape,
                    "\(row.section), \(row.name): the table says \(row.shape), \(model.label) has \(shape)"
                )
            }
        }
    }

    @Test func everyRowIsAParameters() throws {
        var known: Set<[String]> = []
        for model in Self.models {
            for (name, _) in try model.parameters() {
                for section in model.sections(name) { known.insert([section, Self.generic(name)]) }
            }
        }
        for row in Self.rows {
            #expect(known.contains([row.section, row.name]), "no model has the \(row.name) of \(row.section)")
            #expect(row.published.contains("`") && !row.difference.isEmpty, "\(row.name)")
        }
        #expect(Set(Self.rows.map { [$0.section, $0.name] }).count == Self.rows.count)
    }

    @Test func everyPresetIsNamed() {
        let presets = Self.document.components(separatedBy: "### Presets").last ?? ""
        for preset in ModelPresets.presets {
            #expect(presets.contains("`\(preset.name)`"), "\(preset.name)")
        }
    }

    /// The specification that is shown is one.
    @Test func theSpecificationIsARuns() throws {
        let json = try #require(
            Self.document.components(separatedBy: "```json\n").dropFirst().first?.components(separatedBy: "```")
                .first
        )
        let spec = try JSONDecoder().decode(RunSpec.self, from: Data(json.utf8))
        try spec.task.validate()
        #expect(try spec.model.resolved() == spec.model)
    }
}
