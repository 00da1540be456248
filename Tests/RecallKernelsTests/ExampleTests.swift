import RecallExamples
import RecallKernels
import Synchronization
import Testing

/// Data made on the CPU as a device: `RecallVerification` has the comparisons.
@Suite struct ExampleTests {
    /// Three blocks' examples.
    private static let count = 3 << 16

    private let recipe = ExampleRecipe(
        seed: 7,
        streamIndex: 1 << 16,
        vocabulary: 64,
        length: 16,
        pairs: 2,
        hasRandomFillers: true,
        hasDisjointFillers: true,
        slotLaw: SlotLaw(slots: 6, powerA: 0.01)
    )

    private struct Made: Equatable {
        var tokens, positions, labels: [Int32]
    }

    private func made(
        on backend: CPUBackend,
        cancelledBy isCancelled: (@Sendable () -> Bool)? = nil
    ) -> Made {
        let pairs = Self.count * recipe.pairs
        // Three variables: of one, only a part could be written at a time.
        var tokens = [Int32](repeating: -1, count: Self.count * recipe.length)
        var positions = [Int32](repeating: -1, count: pairs)
        var labels = positions
        func launch() {
            backend.makeExamples(
                recipe,
                first: 5,
                count: Self.count,
                tokens: &tokens,
                positions: &positions,
                labels: &labels
            )
        }
        if let isCancelled { backend.cancellable(by: isCancelled, launch) } else { launch() }
        return Made(tokens: tokens, positions: positions, labels: labels)
    }

    /// Neither the threads nor being asked changes a token.
    @Test func blocksAreTheWhole() {
        let whole = made(on: CPUBackend())
        #expect(!whole.tokens.contains(-1) && !whole.positions.contains(-1) && !whole.labels.contains(-1))
        for threads in [1, 2, 3] {
            #expect(made(on: CPUBackend(threads: threads), cancelledBy: { false }) == whole)
        }
        // The last by itself.
        var (tokens, positions, labels) = (
            [Int32](repeating: -1, count: 16), [Int32(-1), -1], [Int32(-1), -1]
        )
        CPUBackend().makeExamples(
            recipe,
            first: 5 + Self.count - 1,
            count: 1,
            tokens: &tokens,
            positions: &positions,
            labels: &labels
        )
        #expect(tokens == whole.tokens.suffix(16) && positions == whole.positions.suffix(2))
        #expect(labels == whole.labels.suffix(2))
    }

    /// Examples that nobody wants any more are given up at the next block.
    @Test(arguments: [1, 2, 3]) func dataThatAreNotWantedAreGivenUp(atLook look: Int) {
        let asked = Atomic(0)
        let made = made(
            on: CPUBackend(),
            cancelledBy: { asked.add(1, ordering: .relaxed).newValue >= look }
        )
        let whole = Self.count * recipe.length
        #expect(made.tokens.count { $0 == -1 } == whole - (look - 1) * (whole / 3))
    }
}
