import RecallReport
import RecallStore
import Testing

@Suite struct TradeoffSketchTests {
    private let tradeoff = Tradeoff(
        suite: uncontrolledSuite,
        runs: [
            syntheticRun(model: "attention", knobs: [:], stateBytes: 32_768, test: 0.997),
            syntheticRun(model: "based", stateBytes: 4096, test: 0.6),
            syntheticRun(model: "based", knobs: ["feature_dim": .integer(16)], stateBytes: 12_288, test: 0.8),
            syntheticRun(model: "mamba", knobs: [:], stateBytes: 12_300, test: 0.8),
        ]
    )

    @Test func theFrontierIsALineOfSteps() {
        #expect(
            TradeoffSketch(tradeoff).render(width: 45, unicode: true) == """
                1.0 │                                   A────
                    │                                   │
                0.8 │                    *──────────────┘
                    │                    │
                0.6 │    B───────────────┘
                    │
                0.4 │
                    │
                0.2 │
                    │········································
                0.0 │
                    └────┴─────────┴──────────┴─────────┴────
                       4 KiB     8 KiB     16 KiB    32 KiB
                A attention   B based   C mamba
                * several models   ─ the frontier
                · a guess among the sequence's values

                """
        )
    }

    @Test func itFitsItsWidthAndItsAlphabet() {
        for width in [20, 60, 80, 200] {
            for text in [
                TradeoffSketch(tradeoff).render(width: width, unicode: true),
                TradeoffSketch(oddTradeoff()).render(width: width, unicode: true),
            ] {
                let lines = text.split(separator: "\n")
                #expect(lines.allSatisfy { displayWidth(String($0)) <= min(max(width, 40), 76) }, "\(text)")
                #expect(lines.count >= 15)
            }
        }
        #expect(TradeoffSketch(tradeoff).render(width: 80, unicode: false).utf8.allSatisfy { $0 < 0x80 })
        let none = Tradeoff(suite: uncontrolledSuite, runs: [])
        #expect(TradeoffSketch(none).render(width: 80) == "")
    }
}
