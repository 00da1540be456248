import Foundation
import RecallModels
import RecallSuite

/// The tradeoff as a table for people.
public struct TradeoffTable: Sendable {
    public let tradeoff: Tradeoff

    public init(_ tradeoff: Tradeoff) { self.tradeoff = tradeoff }

    /// What the control has to say, the table, and its footnotes; ends in a newline.
    ///
    /// - Parameter width: columns of the terminal.
    public func render(width: Int = 100) -> String {
        var lines = tradeoff.verdict.heading.map { [$0, ""] } ?? []
        let rows = tradeoff.rows
        guard !rows.isEmpty else {
            return (lines + ["no run of \(tradeoff.suite.name) is finished yet"]).joined(separator: "\n") + "\n"
        }
        var table = self.table(rows, withConstants: true)
        var footnotes: [String] = []
        if table.naturalWidth > width {
            // What is the same in every row gives its room to the knobs.
            table = self.table(rows, withConstants: false)
            let constants = [
                Self.constant(rows, \.spec.model.dModel).map { "d_model \($0)" },
                Self.constant(rows, \.seeds).map { $0 == 1 ? "1 seed" : "\($0) seeds" },
            ].compactMap(\.self)
            if !constants.isEmpty { footnotes.append("every row: " + constants.joined(separator: ", ")) }
        }
        footnotes.append("◆ on the frontier: nothing with as little state is more accurate")
        if rows.contains(where: { $0.standing == .possible }) {
            footnotes.append(
                "◇ perhaps on it: the 95 % interval over seeds overlaps that of a row with as little state")
        }
        if rows.contains(where: \.isGuessAmongSequence) {
            footnotes.append(
                "° no better than a guess among the sequence's own values: nothing is recalled")
        }
        if rows.contains(where: \.learningRateAtEdge) {
            footnotes.append("* at the edge of the learning rates tried: the best may lie beyond")
        }
        lines += table.lines(width: width) + [""] + footnotes
        return lines.joined(separator: "\n") + "\n"
    }

    private func table(_ rows: [TradeoffRow], withConstants: Bool) -> TextTable {
        var table = TextTable([
            .init("task", shrinks: true), .init("model", shrinks: true), .init("knobs", shrinks: true),
            .init("d_model", .right), .init("state", .right), .init("params", .right), .init("lr", .right),
            .init("seeds", .right), .init("accuracy", .right), .init("95 %", .right), .init("outcome"),
            .init(""),
        ])
        let severalTasks = Self.constant(rows, taskLabel) == nil
        let hidesWidth = !withConstants && Self.constant(rows, \.spec.model.dModel) != nil
        let hidesSeeds = !withConstants && Self.constant(rows, \.seeds) != nil
        let flagged = rows.contains(where: \.learningRateAtEdge)
        let knobs = ConfigDifferences(rows)
        for row in rows {
            let accuracy = row.testAccuracy
            table.add([
                severalTasks ? taskLabel(row) : "", row.model, knobs.text(of: row),
                hidesWidth ? "" : "\(row.spec.model.dModel)", Format.bytes(row.facts.stateBytes),
                Format.compactCount(row.facts.parameters),
                Format.learningRate(row.learningRate) + (row.learningRateAtEdge ? "*" : flagged ? " " : ""),
                hidesSeeds ? "" : "\(row.seeds)", Format.accuracy(accuracy.mean),
                accuracy.interval.map(Format.range) ?? "",
                row.outcome.rawValue + (row.isGuessAmongSequence ? "°" : ""), Self.mark(row.standing),
            ])
        }
        return table
    }

    private static func mark(_ standing: Standing) -> String {
        switch standing {
        case .on: "◆"
        case .possible: "◇"
        case .off: ""
        }
    }

    /// The value that all rows share; nil where they differ.
    private static func constant<Value: Equatable>(
        _ rows: [TradeoffRow], _ value: (TradeoffRow) -> Value
    ) -> Value? {
        guard let first = rows.first.map(value) else { return nil }
        return rows.allSatisfy { value($0) == first } ? first : nil
    }

    private func taskLabel(_ row: TradeoffRow) -> String {
        let lengths = row.spec.task.test.map { "\($0.sequenceLength)/\($0.kvPairs)" }
        return "\(row.task) V=\(row.spec.task.vocabSize) L/pairs=" + lengths.joined(separator: ",")
    }
}

/// The settings in which rows of one model differ, by the names that a suite gives them.
struct ConfigDifferences {
    private let settings: [String: Set<String>]

    init(_ rows: [TradeoffRow]) {
        settings = Dictionary(grouping: rows, by: \.model).mapValues { rows in
            let flat = rows.map { Self.flatten($0.spec) }
            let keys = Set(flat.flatMap(\.keys))
            return keys.filter { key in Set(flat.map { $0[key] }).count > 1 }
        }
    }

    /// "feature_dim=8 window=16"; empty where the model's rows differ in nothing but the width.
    func text(of row: TradeoffRow) -> String {
        let flat = Self.flatten(row.spec)
        let differing = (settings[row.model] ?? []).filter { flat[$0] != nil }
        // A knob that every layer that has it shares is said once, without the layer.
        var said: [String: [(key: String, value: String)]] = [:]
        for key in differing { said[Self.shortName(key), default: []].append((key, flat[key] ?? "")) }
        return said.sorted { $0.key < $1.key }.flatMap { name, settings in
            Set(settings.map(\.value)).count == 1
                ? ["\(name)=\(settings[0].value)"]
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
