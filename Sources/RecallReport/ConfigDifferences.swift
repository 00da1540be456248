import Foundation
import RecallModels
import RecallSuite

/// The settings in which rows of one model differ, by the names that a suite gives them.
struct ConfigDifferences {
    private let settings: [String: Set<String>]
    /// Settings whose values are words that say by themselves which setting they are of, with these words.
    private let words: [String: Set<String>]
    /// Whether such words stand without their setting.
    private var isShort = false

    init(_ rows: [TradeoffRow]) {
        var values: [String: Set<String>] = [:]
        settings = Dictionary(grouping: rows, by: \.model).mapValues { rows in
            let flat = rows.map { Self.flatten($0.spec) }
            let keys = Set(flat.flatMap(\.keys))
            let differing = keys.filter { key in Set(flat.map { $0[key] }).count > 1 }
            for key in differing {
                values[Self.shortName(key), default: []].formUnion(flat.compactMap { $0[key] })
            }
            return differing
        }
        let all = values.values.flatMap(\.self)
        words = values.filter { _, values in
            values.allSatisfy { value in
                value.first?.isLetter == true && !["true", "false", "none"].contains(value)
                    && all.count { $0 == value } == 1
            }
        }
    }

    /// What the short words mean; nil where there are none.
    var legend: String? {
        guard isShort, !words.isEmpty else { return nil }
        return "knobs: "
            + words.sorted { $0.key < $1.key }.map { "\($0) \($1.sorted().joined(separator: " or "))" }
            .joined(separator: ", ")
    }

    /// The table that `make` makes with these knobs, or with short ones where it is too wide, and those it was made with.
    func fitting(_ width: Int, _ make: (Self) -> TextTable) -> (TextTable, Self) {
        let table = make(self)
        guard table.naturalWidth > width, !words.isEmpty else { return (table, self) }
        var short = self
        short.isShort = true
        return (make(short), short)
    }

    /// "feature_dim=8 order=published", in short "feature_dim=8 published"; empty where the model's rows differ in nothing but the width.
    func text(of row: TradeoffRow) -> String {
        let flat = Self.flatten(row.spec)
        let differing = (settings[row.model] ?? []).filter { flat[$0] != nil }
        // A knob that every layer that has it shares is said once, without the layer.
        var said: [String: [(key: String, value: String)]] = [:]
        for key in differing { said[Self.shortName(key), default: []].append((key, flat[key] ?? "")) }
        return said.sorted { $0.key < $1.key }.flatMap { name, settings in
            Set(settings.map(\.value)).count == 1
                ? [isShort && words[name] != nil ? settings[0].value : "\(name)=\(settings[0].value)"]
                : settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        }.joined(separator: " ")
    }

    private static func shortName(_ key: String) -> String {
        key.split(separator: ".").last.map(String.init) ?? key
    }

    /// Every setting but the width, the learning rate, the seeds and the task: "layers.1.window": "16".
    private static func flatten(_ spec: RunSpec) -> [String: String] {
        var flat = ["layers": spec.model.layers.map(\.mixer).joined(separator: "+")]
        for (index, layer) in spec.model.layers.enumerated() {
            for (name, value) in layer.knobs { flat["layers.\(index).\(name)"] = value.description }
        }
        // Sections that encode to a flat object: their keys are the suite's.
        for (key, value) in fields(of: spec.model) where key != "d_model" && key != "layers" {
            flat[key] = value
        }
        for (key, value) in fields(of: spec.training) where key != "learning_rate" { flat[key] = value }
        return flat
    }

    private static func fields(of section: some Encodable) -> [String: String] {
        let json = Data(RunSpec.json(section).utf8)
        guard let object = try? JSONDecoder().decode([String: FlatValue].self, from: json) else { return [:] }
        return object.mapValues(\.text)
    }
}

/// A scalar of JSON as text; anything else as nothing.
private struct FlatValue: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
        text = (try? KnobValue(from: decoder))?.description ?? ""
    }
}
