import Foundation
import RecallSuite

/// What a row was run with, as its tables have it.
extension TradeoffRow {
    /// The model's compact JSON.
    public var config: String { RunSpec.json(spec.model) }

    /// The task's compact JSON but its seed of the data: the row's runs may have several.
    public var taskConfig: String { JSONTree.text(of: spec.task, without: "data_seed") }

    /// The training's compact JSON without its learning rate: the row has the best of several.
    public var training: String { JSONTree.text(of: spec.training, without: "learning_rate") }

    var setting: TradeoffSetting {
        TradeoffSetting(task: TaskSetting(name: task, config: taskConfig), training: training)
    }
}

/// JSON of any shape, kept as it reads.
private indirect enum JSONTree: Codable {
    case null
    case flag(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case list([JSONTree])
    case object([String: JSONTree])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .flag(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// A part of a specification without one of its keys.
    static func text(of part: some Encodable, without key: String) -> String {
        let json = Data(RunSpec.json(part).utf8)
        guard var object = try? JSONDecoder().decode([String: JSONTree].self, from: json) else {
            preconditionFailure("a part of a specification is no JSON object")
        }
        precondition(object.removeValue(forKey: key) != nil, "a specification has no '\(key)'")
        return RunSpec.json(object)
    }
}
