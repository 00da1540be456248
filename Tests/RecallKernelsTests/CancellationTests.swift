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

    /// Sequences and heads of attention are blocks of their own.
    @Test func attentionStopsBetweenItsHeads() {
        let shape = AttentionShape(
            batch: 3,
            length: 70,
            heads: 2,
            headWidth: 8,
            rowStride: 48,
            window: nil
        )
        let qkv = randomFloats(3 * 70 * 48, seed: 3)
        var out = poisoned(3 * 70 * 16)
        var logSumExp = poisoned(3 * 2 * 70)
        qkv.withUnsafeBufferPointer { qkv in
            let q = qkv.baseAddress!
            let backend = CPUBackend()
            backend.cancellable(by: Countdown(yesFrom: 5).isOver) {
                backend.attentionForward(
                    shape,
                    q: q,
                    k: q + 16,
                    v: q + 32,
                    dropout: nil,
                    out: &out,
                    logSumExp: &logSumExp
                )
            }
        }
        #expect(logSumExp.map(\.isNaN) == (0..<420).map { $0 >= 4 * 70 })
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
