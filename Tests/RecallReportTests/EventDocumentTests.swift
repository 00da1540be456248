import Foundation
import RecallReport
import TestSupport
import Testing

/// docs/events.md and docs/events.schema.json describe every event, and the same keys of it.
@Suite struct EventDocumentTests {
    /// The keys that all events have, in the order of the page.
    private static let common = ["event", "time", "host", "pid", "elapsed_seconds"]

    private struct Described: Equatable {
        var required: Set<String> = []
        var optional: Set<String> = []
    }

    private func schema() throws -> [String: Described] {
        let branches = try JSONValue(RepositoryDocument.text("docs/events.schema.json"))["oneOf"]?.array
        var events: [String: Described] = [:]
        for branch in try #require(branches) {
            let name = try #require(branch["properties"]?["event"]?["const"]?.string)
            let required = Set((branch["required"]?.array ?? []).compactMap(\.string))
            let keys = Set((branch["properties"]?.object ?? [:]).keys)
            #expect(required.isSubset(of: keys), "\(name)")
            #expect(required.isSuperset(of: Self.common), "\(name)")
            #expect(branch["additionalProperties"] == .boolean(false), "\(name)")
            #expect(events[name] == nil, "\(name) is there twice")
            events[name] = Described(
                required: required.subtracting(Self.common),
                optional: keys.subtracting(required)
            )
        }
        return events
    }

    /// The tables beneath "### `event`"; keys of the others are empty.
    private func page() throws -> [String: Described] {
        var events: [String: Described] = [:]
        var name: String?
        for line in try RepositoryDocument.text("docs/events.md").components(separatedBy: "\n") {
            if line.hasPrefix("#") {
                name =
                    line.hasPrefix("### `")
                    ? line.split(separator: "`").dropFirst().first.map(String.init) : nil
                if let name { events[name] = Described() }
            } else if let name, line.hasPrefix("| "), !line.hasPrefix("| key "), !line.hasPrefix("| --- ") {
                let key = line.dropFirst(2).components(separatedBy: " | ")[0]
                if key.hasSuffix(" (optional)") {
                    events[name]?.optional.insert(String(key.dropLast(" (optional)".count)))
                } else {
                    events[name]?.required.insert(key)
                }
            }
        }
        return events
    }

    @Test func everyEventIsInBothDocuments() throws {
        let names = Set(ProgressEventName.allCases.map(\.rawValue))
        #expect(try Set(schema().keys) == names)
        #expect(try Set(page().keys) == names)
    }

    @Test func bothDocumentsSayTheSame() throws {
        let (schema, page) = (try schema(), try page())
        for (name, described) in schema { #expect(page[name] == described, "\(name)") }
    }

    @Test func theSchemaIsOneThatTheTestsCheckWhole() throws {
        #expect(throws: Never.self) {
            try JSONSchema(JSONValue(RepositoryDocument.text("docs/events.schema.json")))
        }
    }

    /// The checker itself: what it lets through and what it does not.
    @Test(arguments: [
        (#"{"a": 1}"#, true), (#"{"a": 1, "b": "x"}"#, true), (#"{"a": 1.5}"#, false), (#"{"b": "x"}"#, false),
        (#"{"a": true}"#, false), (#"{"a": 1, "b": "z"}"#, false), (#"{"a": 1, "c": 0}"#, false),
        (#"{"a": 1, "d": [1, 2.5]}"#, true), (#"{"a": 1, "d": [1, "2"]}"#, false),
        (#"{"a": 1, "e": "k"}"#, true), (#"{"a": 1, "e": 2}"#, true), (#"{"a": 1, "e": 3}"#, false),
        ("[]", false), ("null", false),
    ])
    func theChecker(_ text: String, isValid: Bool) throws {
        let schema = try JSONSchema(
            JSONValue(
                #"""
                {"type": "object", "required": ["a"], "additionalProperties": false, "properties": {
                    "a": {"type": "integer"}, "b": {"enum": ["x", "y"]},
                    "d": {"type": "array", "items": {"type": "number"}},
                    "e": {"oneOf": [{"type": "string"}, {"const": 2}]}}}
                """#
            )
        )
        #expect(try schema.violations(of: JSONValue(text)).isEmpty == isValid)
        #expect(throws: JSONSchema.Unsupported.self) {
            try JSONSchema(JSONValue(#"{"properties": {"a": {"minimum": 1}}}"#))
        }
    }
}
