import Foundation

/// What the page shows of a database at one moment: pieces of JSON by section and key, so that what has changed since
/// another moment is told piece by piece.
struct SweepState: Equatable, Sendable {
    enum Section: String, CaseIterable, Sendable {
        /// A suite by its name: what it is, its models' looks, its runs in order.
        case suites
        /// A run by its key: its figures so far.
        case runs
        /// A run's epochs by its id.
        case curves
        /// A suite's rows at their best learning rates, by its name.
        case tradeoffs
    }

    /// The snapshot of `status --json`.
    var status: String
    var pieces: [Section: [String: String]]

    init(status: String, pieces: [Section: [String: String]] = [:]) {
        (self.status, self.pieces) = (status, pieces)
    }

    /// All of it as one object, without a newline.
    var json: String {
        let sections = Section.allCases.map { section in
            "\"\(section.rawValue)\":" + Self.object(pieces[section] ?? [:])
        }
        return "{\"status\":\(status)," + sections.joined(separator: ",") + "}"
    }

    /// What is other than in `former`: an object of the same shape with the pieces that have changed, and null for those
    /// that are gone.
    func changes(since former: SweepState) -> String {
        var members = status == former.status ? [] : ["\"status\":\(status)"]
        for section in Section.allCases {
            let (new, old) = (pieces[section] ?? [:], former.pieces[section] ?? [:])
            var changed = new.filter { old[$0.key] != $0.value }
            for key in old.keys where new[key] == nil { changed[key] = "null" }
            if !changed.isEmpty { members.append("\"\(section.rawValue)\":" + Self.object(changed)) }
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    private static func object(_ pieces: [String: String]) -> String {
        let members = pieces.sorted { $0.key < $1.key }.map { Piece.text($0.key) + ":" + $0.value }
        return "{" + members.joined(separator: ",") + "}"
    }
}

/// A value as JSON on one line; keys in snake case, sorted, left out without a value.
enum Piece {
    static func text(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        guard let data = try? encoder.encode(value) else { preconditionFailure("a piece did not encode") }
        return String(decoding: data, as: UTF8.self)
    }
}

extension Double {
    /// Six digits, enough for a curve; nil for what JSON has no number for.
    var compact: Double? { isFinite ? Double(String(format: "%.6g", self)) : nil }
}
