import ArgumentParser
import Foundation
import RecallData
import RecallReport
import RecallSuite

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Look at a suite's data, or write it for other programs.",
        discussion: """
            EXAMPLES
              recall-bench data sample --suite quick --count 2
              recall-bench data write --suite quick --split test --output data/test
            """,
        subcommands: [Sample.self, Write.self]
    )

    /// The task of a suite.
    struct TaskOptions: ParsableArguments {
        @Option(help: ArgumentHelp("A suite's name or a path.", valueName: "name|path"))
        var suite: String

        @Option(help: ArgumentHelp("Which of the suite's tasks, from 0.", valueName: "i"))
        var taskIndex: Int?

        func task() throws -> MQARTask { try DataCommand.task(ofSuite: suite, index: taskIndex) }
    }

    /// A suite's task.
    ///
    /// - Parameter index: which; nil where it has one only.
    /// - Throws: what is wrong with the suite, or `Failure` (64) for an index that it does not have or lacks.
    static func task(ofSuite suite: String, index: Int?) throws -> MQARTask {
        let tasks = try SuiteLibrary().load(suite).tasks
        if let index {
            guard tasks.indices.contains(index) else {
                throw Failure(.usage, "--task-index \(index): \(suite) has the tasks \(list(tasks))")
            }
            return tasks[index].task
        }
        guard tasks.count == 1 else {
            throw Failure(.usage, "\(suite) has several tasks, so name one by --task-index: \(list(tasks))")
        }
        return tasks[0].task
    }

    private static func list(_ tasks: [SuiteTask]) -> String {
        tasks.enumerated().map { index, entry in
            let (task, id) = (entry.task, entry.id == Suite.taskName ? "" : "\(entry.id): ")
            let shapes = task.train.prefix(3).map { "\($0.sequenceLength)/\($0.kvPairs)" }
            return "\(index) (\(id)V=\(task.vocabSize), L/pairs "
                + (shapes + (task.train.count > 3 ? ["…"] : [])).joined(separator: " ") + ")"
        }.joined(separator: ", ")
    }

    struct Sample: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sample",
            abstract: "Print annotated examples.",
            discussion: """
                Each example's pairs, its queries with the answer and the gap, and the sequence itself.

                EXAMPLES
                  recall-bench data sample --suite quick
                  recall-bench data sample --suite quick --split test --first 10 --count 2
                  recall-bench data sample --suite zoology-figure2 --task-index 0 --numbers
                """
        )

        @OptionGroup var options: TaskOptions

        @Option(help: ArgumentHelp("How many.", valueName: "n"))
        var count = 1

        @Option(help: "train, validation or test.")
        var split = Split.train

        @Option(help: ArgumentHelp("Which segment of the split, from 0.", valueName: "i"))
        var segment = 0

        @Option(help: ArgumentHelp("The first example, from 0.", valueName: "i"))
        var first = 0

        @Flag(help: "Show fillers as the numbers they are.")
        var numbers = false

        func validate() throws {
            guard count >= 1 else { throw ValidationError("--count must be at least 1, not \(count)") }
            guard first >= 0 else { throw ValidationError("--first must be at least 0, not \(first)") }
        }

        func run() throws {
            let task = try options.task()
            let segments = task.segments(split)
            guard segments.indices.contains(segment) else {
                throw Failure(
                    .usage,
                    "--segment \(segment): the \(split.rawValue) split has segments 0 to \(segments.count - 1)"
                )
            }
            let examples = segments[segment].examples
            guard first < examples, count <= examples - first else {
                throw Failure(
                    .usage,
                    "--first \(first) --count \(count): segment \(segment) of \(split.rawValue) has \(examples) examples"
                )
            }
            let generator = MQARGenerator(task)
            for example in first..<first + count {
                let text = AnnotatedExample(
                    generator,
                    split,
                    segment: segment,
                    example: example,
                    fillers: numbers ? .numbers : .dots
                )
                Output.write((example > first ? "\n" : "") + "\(text)\n")
            }
        }
    }

    struct Write: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "write",
            abstract: "Write a split as .npy files.",
            discussion: """
                A folder a segment with inputs.npy and labels.npy (int64, (N, L), labels -100 where there is none), and one \
                dataset.json, which comes last. A folder that holds another dataset is left alone.

                EXAMPLES
                  recall-bench data write --suite quick --split test --output data/test
                  recall-bench data write --suite quick --split train --output t --threads 2
                """
        )

        @OptionGroup var options: TaskOptions

        @Option(help: "train, validation or test.")
        var split: Split

        @Option(help: ArgumentHelp("The folder to write; made if missing.", valueName: "dir"))
        var output: String

        @Option(help: "Threads that generate. The data do not depend on it.")
        var threads = 1

        /// Below this nobody waits for news.
        private static let quietSeconds = 2.0

        func validate() throws {
            try OptionRange.require(threads, in: OptionRange.threads, "--threads")
            guard !output.isEmpty else { throw ValidationError("--output names no folder") }
        }

        func run() throws {
            let task = try options.task()
            try SystemLimits.requireThreads(SystemLimits.kernelThreads(threads), options: "--threads")
            let began = ContinuousClock.now
            var shown = began
            try DatasetWriter.write(task, split, to: output, threads: threads) { done, total in
                let now = ContinuousClock.now
                guard now - began > .seconds(Self.quietSeconds), now - shown > .seconds(1) || done == total
                else { return }
                shown = now
                Output.note("\(Format.count(done)) of \(Format.count(total)) examples")
            }
            let segments = task.segments(split)
            Output.write(
                "\(output)/dataset.json: \(segments.count) segments, \(Format.count(segments.examples)) examples\n"
            )
        }
    }
}

extension Split: ExpressibleByArgument {}
