import Dispatch

/// Examples of one segment, in the host's memory.
public struct SegmentData: Sendable {
    public let segment: Segment
    /// N, how many examples are here.
    public let count: Int
    /// (N, L)
    public let tokens: [Int32]
    /// (N, n): where in its sequence each label stands, ascending within an example.
    public let labelPositions: [Int32]
    /// (N, n): the value expected there.
    public let labels: [Int32]

    /// Generates examples of a segment.
    ///
    /// - Parameters:
    ///   - index: the segment's index in its split.
    ///   - firstExample: the first one's index; it may lie beyond the segment's own examples.
    ///   - count: how many; by default as many as the segment has.
    ///   - threads: how many threads share the work; the data does not depend on it.
    public static func make(
        _ generator: MQARGenerator,
        _ split: Split,
        _ index: Int,
        firstExample: Int = 0,
        examples count: Int? = nil,
        threads: Int = 1
    ) -> SegmentData {
        let (segment, recipe) = (generator.task.segments(split)[index], generator.recipe(split, index))
        let count = count ?? segment.examples
        let (length, pairs) = (segment.sequenceLength, segment.kvPairs)
        var tokens = [Int32](repeating: 0, count: count * length)
        var positions = [Int32](repeating: 0, count: count * pairs)
        var labels = [Int32](repeating: 0, count: count * pairs)
        let parts = max(1, min(threads, count))
        tokens.withUnsafeMutableBufferPointer { tokens in
            positions.withUnsafeMutableBufferPointer { positions in
                labels.withUnsafeMutableBufferPointer { labels in
                    guard count > 0 else { return }
                    // The parts are disjoint.
                    nonisolated(unsafe) let tokens = tokens.baseAddress!
                    nonisolated(unsafe) let positions = positions.baseAddress!
                    nonisolated(unsafe) let labels = labels.baseAddress!
                    DispatchQueue.concurrentPerform(iterations: parts) { part in
                        let (start, end) = (count * part / parts, count * (part + 1) / parts)
                        recipe.make(
                            first: firstExample + start,
                            count: end - start,
                            tokens: tokens + start * length,
                            labelPositions: positions + start * pairs,
                            labels: labels + start * pairs
                        )
                    }
                }
            }
        }
        return SegmentData(
            segment: segment,
            count: count,
            tokens: tokens,
            labelPositions: positions,
            labels: labels
        )
    }

    /// The labels as (N, L) numbers with -100 where there is none, as PyTorch's cross-entropy expects them.
    public func denseLabels() -> [Int64] {
        let (length, pairs) = (segment.sequenceLength, segment.kvPairs)
        var dense = Array(repeating: MQARGenerator.ignoredLabel, count: count * length)
        for example in 0..<count {
            for label in example * pairs..<(example + 1) * pairs {
                dense[example * length + Int(labelPositions[label])] = Int64(labels[label])
            }
        }
        return dense
    }
}
