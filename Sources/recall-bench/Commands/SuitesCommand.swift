import ArgumentParser
import RecallData
import RecallReport
import RecallSuite
import RecallTraining

struct SuitesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suites",
        abstract: "The suites there are, or one in full.",
        discussion: """
            A suite is a file of Suites/, or one of the copies in this program. Without a name, a line each: name, runs, \
            description. With a name or a path, that one in full, with its tasks, models, training and what they leave \
            at its default. A model's embed_dropout, where it is not stated, is \(Setting.embedDropoutDefaults).

            EXAMPLES
              recall-bench suites
              recall-bench suites quick
              recall-bench suites ./my-suite.yaml
            """
    )

    @Argument(help: ArgumentHelp("The suite to show in full.", valueName: "name|path"))
    var name: String?

    func run() throws {
        let library = SuiteLibrary()
        if let name {
            // Once: what is piped in is there no second time.
            let (text, file) = try library.text(of: name)
            let suite = try Suite(yaml: text, file: file)
            let lines = Patience.during("listing the runs of \(file)") {
                SuiteDescription(suite, file: file).lines()
            }
            suite.notes.forEach(Output.note)
            Output.write(lines)
        } else {
            Output.write(Listing.columns(library.list().map { Self.line(of: $0, library) }))
        }
    }

    /// A suite that cannot be read keeps its line, and says why.
    private static func line(of listing: SuiteLibrary.Listing, _ library: SuiteLibrary) -> [String] {
        do {
            let suite = try library.load(listing.name)
            let atLeast = suite.search == nil ? "" : "from "
            return [listing.name, "\(atLeast)\(suite.expand().count) runs", suite.description ?? ""]
        } catch let error as SuiteError {
            let more = error.others.isEmpty ? "" : " (and \(error.others.count) more)"
            return [listing.name, "broken", error.description + more]
        } catch {
            return [listing.name, "broken", Failure(error).message ?? ""]
        }
    }
}

/// A suite in full.
private struct SuiteDescription {
    let suite: Suite
    let file: String

    init(_ suite: Suite, file: String) {
        (self.suite, self.file) = (suite, file)
    }

    func lines() -> [String] {
        let runs = suite.expand()
        let control =
            suite.control.map { "\($0.model), which must reach test accuracy \($0.minimumAccuracy)" }
            ?? "none: nothing is controlled"
        var lines = ["\(suite.name)" + (suite.description.map { ": \($0)" } ?? "")]
        lines += Listing.lines([
            ("file", file),
            ("runs", (suite.search == nil ? "" : "from ") + Format.count(runs.count)), ("control", control),
        ])
        for (index, task) in suite.tasks.enumerated() {
            lines += ["", suite.tasks.count == 1 ? "task" : "task \(index)"]
            lines += Listing.lines(Self.settings(of: task))
        }
        lines += ["", "training"]
        lines += Listing.lines(
            Self.grid(suite.trainings.map(settings)) + [
                ("seeds", "\(suite.seeds)"), ("data_seeds", "\(suite.dataSeeds)"),
            ]
        )
        for model in suite.models {
            let count = runs.count { $0.model == model.name }
            let atLeast = suite.search == nil ? "" : "from "
            lines += ["", "model \(model.name): \(atLeast)\(Format.count(count)) runs"]
            lines += Listing.lines(Self.grid(model.configurations.map(\.settings)))
        }
        return lines
    }

    private static func settings(of task: SuiteTask) -> [(name: String, text: String)] {
        let mqar = task.task
        let segments = Split.allCases.map { split in
            (
                name: split.rawValue,
                text: mqar.segments(split).map {
                    "\(Format.count($0.examples)) × (\($0.sequenceLength) tokens, \($0.kvPairs) pairs)"
                }.joined(separator: ", ")
            )
        }
        let batch = task.batchSize.map { [(name: "batch_size", text: "\($0)")] } ?? []
        let id = task.id == Suite.taskName ? [] : [(name: "id", text: task.id)]
        return [("name", Suite.taskName)] + id + [("vocab_size", "\(mqar.vocabSize)")] + segments + [
            ("random_non_queries", "\(mqar.randomNonQueries)"), ("fillers", mqar.fillers.rawValue),
            ("power_a", "\(mqar.powerA)"), ("data_seed", "\(mqar.dataSeed)"),
        ] + batch
    }

    private func settings(of training: TrainingConfig) -> [(name: String, text: String)] {
        [
            ("epochs", "\(training.epochs)"), ("batch_size", "\(training.batchSize)"),
            ("learning_rate", suite.search?.description ?? Format.learningRate(training.learningRate)),
            ("weight_decay", "\(training.weightDecay)"), ("decay", training.decay.rawValue),
            ("schedule", training.schedule.rawValue), ("order", training.order.rawValue),
            ("data", training.data.rawValue),
            ("stop_at_accuracy", training.stopAtAccuracy.map { "\($0)" } ?? "never"),
            ("precision", training.precision.rawValue),
        ]
    }

    /// Every setting with the values that it takes, in order of appearance.
    private static func grid(_ points: [[(name: String, text: String)]]) -> [(name: String, text: String)] {
        var order: [String] = []
        var values: [String: [String]] = [:]
        for (name, text) in points.flatMap(\.self) {
            if values[name] == nil { order.append(name) }
            if values[name]?.contains(text) != true { values[name, default: []].append(text) }
        }
        return order.map { ($0, values[$0, default: []].joined(separator: ", ")) }
    }
}
