import RecallKernels

/// Linear attention with each feature map: lengths around chunks, odd widths, batches and heads, a large ε; whole prompts
/// and single tokens of decoding.
enum LinearAttentionCases {
    static let all: [KernelCase] =
        FeatureMap.allCases.flatMap { map in
            shapes(map).flatMap { [forward($0), backward($0)] } + prompts(map).map(prefill)
                + tokens(map).flatMap { [step($0, isFirst: true), step($0, isFirst: false)] }
        } + chunkedShapes.flatMap { [forward($0), backward($0)] }

    private static func shape(
        _ map: FeatureMap,
        _ length: Int,
        _ f: Int,
        _ e: Int,
        batch: Int = 1,
        heads: Int = 1,
        epsilon: Float = 1e-12
    ) -> LinearAttentionShape {
        LinearAttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            featureWidth: f,
            valueWidth: e,
            map: map,
            epsilon: epsilon
        )
    }

    private static func shapes(_ map: FeatureMap) -> [LinearAttentionShape] {
        [(16, 64), (9, 20), (3, 33), (20, 16), (2, 1)].map { shape(map, 65, $0.0, $0.1) } + [
            shape(map, 1, 16, 64), shape(map, 1, 3, 33, batch: 3), shape(map, 2, 9, 20), shape(map, 15, 3, 33),
            shape(map, 31, 20, 16), shape(map, 32, 16, 64), shape(map, 33, 9, 20), shape(map, 63, 16, 64),
            shape(map, 64, 16, 64, batch: 3), shape(map, 64, 8, 16, heads: 3), shape(map, 130, 9, 20),
            shape(map, 65, 9, 20, batch: 3, heads: 2), shape(map, 20, 6, 8, epsilon: 3),
            // Rows on 16 bytes: backward in one pass where there is one.
            shape(map, 33, 12, 20, batch: 2, heads: 2), shape(map, 100, 8, 64, batch: 2),
            shape(map, 257, 16, 40),
            // Where the state between chunks is the cheaper way, for some maps and for all.
            shape(map, 300, 5, 16), shape(map, 600, 16, 64), shape(map, 600, 8, 17),
        ]
    }

    /// Where graphics cards, too, cut sequences into chunks with a state between them: each width of inputs that they have
    /// room for, values in one slice of columns and in several, and so many sequences that none is cut into segments.
    private static let chunkedShapes: [LinearAttentionShape] = [
        shape(.taylor2, 1481, 16, 64), shape(.taylor2, 1700, 13, 125), shape(.taylor2, 770, 7, 30, heads: 2),
        shape(.taylor2, 769, 8, 128, epsilon: 3), shape(.taylor2, 1501, 24, 20), shape(.taylor2, 1407, 31, 15),
        shape(.taylor2, 577, 3, 2, batch: 65, heads: 2),
    ]

    private static func prompts(_ map: FeatureMap) -> [LinearAttentionShape] {
        [
            shape(map, 1, 16, 64, batch: 2), shape(map, 2, 9, 20, batch: 2, heads: 2), shape(map, 63, 3, 33),
            shape(map, 64, 16, 64), shape(map, 65, 9, 20, batch: 3, heads: 2), shape(map, 130, 1, 1, heads: 3),
            shape(map, 200, 16, 64),
        ]
    }

    private static func tokens(_ map: FeatureMap) -> [LinearAttentionShape] {
        [
            shape(map, 1, 5, 18, batch: 2, heads: 3, epsilon: 2), shape(map, 1, 16, 64, batch: 3),
            shape(map, 1, 9, 20, batch: 1, heads: 2), shape(map, 1, 3, 1), shape(map, 1, 20, 130),
        ]
    }

    private static func sizes(_ shape: LinearAttentionShape) -> [CaseSize] {
        [
            .batch(shape.batch), .length(shape.length), .heads(shape.heads), .features(shape.featureWidth),
            .values(shape.valueWidth),
        ]
    }

    private static func words(_ shape: LinearAttentionShape, _ more: String = "") -> String {
        let epsilon = shape.epsilon >= 1 ? "ε \(Int(shape.epsilon))" : ""
        return [shape.map.rawValue, epsilon, more].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private static func inputs(_ shape: LinearAttentionShape, _ p: inout Problem)
        -> (q: Operand, k: Operand, v: Operand)
    {
        let tokens = shape.batch * shape.length * shape.heads
        // The identity's normaliser is only bounded away from 0 for inputs of one sign.
        let range: ClosedRange<Float> = shape.map == .identity ? 0.2...1.5 : -1.5...1.5
        return (
            p.input("q", numbers(tokens * shape.featureWidth, 1, in: range), isFactor: true),
            p.input("k", numbers(tokens * shape.featureWidth, 2, in: range), isFactor: true),
            p.input("v", numbers(tokens * shape.valueWidth, 3), isFactor: true)
        )
    }

    private static func valueCount(_ shape: LinearAttentionShape) -> Int {
        shape.batch * shape.length * shape.heads * shape.valueWidth
    }

    private static func stateCount(_ shape: LinearAttentionShape) -> Int {
        let rows = shape.map.stateRows(featureWidth: shape.featureWidth)
        return shape.batch * shape.heads * rows * (shape.valueWidth + 1)
    }

    private static func forward(_ shape: LinearAttentionShape) -> KernelCase {
        KernelCase("linearAttentionForward", sizes(shape), words(shape)) { p in
            let (q, k, v) = inputs(shape, &p)
            let y = p.output("y", valueCount(shape), bound: 1e-5)
            let normaliser = p.output("normaliser", shape.batch * shape.heads * shape.length, bound: 1e-5)
            p.call = {
                $0.linearAttentionForward(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    y: $1[y],
                    normaliser: $1[normaliser]
                )
            }
            p.reference = { value in
                let all = LinearAttentionReference.forward(shape, q: value[q], k: value[k], v: value[v])
                return [Expectation(y, all.y), Expectation(normaliser, all.normaliser)]
            }
        }
    }

    private static func backward(_ shape: LinearAttentionShape) -> KernelCase {
        KernelCase("linearAttentionBackward", sizes(shape), words(shape)) { p in
            let (q, k, v) = inputs(shape, &p)
            // Forward's outputs, as the reference has them.
            let exact = Values(views: p.views, arithmetic: .fp32)
            let forward = LinearAttentionReference.forward(shape, q: exact[q], k: exact[k], v: exact[v])
            let y = p.input("y", floats(forward.y))
            let normaliser = p.input("normaliser", floats(forward.normaliser))
            let dy = p.input("dy", numbers(valueCount(shape), 4), isFactor: true)
            let count = shape.batch * shape.length * shape.heads * shape.featureWidth
            let dq = p.output("dq", count, bound: 1e-4)
            let dk = p.output("dk", count, bound: 1e-4)
            let dv = p.output("dv", valueCount(shape), bound: 1e-4)
            p.call = {
                $0.linearAttentionBackward(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    y: $1[y],
                    normaliser: $1[normaliser],
                    dy: $1[dy],
                    dq: $1[dq],
                    dk: $1[dk],
                    dv: $1[dv]
                )
            }
            p.reference = { value in
                let all = LinearAttentionReference.backward(
                    shape,
                    q: value[q],
                    k: value[k],
                    v: value[v],
                    dy: value[dy]
                )
                // Over a single key y = v, whatever q and k are: their gradients are what rounding leaves of a
                // difference of terms of dv's size.
                let floor = shape.length == 1 ? all.dv.map(abs).max() ?? 0 : 0
                return [
                    Expectation(dq, all.dq, floor: floor), Expectation(dk, all.dk, floor: floor),
                    Expectation(dv, all.dv),
                ]
            }
        }
    }

    // MARK: Decoding

    private static func prefill(_ shape: LinearAttentionShape) -> KernelCase {
        KernelCase("linearAttentionPrefill", sizes(shape), words(shape)) { p in
            let (q, k, v) = inputs(shape, &p)
            let y = p.output("y", valueCount(shape), bound: 1e-5)
            let normaliser = p.output("normaliser", shape.batch * shape.heads * shape.length, bound: 1e-5)
            let state = p.output("state", stateCount(shape), bound: 1e-5)
            p.call = {
                $0.linearAttentionPrefill(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    y: $1[y],
                    normaliser: $1[normaliser],
                    state: $1[state]
                )
            }
            p.reference = { value in
                let all = LinearAttentionReference.forward(shape, q: value[q], k: value[k], v: value[v])
                let final = LinearAttentionReference.finalState(shape, k: value[k], v: value[v])
                return [
                    Expectation(y, all.y), Expectation(normaliser, all.normaliser), Expectation(state, final),
                ]
            }
        }
    }

    /// - Parameter isFirst: whether the state is empty before the token.
    private static func step(_ shape: LinearAttentionShape, isFirst: Bool) -> KernelCase {
        KernelCase("linearAttentionStep", sizes(shape), words(shape, isFirst ? "first token" : "")) { p in
            let (q, k, v) = inputs(shape, &p)
            let count = stateCount(shape)
            // One whose normaliser cannot vanish.
            let earlier = isFirst ? [Float](repeating: 0, count: count) : numbers(count, 7, in: 0.5...1)
            let state = p.update("state", earlier, bound: 1e-6, isFactor: true)
            let y = p.output("y", valueCount(shape), bound: 1e-5)
            p.call = {
                $0.linearAttentionStep(shape, q: $1[q], k: $1[k], v: $1[v], state: $1[state], y: $1[y])
            }
            p.reference = { value in
                var expected = value[state]
                let row = LinearAttentionReference.step(
                    shape,
                    q: value[q],
                    k: value[k],
                    v: value[v],
                    state: &expected
                )
                return [Expectation(state, expected), Expectation(y, row)]
            }
        }
    }
}
