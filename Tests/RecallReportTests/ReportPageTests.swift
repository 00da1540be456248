import Foundation
import RecallStore
import RecallSuite
import RecallTraining
import TestSupport
import Testing

@testable import RecallPage
@testable import RecallReport

private func page(
    _ runs: [StoredRun],
    _ suite: SuiteRecord = controlledSuite,
    benchmarks: String = "kind,name\n",
    origins: [PageWarning] = [],
    known: Suite? = nil,
    in database: String = ShellCommand.defaultDatabase
) throws -> ReportPage {
    let source = try PageSource(
        suite,
        in: database,
        runs: runs,
        benchmarks: benchmarks,
        known: known,
        slices: { _ in
            [SliceAccuracy(split: .test, sequenceLength: 64, kvPairs: 8, examples: 100, accuracy: 0.5)]
        },
        history: { _ in
            [
                EpochRecord(
                    epoch: 1,
                    step: 9,
                    learningRate: 0.01,
                    trainLoss: 1,
                    validationLoss: 1,
                    validationAccuracy: 0.5,
                    seconds: 1
                )
            ]
        }
    )
    return try ReportPage(source, origins: origins, program: "0 (test)", gnuplot: nil)
}

/// Three rates, the best in the middle, three seeds each.
private func soundRuns(_ model: String = "attention", test: Double = 0.995) -> [StoredRun] {
    [0.003, 0.01, 0.03].flatMap { rate in
        (0..<3).map { seed in
            var run = syntheticRun(
                model: model,
                learningRate: rate,
                seed: UInt64(seed),
                validation: rate == 0.01 ? 0.99 : 0.9,
                test: test
            )
            (run.device, run.version, run.commit) = ("cpu: test", "0", "abc")
            return run
        }
    }
}

private func root(_ page: ReportPage) throws -> MarkupNode {
    let (root, complaint) = parseMarkup(PageRenderer().render(page))
    return try #require(root, "\(complaint)")
}

@Suite struct ReportPageTests {
    @Test func nothingToWarnOfIsSaidPlainly() throws {
        let page = try page(soundRuns())
        #expect(page.warnings == [])
        let section = try #require(try root(page).element(id: "warnings"))
        #expect(section.text.contains("No warnings: every run is finished, the control passes"))
        #expect(section.elements("li").isEmpty)
    }

    /// Each thing that there is to warn of, by a part of what is said, and that it is said on the page.
    @Test(arguments: [
        ("control", "INVALID CONTROL: attention reached 0.5, below 0.99: no number of this page"),
        ("pending", "1 run of 10 is not finished (1 pending)"), ("failed", "1 run of 10 failed"),
        ("seed", "Seeds of one point failed"), ("build", "2 builds or devices"),
        ("changed", "a build of changed sources (abc+)"),
        ("edge", "The best learning rate of one point is at the edge"),
        ("rate", "A single learning rate was tried for one point"),
        ("single", "A single seed stands behind one point"), ("two", "Two seeds stand behind one point"),
        ("spread", "The seeds of one point lie more than 0.2 apart"),
        ("chance", "The training loss of one point never left chance"),
        ("guess", "The accuracy of one point is no better than a guess"),
        ("overfit", "The training set of one point is fit far better"),
        ("uncontrolled", "no control in this suite"),
        ("origins", "rows of somebody <else>"), ("none", "No run of suite is finished yet"),
    ])
    func whatThereIsToWarnOfIsSaid(kind: String, part: String) throws {
        let made = try warned(of: kind)
        let found = made.warnings.filter { $0.message.contains(part) }
        #expect(found.count == 1, "\(made.warnings.map(\.message))")
        #expect(found.allSatisfy { !$0.advice.isEmpty })
        let section = try #require(try root(made).element(id: "warnings"))
        #expect(section.text.contains(part) && !section.text.contains("No warnings"))
        for warning in made.warnings {
            for text in [warning.message, warning.advice] + warning.details {
                #expect(section.text.contains(text))
            }
        }
        let isGrave = ["control", "none"].contains(kind)
        #expect(made.warnings[0].isGrave == isGrave && found.allSatisfy { $0.isGrave == isGrave })
    }

    private func warned(of kind: String) throws -> ReportPage {
        var runs = soundRuns()
        let other = syntheticRun(model: "based", learningRate: 0.01, seed: 9)
        switch kind {
        case "control": return try page(soundRuns(test: 0.5))
        case "pending": runs.append(syntheticRun(model: "based", status: .pending))
        case "failed":
            var failed = syntheticRun(model: "based", status: .failed)
            failed.error = "a loss of <nan>"
            runs.append(failed)
        case "seed": runs.append(syntheticRun(model: "attention", learningRate: 0.01, seed: 3, status: .failed))
        case "build": runs[0].commit = "other"
        case "changed": for index in runs.indices { runs[index].commit = "abc+" }
        case "edge":
            for index in runs.indices {
                runs[index].validationAccuracy = runs[index].spec.training.learningRate
            }
        case "rate", "single": runs.append(other)
        case "two": runs += [other, syntheticRun(model: "based", learningRate: 0.01, seed: 8)]
        case "spread":
            runs += [0.84, 0.11, 0.83].enumerated().map {
                syntheticRun(model: "based", seed: UInt64($0), test: $1)
            }
        case "chance": runs.append(syntheticRun(model: "based", trainLoss: 5.6, validation: 0.01, test: 0.01))
        case "guess": runs.append(syntheticRun(model: "based", trainLoss: 2, validation: 0.1, test: 0.1))
        case "overfit": runs.append(syntheticRun(model: "based", trainLoss: 0.01, validation: 0.2, test: 0.2))
        case "uncontrolled": return try page(runs, uncontrolledSuite)
        case "origins":
            return try page(runs, origins: [PageWarning("rows of somebody <else>", advice: "a word")])
        default: return try page([syntheticRun(status: .pending)], uncontrolledSuite)
        }
        return try page(runs)
    }

    /// A page without a result has all its sections, and says so.
    @Test func aSuiteWithoutResultsHasAPage() throws {
        let root = try root(try page([syntheticRun(status: .pending)]))
        #expect(root.elements("h2").count == 9)
        #expect(
            root.element(id: "tradeoff")?.text.contains("No figure: no run of suite is finished yet") ?? false
        )
    }

    @Test func namesStayWhatTheyAre() throws {
        let names = oddNames + ["a\"\u{301} onclick=\u{301}x", "<\u{301}i>"]
        var suite = uncontrolledSuite
        (suite.name, suite.description) = (names[1], names.joined(separator: ", "))
        let made = try page(names.flatMap { soundRuns($0) }, suite)
        let root = try root(made)
        #expect(root.elements("title").first?.text == "\(names[1]): recall for each byte of state")
        #expect(root.elements("header").first?.text.contains(suite.description) ?? false)
        for section in [
            "tradeoff", "learning-rates", "slices", "learning-curves", "state", "throughput", "reproduce",
        ] {
            let rows =
                root.element(id: section)?.elements("th").filter { $0.attributes["scope"] == "row" } ?? []
            #expect(section == "throughput" || Set(rows.map(\.text)).isSuperset(of: names), "\(section)")
        }
        // Nothing that a name says is an element or an attribute.
        #expect(root.elements("b").isEmpty && root.elements("i").isEmpty)
        #expect(root.all.allSatisfy { $0.attributes.keys.allSatisfy { !$0.hasPrefix("on") } })
    }

    @Test func escapingGoesByScalars() {
        let text = PageText()
        #expect(
            text.escapeText("<a href='x'>\"&\"</a>, 🧠")
                == "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;, 🧠"
        )
        // One character each, in Swift's eyes; a quote and a mark, in a parser's.
        for (mark, escaped) in [("\"", "&quot;"), ("'", "&#39;"), ("<", "&lt;"), ("&", "&amp;"), (">", "&gt;")]
        {
            #expect(Array(text.escapeText(mark + "\u{301}").utf8) == Array((escaped + "\u{301}").utf8))
        }
        #expect(
            text.escapeText("a\u{0}b\u{1B}c\u{FFFE}\td\ne\r\n") == "a\u{FFFD}b\u{FFFD}c\u{FFFD}\td\ne&#13;\n"
        )
    }

    /// A tag of a template that names nothing renders as nothing, without a word.
    @Test func everyTagOfTheTemplatesIsThere() throws {
        var known: Set<String> = ["page", "stylesheet"]
        func collect(_ value: Any) {
            for child in Mirror(reflecting: value).children {
                if let label = child.label { known.insert(label) }
                collect(child.value)
            }
        }
        collect(try page(soundRuns() + [syntheticRun(model: "based", status: .failed)]))
        for (name, template) in PageRenderer.templates {
            let text = String(decoding: template, as: UTF8.self)
            #expect(text.hasPrefix("{{% CONTENT_TYPE:PAGE}}\n"), "\(name) escapes as it likes")
            for match in text.matches(of: #/\{\{\{?[#^/]?(?:[a-z]+\()?([A-Za-z.]+)\)?\}?\}\}/#) {
                for part in match.1.split(separator: ".") {
                    #expect(known.contains(String(part)), "\(name): \(match.0)")
                }
            }
        }
    }

    /// What a command trains again is trained where and as it was: database, device, precision, first seed.
    @Test func commandsNameWhereAndHow() throws {
        let database = "it's r.sqlite"
        func commands(_ runs: [StoredRun], known: Suite? = nil) throws -> (warnings: [String], every: String?) {
            let made = try page(runs, uncontrolledSuite, known: known, in: database)
            let all = made.sections.flatMap(\.commands)
            for command in all.map(\.command) where !command.hasPrefix("git ") {
                let target =
                    command.hasSuffix("--db again.sqlite") || command.hasSuffix(#"--db 'it'\''s r.sqlite'"#)
                #expect(target, "\(command)")
            }
            return (
                made.warnings.compactMap(\.command), all.first { $0.purpose == "every run" }?.command
            )
        }
        var runs = soundRuns("based") + [syntheticRun(model: "based", seed: 2, status: .pending)]
        let plain = try commands(runs)
        #expect(plain.warnings == [#"recall-bench run --suite suite.yaml --db 'it'\''s r.sqlite'"#])
        #expect(plain.every == "recall-bench run --suite suite.yaml --db again.sqlite")
        for index in runs.indices {
            runs[index].spec.training.precision = .bf16
            runs[index].spec.seed += 40
            if runs[index].status == .finished { runs[index].device = "cuda: H100" }
        }
        let elsewhere = try commands(runs)
        #expect(
            elsewhere.every == "recall-bench run --suite suite.yaml --seed 40 --device cuda --precision bf16 "
                + "--db again.sqlite"
        )
        #expect(
            elsewhere.warnings == [
                "recall-bench run --suite suite.yaml --seed 40 --device cuda --precision bf16 "
                    + #"--db 'it'\''s r.sqlite'"#
            ]
        )
    }

    /// A run among the seeds that the suite begins with needs no --seed; others begin with theirs.
    @Test func seedsOfAKnownSuiteAreNamedOnlyWhereItDoesNotBeginWithThem() throws {
        let spec = syntheticRun().spec
        let known = Suite(
            name: "suite",
            tasks: [SuiteTask(task: spec.task)],
            models: [SuiteModel(name: "based", configurations: [spec.model])],
            trainings: [spec.training],
            seeds: 3
        )
        for (seed, words) in [(2, ""), (7, " --seed 7")] {
            let runs =
                soundRuns("based") + [syntheticRun(model: "based", seed: UInt64(seed), status: .pending)]
            let warnings = try page(runs, uncontrolledSuite, known: known).warnings
            #expect(warnings.compactMap(\.command) == ["recall-bench run --suite suite\(words)"])
        }
    }

    /// The rest of many errors is in a table, which a command writes.
    @Test func manyFailuresNameTheTableThatHasThem() throws {
        let runs = (0..<20).map { syntheticRun(model: "based", seed: UInt64($0), status: .failed) }
        let details = try page(runs, uncontrolledSuite, in: "r.sqlite").warnings.flatMap(\.details)
        #expect(
            details.contains {
                $0.hasSuffix(
                    "; recall-bench export csv --table runs --suite suite --db r.sqlite has all errors"
                )
            },
            "\(details)"
        )
    }

    @Test func commandsSelectWhatAPointIs() throws {
        let made = try page(soundRuns("it's 🧠"), uncontrolledSuite)
        let command = try #require(made.sections.last?.tables.first?.rows.first?.cells.last?.text)
        #expect(
            command
                == #"recall-bench run --suite suite.yaml --only 'model=it'\''s 🧠,d_model=64,learning_rate=0.01' --db again.sqlite"#
        )
        // A suite of that name is named by it, where it is the same.
        let spec = syntheticRun().spec
        for (width, suite) in [(64, "suite"), (32, "suite.yaml")] {
            var model = spec.model
            model.dModel = width
            let known = Suite(
                name: "suite",
                tasks: [SuiteTask(task: spec.task)],
                models: [SuiteModel(name: "based", configurations: [model])],
                trainings: [spec.training]
            )
            let made = try page(soundRuns("based"), uncontrolledSuite, known: known)
            let commands = made.sections.last?.commands.map(\.command) ?? []
            // What the file does not list of them is said beside it.
            let beyond = width == 64 ? " --learning-rates 0.003,0.01,0.03 --seeds 3" : ""
            #expect(
                commands.contains("recall-bench run --suite \(suite)\(beyond) --db again.sqlite"),
                "\(commands)"
            )
            let text = made.sections.last?.paragraphs.joined() ?? ""
            #expect(text.contains("suite.yaml stands for a file that does") == (width == 32), "\(text)")
        }
        var sweep = uncontrolledSuite
        (sweep.name, sweep.description) = (
            "state-size-quick", "Accuracy against the size of the state, on the task and training of quick."
        )
        var runs = soundRuns("based") + soundRuns("control")
        for index in runs.indices { runs[index].device = "NVIDIA H100" }
        let commands = try page(runs, sweep).sections.last?.tables.first?.rows.compactMap(\.cells.last?.text)
        let tail = "--learning-rates 0.003,0.01,0.03 --seeds 3 --device cuda --precision fp32 --db again.sqlite"
        #expect(
            commands == [
                "recall-bench sweep state-size --task quick.yaml --models based --sizes 2048 \(tail)",
                "recall-bench sweep state-size --task quick.yaml --only model=control \(tail)",
            ]
        )
    }
}
