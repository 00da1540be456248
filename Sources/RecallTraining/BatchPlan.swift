import RecallInput
import RecallRandom

/// Some examples of one segment that are trained on together.
package struct PlannedBatch: Equatable, Sendable {
    package let segment: Int
    /// Indices into the segment's data.
    package let examples: [Int32]
}

/// The batches of an epoch, in order. A batch never mixes segments; a segment's last may be short.
package enum BatchPlan {
    /// - Parameters:
    ///   - counts: examples of each segment.
    ///   - order: `shuffled` deals the examples of each segment anew every epoch and then the batches over all
    ///     segments, from streams keyed by (seed, epoch).
    package static func batches(
        counts: [Int],
        batchSize: Int,
        order: OrderKind,
        seed: UInt64,
        epoch: Int
    ) -> [PlannedBatch] {
        var batches: [PlannedBatch] = []
        for (segment, count) in counts.enumerated() {
            var examples = Array(0..<Int32(count))
            if order == .shuffled {
                var stream = RandomStream(
                    seed: seed,
                    purpose: .order,
                    a: UInt32(truncatingIfNeeded: epoch),
                    b: UInt32(segment)
                )
                stream.shuffle(&examples)
            }
            for start in stride(from: 0, to: count, by: batchSize) {
                batches.append(
                    PlannedBatch(
                        segment: segment,
                        examples: Array(examples[start..<min(start + batchSize, count)])
                    )
                )
            }
        }
        if order == .shuffled {
            var stream = RandomStream(
                seed: seed,
                purpose: .order,
                a: UInt32(truncatingIfNeeded: epoch),
                b: .max
            )
            stream.shuffle(&batches)
        }
        return batches
    }

    /// Steps of an epoch.
    package static func count(counts: [Int], batchSize: Int) -> Int {
        counts.map { $0.plus(batchSize - 1) / batchSize }.saturatingSum()
    }
}

/// A batch on the host: what the model is given.
package struct HostBatch {
    /// (B, L)
    package var tokens: [Int32]
    /// Rows of the flattened (B·L) that are labelled, ascending.
    package var labelledRows: [Int32]
    /// The token expected at each.
    package var labels: [Int32]
    package var batch: Int

    package init(tokens: [Int32], labelledRows: [Int32], labels: [Int32], batch: Int) {
        (self.tokens, self.labelledRows, self.labels, self.batch) = (tokens, labelledRows, labels, batch)
    }
}
