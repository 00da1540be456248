import RecallTraining
import Testing

struct BatchPlanTests {
    private let counts = [10, 7, 3]

    private func plan(_ order: OrderKind, seed: UInt64 = 1, epoch: Int = 0, batchSize: Int = 4)
        -> [PlannedBatch]
    {
        BatchPlan.batches(counts: counts, batchSize: batchSize, order: order, seed: seed, epoch: epoch)
    }

    @Test func thePublishedOrderIsTheDatas() {
        let batches = plan(.published)
        #expect(batches.map(\.segment) == [0, 0, 0, 1, 1, 2])
        #expect(
            batches.map(\.examples) == [
                [0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3], [4, 5, 6], [0, 1, 2],
            ]
        )
        #expect(plan(.published, seed: 2, epoch: 5) == batches)
    }

    @Test(arguments: OrderKind.allCases, [1, 3, 4, 7, 100])
    func everyExampleComesOnceAnEpoch(_ order: OrderKind, batchSize: Int) {
        let batches = plan(order, batchSize: batchSize)
        #expect(batches.count == BatchPlan.count(counts: counts, batchSize: batchSize))
        for (segment, count) in counts.enumerated() {
            let own = batches.filter { $0.segment == segment }
            #expect(own.flatMap(\.examples).sorted() == Array(0..<Int32(count)))
            // All full but one that may be short.
            #expect(own.count { $0.examples.count < batchSize } == (count % batchSize == 0 ? 0 : 1))
            #expect(own.allSatisfy { !$0.examples.isEmpty && $0.examples.count <= batchSize })
        }
    }

    @Test func shufflingDependsOnSeedAndEpochAlone() {
        let batches = plan(.shuffled)
        #expect(plan(.shuffled) == batches)
        #expect(plan(.shuffled, epoch: 1) != batches)
        #expect(plan(.shuffled, seed: 2) != batches)
        #expect(batches != plan(.published))
    }

    /// Examples are dealt anew, not batches alone; and batches of segments mix.
    @Test func shufflingReachesExamplesAndBatches() {
        let examples = (0..<20).map { epoch in
            plan(.shuffled, epoch: epoch).filter { $0.segment == 0 }.flatMap(\.examples)
        }
        #expect(examples.allSatisfy { $0 != Array(0..<10) })
        #expect(Set(examples).count == 20)
        let orders = Set((0..<20).map { plan(.shuffled, epoch: $0).map(\.segment) })
        #expect(orders.count > 5)
        // Over many epochs each example comes first equally often: 10 expected, 3.0 the deviation.
        var first = [Int](repeating: 0, count: 10)
        for epoch in 0..<100 {
            let batches = BatchPlan.batches(
                counts: [10],
                batchSize: 10,
                order: .shuffled,
                seed: 3,
                epoch: epoch
            )
            first[Int(batches[0].examples[0])] += 1
        }
        #expect(first.allSatisfy { $0 > 0 && $0 < 25 })
    }

    @Test func noExamplesNoBatches() {
        #expect(BatchPlan.batches(counts: [0], batchSize: 4, order: .shuffled, seed: 1, epoch: 0).isEmpty)
        #expect(BatchPlan.count(counts: [0, 1], batchSize: 4) == 1)
    }
}
