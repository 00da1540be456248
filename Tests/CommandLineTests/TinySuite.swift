import Foundation
import Testing

/// A suite of four runs that take a fraction of a second.
let tinySuite = """
    name: tiny
    description: Two models on next to nothing.
    task:
      name: mqar
      vocab_size: 64
      train: [{sequence_length: 16, kv_pairs: 2, examples: 400}]
      validation: [{sequence_length: 16, kv_pairs: 2, examples: 64}]
      test: [{sequence_length: 16, kv_pairs: 2, examples: 64}]
    training: {epochs: 2, batch_size: 32, learning_rate: [0.003, 0.01]}
    control: {model: attention, minimum_accuracy: 0.0}
    models:
      - {name: attention, d_model: 16, layers: [base-conv, attention]}
      - {name: based, d_model: 16, layers: {preset: based, feature_dim: 4}}

    """

/// The tiny suite with one text replaced, which must be there.
func tiny(_ old: String, _ new: String) -> String {
    precondition(tinySuite.contains(old), "the tiny suite has no '\(old)'")
    return tinySuite.replacingOccurrences(of: old, with: new)
}

extension Workspace {
    /// A workspace with the suite as tiny.yaml.
    static func withTinySuite(_ text: String = tinySuite) throws -> Workspace {
        let workspace = try Workspace()
        try workspace.write(text, to: "tiny.yaml")
        return workspace
    }

    /// Runs tiny.yaml in two processes on one store at once, of one job and of two, to their ends.
    ///
    /// - Parameter timeout: in seconds.
    /// - Returns: the events of each.
    func runTinyTwiceAtOnce(timeout: Double) throws -> [[[String: Any]]] {
        let (outcomes, done) = (Locked<[Outcome]>([]), DispatchGroup())
        for jobs in ["1", "2"] {
            done.enter()
            Thread.detachNewThread { [self] in
                let outcome = try? run(
                    "run",
                    "--suite",
                    "tiny.yaml",
                    "--json",
                    "--jobs",
                    jobs,
                    timeout: timeout
                )
                if let outcome { outcomes.change { $0.append(outcome) } }
                done.leave()
            }
        }
        done.wait()
        #expect(outcomes.value.map(\.status) == [0, 0], "\(outcomes.value.map(\.errors))")
        return try outcomes.value.map { try $0.errorLines.map(object) }
    }

    /// A table of the default store.
    func table(_ name: String, _ arguments: String...) throws -> CSVText {
        let outcome = try run("export", "csv", "--table", name, more: arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        return CSVText(outcome.output)
    }

    /// What runs came to, without what differs from one sitting to the next: times.
    ///
    /// - Parameter suite: one suite's alone.
    func results(of suite: String? = nil) throws -> [String: [[String]]] {
        let times = ["train_seconds", "tokens_per_second", "started_at", "finished_at", "seconds"]
        var results: [String: [[String]]] = [:]
        for name in ["runs", "slices", "history", "tradeoff"] {
            let outcome = try run(
                "export",
                "csv",
                "--table",
                name,
                more: suite.map { ["--suite", $0] } ?? []
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
            let table = CSVText(outcome.output)
            let kept = table.header.indices.filter { !times.contains(table.header[$0]) }
            results[name] = table.rows.map { row in kept.map { row[$0] } }
        }
        return results
    }
}

/// CSV as RFC 4180 has it, read back.
struct CSVText {
    let header: [String]
    let rows: [[String]]

    init(_ text: String) {
        var (records, record, field, isQuoted) = ([[String]](), [String](), "", false)
        var characters = Array(text.unicodeScalars)[...]
        while let next = characters.popFirst() {
            switch (next, isQuoted) {
            case ("\"", true) where characters.first == "\"":
                characters.removeFirst()
                field.unicodeScalars.append(next)
            case ("\"", _): isQuoted.toggle()
            case (",", false):
                record.append(field)
                field = ""
            case ("\n", false):
                records.append(record + [field])
                (record, field) = ([], "")
            default: field.unicodeScalars.append(next)
            }
        }
        header = records.first ?? []
        rows = Array(records.dropFirst())
    }

    func column(_ name: String) -> [String] {
        guard let index = header.firstIndex(of: name) else { return [] }
        return rows.map { $0[index] }
    }
}

/// The object of a line of JSON.
func object(_ line: String) throws -> [String: Any] {
    try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
        "no object: \(line)"
    )
}
