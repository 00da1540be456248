import RecallKernels
import RecallRandom
import TestSupport

/// One attention problem with q, k, v in one packed projection, as models lay it out: run by the kernels and by
/// the reference, everything unpacked to contiguous (batch, length, heads · headWidth).
struct AttentionCase: CustomStringConvertible, Sendable {
    var batch = 1
    var length: Int
    var heads = 1
    var headWidth: Int
    var window: Int?
    var dropout: Dropout?
    var seed: UInt64 = 1
    /// What the scores are about multiplied by.
    var sharpness: Float = 1

    static let someDropout = Dropout(probability: 0.3, seed: 11, step: 5, site: 2)

    var description: String {
        "B \(batch) L \(length) H \(heads) d \(headWidth) W \(window.map(String.init) ?? "-")"
            + (dropout == nil ? "" : " dropout") + (sharpness == 1 ? "" : " × \(sharpness)")
    }

    var width: Int { heads * headWidth }
    var count: Int { batch * length * width }
    /// Packed (q|k|v), and a gap of three that nothing may touch.
    var shape: AttentionShape {
        AttentionShape(
            batch: batch,
            length: length,
            heads: heads,
            headWidth: headWidth,
            rowStride: 3 * width + 3,
            window: window
        )
    }

    var inputs: (q: [Float], k: [Float], v: [Float], dOut: [Float]) {
        (
            randomFloats(count, seed: seed).map { 3 * sharpness * $0 }, randomFloats(count, seed: seed + 1),
            randomFloats(count, seed: seed + 2), randomFloats(count, seed: seed + 3)
        )
    }

    /// The packed projection; NaN in the gaps.
    func packed(_ q: [Float], _ k: [Float], _ v: [Float]) -> [Float] {
        var result = poisoned(batch * length * shape.rowStride)
        for token in 0..<batch * length {
            for column in 0..<width {
                let from = token * width + column
                let to = token * shape.rowStride + column
                (result[to], result[to + width], result[to + 2 * width]) = (q[from], k[from], v[from])
            }
        }
        return result
    }

    /// Part 0, 1 or 2 of a packed projection.
    func unpacked(_ packed: [Float], part: Int) -> [Float] {
        (0..<batch * length).flatMap { token in
            packed[(token * shape.rowStride + part * width)...].prefix(width)
        }
    }

    func forward(_ backend: CPUBackend, q: [Float], k: [Float], v: [Float]) -> (
        out: [Float], logSumExp: [Float]
    ) {
        let qkv = packed(q, k, v)
        var (out, logSumExp) = (poisoned(count), poisoned(batch * heads * length))
        qkv.withUnsafeBufferPointer { qkv in
            let base = qkv.baseAddress!
            backend.attentionForward(
                shape,
                q: base,
                k: base + width,
                v: base + 2 * width,
                dropout: dropout,
                out: &out,
                logSumExp: &logSumExp
            )
        }
        return (out, logSumExp)
    }

    func forward(_ backend: CPUBackend) -> (out: [Float], logSumExp: [Float]) {
        forward(backend, q: inputs.q, k: inputs.k, v: inputs.v)
    }

    /// The packed gradient, NaN where nothing was written.
    func backward(_ backend: CPUBackend) -> [Float] {
        let qkv = packed(inputs.q, inputs.k, inputs.v)
        let (out, logSumExp) = forward(backend)
        var gradient = poisoned(qkv.count)
        qkv.withUnsafeBufferPointer { qkv in
            gradient.withUnsafeMutableBufferPointer { gradient in
                let (base, d) = (qkv.baseAddress!, gradient.baseAddress!)
                backend.attentionBackward(
                    shape,
                    q: base,
                    k: base + width,
                    v: base + 2 * width,
                    dropout: dropout,
                    out: out,
                    logSumExp: logSumExp,
                    dOut: inputs.dOut,
                    dq: d,
                    dk: d + width,
                    dv: d + 2 * width
                )
            }
        }
        return gradient
    }

    func referenceForward() -> (out: [Double], logSumExp: [Double]) {
        SoftmaxAttentionReference.forward(
            shape,
            q: doubles(inputs.q),
            k: doubles(inputs.k),
            v: doubles(inputs.v),
            dropout: dropout
        )
    }

    func referenceBackward() -> (dq: [Double], dk: [Double], dv: [Double]) {
        SoftmaxAttentionReference.backward(
            shape,
            q: doubles(inputs.q),
            k: doubles(inputs.k),
            v: doubles(inputs.v),
            dropout: dropout,
            dOut: doubles(inputs.dOut)
        )
    }

    /// Lengths around a tile, widths around registers, windows around tiles.
    static let all: [AttentionCase] = [
        AttentionCase(length: 1, headWidth: 1),
        AttentionCase(batch: 3, length: 1, headWidth: 17),
        AttentionCase(batch: 3, length: 2, heads: 2, headWidth: 16),
        AttentionCase(length: 5, headWidth: 33, window: 1),
        AttentionCase(length: 63, headWidth: 64),
        AttentionCase(batch: 3, length: 64, headWidth: 64),
        AttentionCase(length: 64, heads: 2, headWidth: 128, window: 16),
        AttentionCase(length: 65, headWidth: 40),
        AttentionCase(length: 65, headWidth: 64, window: 64),
        AttentionCase(length: 65, headWidth: 15, window: 1000),
        AttentionCase(length: 70, heads: 3, headWidth: 7, window: 2),
        AttentionCase(batch: 2, length: 130, heads: 2, headWidth: 48, window: 63),
        AttentionCase(length: 200, headWidth: 32),
        AttentionCase(length: 201, headWidth: 16, window: 65),
        AttentionCase(length: 300, headWidth: 8, window: 8),
        // Slots of tiles that go round several times, the window ending on either side of a tile's edge.
        AttentionCase(length: 500, headWidth: 20, window: 64),
        AttentionCase(batch: 2, length: 449, heads: 2, headWidth: 17, window: 66),
        AttentionCase(length: 700, headWidth: 16, window: 129),
        AttentionCase(length: 577, headWidth: 16, window: 190, dropout: someDropout),
        AttentionCase(length: 321, headWidth: 16, window: 1),
        AttentionCase(length: 130, headWidth: 32, window: Int.max),
        AttentionCase(batch: 3, length: 67, heads: 2, headWidth: 20, dropout: someDropout),
        AttentionCase(length: 150, headWidth: 64, window: 40, dropout: someDropout),
        AttentionCase(length: 140, headWidth: 64, sharpness: 50),
        AttentionCase(length: 140, headWidth: 64, sharpness: 0),
    ]
}
