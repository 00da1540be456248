import ArgumentParser
import Foundation
import RecallModels
import RecallSuite

/// What `models --config` takes: knobs to turn, or a whole model as the `config` column of the tables has it.
enum ConfigArgument {
    case knobs([String: KnobValue])
    /// Resolved.
    case model(ModelConfig)

    /// - Throws: `ValidationError` that says what is wrong with it.
    init(_ text: String) throws {
        let text = text.trimmingCharacters(in: .whitespaces)
        self = text.hasPrefix("{") ? .model(try Self.model(text)) : .knobs(try Self.knobs(text))
    }

    // MARK: JSON

    /// The column of an earlier version: the model beside what was the run's, where a suite had several tasks or trainings.
    private struct FormerColumn: Decodable {
        let model: ModelConfig
        static let keys: Set = ["model", "task", "training"]
    }

    private static func model(_ json: String) throws -> ModelConfig {
        let data = Data(json.utf8)
        do {
            // A misspelt key is refused here; the decoder would pass over it.
            let given = try JSONDecoder().decode([String: AnyKeyed].self, from: data).keys
            if given.contains("model"), FormerColumn.keys.isSuperset(of: given) {
                return try JSONDecoder().decode(FormerColumn.self, from: data).model.resolved()
            }
            if let unknown = given.sorted().first(where: { !known.contains($0) }) {
                let hint =
                    nearest(unknown, in: known).map { "did you mean '\($0)'?" }
                    ?? "it has \(known.joined(separator: ", "))"
                throw ValidationError("--config: a model has no key '\(unknown)'; \(hint)")
            }
            return try JSONDecoder().decode(ModelConfig.self, from: data).resolved()
        } catch let error as DecodingError {
            throw ValidationError("--config: \(words(for: error))")
        } catch let error as ConfigurationError {
            throw ValidationError("--config: \(error.message)")
        }
    }

    /// A value of any kind, looked at by its key alone.
    private struct AnyKeyed: Decodable { init(from decoder: any Decoder) {} }

    /// The keys of a model, those among them that are left out at their default.
    private static let known: [String] = {
        let whole = ModelConfig(dModel: 1, layers: [], norm: .rms)
        guard let object = try? JSONSerialization.jsonObject(with: Data(RunSpec.json(whole).utf8)),
            let keys = (object as? [String: Any])?.keys
        else { preconditionFailure("a model's configuration is no JSON object") }
        return keys.sorted()
    }()

    private static func words(for error: DecodingError) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "the JSON lacks '\(place(context.codingPath + [key]))'; "
                + "give what the column config of an exported table has, whole"
        case .typeMismatch(_, let context) where context.codingPath.isEmpty,
            .dataCorrupted(let context) where context.codingPath.isEmpty:
            return "it is not the JSON of a model"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return "'\(place(context.codingPath))' of the JSON is not what a model takes there"
        @unknown default: return "it is not the JSON of a model"
        }
    }

    // MARK: KNOB=VALUE

    private static func knobs(_ text: String) throws -> [String: KnobValue] {
        var knobs: [String: KnobValue] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let halves = part.split(separator: "=", maxSplits: 1).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard halves.count == 2, !halves[0].isEmpty, !halves[1].isEmpty else {
                throw ValidationError("--config: '\(part)' is not KNOB=VALUE")
            }
            guard knobs.updateValue(value(halves[1]), forKey: halves[0]) == nil else {
                throw ValidationError("--config: \(halves[0]) is there twice")
            }
        }
        return knobs
    }

    private static func value(_ text: String) -> KnobValue {
        if let integer = Int(text) { return .integer(integer) }
        if let number = Double(text), number.isFinite { return .number(number) }
        return text == "true" || text == "false" ? .flag(text == "true") : .text(text)
    }
}
