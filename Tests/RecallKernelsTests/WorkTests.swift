import Foundation
import RecallKernels
import Testing

/// Operations and bytes of each kernel, written out once more (docs/math/cost.md, section 3).
@Suite struct WorkTests {
    /// All floating-point operations a token.
    private func perToken(_ work: Work, tokens: Int) -> Double {
        (work.productOperations + work.vectorOperations) / Double(tokens)
    }

    private func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-9 * abs(b) }

    @Test(arguments: [(1, 1), (64, 1), (257, 4)])
    func attention(length: Int, heads: Int) {
        let width = 32 * heads
        let work = AttentionShape(
            batch: 3,
            length: length,
            heads: heads,
            headWidth: 32,
            rowStride: 3 * width
        ).work
        #expect(isClose(perToken(work.forward, tokens: 3 * length), Double(2 * width * (length + 1))))
        #expect(isClose(perToken(work.backward, tokens: 3 * length), Double(5 * width * (length + 1))))
    }

    /// A window's keys are counted one query after another.
    @Test(arguments: [(100, 1), (100, 7), (100, 100), (100, 300)])
    func window(length: Int, window: Int) {
        let work = AttentionShape(
            batch: 2,
            length: length,
            heads: 1,
            headWidth: 48,
            rowStride: 144,
            window: window
        ).work
        let keys = (0..<length).reduce(0) { $0 + min($1 + 1, window) }
        #expect(isClose(work.forward.productOperations, Double(2 * 4 * 48 * keys)))
        #expect(isClose(work.backward.productOperations, Double(2 * 10 * 48 * keys)))
    }

    @Test func linearAttentionThroughScores() {
        let (length, f, e, heads) = (64, 16, 32, 2)
        let work = LinearAttentionShape(
            batch: 3,
            length: length,
            heads: heads,
            featureWidth: f,
            valueWidth: e,
            map: .taylor2
        ).work
        let pairs = Double(heads * (length + 1))
        #expect(isClose(perToken(work.forward, tokens: 3 * length), pairs * Double(f + e + 1)))
        #expect(isClose(perToken(work.backward, tokens: 3 * length), pairs * Double(3 * f + 2 * (e + 1))))
    }

    /// Long sequences go through the packed state of M = (f + 1)(f + 2)/2 rows, chunk by chunk.
    @Test func linearAttentionThroughTheState() {
        let (length, f, e, chunk) = (8192, 16, 64, 64)
        let work = LinearAttentionShape(
            batch: 1,
            length: length,
            heads: 1,
            featureWidth: f,
            valueWidth: e,
            map: .taylor2
        ).work
        let state = 4 * 153 * (e + 1)
        let forward = (chunk + 1) * (f + e + 1) + state + 2 * f * f
        let backward = (chunk + 1) * (3 * f + 2 * (e + 1)) + 2 * state + 8 * f * f
        #expect(isClose(perToken(work.forward, tokens: length), Double(forward)))
        #expect(isClose(perToken(work.backward, tokens: length), Double(backward)))
    }

    /// Other maps multiply no features with each other: M = f.
    @Test func otherMapsHaveNoSecondOrder() {
        let (f, e, chunk) = (64, 64, 64)
        let work = LinearAttentionShape(
            batch: 1,
            length: 4096,
            heads: 1,
            featureWidth: f,
            valueWidth: e,
            map: .eluPlusOne
        ).work
        let forward = (chunk + 1) * (f + e + 1) + 4 * f * (e + 1)
        #expect(isClose(perToken(work.forward, tokens: 4096), Double(forward)))
    }

    /// No product is larger than what a kernel holds at once.
    @Test func scoresAndLogitsComeInTiles() {
        let attention = AttentionShape(batch: 1, length: 16384, heads: 1, headWidth: 64, rowStride: 192).work
        let head = HeadShape(rows: 16384, width: 128, vocabulary: 8192).work
        for work in [attention.forward, attention.backward, head.forward] {
            #expect(work.products.keys.allSatisfy { max($0.m * $0.n, $0.m * $0.k) <= 256 * 8192 })
        }
    }

    @Test func scan() {
        let work = ScanShape(
            batch: 2,
            length: 10,
            channels: 48,
            states: 16,
            stateStride: 40,
            gateStride: 96
        ).work
        #expect(perToken(work.forward, tokens: 20) == Double(6 * 16 * 48))
        #expect(perToken(work.backward, tokens: 20) == Double(19 * 16 * 48))
        #expect(work.forward.exponentials == Double(20 * 16 * 48))
        #expect(work.backward.exponentials == Double(20 * 16 * 48))
    }

    @Test func convolutions() {
        let long = LongConvolutionShape(batch: 2, length: 512, channels: 24).work
        #expect(isClose(perToken(long.forward, tokens: 2 * 512), 24 * (10 * 10 + 6)))
        #expect(isClose(perToken(long.backward, tokens: 2 * 512), 24 * (15 * 10 + 12)))
        // Below 128 tokens or so the sums themselves are fewer: (L + 1) / 2 terms of two operations.
        let direct = LongConvolutionShape(batch: 2, length: 32, channels: 24).work
        #expect(isClose(perToken(direct.forward, tokens: 64), 24 * 33))
        let short = ShortConvolutionShape(
            batch: 2,
            length: 10,
            channels: 24,
            taps: 3,
            inputStride: 24,
            epilogue: .gatedWithSkip
        ).work
        // Input, gate and output; then input, gate and three gradients: four bytes each.
        #expect(short.forward.bytes == Double(4 * 3 * 20 * 24))
        #expect(short.backward.bytes == Double(4 * 5 * 20 * 24))
    }

    /// States through memory once: what only grows is read, what changes is written too.
    @Test func stepsOfDecoding() {
        let attention = AttentionShape(batch: 3, length: 1, heads: 2, headWidth: 8, rowStride: 48)
        #expect(attention.stepWork(cached: 10).reads == [4 * 3 * 2 * 11 * 16: 1])
        #expect(attention.stepWork(cached: 10).bytes == Double(4 * 3 * 2 * 11 * 16))
        let linear = LinearAttentionShape(
            batch: 3,
            length: 1,
            heads: 2,
            featureWidth: 4,
            valueWidth: 8,
            map: .taylor2
        )
        #expect(linear.stateCount == 2 * 15 * 9)
        #expect(linear.stepWork.passes == [4 * 2 * 3 * 2 * 15 * 9: 1])
        let short = ShortConvolutionShape(
            batch: 3,
            length: 1,
            channels: 24,
            taps: 4,
            inputStride: 24,
            epilogue: .silu
        )
        #expect(short.stepWork.bytes == Double(4 * 3 * 24 * (2 * 3 + 2)))
        let long = LongConvolutionShape(batch: 3, length: 1, channels: 24)
        #expect(long.stepWork(position: 9).reads == [4 * (3 + 1) * 10 * 24: 1])
        let sum = attention.stepWork(cached: 1) + attention.stepWork(cached: 1)
        #expect(sum.reads == [4 * 3 * 2 * 2 * 16: 2] && sum.passes.isEmpty)
    }

    @Test func linearLayersAndTheHead() {
        let linear = LinearShape(rows: 100, inputs: 24, outputs: 40).work
        #expect(linear.forward.productOperations == Double(2 * 100 * 24 * 40))
        #expect(linear.backward.productOperations == Double(4 * 100 * 24 * 40))
        let head = HeadShape(rows: 100, width: 24, vocabulary: 512).work
        #expect(head.forward.productOperations == Double(6 * 100 * 24 * 512))
        // Reads p, g, m, v and writes p, m, v.
        #expect(AdamWStep.work(numbers: 1000).bytes == 28_000)
    }
}
