import Foundation

/// A value of JSON, with integers told from other numbers and both from booleans.
public enum JSONValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(_ text: String) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    }

    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var array: [JSONValue]? { if case .array(let items) = self { items } else { nil } }
    public var object: [String: JSONValue]? { if case .object(let object) = self { object } else { nil } }
}

extension JSONValue: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }
}

/// A JSON Schema of the few keywords that our documents use: type, const, enum, required, properties,
/// additionalProperties (false), items and oneOf. Any other is refused, so that nothing goes unchecked.
public struct JSONSchema {
    private let schema: JSONValue

    private static let annotations: Set = ["$schema", "title", "description"]
    private static let keywords: Set = [
        "type", "const", "enum", "required", "properties", "additionalProperties", "items", "oneOf",
    ]

    /// What is wrong with the schema itself.
    public struct Unsupported: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Throws: `Unsupported`.
    public init(_ schema: JSONValue) throws {
        self.schema = schema
        try Self.inspect(schema, at: "$")
    }

    private static func inspect(_ schema: JSONValue, at path: String) throws {
        guard let keys = schema.object else { throw Unsupported(description: "\(path) is no object") }
        for (key, value) in keys where !annotations.contains(key) {
            guard keywords.contains(key) else { throw Unsupported(description: "\(path) has \(key)") }
            switch key {
            case "properties":
                for (name, child) in value.object ?? [:] { try inspect(child, at: "\(path).\(name)") }
            case "items": try inspect(value, at: "\(path)[]")
            case "oneOf":
                for (index, child) in (value.array ?? []).enumerated() {
                    try inspect(child, at: "\(path)|\(index)")
                }
            case "additionalProperties":
                guard value == .boolean(false) else {
                    throw Unsupported(description: "\(path) has additionalProperties that are not false")
                }
            default: break
            }
        }
    }

    /// What a value breaks of the schema; empty for a valid one.
    public func violations(of value: JSONValue) -> [String] { Self.violations(of: value, schema, at: "$") }

    private static func violations(of value: JSONValue, _ schema: JSONValue, at path: String) -> [String] {
        var found: [String] = []
        if let type = schema["type"]?.string, !matches(value, type: type) {
            found.append("\(path) is no \(type): \(value)")
        }
        if let constant = schema["const"], constant != value { found.append("\(path) is not \(constant)") }
        if let choices = schema["enum"]?.array, !choices.contains(value) {
            found.append("\(path) is none of \(choices): \(value)")
        }
        if let object = value.object { found += violations(ofObject: object, schema, at: path) }
        if let items = schema["items"], let array = value.array {
            for (index, item) in array.enumerated() {
                found += violations(of: item, items, at: "\(path)[\(index)]")
            }
        }
        if let branches = schema["oneOf"]?.array {
            let results = branches.map { violations(of: value, $0, at: path) }
            let valid = results.count { $0.isEmpty }
            if valid > 1 { found.append("\(path) is valid under \(valid) of oneOf") }
            // What the nearest branch says tells most.
            if valid == 0 { found += results.min { $0.count < $1.count } ?? ["\(path) has an empty oneOf"] }
        }
        return found
    }

    private static func violations(
        ofObject object: [String: JSONValue],
        _ schema: JSONValue,
        at path: String
    ) -> [String] {
        var found: [String] = []
        for name in (schema["required"]?.array ?? []).compactMap(\.string) where object[name] == nil {
            found.append("\(path) lacks \(name)")
        }
        let properties = schema["properties"]?.object ?? [:]
        for (name, child) in object {
            if let known = properties[name] {
                found += violations(of: child, known, at: "\(path).\(name)")
            } else if schema["additionalProperties"] == .boolean(false) {
                found.append("\(path) has \(name), which is not described")
            }
        }
        return found
    }

    private static func matches(_ value: JSONValue, type: String) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .boolean), ("integer", .integer), ("number", .integer),
            ("number", .number), ("string", .string), ("array", .array), ("object", .object):
            true
        default: false
        }
    }
}

/// The documents of the repository, for tests that hold them to what the program does.
public enum RepositoryDocument {
    /// - Parameter path: from the root: "docs/events.md".
    public static func text(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }
}
