import Foundation
import RecallData
import RecallRandom
import RecallStore
import RecallSuite
import RecallTraining
import TestSupport
import Testing

@testable import RecallPage
@testable import RecallReport

/// Made-up results of any numbers that a store or a CSV can hold; the same seed makes the same.
struct OddNumbers {
    private var stream: RandomStream

    init(seed: UInt64) { stream = RandomStream(seed: seed, purpose: .test, a: 0xF16) }

    mutating func below(_ count: Int) -> Int { Int(stream.nextWord()) % count }
    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

    static let numbers: [Double] = [
        0, -0.0, 1, 1, 0.5, 0.5, 0.125, 0.999_999_9, 1.000_001, 2, 100, -1, -3.5, 1e-12, 1e15, 9.3e18, 1e300,
        -1e300,
        .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude, .nan, .infinity,
        -.infinity,
    ]
    static let states = [0, 0, 1, 1, 2, 16_640, 16_640, 1 << 40, Int.max, -1, Int.min]
    static let rates: [Double] = [0, 0.01, 0.01, 1e-300, 1e300, .leastNonzeroMagnitude, -1, 0.010_000_1]

    /// Those of which a few have a sum.
    static let times = numbers.filter { !$0.isFinite || abs($0) <= 1e300 }

    mutating func number() -> Double { pick(Self.numbers) }

    mutating func run() -> StoredRun {
        var run = syntheticRun(
            model: pick(["attention", "based", oddNames[0]]),
            learningRate: pick(Self.rates),
            seed: UInt64(below(4)),
            vocabSize: pick([512, 512, 8192]),
            stateBytes: pick(Self.states),
            status: pick([.finished, .finished, .finished, .failed, .pending]),
            weightDecay: pick([0.1, 0.1, 0.25])
        )
        guard run.status == .finished else { return run }
        (run.trainLoss, run.lowestTrainLoss) = (pick([nil, number()]), pick([nil, number()]))
        (run.validationLoss, run.validationAccuracy) = (pick([nil, number()]), pick([nil, number()]))
        (run.testAccuracy, run.trainSeconds) = (pick([nil, number(), 0.5, 1]), pick([nil, pick(Self.times)]))
        run.tokensPerSecond = pick([nil, pick(Self.times)])
        return run
    }

    mutating func epochs() -> [EpochRecord] {
        (0..<below(4)).map { index in
            EpochRecord(
                epoch: index + 1,
                step: index,
                learningRate: number(),
                trainLoss: number(),
                validationLoss: number(),
                validationAccuracy: number(),
                seconds: number()
            )
        }
    }
}

/// Whatever the numbers are, a figure is well-formed or its absence is said: nothing traps.
@Suite struct FigureRobustnessTests {
    /// Fails where a script holds what gnuplot has no number for, or plots what is not there.
    private func check(_ script: String, _ comment: Comment) {
        var blocks: Set<String> = []
        var (isData, plotted) = (false, [String]())
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("$"), line.hasSuffix(" << EOD") {
                #expect(blocks.insert(String(line.dropLast(7))).inserted, comment)
                isData = true
            } else if line == "EOD" {
                isData = false
            } else if isData {
                let numbers = line.split(separator: " ").map { Double($0) }
                #expect(numbers.allSatisfy { $0?.isFinite == true }, "\(comment): \(line)")
            } else if let words = Optional(line.split(separator: " ")), line.contains("$panel") {
                plotted += words.filter { $0.hasPrefix("$panel") }.map(String.init)
            } else if line.hasPrefix("set xrange") || line.hasPrefix("set yrange") {
                let ends = line.drop { $0 != "[" }.dropFirst().dropLast().split(separator: ":").compactMap {
                    Double($0)
                }
                #expect(ends.count == 2 && ends[0] < ends[1] && ends.allSatisfy(\.isFinite), "\(line)")
            }
        }
        #expect(plotted.count == blocks.count && Set(plotted) == blocks, comment)
        #expect(script.hasSuffix("unset multiplot\n"), comment)
    }

    /// The script, where there is something to draw.
    private func script(_ comment: Comment, _ make: () throws -> PlotScript) throws {
        do { check(try make().text(.svg), comment) } catch PlotError.nothing(let why) {
            #expect(!why.isEmpty, comment)
        }
    }

    @Test(arguments: 0..<300) func anyResultsAreDrawn(seed: Int) throws {
        var odd = OddNumbers(seed: UInt64(seed))
        let runs = (0..<odd.below(12)).map { _ in odd.run() }
        let histories = Dictionary(runs.map { ($0.runID, odd.epochs()) }) { first, _ in first }
        let tradeoff = Tradeoff(suite: odd.pick([uncontrolledSuite, controlledSuite]), runs: runs)
        let comment = Comment("seed \(seed)")
        try script(comment) { try TradeoffPlot(tradeoff).script() }
        try script(comment) { try LearningRatePlot(tradeoff).script() }
        try script(comment) { try LearningCurvePlot(tradeoff) { histories[$0] ?? [] }.script() }
        for width in [0, 61] {
            let sketch = TradeoffSketch(tradeoff).render(width: width, unicode: odd.below(2) == 0)
            #expect(sketch.isEmpty == tradeoff.rows.isEmpty, comment)
            #expect(sketch.split(separator: "\n").allSatisfy { displayWidth(String($0)) <= 61 }, comment)
        }
        let source = try PageSource(
            tradeoff.suite,
            in: ShellCommand.defaultDatabase,
            runs: runs,
            benchmarks: "kind,name,median_ms,tokens_per_second\nk,n,\(odd.number()),\(odd.number())\n",
            known: nil,
            slices: { _ in [] },
            history: { histories[$0] ?? [] }
        )
        let page = try ReportPage(source, origins: [], program: "0", gnuplot: nil)
        let (root, complaint) = parseMarkup(PageRenderer().render(page))
        #expect(root != nil, "\(comment): \(complaint)")
        #expect(!TradeoffTable(tradeoff).render().isEmpty && !LearningRateTable(tradeoff).render().isEmpty)
    }

    /// A CSV of any cells is drawn, or what is wrong with it is said with its place.
    @Test(arguments: 0..<300) func anyTableIsDrawnOrRefused(seed: Int) throws {
        var odd = OddNumbers(seed: UInt64(seed))
        let cells: [String: [String]] = [
            "model": ["based", "attention", ""],
            "config": ["{}", "", "{\"task\":1}", "[", "{\"training\":{\"a\":1e999}}"],
            "frontier": ["on", "", "nonsense"],
            "learning_rate_at_edge": ["true", "FALSE", "False", "", "perhaps"],
            "test_accuracy_seeds": ["", "0.5;0.75", "1", ";", "0.5;x"],
            "seed_names": ["", "0/0;0/1", "0/0", ";"],
            "test_labels": ["", "0", "1", "128"], "control": ["passes", "", "fails"],
        ]
        let usual = ["0", "1", "0.5", "0.25", "0.125", ""]
        let columns = CSVTable.tradeoff.columns.filter { _ in odd.below(12) > 0 }
        var text = columns.joined(separator: ",") + "\n"
        for _ in 0..<(1 + odd.below(3)) {
            let isUsual = odd.below(3) > 0
            let row = columns.map { column in
                if column == "suite" { return "s" }
                if let values = cells[column] { return odd.pick(isUsual ? Array(values.prefix(2)) : values) }
                return isUsual ? odd.pick(usual) : "\(odd.number())"
            }
            text += row.map { CSVField.text($0).encoded }.joined(separator: ",") + "\n"
        }
        let comment = Comment(rawValue: text)
        do {
            let file = try CSVRecords(text, path: "t.csv", requiring: TradeoffPoint.requiredColumns)
            try script(comment) { try TradeoffPlot(file, suite: "s").script() }
        } catch let error as DataFileError {
            #expect(error.message.contains("line ") || error.message.contains("column"), "\(error) \(comment)")
        }
    }

    @Test(arguments: 0..<100) func anyMeasurementIsDrawnOrRefused(seed: Int) throws {
        var odd = OddNumbers(seed: UInt64(seed))
        var text = "kind,name,shape,tokens_per_second,device\n"
        for _ in 0..<(1 + odd.below(4)) {
            let context = odd.pick(["1", "128", "\(Int.max)", "1e300", "0", "-1"])
            let shape = CSVField.text("{\"batch\":16,\"sequence_length\":\(context)}").encoded
            text += "generate,\(odd.pick(["mamba", "based"])) \(odd.pick(["prefill", "decode"])),\(shape),"
            text += "\(odd.pick([1e4, 1e4, odd.number()])),cpu\n"
        }
        let comment = Comment(rawValue: text)
        do {
            let file = try CSVRecords(text, path: "b.csv", requiring: ThroughputPlot.requiredColumns)
            try script(comment) { try ThroughputPlot(file, batch: 16, remedy: "measure").script() }
        } catch let error as DataFileError {
            #expect(error.message.contains("line "), "\(error) \(comment)")
        }
    }

    @Test(arguments: [PlotAxis.Scale.linear, .bytes, .doublings, .rates, .counts])
    func anyAxisHoldsItsValuesAndLabels(scale: PlotAxis.Scale) {
        for seed in 0..<400 {
            var odd = OddNumbers(seed: UInt64(seed))
            let values = (0..<odd.below(5)).map { _ in odd.number() }
            let axis = PlotAxis("", scale, holding: values)
            for value in values {
                let place = axis.position(value).map(axis.share)
                #expect((place != nil) == value.isFinite, "\(scale) \(values): \(value)")
                #expect(place.map { $0 > 0 && $0 < 1 } ?? true, "\(scale) \(values): \(value) at \(place ?? 0)")
            }
            for length in [90.0, 600] {
                let ticks = axis.ticks(length: length) { Double($0.count) * 7 }
                #expect(Set(ticks.map(\.text)).count == ticks.count, "\(scale) \(values): \(ticks)")
                #expect(ticks.allSatisfy { axis.range.contains($0.value) }, "\(scale) \(values): \(ticks)")
            }
        }
    }
}
