import RecallKernels
import RecallRandom

/// Softmax attention: lengths around a tile, widths around registers, windows around tiles; q, k and v in one packed
/// projection, as models lay them out, with a gap that nothing may touch.
enum SoftmaxAttentionCases {
    static let all: [KernelCase] = shapes.flatMap { [$0.forward, $0.backward] } + steps + rotations

    private static let someDropout = Dropout(probability: 0.3, seed: 11, step: 5, site: 2)

    private static let shapes: [AttentionSizes] = [
        AttentionSizes(length: 1, headWidth: 1),
        AttentionSizes(batch: 3, length: 1, headWidth: 17),
        AttentionSizes(batch: 3, length: 2, heads: 2, headWidth: 16),
        AttentionSizes(length: 5, headWidth: 33, window: 1),
        AttentionSizes(length: 63, headWidth: 64),
        AttentionSizes(batch: 3, length: 64, headWidth: 64),
        AttentionSizes(length: 64, heads: 2, headWidth: 128, window: 16),
        AttentionSizes(length: 65, headWidth: 40),
        AttentionSizes(length: 65, headWidth: 64, window: 64),
        AttentionSizes(length: 65, headWidth: 15, window: 1000),
        AttentionSizes(length: 70, heads: 3, headWidth: 7, window: 2),
        AttentionSizes(batch: 2, length: 130, heads: 2, headWidth: 48, window: 63),
        AttentionSizes(length: 200, headWidth: 32),
        AttentionSizes(length: 201, headWidth: 16, window: 65),
        AttentionSizes(length: 300, headWidth: 8, window: 8),
        AttentionSizes(length: 500, headWidth: 20, window: 64),
        AttentionSizes(batch: 2, length: 449, heads: 2, headWidth: 17, window: 66),
        AttentionSizes(length: 700, headWidth: 16, window: 129),
        AttentionSizes(length: 577, headWidth: 16, window: 190, dropout: someDropout),
        AttentionSizes(length: 321, headWidth: 16, window: 1),
        AttentionSizes(length: 130, headWidth: 32, window: Int.max),
        AttentionSizes(length: 1, headWidth: 8, dropout: someDropout),
        AttentionSizes(batch: 3, length: 67, heads: 2, headWidth: 20, dropout: someDropout),
        AttentionSizes(length: 150, headWidth: 64, window: 40, dropout: someDropout),
        // Rows on 16 bytes, as passes by larger products want them.
        AttentionSizes(batch: 3, length: 1, headWidth: 16, gap: 4),
        AttentionSizes(batch: 2, length: 33, heads: 2, headWidth: 20, gap: 4),
        AttentionSizes(batch: 2, length: 50, heads: 2, headWidth: 64, gap: 4),
        AttentionSizes(batch: 3, length: 64, headWidth: 128, gap: 4),
        AttentionSizes(batch: 2, length: 65, headWidth: 64, dropout: someDropout, gap: 4),
        AttentionSizes(length: 128, headWidth: 32, window: 1, gap: 4),
        AttentionSizes(length: 130, heads: 2, headWidth: 128, gap: 4),
        AttentionSizes(batch: 2, length: 191, headWidth: 64, window: 70, gap: 4),
        AttentionSizes(batch: 2, length: 256, headWidth: 64, gap: 4),
        AttentionSizes(length: 256, headWidth: 128, window: 64, dropout: someDropout, gap: 4),
        AttentionSizes(length: 257, headWidth: 12, window: 65, gap: 4),
        AttentionSizes(length: 330, headWidth: 40, dropout: someDropout, gap: 4),
        AttentionSizes(length: 449, headWidth: 16, window: 200, gap: 4),
        AttentionSizes(batch: 2, length: 500, headWidth: 16, gap: 4),
        AttentionSizes(length: 1000, headWidth: 16, gap: 4),
        AttentionSizes(length: 1030, headWidth: 8, window: 130, gap: 4),
        // The same with enough heads for backward in one pass, a block a head.
        AttentionSizes(batch: 16, length: 33, heads: 2, headWidth: 128, gap: 4),
        AttentionSizes(batch: 54, length: 65, heads: 3, headWidth: 64, window: 2, gap: 4),
        AttentionSizes(batch: 80, length: 100, heads: 2, headWidth: 36, dropout: someDropout, gap: 4),
        AttentionSizes(
            batch: 54,
            length: 130,
            heads: 3,
            headWidth: 100,
            window: 70,
            dropout: someDropout,
            gap: 4
        ),
        AttentionSizes(batch: 160, length: 150, headWidth: 64, gap: 4),
        AttentionSizes(batch: 160, length: 193, headWidth: 64, window: 64, gap: 4),
        AttentionSizes(batch: 160, length: 200, headWidth: 128, gap: 4),
        AttentionSizes(length: 140, headWidth: 64, sharpness: 50),
        AttentionSizes(length: 140, headWidth: 64, sharpness: 0),
    ]

    // MARK: Decoding

    private static let steps: [KernelCase] = [
        (1, 0, 1, 1), (3, 0, 2, 16), (3, 1, 1, 17), (1, 63, 1, 64), (3, 64, 2, 20), (1, 65, 4, 32),
        (2, 300, 1, 128),
    ].map { step(batch: $0.0, cached: $0.1, heads: $0.2, headWidth: $0.3) }

    /// The cache has room for three more tokens, which must not be read.
    private static func step(batch: Int, cached: Int, heads: Int, headWidth: Int) -> KernelCase {
        KernelCase("attentionStep", [.batch(batch), .cached(cached), .heads(heads), .headWidth(headWidth)]) {
            p in
            let (width, capacity) = (heads * headWidth, cached + 3)
            let shape = AttentionShape(
                batch: batch,
                length: 1,
                heads: heads,
                headWidth: headWidth,
                rowStride: 3 * width + 5
            )
            let packed = p.buffer(batch * shape.rowStride)
            func part(_ index: Int) -> Rows {
                Rows(count: batch, width: width, stride: shape.rowStride, offset: index * width)
            }
            let queries = numbers(batch * width, 1).map { 3 * $0 }
            let q = p.input("q", queries, in: packed, part(0), isFactor: true)
            let k = p.input("k", numbers(batch * width, 2), in: packed, part(1), isFactor: true)
            let v = p.input("v", numbers(batch * width, 3), in: packed, part(2), isFactor: true)
            let cache = Rows(count: batch, width: cached * width, stride: capacity * width, offset: 0)
            let count = batch * cached * width
            let (keyBuffer, valueBuffer) = (
                p.buffer(batch * capacity * width), p.buffer(batch * capacity * width)
            )
            let keys = p.input("cachedKeys", numbers(count, 4), in: keyBuffer, cache, isFactor: true)
            let values = p.input("cachedValues", numbers(count, 5), in: valueBuffer, cache, isFactor: true)
            let out = p.output("out", batch * width, bound: 2e-6)
            p.call = {
                $0.attentionStep(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    cachedKeys: $1[keys],
                    cachedValues: $1[values],
                    cached: cached,
                    capacity: capacity,
                    out: $1[out]
                )
            }
            p.reference = { value in
                // The last token of the whole sequence.
                func sequence(_ cache: [Double], _ new: [Double]) -> [Double] {
                    appended(cache, new, batch: batch, earlier: cached, width: width)
                }
                var whole = shape
                whole.length = cached + 1
                let earlier = [Double](repeating: 0, count: count)
                let all = SoftmaxAttentionReference.forward(
                    whole,
                    q: sequence(earlier, value[q]),
                    k: sequence(value[keys], value[k]),
                    v: sequence(value[values], value[v])
                )
                let last = suffix(all.out, from: cached, batch: batch, length: cached + 1, width: width)
                return [Expectation(out, last)]
            }
        }
    }

    // MARK: Rotary positions

    private static let rotations: [KernelCase] = [
        AttentionShape(batch: 3, length: 1, heads: 1, headWidth: 2, rowStride: 4),
        AttentionShape(batch: 1, length: 65, heads: 2, headWidth: 64, rowStride: 130),
        AttentionShape(batch: 2, length: 33, heads: 3, headWidth: 38, rowStride: 120),
        AttentionShape(batch: 3, length: 64, heads: 1, headWidth: 64, rowStride: 192),
    ].flatMap { shape in
        [(0, Float(1)), (5, -1), (8191, 1), (8191, -1)].map { rotary(shape, first: $0.0, direction: $0.1) }
    }

    private static func rotary(_ shape: AttentionShape, first: Int, direction: Float) -> KernelCase {
        let sizes: [CaseSize] = [
            .batch(shape.batch), .length(shape.length), .heads(shape.heads), .headWidth(shape.headWidth),
            .position(first),
        ]
        return KernelCase("rotary", sizes, direction < 0 ? "back" : "") { p in
            let (tokens, width) = (shape.batch * shape.length, shape.heads * shape.headWidth)
            let rows = Rows(count: tokens, width: width, stride: shape.rowStride, offset: 0)
            let x = p.update(
                "x",
                numbers(tokens * width, 3),
                in: p.buffer(tokens * shape.rowStride),
                rows,
                bound: 3e-7
            )
            p.call = {
                $0.rotary(shape, x: $1[x], base: 10000, firstPosition: first, direction: direction)
            }
            p.reference = { value in
                let expected = SoftmaxAttentionReference.rotary(
                    shape,
                    x: value[x],
                    base: 10000,
                    firstPosition: first,
                    direction: Double(direction)
                )
                return [Expectation(x, expected)]
            }
        }
    }
}

/// The sizes of one attention, forward and backward.
private struct AttentionSizes: Sendable {
    var batch = 1
    var length: Int
    var heads = 1
    var headWidth: Int
    var window: Int?
    var dropout: Dropout?
    /// What the scores are about multiplied by.
    var sharpness: Float = 1
    /// Numbers between one token's projection and the next's, which nothing may touch.
    var gap = 3

    private var width: Int { heads * headWidth }
    private var count: Int { batch * length * width }
    private var shape: AttentionShape {
        AttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            headWidth: headWidth,
            rowStride: 3 * width + gap,
            window: window
        )
    }

    private var sizes: [CaseSize] {
        [.batch(batch), .length(length), .heads(heads), .headWidth(headWidth)]
            + (window.map { $0 == .max ? [] : [.window($0)] } ?? [])
    }

    private var words: String {
        let words = [
            window == .max ? "any window" : "", dropout == nil ? "" : "dropout",
            gap % 4 == 0 ? "rows on 16 bytes" : "",
            sharpness == 1 ? "" : sharpness == 0 ? "scores 0" : "scores of hundreds",
        ]
        return words.filter { !$0.isEmpty }.joined(separator: ", ")
    }

    /// q, k and v in one projection.
    private func projection(_ p: inout Problem) -> (q: Operand, k: Operand, v: Operand) {
        let packed = p.buffer(batch * length * shape.rowStride)
        let q = numbers(count, 1).map { 3 * sharpness * $0 }
        return (
            p.input("q", q, in: packed, part(0), isFactor: true),
            p.input("k", numbers(count, 2), in: packed, part(1), isFactor: true),
            p.input("v", numbers(count, 3), in: packed, part(2), isFactor: true)
        )
    }

    /// Part 0, 1 or 2 of a packed projection.
    private func part(_ index: Int) -> Rows {
        Rows(count: batch * length, width: width, stride: shape.rowStride, offset: index * width)
    }

    var forward: KernelCase {
        KernelCase("attentionForward", sizes, words) { p in
            let (q, k, v) = projection(&p)
            // Scores of 100s carry 1e-5 of rounding themselves.
            let out = p.output("out", count, bound: sharpness > 1 ? 5e-5 : 2e-6)
            let logSumExp = p.output("logSumExp", batch * heads * length, bound: 2e-6)
            p.call = {
                $0.attentionForward(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    dropout: dropout,
                    out: $1[out],
                    logSumExp: $1[logSumExp]
                )
            }
            p.reference = { value in
                let all = SoftmaxAttentionReference.forward(
                    shape,
                    q: value[q],
                    k: value[k],
                    v: value[v],
                    dropout: dropout
                )
                return [Expectation(out, all.out), Expectation(logSumExp, all.logSumExp)]
            }
        }
    }

    var backward: KernelCase {
        KernelCase("attentionBackward", sizes, words) { p in
            let (q, k, v) = projection(&p)
            // Forward's outputs, as the reference has them.
            let exact = Values(views: p.views, arithmetic: .fp32)
            let forward = SoftmaxAttentionReference.forward(
                shape,
                q: exact[q],
                k: exact[k],
                v: exact[v],
                dropout: dropout
            )
            let out = p.input("out", floats(forward.out))
            let logSumExp = p.input("logSumExp", floats(forward.logSumExp))
            let dOut = p.input("dOut", numbers(count, 4), isFactor: true)
            let (packed, bound) = (p.buffer(batch * length * shape.rowStride), sharpness > 1 ? 1e-4 : 1e-5)
            let dq = p.output("dq", in: packed, part(0), bound: bound)
            let dk = p.output("dk", in: packed, part(1), bound: bound)
            let dv = p.output("dv", in: packed, part(2), bound: bound)
            p.call = {
                $0.attentionBackward(
                    shape,
                    q: $1[q],
                    k: $1[k],
                    v: $1[v],
                    dropout: dropout,
                    out: $1[out],
                    logSumExp: $1[logSumExp],
                    dOut: $1[dOut],
                    dq: $1[dq],
                    dk: $1[dk],
                    dv: $1[dv]
                )
            }
            p.reference = { value in
                let all = SoftmaxAttentionReference.backward(
                    shape,
                    q: value[q],
                    k: value[k],
                    v: value[v],
                    dropout: dropout,
                    dOut: value[dOut]
                )
                // With one key the gradient of the scores is zero but for rounding: what cancels sets the scale.
                return [
                    Expectation(dq, all.dq, floor: 0.1), Expectation(dk, all.dk, floor: 0.1),
                    Expectation(dv, all.dv, floor: 0.1),
                ]
            }
        }
    }
}
