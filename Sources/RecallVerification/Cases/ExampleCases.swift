import RecallExamples
import RecallKernels

/// Data made on the device, to be the same as the host's, made one by one: every setting, few slots and many, queries that
/// leave no slot, vocabularies whose draws are rejected and that take whole words, first examples up to the last.
enum ExampleCases {
    static let all: [KernelCase] =
        shapes.flatMap { shape in
            [(true, false), (true, true), (false, false)].map {
                makeExamples(shape, hasRandomFillers: $0.0, hasDisjointFillers: $0.1)
            }
        } + [
            // Beside the published power: uniform, steeper, later slots the likelier.
            makeExamples(Shape(64, length: 64, pairs: 4, count: 33), powerA: 0),
            makeExamples(Shape(64, length: 64, pairs: 4, count: 33), powerA: 1),
            makeExamples(Shape(64, length: 66, pairs: 16, count: 33), powerA: 3),
            // Slots of next to no weight, which are drawn from those that are left.
            makeExamples(Shape(512, length: 256, pairs: 64, count: 5), powerA: 12),
            makeExamples(Shape(64, length: 64, pairs: 4, count: 17), first: 1 << 32 - 17),
            makeExamples(Shape(64, length: 64, pairs: 4, count: 17), first: 1 << 31 - 5),
            makeExamples(Shape(8192, length: 64, pairs: 4, count: 300), seed: .max, streamIndex: 2 << 16 | 6),
            // Longer than a block of a graphics card has memory for.
            makeExamples(Shape(1 << 17, length: 1 << 17, pairs: 20_000, count: 2)),
        ]

    private struct Shape {
        let vocabulary, length, pairs, count: Int

        init(_ vocabulary: Int, length: Int, pairs: Int, count: Int) {
            (self.vocabulary, self.length, self.pairs, self.count) = (vocabulary, length, pairs, count)
        }
    }

    private static let shapes = [
        Shape(64, length: 64, pairs: 4, count: 0), Shape(4, length: 4, pairs: 1, count: 70),
        Shape(24, length: 44, pairs: 11, count: 65), Shape(8192, length: 64, pairs: 4, count: 257),
        Shape(8192, length: 1024, pairs: 256, count: 3), Shape(300, length: 70, pairs: 17, count: 31),
        Shape(65_536, length: 128, pairs: 8, count: 9), Shape(65_538, length: 128, pairs: 8, count: 9),
        Shape(1 << 24, length: 130, pairs: 32, count: 2),
    ]

    private static func makeExamples(
        _ shape: Shape,
        hasRandomFillers: Bool = true,
        hasDisjointFillers: Bool = false,
        powerA: Double = 0.01,
        seed: UInt64 = 0x1234_5678_9ABC_DEF0,
        streamIndex: UInt32 = 3,
        first: Int = 1000
    ) -> KernelCase {
        let (length, pairs, count) = (shape.length, shape.pairs, shape.count)
        var variant = hasRandomFillers ? hasDisjointFillers ? "disjoint fillers" : "fillers" : "no fillers"
        if powerA != 0.01 { variant += ", power \(powerA)" }
        if first != 1000 { variant += ", from example \(first)" }
        return KernelCase(
            "makeExamples",
            [.count(count), .length(length), .pairs(pairs), .vocabulary(shape.vocabulary)],
            variant
        ) { p in
            let recipe = ExampleRecipe(
                seed: seed,
                streamIndex: streamIndex,
                vocabulary: shape.vocabulary,
                length: length,
                pairs: pairs,
                hasRandomFillers: hasRandomFillers,
                hasDisjointFillers: hasDisjointFillers,
                slotLaw: SlotLaw(slots: length / 2 - pairs, powerA: powerA)
            )
            let tokens = p.integerOutput("tokens", count * length)
            let positions = p.integerOutput("positions", count * pairs)
            let labels = p.integerOutput("labels", count * pairs)
            p.call = {
                $0.makeExamples(
                    recipe,
                    first: first,
                    count: count,
                    tokens: $1.mutableIntegers(tokens),
                    positions: $1.mutableIntegers(positions),
                    labels: $1.mutableIntegers(labels)
                )
            }
            p.reference = { _ in
                let all = made(recipe, first: first, count: count)
                return [
                    Expectation(tokens, all.tokens), Expectation(positions, all.positions),
                    Expectation(labels, all.labels),
                ]
            }
        }
    }

    /// Each by itself.
    private static func made(
        _ recipe: ExampleRecipe,
        first: Int,
        count: Int
    ) -> (tokens: [Double], positions: [Double], labels: [Double]) {
        var (tokens, positions, labels) = ([Double](), [Double](), [Double]())
        var row = [Int32](repeating: -1, count: recipe.length)
        var places = [Int32](repeating: -1, count: recipe.pairs)
        var answers = places
        for example in first..<first + count {
            recipe.make(first: example, count: 1, tokens: &row, labelPositions: &places, labels: &answers)
            tokens += row.map(Double.init)
            positions += places.map(Double.init)
            labels += answers.map(Double.init)
        }
        return (tokens, positions, labels)
    }
}
