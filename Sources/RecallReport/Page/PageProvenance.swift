import Foundation
import RecallData
import RecallInput
import RecallStore
import RecallSuite

/// A build on a device, and how many runs it trained.
struct PageExecution: Equatable {
    var device: String
    var build: String
    var commit: String?
    var runs: Int

    var text: String { "\(build) on \(device)" }

    /// Each once, by the text.
    static func all(_ runs: [StoredRun]) -> [PageExecution] {
        let trained = runs.filter { $0.device != nil }
        let groups = Dictionary(grouping: trained) { [$0.device ?? "", $0.version ?? "", $0.commit ?? ""] }
        return groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { key, runs in
            PageExecution(
                device: key[0],
                build: key[2].isEmpty ? key[1] : "\(key[1]) (\(key[2]))",
                commit: key[2].isEmpty ? nil : key[2],
                runs: runs.count
            )
        }
    }
}

/// What was run, and on what.
struct PageProvenance {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section() -> PageSection {
        var section = PageSection("provenance", "What was run, and on what")
        section.tables = [suite, task, training, executions].filter { !$0.rows.isEmpty }
        return section
    }

    /// For the head of the page.
    static func summary(_ source: PageSource) -> [String] {
        let (finished, all) = (source.runs.count { $0.status == .finished }, source.runs.count)
        let points = source.points.count
        var lines = [
            "\(finished) of \(all) runs \(all == 1 ? "is" : "are") finished, which makes \(points) "
                + "point\(points == 1 ? "" : "s") of the tradeoff."
        ]
        if case .passes(let model, let accuracy, let minimum) = source.tradeoff.verdict {
            lines.append(
                "The control passes: \(model) reached \(Format.accuracy(accuracy)), and had to reach \(minimum)."
            )
        }
        return lines
    }

    // MARK: Tables

    private static func facts(_ caption: String, _ facts: [(name: String, text: String)]) -> PageTable {
        var table = PageTable(caption, [PageColumn("setting", isRowName: true), PageColumn("value")])
        for fact in facts where !fact.text.isEmpty { table.add([PageCell(fact.name), PageCell(fact.text)]) }
        return table
    }

    private var suite: PageTable {
        let runs = source.runs
        let counts = RunStatus.allCases.compactMap { status -> String? in
            let count = runs.count { $0.status == status }
            return count == 0 ? nil : "\(count) \(status.rawValue)"
        }
        let control = source.suite.controlModel.map { model in
            "\(model), to reach \(source.suite.controlMinimum ?? Tradeoff.defaultThreshold)"
        }
        let started = runs.compactMap(\.startedAt).min()
        let ended = runs.compactMap(\.finishedAt).max()
        let work = runs.compactMap(\.seconds)
        let versions = Set(
            runs.map {
                $0.spec.resultsVersion(of: $0.runID, taskHash: $0.taskHash, among: ResultsVersion.changes)
            }
        )
        return Self.facts(
            "The suite",
            [
                ("suite", source.suite.name), ("runs", counts.joined(separator: ", ")),
                ("control", control ?? "none"),
                ("models", Self.distinct(runs.map(\.model)).joined(separator: ", ")),
                ("seeds", Self.distinct(runs.map { "\($0.spec.seed)" }).joined(separator: ", ")),
                (
                    "seeds of the data",
                    Self.distinct(runs.map { "\($0.spec.task.dataSeed)" }).joined(separator: ", ")
                ),
                (
                    "results version",
                    versions.map { $0.map(String.init) ?? "not known here" }.sorted().joined(separator: ", ")
                ),
                ("first begun", started.map(Self.time) ?? ""), ("last ended", ended.map(Self.time) ?? ""),
                (
                    "wall time",
                    started.flatMap { start in ended.map { Self.duration($0.timeIntervalSince(start)) } }
                        ?? ""
                ),
                ("work of all runs", work.isEmpty ? "" : Self.duration(work.reduce(0, +))),
            ]
        )
    }

    private var task: PageTable {
        var table = PageTable(
            "The task",
            [
                PageColumn("task", isRowName: true), PageColumn("vocabulary", isNumber: true),
                PageColumn("train"),
                PageColumn("validation"), PageColumn("test"), PageColumn("between the pairs"),
                PageColumn("power a", isNumber: true), PageColumn("a guess", isNumber: true),
                PageColumn("among its values", isNumber: true),
            ]
        )
        var seen: [String: Set<MQARTask>] = [:]
        for run in source.runs {
            var task = run.spec.task
            task.dataSeed = 0
            guard seen[run.task, default: []].insert(task).inserted else { continue }
            table.add([
                PageCell(run.task), .number(task.vocabSize), PageCell(Self.segments(task.train)),
                PageCell(Self.segments(task.validation)), PageCell(Self.segments(task.test)),
                PageCell(
                    task.randomNonQueries
                        ? task.fillers == .any ? "random tokens" : "random tokens that are no key" : "zeros"
                ),
                .number("\(task.powerA)", .number(task.powerA)), .accuracy(task.chanceAccuracy),
                .accuracy(task.chanceAccuracyInSequence),
            ])
        }
        table.note("train, validation, test: examples of sequence length × key-value pairs")
        table.note(
            "a guess: the accuracy of one among all values; among its values: of one among the values that the sequence has"
        )
        return table
    }

    /// The settings of training, each with every value that runs have.
    private var training: PageTable {
        let trainings = source.runs.map(\.spec.training)
        func values(_ text: (Int) -> String) -> String {
            Self.distinct(trainings.indices.map(text)).joined(separator: ", ")
        }
        let rates = Set(trainings.map(\.learningRate)).sorted().map(Format.learningRate).joined(separator: ", ")
        let search = source.suite.search.map {
            "searched from \(Format.learningRate($0.from)) to \(Format.learningRate($0.to)) to \($0.resolution) decades: "
        }
        return Self.facts(
            "The training",
            trainings.isEmpty
                ? []
                : [
                    ("epochs, at most", values { "\(trainings[$0].epochs)" }),
                    ("batch size", values { "\(trainings[$0].batchSize)" }),
                    ("learning rates", (search ?? "") + rates),
                    ("schedule", values { trainings[$0].schedule.rawValue }),
                    (
                        "weight decay",
                        values { "\(trainings[$0].weightDecay) (\(trainings[$0].decay.rawValue))" }
                    ),
                    (
                        "stops above",
                        values {
                            trainings[$0].stopAtAccuracy.map { "validation accuracy \($0)" } ?? "never"
                        }
                    ),
                    ("data", values { trainings[$0].data.rawValue }),
                    ("order", values { trainings[$0].order.rawValue }),
                    ("precision", values { trainings[$0].precision.rawValue }),
                ]
        )
    }

    private var executions: PageTable {
        var table = PageTable(
            "Builds and devices",
            [
                PageColumn("device", isRowName: true), PageColumn("build"), PageColumn("precision"),
                PageColumn("runs", isNumber: true),
            ]
        )
        for precision in Self.distinct(source.runs.map(\.spec.training.precision.rawValue)) {
            let runs = source.runs.filter { $0.spec.training.precision.rawValue == precision }
            for execution in PageExecution.all(runs) {
                table.add([
                    PageCell(execution.device), PageCell(execution.build), PageCell(precision),
                    .number(execution.runs),
                ])
            }
        }
        return table
    }

    // MARK: Words

    /// In the order in which they come first.
    private static func distinct(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }

    private static func segments(_ segments: [Segment]) -> String {
        segments.map { "\(Format.count($0.examples)) of \($0.sequenceLength) × \($0.kvPairs)" }.joined(
            separator: "; "
        )
    }

    /// "35 s", "1 min 6 s", "2 h 5 min".
    private static func duration(_ seconds: Double) -> String {
        guard seconds >= 60, seconds < 48 * 3600 else { return Format.duration(seconds) }
        let total = Int(clamping: seconds)
        return total < 3600
            ? "\(total / 60) min \(total % 60) s" : "\(total / 3600) h \(total / 60 % 60) min"
    }

    /// "2025-03-01 12:00:00 UTC".
    private static func time(_ date: Date) -> String {
        String(Timestamp.text(date).prefix(19)).replacingOccurrences(of: "T", with: " ") + " UTC"
    }
}
