import Foundation
import RecallData
import RecallReport
import RecallStore
import RecallSuite
import RecallTraining
import Testing

/// Names that mean something to a shell, to gnuplot, to XML or to a CSV.
let oddNames = [
    "it's \"quoted\"", "<b>&amp;</b>", "a,b;c", "🧠 Hirn", "snake_case_^2", "back\\slash\\", "`false` $x @y %d",
    "{/Bold no}", "日本語", "-10 percent", "it''s `'''`",
]

/// A tradeoff of twelve rows with everything that a figure marks, the models with odd names among them.
func oddTradeoff(_ suite: SuiteRecord = uncontrolledSuite) -> Tradeoff {
    var runs: [StoredRun] = []
    for (index, name) in oddNames.enumerated() {
        runs.append(syntheticRun(model: name, stateBytes: 3000 << index, test: 0.05 + 0.09 * Double(index)))
    }
    for seed in 0..<3 {
        for rate in [0.003, 0.01] {
            runs.append(
                syntheticRun(
                    model: "based",
                    learningRate: rate,
                    seed: UInt64(seed),
                    stateBytes: 5000,
                    validation: 0.5 + rate,
                    test: 0.3 + 0.1 * Double(seed)
                )
            )
        }
    }
    return Tradeoff(suite: suite, runs: runs)
}

@Suite struct PlotScriptTests {
    @Test func theSameTradeoffHasTheSameScript() throws {
        let tradeoff = oddTradeoff()
        let text = try TradeoffPlot(tradeoff).script().text(.svg)
        #expect(text == (try TradeoffPlot(oddTradeoff()).script().text(.svg)))
        #expect(text != (try TradeoffPlot(tradeoff).script(title: "another").text(.svg)))
        #expect(text.contains("set terminal svg size ") && !text.contains("set output"))
        let png = try TradeoffPlot(tradeoff).script().text(.png, width: 900, height: 700, output: "it's.png")
        #expect(png.contains("set terminal pngcairo size 900,700 ") && png.contains("set output 'it''s.png'"))
    }

    @Test func everyRowIsDrawnOnceAndMarkedForWhatItIs() throws {
        let tradeoff = oddTradeoff()
        let script = try TradeoffPlot(tradeoff).script()
        let layers = script.panels.flatMap(\.layers)
        func rows(_ isWanted: (PlotMarker) -> Bool) -> [[Double]] {
            layers.flatMap { layer -> [[Double]] in
                if case .markers(let marker) = layer.style, isWanted(marker) { return layer.rows }
                return []
            }
        }
        let ofModels = rows { (0.5..<1.5).contains($0.size) }
        let expected = tradeoff.rows.map { [Double($0.facts.stateBytes), $0.testAccuracy.mean] }
        #expect(ofModels.count == tradeoff.rows.count && Set(ofModels) == Set(expected))
        let severalSeeds = tradeoff.rows.filter { $0.seeds > 1 }
        #expect(rows { $0.size < 0.5 }.count == severalSeeds.reduce(0) { $0 + $1.seeds })
        let atEdge = tradeoff.rows.filter(\.learningRateAtEdge)
        #expect(!atEdge.isEmpty && rows { $0.size < 1.5 && $0.isOpen }.count == atEdge.count)
        let possible = tradeoff.rows.filter { $0.standing == .possible }
        #expect(!possible.isEmpty && rows { $0.size > 1.5 }.count == possible.count)
        let frontier = try #require(layers.first { $0.name == "frontier" })
        let on = tradeoff.rows.filter { $0.standing == .on }.sorted {
            $0.facts.stateBytes < $1.facts.stateBytes
        }
        #expect(
            frontier.rows.dropFirst().dropLast()
                == on.map { [Double($0.facts.stateBytes), $0.testAccuracy.mean] }[...]
        )
        let bars = layers.filter { if case .bars = $0.style { true } else { false } }
        let interval = try #require(tradeoff.rows.first { $0.seeds > 1 }?.testAccuracy.interval)
        #expect(
            bars.map(\.rows) == [[[5000, interval.lowerBound, interval.upperBound - interval.lowerBound]]]
        )
        let guesses = layers.filter { $0.name.hasPrefix("a guess") }.map { $0.rows[0][1] }
        #expect(guesses == [2.0 / 512, 1.0 / 8])
        for words in ["frontier", "perhaps", "open", "95 %", "values: 0.125", "values: 0.004"] {
            #expect(script.key.filter { $0.text.contains(words) }.count == 1, "\(words)")
        }
    }

    @Test func pointsAreJoinedWhereEachHasAStateOfItsOwn() throws {
        func lines(_ states: [Int]) throws -> [PlotLayer] {
            let runs = states.enumerated().map { index, state in
                syntheticRun(knobs: ["feature_dim": .integer(8 + index)], stateBytes: state)
            }
            return try TradeoffPlot(Tradeoff(suite: uncontrolledSuite, runs: runs)).script().panels[0].layers
                .filter { layer in
                    if case .line = layer.style { return layer.name == "based" }
                    return false
                }
        }
        #expect(try lines([4096, 1024, 2048]).map(\.rows) == [[[1024, 0.75], [2048, 0.75], [4096, 0.75]]])
        #expect(try lines([1024, 1024]).isEmpty && lines([1024]).isEmpty)
    }

    @Test func tasksAndTrainingsHavePanelsOfTheirOwn() throws {
        var runs = [
            syntheticRun(vocabSize: 512, stateBytes: 1000), syntheticRun(vocabSize: 8192, stateBytes: 1000),
        ]
        #expect(
            try TradeoffPlot(Tradeoff(suite: uncontrolledSuite, runs: runs)).script().panels.map(\.title)
                == ["V=512", "V=8192"]
        )
        runs = [0.1, 0.25].map { syntheticRun(stateBytes: 1000, weightDecay: $0) }
        let panels = try TradeoffPlot(Tradeoff(suite: uncontrolledSuite, runs: runs)).script().panels
        #expect(panels.map(\.title) == ["weight_decay=0.1", "weight_decay=0.25"])
    }

    @Test func aFailedControlIsSaid() throws {
        let runs = [syntheticRun(model: "attention", test: 0.5)]
        let script = try TradeoffPlot(Tradeoff(suite: controlledSuite, runs: runs)).script()
        #expect(
            script.warning
                == "INVALID CONTROL: attention reached 0.5, below 0.99: no number of this figure can be trusted."
        )
        #expect(try script.text(.svg).contains("'INVALID CONTROL: attention"))
        let good = Tradeoff(suite: controlledSuite, runs: [syntheticRun(model: "attention", test: 0.995)])
        #expect(try TradeoffPlot(good).script().warning == nil)
    }

    @Test func nothingToDrawIsSaid() throws {
        let none = Tradeoff(suite: uncontrolledSuite, runs: [syntheticRun(status: .pending)])
        let error = PlotError.nothing("no run of suite is finished yet: there is nothing to draw")
        #expect(throws: error) { try TradeoffPlot(none).script() }
        #expect(throws: error) { try LearningRatePlot(none).script() }
        #expect(throws: error) { try LearningCurvePlot(none) { _ in [] }.script() }
        #expect(throws: PlotError.self) { try TradeoffPlot(oddTradeoff()).script().text(.svg, width: 200) }
        #expect(throws: PlotError.self) { try TradeoffPlot(oddTradeoff()).script().text(.svg, height: 150) }
    }

    @Test func learningCurvesEndWhereTheRunsDo() throws {
        let runs = (0..<2).map { syntheticRun(seed: UInt64($0)) }
        let plot = try LearningCurvePlot(Tradeoff(suite: uncontrolledSuite, runs: runs)) { runID in
            (1...(runID == runs[0].runID ? 3 : 2)).map { epoch in
                EpochRecord(
                    epoch: epoch,
                    step: epoch,
                    learningRate: 0.01,
                    trainLoss: 1,
                    validationLoss: epoch == 2 ? .infinity : 1 / Double(epoch),
                    validationAccuracy: 0.25 * Double(epoch),
                    seconds: 1
                )
            }
        }
        let drawn: [[[[Double]]]] = try plot.script().panels.map { $0.layers.map(\.rows) }
        let accuracy: [[[Double]]] = [
            [[1, 0.25], [2, 0.5], [3, 0.75]], [[3, 0.75]], [[1, 0.25], [2, 0.5]], [[2, 0.5]],
        ]
        // What is not finite is a gap.
        let loss: [[[Double]]] = [[[1, 1], [], [3, 1.0 / 3]], [[3, 1.0 / 3]], [[1, 1], []], [[1, 1]]]
        #expect(drawn == [accuracy, loss])
    }

    /// Tables that earlier versions have written are drawn, every row of them.
    @Test func committedTablesAreDrawn() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("results")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
            $0.hasSuffix("-tradeoff.csv")
        }
        #expect(names.count >= 4)
        for name in names {
            let path = folder.appendingPathComponent(name).path
            let plot = try TradeoffPlot(csv: path, suite: nil)
            let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count - 1
            let script = try plot.script().text(.svg)
            #expect(plot.points.count == rows && script.hasSuffix("unset multiplot\n"), "\(name)")
        }
    }

    @Test func aModelLooksTheSameInEveryFigure() {
        let known = [
            "attention", "sliding-window", "linear-attention", "mamba", "base-conv", "based", "gated-conv",
        ]
        let all = PlotAppearance.of(known + oddNames + ["control"])
        for name in known + ["control"] + oddNames {
            // Odd names keep their looks but where two of one figure would share them.
            if !oddNames.contains(name) { #expect(PlotAppearance.of([name])[name] == all[name], "\(name)") }
            #expect(PlotAppearance.of([name, "mamba"])[name] == PlotAppearance.of(["based", name])[name])
        }
        #expect(Set(known.compactMap { all[$0]?.colour }).count == known.count)
        let looks = all.values.map { "\($0.colour) \($0.shape)" }
        #expect(Set(looks).count == all.count)
        #expect(all["control"]?.colour == all["attention"]?.colour)
        // More names than looks.
        #expect(PlotAppearance.of((0..<100).map { "model-\($0)" }).count == 100)
    }

    @Test func bestRatesAndTheirWindowAreMarked() throws {
        let runs = [(0.001, 0.5), (0.003, 0.88), (0.01, 0.9), (0.03, 0.86), (0.1, 0.1)].map {
            syntheticRun(learningRate: $0, validation: $1)
        }
        let panel = try #require(
            try LearningRatePlot(Tradeoff(suite: uncontrolledSuite, runs: runs)).script().panels.first
        )
        #expect(panel.title == "based")
        #expect(panel.layers.first { $0.name.hasSuffix(": the best") }?.rows == [[0.01, 0.9]])
        #expect(
            panel.layers.first { $0.name.contains("within") }?.rows == [
                [0.003, 0.88], [0.01, 0.9], [0.03, 0.86],
            ]
        )
        let edge = try LearningRatePlot(Tradeoff(suite: uncontrolledSuite, runs: Array(runs.prefix(3))))
            .script()
        #expect(edge.key.contains { $0.text.hasPrefix("open") })
        let open = edge.panels[0].layers.filter { layer in
            if case .markers(let marker) = layer.style { marker.isOpen && marker.size < 1.5 } else { false }
        }
        #expect(open.map(\.rows) == [[[0.01, 0.9]]])
    }

    @Test func ticksStandApart() {
        func texts(_ axis: PlotAxis, _ length: Double, _ room: Double) -> String {
            axis.ticks(length: length) { _ in room }.map(\.text).joined(separator: " ")
        }
        let bytes = PlotAxis("", .bytes, holding: [3000, 3_000_000])
        #expect(
            texts(bytes, 2000, 50)
                == "4 KiB 8 KiB 16 KiB 32 KiB 64 KiB 128 KiB 256 KiB 512 KiB 1 MiB 2 MiB"
        )
        #expect(texts(bytes, 200, 50) == "4 KiB 64 KiB 1 MiB")
        #expect(texts(PlotAxis("", .bytes, holding: [12_000]), 600, 50) == "8 KiB 16 KiB")
        #expect(texts(.accuracy(""), 300, 20) == "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1")
        #expect(texts(.accuracy(""), 100, 20) == "0 0.5 1")
        let rates = PlotAxis("", .rates, holding: [0.00117, 0.0923])
        #expect(texts(rates, 300, 40) == "0.001 0.002 0.005 0.01 0.02 0.05 0.1")
        #expect(texts(rates, 300, 60) == "0.001 0.003 0.01 0.03 0.1")
        #expect(
            texts(PlotAxis("", .doublings, holding: [1320, 12_900]), 1000, 40)
                == "1,024 2,048 4,096 8,192 16,384"
        )
        #expect(texts(PlotAxis("", .counts, holding: [1170, 1_540_000]), 400, 90) == "1k 10k 100k 1M")
    }
}
