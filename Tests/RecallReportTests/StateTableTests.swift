import RecallModels
import RecallReport
import Testing

@Suite struct StateTableTests {
    private let items = [
        StateItem(layer: 0, mixer: "mamba", kind: .recurrent, bytes: 8192),
        StateItem(layer: 0, mixer: "mamba", kind: .convolution, bytes: 1536),
    ]

    @Test func aRowALayerAndKind() {
        #expect(
            StateTable(items, published: nil).lines() == [
                "layer  mixer  kind         bytes", "─────  ─────  ───────────  ─────",
                "    0  mamba  recurrent    8,192", "    0  mamba  convolution  1,536",
            ]
        )
    }

    @Test(arguments: [
        (nil, ["measured: 9,728 B (9.5 KiB)", "published formula: none: a mixer of it has no formula"]),
        (
            8192,
            [
                "measured: 9,728 B (9.5 KiB)", "published formula: 8,192 B (8.0 KiB)",
                "difference: +1,536 B (+18.8 %)",
            ]
        ),
        (
            9728,
            ["measured: 9,728 B (9.5 KiB)", "published formula: 9,728 B (9.5 KiB)", "difference: none"]
        ),
        (
            19456,
            [
                "measured: 9,728 B (9.5 KiB)", "published formula: 19,456 B (19.0 KiB)",
                "difference: -9,728 B (-50.0 %)",
            ]
        ), (0, ["measured: 9,728 B (9.5 KiB)", "published formula: 0 B (0 B)", "difference: +9,728 B"]),
    ])
    func theSumBesideTheFormula(published: Int?, expected: [String]) {
        #expect(StateTable(items, published: published).summary.map { "\($0.name): \($0.text)" } == expected)
    }
}
