import Foundation
import RecallStore
import RecallTraining
import Testing

@testable import RecallReport

/// What every figure of a suite has to show alike.
@Suite struct FigureTests {
    // MARK: No state

    private let stateless = Tradeoff(
        suite: uncontrolledSuite,
        runs: [
            syntheticRun(model: "none", knobs: [:], stateBytes: 0, test: 0.3),
            syntheticRun(model: "attention", knobs: [:], stateBytes: 4096, test: 0.9),
        ]
    )

    /// A model without state stands left of a line in every figure that has states, at a label that says so.
    @Test func noStateIsDrawnAtTheEdge() throws {
        let plot = try TradeoffPlot(stateless).script()
        let axis = plot.panels[0].x
        let strip = try #require(axis.zeroStrip)
        #expect(axis.range.lowerBound < strip.place && strip.place < strip.end && strip.end < 4096)
        #expect(axis.position(0) == strip.place && axis.position(4096) == 4096)
        let ticks = axis.ticks(length: 600) { Double($0.count) * 8 }
        #expect(ticks.map(\.text) == ["0 B", "2 KiB", "4 KiB", "8 KiB"])
        #expect(plot.key.contains { $0.text == "left of this line, at 0 B: no state" })
        let text = try plot.text(.svg)
        #expect(text.contains("\n\(strip.place) 0.3\n"), "\(text)")
        #expect(text.contains("set arrow from first \(strip.end),graph 0 to first \(strip.end),graph 1 nohead"))
        // Without such a model nothing of it is there.
        let usual = try TradeoffPlot(oddTradeoff()).script()
        #expect(usual.panels[0].x.zeroStrip == nil && !usual.key.contains { $0.text.contains("0 B") })
    }

    @Test func noStateIsSketchedAtTheEdge() {
        #expect(
            TradeoffSketch(stateless).render(width: 45, unicode: true) == """
                1.0 │     ┊
                    │     ┊                B─────────────────
                0.8 │     ┊                │
                    │     ┊                │
                0.6 │     ┊                │
                    │     ┊                │
                0.4 │     ┊                │
                    │   A──────────────────┘
                0.2 │     ┊
                    │········································
                0.0 │     ┊
                    └───┴──────────────────┴────────────────┴
                       0 B               4 KiB          8 KiB
                A none   B attention   ─ the frontier
                ┊ left of it: no state, 0 B
                · a guess among the sequence's values

                """
        )
    }

    // MARK: Panels

    /// Under two trainings a model has a panel, a frontier and a standing of each.
    @Test func trainingsHaveFrontiersOfTheirOwn() throws {
        func run(_ model: String, _ state: Int, _ decay: Double, _ test: Double) -> StoredRun {
            syntheticRun(model: model, knobs: [:], stateBytes: state, test: test, weightDecay: decay)
        }
        let runs = [
            run("a", 1000, 0.1, 0.9), run("b", 2000, 0.1, 0.8), run("a", 1000, 0.25, 0.5),
            run("b", 2000, 0.25, 0.6),
        ]
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs)
        let standings = Dictionary(
            uniqueKeysWithValues: tradeoff.rows.map {
                ("\($0.model) \($0.spec.training.weightDecay)", $0.standing)
            }
        )
        #expect(standings == ["a 0.1": .on, "b 0.1": .off, "a 0.25": .on, "b 0.25": .on])
        let panels = try TradeoffPlot(tradeoff).script().panels
        let lines = panels.map { panel in panel.layers.filter { $0.name == "frontier" }.flatMap(\.rows) }
        let end = panels[0].x.range.upperBound
        #expect(
            lines == [
                [[1000, 0], [1000, 0.9], [end, 0.9]], [[1000, 0], [1000, 0.5], [2000, 0.6], [end, 0.6]],
            ]
        )
        let sketch = TradeoffSketch(tradeoff).render(width: 60, unicode: true)
        #expect(sketch.components(separatedBy: "─ the frontier").count == 3)
    }

    /// The frontier is that of the rows in the file, whatever the file says of it.
    @Test func theFileDoesNotSayWhereTheFrontierIs() throws {
        let text = """
            suite,model,config,state_bytes,test_accuracy_mean,on_frontier,frontier
            s,a,{},1000,0.5,false,off
            s,b,{},2000,0.4,true,on

            """
        let file = try CSVRecords(text, path: "t.csv", requiring: TradeoffPoint.requiredColumns)
        let panel = try TradeoffPlot(file, suite: nil).script().panels[0]
        let end = panel.x.range.upperBound
        #expect(
            panel.layers.filter { $0.name == "frontier" }.map(\.rows) == [
                [[1000, 0], [1000, 0.5], [end, 0.5]]
            ]
        )
    }

    // MARK: Seeds

    /// Several seeds are a dot each, and a bar from the lowest to the highest where they are too few for an interval.
    @Test(arguments: [1, 2, 5]) func everySeedIsADot(count: Int) throws {
        let accuracies = [0.11, 0.84, 0.5, 0.7, 0.6].prefix(count)
        let runs = accuracies.enumerated().map { seed, accuracy in
            syntheticRun(model: "mamba", knobs: [:], seed: UInt64(seed), stateBytes: 1000, test: accuracy)
        }
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs)
        let row = try #require(tradeoff.rows.first)
        let script = try TradeoffPlot(tradeoff).script()
        let layers = script.panels[0].layers
        let dots = layers.filter { $0.name == "mamba: one seed" }.flatMap(\.rows)
        #expect(Set(dots) == Set(count > 1 ? accuracies.map { [1000, $0] } : []))
        #expect(script.key.contains { $0.text == "a dot for each seed" } == (count > 1))
        let bars = layers.compactMap { layer -> (PlotStroke, [[Double]])? in
            if case .bars(let stroke) = layer.style { (stroke, layer.rows) } else { nil }
        }
        #expect(bars.count == (count > 1 ? 1 : 0))
        guard let (stroke, rows) = bars.first else { return }
        let range = row.testAccuracy.range
        #expect(rows == [[1000, range.lowerBound, range.upperBound - range.lowerBound]])
        let isInterval = row.testAccuracy.interval != nil
        #expect(stroke.dashes.isEmpty == isInterval)
        #expect(script.key.contains { $0.text == "95 % interval over seeds" } == isInterval)
        #expect(script.key.contains { $0.text.hasPrefix("range of the seeds") } == !isInterval)
        #expect((row.testAccuracy.interval == nil) || count > 1)
    }

    // MARK: Looks

    /// A configuration has one colour and one marker in every figure, and its model's others have the same.
    @Test func aConfigurationLooksTheSameInEveryFigure() throws {
        var runs = [8, 16, 24].flatMap { feature in
            [0.003, 0.01, 0.03].map { rate in
                syntheticRun(
                    knobs: ["feature_dim": .integer(feature)],
                    learningRate: rate,
                    stateBytes: 1024 * feature,
                    validation: rate == 0.01 ? 0.9 : 0.8
                )
            }
        }
        runs += ["attention", "mamba"].map { syntheticRun(model: $0, knobs: [:], stateBytes: 16_640) }
        // Nothing of these is finished: they have looks, and change no other's.
        runs += oddNames.map { syntheticRun(model: $0, status: .pending) }
        runs += oddNames.prefix(2).map { syntheticRun(model: $0, knobs: [:], stateBytes: 99) }
        let tradeoff = Tradeoff(suite: uncontrolledSuite, runs: runs)
        let figures = [
            try TradeoffPlot(tradeoff).script(), try LearningRatePlot(tradeoff).script(),
            try LearningCurvePlot(tradeoff) { _ in
                [
                    EpochRecord(
                        epoch: 1,
                        step: 1,
                        learningRate: 0.1,
                        trainLoss: 1,
                        validationLoss: 1,
                        validationAccuracy: 0.5,
                        seconds: 1
                    )
                ]
            }.script(),
        ]
        let expected = PlotAppearance.of(runs.map(\.model))
        for figure in figures {
            for model in Set(tradeoff.rows.map(\.model)) {
                let look = try #require(expected[model])
                let entries = figure.key.filter { $0.text == model || $0.text.hasPrefix("\(model) ") }
                #expect(!entries.isEmpty)
                for entry in entries {
                    #expect(entry.marker?.shape == look.shape && entry.marker?.colour == look.colour)
                    #expect(entry.line?.colour == look.colour)
                }
                let layers = figure.panels.flatMap(\.layers).filter {
                    $0.name == model || $0.name.hasPrefix("\(model) ") && !$0.name.hasSuffix(": the best")
                }
                for layer in layers {
                    guard case .markers(let marker) = layer.style else { continue }
                    #expect(marker.shape == look.shape && marker.colour == look.colour, "\(layer.name)")
                }
            }
        }
        // What tells a model's configurations apart is the line.
        let dashes = figures[2].key.filter { $0.text.hasPrefix("based ") }.compactMap { $0.line?.dashes }
        #expect(dashes.count == 3 && Set(dashes).count == 3)
    }
}
