import RecallKernels
import TestSupport
import Testing

@Suite struct SoftmaxAttentionRotaryTests {
    /// (batch, length, heads · headWidth) rotated by the kernel, rows apart by more than their width.
    private func rotated(
        _ shape: AttentionShape,
        _ x: [Float],
        firstPosition: Int,
        direction: Float,
        threads: Int = 1
    ) -> [Float] {
        let width = shape.heads * shape.headWidth
        var rows = poisoned(shape.batch * shape.length * shape.rowStride)
        for token in 0..<shape.batch * shape.length {
            for column in 0..<width { rows[token * shape.rowStride + column] = x[token * width + column] }
        }
        CPUBackend(threads: threads).rotary(
            shape,
            x: &rows,
            base: 10000,
            firstPosition: firstPosition,
            direction: direction
        )
        for index in rows.indices where index % shape.rowStride >= width { #expect(rows[index].isNaN) }
        return (0..<shape.batch * shape.length).flatMap { rows[($0 * shape.rowStride)...].prefix(width) }
    }

    static let shapes = [
        AttentionShape(batch: 3, length: 1, heads: 1, headWidth: 2, rowStride: 4),
        AttentionShape(batch: 1, length: 65, heads: 2, headWidth: 64, rowStride: 130),
        AttentionShape(batch: 2, length: 33, heads: 3, headWidth: 38, rowStride: 120),
    ]

    @Test(arguments: shapes, [0, 5, 8191])
    func isTheReference(shape: AttentionShape, firstPosition: Int) {
        let x = randomFloats(shape.batch * shape.length * shape.heads * shape.headWidth, seed: 3)
        for direction: Float in [1, -1] {
            let actual = rotated(shape, x, firstPosition: firstPosition, direction: direction)
            let expected = SoftmaxAttentionReference.rotary(
                shape,
                x: doubles(x),
                base: 10000,
                firstPosition: firstPosition,
                direction: Double(direction)
            )
            #expect(relativeError(actual, expected) < 3e-7)
            let threaded = rotated(shape, x, firstPosition: firstPosition, direction: direction, threads: 3)
            #expect(actual == threaded)
        }
    }

    @Test(arguments: shapes)
    func backwardsInverts(shape: AttentionShape) {
        let x = randomFloats(shape.batch * shape.length * shape.heads * shape.headWidth, seed: 4)
        let there = rotated(shape, x, firstPosition: 100, direction: 1)
        let back = rotated(shape, there, firstPosition: 100, direction: -1)
        #expect(relativeError(there, doubles(x)) > 0.1)
        #expect(relativeError(back, doubles(x)) < 4e-7)
    }

    /// A rotation is linear and orthogonal: its gradient is the rotation back.
    @Test func backwardsIsTheGradient() {
        let shape = Self.shapes[2]
        let count = shape.batch * shape.length * shape.heads * shape.headWidth
        let (x, dy) = (randomFloats(count, seed: 5), randomFloats(count, seed: 6))
        let y = rotated(shape, x, firstPosition: 7, direction: 1)
        let dx = rotated(shape, dy, firstPosition: 7, direction: -1)
        #expect(abs(dot(doubles(y), doubles(dy)) - dot(doubles(x), doubles(dx))) < 1e-4)
    }

    /// q_i·k_j depends on i - j alone.
    @Test func scoresDependOnDistance() {
        let shape = AttentionShape(batch: 1, length: 1, heads: 1, headWidth: 64, rowStride: 64)
        let (q, k) = (randomFloats(64, seed: 7), randomFloats(64, seed: 8))
        func score(_ i: Int, _ j: Int) -> Double {
            dot(
                doubles(rotated(shape, q, firstPosition: i, direction: 1)),
                doubles(rotated(shape, k, firstPosition: j, direction: 1))
            )
        }
        #expect(abs(score(9, 4) - score(4105, 4100)) < 2e-5)
        #expect(abs(score(9, 4) - score(9, 5)) > 1e-3)
    }
}
