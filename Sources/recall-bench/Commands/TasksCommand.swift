import ArgumentParser
import RecallData
import RecallSuite

struct TasksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "The tasks there are, or one in full.",
        discussion: """
            EXAMPLES
              recall-bench tasks
              recall-bench tasks mqar
            """
    )

    @Argument(help: "The task to show in full.")
    var name: String?

    private static let summary =
        "multi-query associative recall: say the value of every key when it comes again"

    func run() throws {
        guard let name else {
            Output.write(Listing.columns([[Suite.taskName, Self.summary]]))
            return
        }
        guard name == Suite.taskName else {
            throw Failure(.usage, "there is no task '\(name)'; there is \(Suite.taskName)")
        }
        Output.write(Self.lines())
    }

    private static func lines() -> [String] {
        let task = MQARTask(vocabSize: 4, train: [], validation: [], test: [])
        let settings = [
            Setting(
                "id",
                "letters, digits, - and _",
                default: "the name",
                "what tables, figures and --only call the task; it changes no run"
            ),
            Setting(
                "vocab_size",
                "an even integer",
                "V: token 0 is a filler, 1 ..< V/2 keys, V/2 ..< V values"
            ),
            Setting(
                "train, validation, test",
                "lists of {sequence_length: L, kv_pairs: n, examples: N}",
                "the three disjoint splits, in segments of one shape"
            ),
            Setting(
                "random_non_queries",
                "true or false",
                default: "\(task.randomNonQueries)",
                "whether positions that are neither context nor query hold random tokens, else 0"
            ),
            Setting(
                "fillers",
                Fillers.allCases.map(\.rawValue).joined(separator: " | "),
                default: task.fillers.rawValue,
                "which: any token, as the published harness has it, or none that is a key of its sequence"
            ),
            Setting(
                "power_a",
                "a number from 0",
                default: "\(task.powerA)",
                "a of the power law of gaps: slot i weighs (i + 1)^(a - 1); 1 is uniform"
            ),
            Setting(
                "data_seed",
                "an integer from 0",
                default: "\(task.dataSeed)",
                "keys every token of the data"
            ),
            Setting(
                "batch_size",
                "an integer from 1",
                default: "the training's",
                "examples a step, for this task"
            ),
        ]
        let rules = [
            "vocab_size ≥ 4, and even",
            "sequence_length even",
            "kv_pairs ≥ 1",
            "4 × kv_pairs ≤ sequence_length",
            "kv_pairs ≤ vocab_size/2 − 1",
            "examples ≥ 1",
        ]
        return ["\(Suite.taskName): \(summary)"]
            + Listing.lines([
                (
                    "what",
                    "n pairs of a key and its value, then each key once more somewhere later, where the model has to say "
                        + "its value; nothing else counts. Keys and values of a sequence are drawn without replacement."
                ),
                (
                    "paper",
                    "Arora et al., Zoology: measuring and improving recall in efficient language models, 2023"
                ),
            ]) + ["", "settings"] + Listing.lines(settings.map(\.line)) + ["", "what must hold"]
            + rules.map { "  " + $0 }
    }
}
