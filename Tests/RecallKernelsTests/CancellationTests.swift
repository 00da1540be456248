import RecallKernels
import RecallRandom
import Synchronization
import TestSupport
import Testing

/// Counts how often it is asked, and says yes from some time on.
private final class Countdown: Sendable {
    private let asked = Atomic(0)
    private let yesFrom: Int

    init(yesFrom: Int = .max) { self.yesFrom = yesFrom }

    var count: Int { asked.load(ordering: .relaxed) }
    var isOver: @Sendable () -> Bool {
        { self.asked.wrappingAdd(1, ordering: .relaxed).newValue >= self.yesFrom }
    }
}

/// Kernels that are given up between their blocks.
@Suite struct CancellationTests {
    /// A vocabulary so large that a block of the head is 32 rows.
    private static let head = HeadShape(rows: 300, width: 4, vocabulary: 70_000)

    private struct HeadResult: Equatable {
        let losses, correct, dHidden, dTable: [Float]

        var rowsDone: Int { losses.count { !$0.isNaN } }
    }

    private func head(
        _ backend: CPUBackend,
        differentiates: Bool = true,
        by isCancelled: (@Sendable () -> Bool)? = nil
    ) -> HeadResult {
        let shape = Self.head
        let hidden = randomFloats(shape.rows * shape.width, seed: 1)
        let table = randomFloats(shape.vocabulary * shape.width, seed: 2)
        let labels = (0..<shape.rows).map { Int32($0 * 7) }
        var (losses, correct) = (poisoned(shape.rows), poisoned(shape.rows))
        var dHidden = poisoned(shape.rows * shape.width)
        var dTable = poisoned(shape.vocabulary * shape.width)
        func launch() {
            dHidden.withUnsafeMutableBufferPointer { dHidden in
                dTable.withUnsafeMutableBufferPointer { dTable in
                    backend.headLoss(
                        shape,
                        hidden: hidden,
                        table: table,
                        labels: labels,
                        gradientScale: 0.5,
                        losses: &losses,
                        correct: &correct,
                        dHidden: differentiates ? dHidden.baseAddress : nil,
                        dTable: differentiates ? dTable.baseAddress : nil
                    )
                }
            }
        }
        if let isCancelled { backend.cancellable(by: isCancelled, launch) } else { launch() }
        return HeadResult(losses: losses, correct: correct, dHidden: dHidden, dTable: dTable)
    }

    /// The head of a large vocabulary asks between its blocks of rows, in training and in evaluation.
    @Test(arguments: [false, true]) func theHeadStopsAfterTheBlockAtHand(differentiates: Bool) {
        let all = Countdown()
        #expect(
            head(CPUBackend(), differentiates: differentiates, by: all.isOver).rowsDone == Self.head.rows
        )
        // Ten blocks.
        #expect(all.count >= 10)
        let some = Countdown(yesFrom: all.count / 2)
        let rows = head(CPUBackend(), differentiates: differentiates, by: some.isOver).rowsDone
        #expect(rows > 0 && rows < Self.head.rows && rows % 32 == 0, "\(rows)")
        #expect(head(CPUBackend(), differentiates: differentiates, by: { true }).rowsDone == 0)
    }

    @Test(arguments: [1, 3]) func askingChangesNoBit(threads: Int) {
        let backend = CPUBackend(threads: threads)
        let plain = head(CPUBackend())
        #expect(plain.rowsDone == Self.head.rows)
        #expect(head(backend, by: Countdown().isOver) == plain)
        // Nothing of a kernel that was given up stays: neither the request nor its partial sums.
        _ = head(backend, by: Countdown(yesFrom: 5).isOver)
        #expect(head(backend) == plain)
    }

    @Test func theInnermostScopeIsAsked() {
        let backend = CPUBackend()
        let (yes, no): (@Sendable () -> Bool, @Sendable () -> Bool) = ({ true }, { false })
        backend.cancellable(by: yes) {
            #expect(head(backend, by: no).rowsDone == Self.head.rows)
            #expect(head(backend).rowsDone == 0)
        }
    }

    /// Attention and linear attention over one sequence with one head.
    private struct Sequence {
        static let width = 8
        let length: Int
        let numbers: [Float]

        init(length: Int) {
            self.length = length
            numbers = randomFloats(length * Self.width, seed: 3)
        }

        /// Tokens whose output forward wrote, and tokens whose gradient of values backward wrote.
        func tokensDone(
            by isCancelled: @escaping @Sendable () -> Bool,
            _ kernel: (CPUBackend, MutableFloats) -> Void
        ) -> Int {
            var out = poisoned(length * Self.width)
            let backend = CPUBackend()
            out.withUnsafeMutableBufferPointer { out in
                backend.cancellable(by: isCancelled) { kernel(backend, out.baseAddress!) }
            }
            return out.count { !$0.isNaN } / Self.width
        }

        func attention(_ backend: CPUBackend, _ out: MutableFloats, isBackward: Bool) {
            let shape = AttentionShape(
                batch: 1,
                length: length,
                heads: 1,
                headWidth: Self.width,
                rowStride: Self.width
            )
            var (sums, other) = (poisoned(length), poisoned(numbers.count))
            var another = other
            guard isBackward else {
                return backend.attentionForward(
                    shape,
                    q: numbers,
                    k: numbers,
                    v: numbers,
                    dropout: nil,
                    out: out,
                    logSumExp: &sums
                )
            }
            backend.attentionBackward(
                shape,
                q: numbers,
                k: numbers,
                v: numbers,
                dropout: nil,
                out: numbers,
                logSumExp: [Float](repeating: 3, count: length),
                dOut: numbers,
                dq: &other,
                dk: &another,
                dv: out
            )
        }

        func linearAttention(_ backend: CPUBackend, _ out: MutableFloats, form: LinearAttentionForm) {
            let shape = LinearAttentionShape(
                batch: 1,
                length: length,
                heads: 1,
                featureWidth: Self.width,
                valueWidth: Self.width,
                map: .taylor2
            )
            var normaliser = poisoned(length)
            backend.linearAttentionForward(
                shape,
                form: form,
                q: numbers,
                k: numbers,
                v: numbers,
                y: out,
                normaliser: &normaliser
            )
        }
    }

    /// One long sequence of one head is a block that may take minutes: the kernels ask within it.
    @Test func longSequencesStopInTheirMidst() {
        let sequence = Sequence(length: 1000)
        let kernels: [(String, (CPUBackend, MutableFloats) -> Void)] = [
            ("attention", { sequence.attention($0, $1, isBackward: false) }),
            ("attention backward", { sequence.attention($0, $1, isBackward: true) }),
            ("in chunks", { sequence.linearAttention($0, $1, form: .chunked(64)) }),
            ("over all pairs", { sequence.linearAttention($0, $1, form: .quadratic) }),
        ]
        for (name, kernel) in kernels {
            let all = Countdown()
            #expect(sequence.tokensDone(by: all.isOver, kernel) == 1000, "\(name)")
            // Tiles and chunks of 64 tokens, or rows of tiles of 32.
            #expect(all.count >= 16, "\(name)")
            let some = sequence.tokensDone(by: Countdown(yesFrom: all.count / 2).isOver, kernel)
            #expect(some > 0 && some <= 600, "\(name): \(some)")
        }
    }

    /// A scan asks before each of its chunks.
    @Test func aLongScanStopsInItsMidst() {
        let (length, channels) = (320, 4)
        let shape = ScanShape(
            batch: 1,
            length: length,
            channels: channels,
            states: 1,
            stateStride: 1,
            gateStride: channels
        )
        let numbers = randomFloats(length * channels, seed: 3)
        var out = poisoned(length * channels)
        let backend = CPUBackend()
        backend.cancellable(by: Countdown(yesFrom: 6).isOver) {
            backend.scanForward(
                shape,
                x: numbers,
                delta: numbers,
                deltaBias: numbers,
                aLog: numbers,
                b: numbers,
                c: numbers,
                skip: numbers,
                z: numbers,
                out: &out,
                checkpoints: nil
            )
        }
        let done = out.count { !$0.isNaN } / channels
        #expect(done > 0 && done < 6 * 16, "\(done)")
    }

    /// A linear layer's backward has few groups of many rows, and asks within them.
    @Test func linearBackwardStopsWithinAGroup() {
        let shape = LinearShape(rows: 40_000, inputs: 2, outputs: 2)
        let (x, weight) = (randomFloats(80_000, seed: 4), randomFloats(4, seed: 5))
        func rowsDone(_ isCancelled: @escaping @Sendable () -> Bool) -> Int {
            var dx = poisoned(80_000)
            let backend = CPUBackend()
            dx.withUnsafeMutableBufferPointer { dx in
                backend.cancellable(by: isCancelled) {
                    backend.linearBackward(
                        shape,
                        x: x,
                        weight: weight,
                        dy: x,
                        dx: dx.baseAddress,
                        dWeight: nil,
                        dBias: nil
                    )
                }
            }
            return dx.count { !$0.isNaN } / 2
        }
        let all = Countdown()
        #expect(rowsDone(all.isOver) == 40_000)
        // Forty products of 1024 rows, the last with fewer.
        #expect(all.count >= 40)
        let some = rowsDone(Countdown(yesFrom: 4).isOver)
        #expect(some > 0 && some < 5 * 1024, "\(some)")
    }
}
