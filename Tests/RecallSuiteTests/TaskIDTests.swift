import Foundation
import RecallSuite
import Testing

/// The ids of a suite's tasks: labels that change no run.
@Suite struct TaskIDTests {
    /// Two tasks on one line each, with these beginnings.
    private func twoTasks(_ first: String, _ second: String) -> String {
        let lines = plainSuite.split(separator: "\n").map(String.init)
        let tasks = zip([first, second], [32, 64]).map { beginning, vocabulary in
            let segments = "[{sequence_length: 32, kv_pairs: 4, examples: 10}]"
            return "  - {\(beginning), vocab_size: \(vocabulary), train: \(segments), validation: \(segments), "
                + "test: \(segments)}"
        }
        return (lines[..<2] + tasks + lines[7...]).joined(separator: "\n")
    }

    private var unnamed: String { twoTasks("name: mqar", "name: mqar") }

    @Test func theyNameTasksAndChangeNoRun() throws {
        let named = try suite(twoTasks("name: mqar, id: short_1", "name: mqar, id: 512"))
        let runs = named.expand()
        #expect(Set(runs.map { "\($0.task) \($0.spec.task.vocabSize)" }) == ["short_1 32", "512 64"])
        let plain = try suite(unnamed)
        #expect(plain.expand().map(\.task).allSatisfy { $0 == "mqar" })
        #expect(runs.map(\.runID) == plain.expand().map(\.runID))
        #expect(named.contentHash() == plain.contentHash())
        #expect(try suite(edited("name: mqar", "name: mqar\n  id: A-b")).expand()[0].task == "A-b")
        // One may keep its name.
        #expect(try suite(twoTasks("name: mqar", "name: mqar, id: long")).tasks.map(\.id) == ["mqar", "long"])
    }

    @Test func onlyTakesIDsNamesAndHashes() throws {
        let runs = try suite(twoTasks("name: mqar, id: short", "name: mqar, id: long")).expand()
        func count(_ task: String) throws -> Int { try RunFilter(["task=\(task)"]).select(from: runs).count }
        #expect(try count("short") == 10 && count("long") == 10 && count("mqar") == 20)
        #expect(try count(String(runs[0].taskHash.prefix(8))) == 10)
        #expect(throws: OptionError(option: "--only", message: "no run has task 'lnog'; did you mean 'long'?"))
        {
            try count("lnog")
        }
    }

    @Test func sharedAndImpossibleIDsAreRefused() {
        func line(_ first: String, _ second: String) -> String? {
            refusal(twoTasks(first, second))?.description
        }
        #expect(
            line("name: mqar, id: a", "name: mqar, id: a")
                == "x.yaml:4:22: task[1].id: the task in line 3 has the id 'a' too; give one of them another"
        )
        #expect(
            line("name: mqar, id: mqar", "name: mqar")
                == "x.yaml:4:5: task[1]: a task without id has its name for one, and the task in line 3 has the id "
                + "'mqar' too; give one of them another"
        )
        for bad in ["a b", "ä", "''", "a.b", "~", "[a]", String(repeating: "a", count: 101)] {
            let message = line("name: mqar, id: \(bad)", "name: mqar, id: b") ?? ""
            #expect(
                message.hasPrefix("x.yaml:3:22: task[0].id: must be 1 to 100 letters, digits, - and _, not "),
                "\(message)"
            )
        }
        #expect(refusal(unnamed) == nil)
        // The same task is there twice whatever it is called.
        let again = unnamed.replacingOccurrences(
            of: "vocab_size: 64, train: [{s",
            with: "vocab_size: 32, train: [{s"
        )
        .replacingOccurrences(
            of: "  - {name: mqar, vocab_size: 32",
            with: "  - {name: mqar, id: a, vocab_size: 32"
        )
        #expect(refusal(again)?.description.hasSuffix("this task is there twice; keep one of them") == true)
    }
}
